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
    """Its cell under `jax.vmap` and `jax.lax.scan`."""
    import equinox as eqx
    import jax

    from jaxrnn import CELLS, exchange

    key = jax.random.key(0)
    _, _, input_size, hidden_size = size

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        kind: Any = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}[cell]
        fields = exchange.to_equinox(CELLS[cell], params)
        filled = eqx.tree_at(
            lambda it: [getattr(it, name) for name in fields],
            kind(input_size, hidden_size, key=key),
            [*fields.values()],
        )
        return filled, tuple(carry) if cell == "lstm" else carry.h

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
