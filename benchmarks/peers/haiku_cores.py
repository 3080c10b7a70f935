"""Haiku: `hk.dynamic_unroll` of its cores, time-major.

Haiku's mathematics is its own: `VanillaRNN` has a relu where Elman has tanh, so it stands beside
ELMAN as ELMAN_RELU; `GRU` resets before the product, so it stands beside GRU as GRU_RESET_BEFORE.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Its core, transformed."""
    import haiku as hk

    from jaxrnn import CELLS, exchange

    hidden_size = size.hidden_size
    cores = {
        "elman_relu": lambda: hk.VanillaRNN(hidden_size, double_bias=False, name="core"),
        "lstm": lambda: hk.LSTM(hidden_size, name="core"),
        "gru_reset_before": lambda: hk.GRU(hidden_size, name="core"),
    }
    layer = hk.without_apply_rng(
        hk.transform(lambda xs, carry: hk.dynamic_unroll(cores[cell](), xs, carry))
    )

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        native = exchange.to_haiku(CELLS[cell], params, "core", double_bias=False)
        return native, hk.LSTMState(carry.h, carry.c) if cell == "lstm" else carry.h

    def unroll(params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        hs, carry = layer.apply(params, xs, carry)
        return carry, hs

    return JaxLayer(convert, unroll)


PEER = Peer(
    name="haiku",
    path="haiku.dynamic_unroll with VanillaRNN, LSTM, GRU",
    distribution="dm-haiku",
    cells={
        "elman": "elman_relu",
        "elman_relu": "elman_relu",
        "lstm": "lstm",
        "gru": "gru_reset_before",
        "gru_reset_before": "gru_reset_before",
    },
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_training(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
)
