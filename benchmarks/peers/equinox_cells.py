"""Equinox: its cells under `vmap` over the batch, scanned over time.

Equinox has an LSTM and a GRU cell and no layer that unrolls them; this is its documentation's
way. Its GRU resets after the product, as PyTorch's. It has no Elman cell.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Weights are the transposes of jaxrnn's; gate order is the same."""
    import equinox as eqx
    import jax

    key = jax.random.key(0)
    _, _, input_size, hidden_size = size

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        if cell == "lstm":
            empty: Any = eqx.nn.LSTMCell(input_size, hidden_size, key=key)
            fields: tuple[Any, ...] = (params.w_xh.T, params.w_hh.T, params.b_h)
            filled = eqx.tree_at(lambda it: (it.weight_ih, it.weight_hh, it.bias), empty, fields)
            return filled, (carry.h, carry.c)
        empty = eqx.nn.GRUCell(input_size, hidden_size, key=key)
        fields = (params.w_xh.T, params.w_hh.T, params.b_h, params.b_hn)
        filled = eqx.tree_at(
            lambda it: (it.weight_ih, it.weight_hh, it.bias, it.bias_n), empty, fields
        )
        return filled, carry.h

    def unroll(filled: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            carry = jax.vmap(filled)(x, carry)
            return carry, carry[0] if cell == "lstm" else carry

        return jax.lax.scan(step, carry, xs)

    return JaxLayer(convert, unroll)


PEER = Peer(
    name="equinox",
    path="equinox.nn.LSTMCell, GRUCell under jax.vmap and jax.lax.scan",
    distribution="equinox",
    cells={"lstm": "lstm", "gru": "gru"},
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_training(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
)
