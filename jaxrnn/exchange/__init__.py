"""Weights in and out: recurrent layers of other libraries as networks and parameters, and back.

A conversion works on plain arrays, by the other library's names: none of these libraries needs to
be installed. NumPy arrays, JAX arrays and what becomes a NumPy array are read; what comes in is a
`(net, params)` for `unroll`, what goes out are NumPy arrays. Under `jax.jit` and `jax.grad` JAX
arrays come out, and conversions are differentiable: they move, negate, join and add entries.

| library | in, out | cells |
|---|---|---|
| PyTorch | `from_torch`, `to_torch` | ELMAN, ELMAN_RELU, LSTM, LSTM_PROJECTED, GRU |
| Keras 3 | `from_keras`, `to_keras` | ELMAN, ELMAN_RELU, LSTM, GRU, GRU_RESET_BEFORE |
| flax, linen and nnx | `from_flax`, `to_flax` | ELMAN, ELMAN_RELU, LSTM, GRU |
| haiku | `from_haiku`, `to_haiku` | ELMAN_RELU, LSTM, GRU_RESET_BEFORE |
| equinox | `from_equinox`, `to_equinox` | LSTM, GRU |
| ONNX | `from_onnx`, `read_onnx`, `to_onnx` | ELMAN, ELMAN_RELU, LSTM, LSTM_PEEPHOLE, GRU,
GRU_RESET_BEFORE, and these with other activations |
| ONNX, a step of a character model | `charlm_to_onnx` | all |
| this one | `save_safetensors`, `load_safetensors` | all |

Names are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxrnn.exchange.equinox_cells import from_equinox, to_equinox
    from jaxrnn.exchange.flax_cells import from_flax, to_flax
    from jaxrnn.exchange.haiku_cores import from_haiku, to_haiku
    from jaxrnn.exchange.keras_layers import from_keras, to_keras
    from jaxrnn.exchange.network_files import load_safetensors, save_safetensors
    from jaxrnn.exchange.onnx_graphs import from_onnx, read_onnx, to_onnx
    from jaxrnn.exchange.onnx_steps import charlm_to_onnx
    from jaxrnn.exchange.pytorch import from_torch, to_torch

_HOME = {
    "equinox_cells": ("from_equinox", "to_equinox"),
    "flax_cells": ("from_flax", "to_flax"),
    "haiku_cores": ("from_haiku", "to_haiku"),
    "keras_layers": ("from_keras", "to_keras"),
    "network_files": ("load_safetensors", "save_safetensors"),
    "onnx_graphs": ("from_onnx", "read_onnx", "to_onnx"),
    "onnx_steps": ("charlm_to_onnx",),
    "pytorch": ("from_torch", "to_torch"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "charlm_to_onnx",
    "from_equinox",
    "from_flax",
    "from_haiku",
    "from_keras",
    "from_onnx",
    "from_torch",
    "load_safetensors",
    "read_onnx",
    "save_safetensors",
    "to_equinox",
    "to_flax",
    "to_haiku",
    "to_keras",
    "to_onnx",
    "to_torch",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'jaxrnn.exchange' has no attribute {name!r}")
    value = getattr(import_module(f"jaxrnn.exchange.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
