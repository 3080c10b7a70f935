"""Recurrent neural networks in JAX: pure cells, `lax.scan`, hand-derived BPTT.

    params = rnn.init(rnn.LSTM, key, input_size=65, hidden_size=128)
    carry = rnn.zero_carry(rnn.LSTM, params, batch_shape=(32,))
    carry, hs = rnn.unroll(rnn.LSTM, params, carry, xs)

`jaxrnn.cells` lists the cells, `jaxrnn.charlm` has the character models, `jaxrnn.guides` the
guides: start with `jaxrnn.guides.ragged_data` or `jaxrnn.guides.writing_a_cell`.

Shapes, everywhere: xs [T, *B, I] (or integer token ids [T, *B]), hs [T, *B, H],
w_xh [I, G·H], w_hh [H, G·H], b_h [G·H]; T time steps, B batch (any number of axes, also none),
I inputs, H hidden units, G gates. Time comes first; the carry comes before the output.

Names are imported on first use, so that `jaxrnn --help` does not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from jaxrnn import cells, charlm, exchange, guides, microscope, networks, optimizers
    from jaxrnn.cells import (
        CELLS,
        ELMAN,
        ELMAN_RELU,
        GRU,
        GRU_LAYERNORM,
        GRU_RESET_BEFORE,
        INDRNN,
        LSTM,
        LSTM_LAYERNORM,
        LSTM_PEEPHOLE,
        LSTM_PROJECTED,
        MGU,
        Cell,
        register,
    )
    from jaxrnn.gradient_check import GradientReport, gradcheck
    from jaxrnn.networks import (
        Bidirectional,
        Directions,
        RTRLState,
        Stack,
        draw_masks,
        init,
        output_size,
        rtrl_gradient,
        rtrl_init,
        rtrl_step,
        solve_parallel,
        step,
        trace,
        unroll,
        unroll_autodiff,
        unroll_parallel,
        unroll_rtrl,
        unroll_truncated,
        weight_drop,
        zero_carry,
    )
    from jaxrnn.optimizers import karpathy_adagrad
    from jaxrnn.recurrence import Masks, Solution, Trace
    from jaxrnn.shapes import (
        TeacherForcing,
        generate,
        last_outputs,
        sequence_mask,
        teacher_forcing,
    )

_HOME = {
    "jaxrnn.cells": (
        "CELLS",
        "ELMAN",
        "ELMAN_RELU",
        "GRU",
        "GRU_LAYERNORM",
        "GRU_RESET_BEFORE",
        "INDRNN",
        "LSTM",
        "LSTM_LAYERNORM",
        "LSTM_PEEPHOLE",
        "LSTM_PROJECTED",
        "MGU",
        "Cell",
        "register",
    ),
    "jaxrnn.networks": (
        "Bidirectional",
        "Directions",
        "RTRLState",
        "Stack",
        "draw_masks",
        "init",
        "output_size",
        "rtrl_gradient",
        "rtrl_init",
        "rtrl_step",
        "solve_parallel",
        "step",
        "trace",
        "unroll",
        "unroll_autodiff",
        "unroll_parallel",
        "unroll_rtrl",
        "unroll_truncated",
        "weight_drop",
        "zero_carry",
    ),
    "jaxrnn.recurrence": ("Masks", "Solution", "Trace"),
    "jaxrnn.gradient_check": ("GradientReport", "gradcheck"),
    "jaxrnn.optimizers": ("karpathy_adagrad",),
    "jaxrnn.shapes": (
        "TeacherForcing",
        "generate",
        "last_outputs",
        "sequence_mask",
        "teacher_forcing",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_SUBPACKAGES = ("cells", "charlm", "exchange", "guides", "microscope", "networks", "optimizers")

__all__ = [
    "CELLS",
    "ELMAN",
    "ELMAN_RELU",
    "GRU",
    "GRU_LAYERNORM",
    "GRU_RESET_BEFORE",
    "INDRNN",
    "LSTM",
    "LSTM_LAYERNORM",
    "LSTM_PEEPHOLE",
    "LSTM_PROJECTED",
    "MGU",
    "Bidirectional",
    "Cell",
    "Directions",
    "GradientReport",
    "Masks",
    "RTRLState",
    "Solution",
    "Stack",
    "TeacherForcing",
    "Trace",
    "cells",
    "charlm",
    "draw_masks",
    "exchange",
    "generate",
    "gradcheck",
    "guides",
    "init",
    "karpathy_adagrad",
    "last_outputs",
    "microscope",
    "networks",
    "optimizers",
    "output_size",
    "register",
    "rtrl_gradient",
    "rtrl_init",
    "rtrl_step",
    "sequence_mask",
    "solve_parallel",
    "step",
    "teacher_forcing",
    "trace",
    "unroll",
    "unroll_autodiff",
    "unroll_parallel",
    "unroll_rtrl",
    "unroll_truncated",
    "weight_drop",
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
    return sorted([*__all__, "__version__"])
