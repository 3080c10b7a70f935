"""Keras on JAX: `keras.layers.SimpleRNN`, `LSTM`, `GRU` through `stateless_call`.

Keras 3 is batch-first only. With `reset_after=True` its GRU has a recurrent bias, of which only the
part inside the reset is not redundant.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Its layer, run without state of its own."""
    import keras

    from jaxrnn import CELLS, exchange

    if keras.backend.backend() != "jax":
        raise RuntimeError(f"keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax")
    batch, time, input_size, hidden_size = size
    kinds = {
        "elman": lambda **same: keras.layers.SimpleRNN(hidden_size, **same),
        "elman_relu": lambda **same: keras.layers.SimpleRNN(hidden_size, activation="relu", **same),
        "lstm": lambda **same: keras.layers.LSTM(hidden_size, **same),
        "gru": lambda **same: keras.layers.GRU(hidden_size, reset_after=True, **same),
        "gru_reset_before": lambda **same: keras.layers.GRU(hidden_size, reset_after=False, **same),
    }
    layer = kinds[cell](return_sequences=True, return_state=True)
    layer.build((batch, time, input_size))
    others = [variable.value for variable in layer.non_trainable_variables]

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        return exchange.to_keras(CELLS[cell], params), list(carry)

    def unroll(variables: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        (hs, *carry), _ = layer.stateless_call(variables, others, xs, initial_state=carry)
        return carry, hs

    return JaxLayer(convert, unroll, batch_first=True)


PEER = Peer(
    name="keras",
    path="keras.layers.SimpleRNN, LSTM, GRU on its JAX backend, stateless_call under jax.jit",
    distribution="keras",
    cells={cell: cell for cell in ("elman", "elman_relu", "lstm", "gru", "gru_reset_before")},
    prepare={
        "layer": prepare_layer(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
    environment={"KERAS_BACKEND": "jax"},
)
