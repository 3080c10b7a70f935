"""Recurrent neural networks in JAX: pure cells, `lax.scan`, hand-derived BPTT.

Shapes, everywhere: xs [T, *B, I] (or integer token ids [T, *B]), hs [T, *B, H],
w_xh [I, G·H], w_hh [H, G·H], b_h [G·H]. Time comes first; the carry comes before the output.

Names are imported on first use, so that `jaxrnn --help` does not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxrnn import charlm, microscope
    from jaxrnn.cells import CELLS, ELMAN, ELMAN_RELU, GRU, GRU_RESET_BEFORE, LSTM, Cell
    from jaxrnn.gradient_check import GradientReport, gradcheck
    from jaxrnn.optimizers import karpathy_adagrad
    from jaxrnn.recurrence import init, step, trace, unroll, unroll_autodiff, zero_carry

_HOME = {
    "jaxrnn.cells": (
        "CELLS",
        "ELMAN",
        "ELMAN_RELU",
        "GRU",
        "GRU_RESET_BEFORE",
        "LSTM",
        "Cell",
    ),
    "jaxrnn.recurrence": ("init", "step", "trace", "unroll", "unroll_autodiff", "zero_carry"),
    "jaxrnn.gradient_check": ("GradientReport", "gradcheck"),
    "jaxrnn.optimizers": ("karpathy_adagrad",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_SUBPACKAGES = ("charlm", "microscope")

__all__ = [
    "CELLS",
    "ELMAN",
    "ELMAN_RELU",
    "GRU",
    "GRU_RESET_BEFORE",
    "LSTM",
    "Cell",
    "GradientReport",
    "charlm",
    "gradcheck",
    "init",
    "karpathy_adagrad",
    "microscope",
    "step",
    "trace",
    "unroll",
    "unroll_autodiff",
    "zero_carry",
]


def __getattr__(name: str) -> object:
    if name in _SUBPACKAGES:
        return import_module(f"jaxrnn.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'jaxrnn' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
