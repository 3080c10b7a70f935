"""Keras on JAX: `keras.layers.SimpleRNN`, `LSTM`, `GRU` through `stateless_call`.

Keras 3 is batch-first only. Its GRU's gate order is z r h; with `reset_after=True` it has a
recurrent bias, of which only the part inside the reset is not redundant.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer, recurrent_matrix
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Weights have jaxrnn's layout up to the order of the GRU's gates."""
    import jax.numpy as jnp
    import keras

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

    def z_first(part: Any) -> Any:
        r, z, n = jnp.split(part, 3, -1)
        return jnp.concatenate([z, r, n], -1)

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        native = [params.w_xh, recurrent_matrix(params), params.b_h]
        if cell.startswith("gru"):
            native = [z_first(part) for part in native]
        if cell == "gru":
            inside = jnp.concatenate([jnp.zeros(2 * hidden_size, native[2].dtype), params.b_hn])
            native[2] = jnp.stack([native[2], inside])
        return native, list(carry)

    def unroll(variables: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        (hs, *carry), _ = layer.stateless_call(variables, others, xs, initial_state=carry)
        return carry, hs

    return JaxLayer(convert, unroll, batch_first=True)


CELLS = ("elman", "elman_relu", "lstm", "gru", "gru_reset_before")
PEER = Peer(
    name="keras",
    path="keras.layers.SimpleRNN, LSTM, GRU on its JAX backend, stateless_call under jax.jit",
    distribution="keras",
    cells={cell: cell for cell in CELLS},
    prepare={
        "layer": prepare_layer(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
    environment={"KERAS_BACKEND": "jax"},
)
