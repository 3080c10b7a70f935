"""Flax: `flax.linen.RNN` with its cells, time-major.

The LSTM is `OptimizedLSTMCell`, the faster of its two. Its GRU resets after the product and keeps
a bias inside, as PyTorch's.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Its cell under `nn.RNN`."""
    import flax.linen as nn
    import jax

    from jaxrnn import CELLS, exchange

    hidden_size = size.hidden_size
    modules = {
        "elman": lambda: nn.SimpleCell(hidden_size),
        "elman_relu": lambda: nn.SimpleCell(hidden_size, activation_fn=jax.nn.relu),
        "lstm": lambda: nn.OptimizedLSTMCell(hidden_size),
        "gru": lambda: nn.GRUCell(hidden_size),
    }
    layer = nn.RNN(modules[cell](), time_major=True, return_carry=True)

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        native = exchange.to_flax(CELLS[cell], params)
        return {"params": {"cell": native}}, (carry.c, carry.h) if cell == "lstm" else carry.h

    def unroll(variables: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        return layer.apply(variables, xs, initial_carry=carry)

    return JaxLayer(convert, unroll)


PEER = Peer(
    name="flax",
    path="flax.linen.RNN with SimpleCell, OptimizedLSTMCell, GRUCell; time-major",
    distribution="flax",
    cells={"elman": "elman", "elman_relu": "elman_relu", "lstm": "lstm", "gru": "gru"},
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_training(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
)
