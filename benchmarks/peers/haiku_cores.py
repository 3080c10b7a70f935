"""Haiku: `hk.dynamic_unroll` of its cores, time-major.

Haiku's mathematics is its own: `VanillaRNN` has a relu where Elman has tanh, so it stands beside
ELMAN as ELMAN_RELU; `GRU` resets before the product, so it stands beside GRU as GRU_RESET_BEFORE,
and its z is our 1 − z, which negated weights undo (σ(−a) = 1 − σ(a)). `LSTM` adds 1 to its forget
bias, which is taken off here.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer, recurrent_matrix
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Gate order i g f o of the LSTM over [x, h], z r a of the GRU."""
    import haiku as hk
    import jax.numpy as jnp

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
        w_xh, w_hh, b_h = params.w_xh, recurrent_matrix(params), params.b_h
        if cell == "elman_relu":
            return {"core/linear": {"w": w_xh, "b": b_h}, "core/linear_1": {"w": w_hh}}, carry.h
        if cell == "lstm":

            def order(part: Any) -> Any:
                i, f, g, o = jnp.split(part, 4, -1)
                return jnp.concatenate([i, g, f, o], -1)

            forget = jnp.repeat(jnp.asarray([0.0, 1.0, 0.0, 0.0], b_h.dtype), hidden_size)
            weights = {"w": order(jnp.concatenate([w_xh, w_hh])), "b": order(b_h - forget)}
            return {"core/linear": weights}, hk.LSTMState(carry.h, carry.c)

        def negated_z_first(part: Any) -> Any:
            r, z, n = jnp.split(part, 3, -1)
            return jnp.concatenate([-z, r, n], -1)

        names = ("w_i", "w_h", "b")
        parts = (negated_z_first(part) for part in (w_xh, w_hh, b_h))
        return {"core": dict(zip(names, parts, strict=True))}, carry.h

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
