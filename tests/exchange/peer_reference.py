"""What Keras, flax, haiku and equinox compute from drawn weights: cases, weights, outputs.

None of them is a requirement of the tests, so their outputs are stored beside this file. Weights,
by the library's names and in its shapes, and inputs are drawn again from the case's name. Made with
keras 3.15.1 (float32), flax 0.12.8, dm-haiku 0.0.17, equinox 0.13.8 (float64), and made anew, where
these are installed, by

    KERAS_BACKEND=jax python tests/exchange/peer_reference.py
"""

import functools
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

STORED = Path(__file__).with_suffix(".npz")
LENGTH, BATCH, I, H = 4, 2, 3, 4


class Case(NamedTuple):
    """A layer of a library: its class there, whether it has biases, and a choice it leaves."""

    library: str
    layer: str
    bias: bool = True
    choice: str = ""
    two: bool = False

    def __str__(self):
        parts = [self.library, self.layer, self.choice]
        parts += ["no_bias"] * (not self.bias) + ["two_directions"] * self.two
        return "-".join(filter(None, parts))


CASES = [
    Case("keras", "SimpleRNN", choice="tanh"),
    Case("keras", "SimpleRNN", choice="relu"),
    Case("keras", "SimpleRNN", bias=False, choice="tanh"),
    Case("keras", "LSTM"),
    Case("keras", "LSTM", bias=False),
    Case("keras", "LSTM", two=True),
    Case("keras", "GRU", choice="reset_after"),
    Case("keras", "GRU", choice="reset_before"),
    Case("keras", "GRU", bias=False, choice="reset_after"),
    Case("keras", "GRU", bias=False, choice="reset_before"),
    Case("keras", "GRU", choice="reset_after", two=True),
    Case("linen", "SimpleCell", choice="tanh"),
    Case("linen", "SimpleCell", choice="relu"),
    Case("linen", "LSTMCell"),
    Case("linen", "OptimizedLSTMCell"),
    Case("linen", "GRUCell"),
    Case("linen", "GRUCell", two=True),
    Case("nnx", "SimpleCell", choice="tanh"),
    Case("nnx", "SimpleCell", choice="relu"),
    Case("nnx", "LSTMCell"),
    Case("nnx", "OptimizedLSTMCell"),
    Case("nnx", "GRUCell"),
    Case("haiku", "VanillaRNN"),
    Case("haiku", "VanillaRNN", choice="double_bias"),
    Case("haiku", "LSTM"),
    Case("haiku", "GRU"),
    Case("equinox", "LSTMCell"),
    Case("equinox", "LSTMCell", bias=False),
    Case("equinox", "GRUCell"),
    Case("equinox", "GRUCell", bias=False),
]


def _shapes(case):
    """The weights' shapes as the library nests them, of one direction."""
    gates = {"LSTM": 4, "GRU": 3}.get(case.layer.removeprefix("Optimized").removesuffix("Cell"), 1)
    kernel, recurrent, width = (I, gates * H), (H, gates * H), (gates * H,)
    if case.library == "keras":
        bias = (2, *width) if case.choice == "reset_after" else width
        return [kernel, recurrent, *([bias] if case.bias else [])]
    if case.library == "equinox":
        shapes = {"weight_ih": kernel[::-1], "weight_hh": recurrent[::-1]}
        if case.bias:
            shapes |= {"bias": width} | ({"bias_n": (H,)} if gates == 3 else {})
        return shapes
    if case.library == "haiku":
        if case.layer == "VanillaRNN":
            second = {"w": recurrent} | ({"b": width} if case.choice else {})
            return {"core/linear": {"w": kernel, "b": width}, "core/linear_1": second}
        if case.layer == "LSTM":
            return {"core/linear": {"w": (I + H, 4 * H), "b": width}}
        return {"core": {"w_i": kernel, "w_h": recurrent, "b": width}}
    if case.library == "nnx" and case.layer != "LSTMCell":
        with_bias = "dense_h" if "LSTM" in case.layer else "dense_i"
        shapes = {"dense_i": {"kernel": kernel}, "dense_h": {"kernel": recurrent}}
        shapes[with_bias]["bias"] = width
        return shapes
    if case.layer == "SimpleCell":
        return {"i": {"kernel": kernel, "bias": width}, "h": {"kernel": recurrent}}
    with_bias = {"LSTM": ["hi", "hf", "hg", "ho"], "GRU": ["ir", "iz", "in", "hn"]}
    kind = "GRU" if gates == 3 else "LSTM"
    shapes = {}
    for gate in {"LSTM": "ifgo", "GRU": "rzn"}[kind]:
        for way, rows in (("i", I), ("h", H)):
            name = way + gate
            shapes[name] = {"kernel": (rows, H)} | (
                {"bias": (H,)} if name in with_bias[kind] else {}
            )
    if case.library == "nnx":
        shapes["if_"] = shapes.pop("if")
    return shapes


def draw_problem(case):
    """(weights as the library nests them, inputs [T, B, I]); every number is drawn, none is 0."""
    bits = np.random.PCG64(zlib.crc32(str(case).encode()))

    def draw(shape):
        # Of NumPy's random numbers only the raw ones are promised to stay the same for ever.
        if isinstance(shape, dict):
            return {name: draw(one) for name, one in shape.items()}
        if isinstance(shape, list):
            return [draw(one) for one in shape]
        drawn = bits.random_raw(np.prod(shape)).reshape(shape) / 2.0**64 - 0.4
        # Keras's recurrent layers compute in float32 on JAX, whatever its dtype policy is.
        return drawn.astype(np.float32) if case.library == "keras" else drawn

    weights = draw(_shapes(case))
    if case.two:
        other = draw(_shapes(case))
        if case.library == "keras":
            weights = [*weights, *other]
        else:
            weights = {"forward_rnn": {"cell": weights}, "backward_rnn": {"cell": other}}
    return weights, draw((LENGTH, BATCH, I))


def computed_outputs(case):
    """Outputs [T, B, H] of the installed library from a zero state."""
    weights, xs = draw_problem(case)
    make = {"keras": _keras, "linen": _linen, "nnx": _nnx, "haiku": _haiku, "equinox": _equinox}
    return np.asarray(make[case.library](case, weights, xs))


def keras_layer(case, weights):
    import jax

    with jax.enable_x64(False):
        return _keras_layer(case, weights)


def _keras_layer(case, weights):
    import keras

    options = {"use_bias": case.bias, "return_sequences": True}
    if case.layer == "GRU":
        options["reset_after"] = case.choice == "reset_after"
    if case.layer == "SimpleRNN":
        options["activation"] = case.choice
    layer = getattr(keras.layers, case.layer)(H, **options)
    if case.two:
        layer = keras.layers.Bidirectional(layer)
    layer.build((BATCH, LENGTH, I))
    layer.set_weights(weights)
    return layer


def _keras(case, weights, xs):
    import jax

    layer = keras_layer(case, weights)
    with jax.enable_x64(False):
        return np.asarray(layer(xs.swapaxes(0, 1))).swapaxes(0, 1)


def _activation(case):
    import jax

    return {"activation_fn": jax.nn.relu} if case.choice == "relu" else {}


def _linen(case, weights, xs):
    import flax.linen as nn

    def layer():
        cell = getattr(nn, case.layer)(H, param_dtype=np.float64, **_activation(case))
        return nn.RNN(cell, time_major=True)

    if case.two:
        return nn.Bidirectional(layer(), layer(), time_major=True).apply({"params": weights}, xs)
    return layer().apply({"params": {"cell": weights}}, xs)


def nnx_cell(case, weights):
    import jax.numpy as jnp
    from flax import nnx

    cell = getattr(nnx, case.layer)(
        I, H, param_dtype=jnp.float64, dtype=jnp.float64, rngs=nnx.Rngs(0), **_activation(case)
    )
    nnx.update(cell, weights)
    return cell


def _nnx(case, weights, xs):
    from flax import nnx

    return nnx.RNN(nnx_cell(case, weights), time_major=True, rngs=nnx.Rngs(0))(xs)


def _haiku(case, weights, xs):
    import haiku as hk
    import jax

    options = {"double_bias": bool(case.choice)} if case.layer == "VanillaRNN" else {}

    def run(xs):
        core = getattr(hk, case.layer)(H, name="core", **options)
        state = jax.tree.map(lambda leaf: leaf.astype(xs.dtype), core.initial_state(BATCH))
        return hk.dynamic_unroll(core, xs, state)[0]

    return hk.without_apply_rng(hk.transform(run)).apply(weights, xs)


def equinox_cell(case, weights):
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    cell = getattr(eqx.nn, case.layer)(
        I, H, use_bias=case.bias, dtype=jnp.float64, key=jax.random.key(0)
    )
    names = list(weights)
    return eqx.tree_at(
        lambda cell: [getattr(cell, name) for name in names],
        cell,
        [jnp.asarray(weights[name]) for name in names],
    )


def _equinox(case, weights, xs):
    import jax
    import jax.numpy as jnp

    cell, h = equinox_cell(case, weights), jnp.zeros((BATCH, H))
    carry, outputs = (h, h) if case.layer == "LSTMCell" else h, []
    for x in xs:
        carry = jax.vmap(cell)(x, carry)
        outputs.append(carry[0] if case.layer == "LSTMCell" else carry)
    return jnp.stack(outputs)


@functools.cache
def _stored():
    with np.load(STORED) as file:
        return dict(file)


def stored_outputs(case):
    """The same outputs as they were stored."""
    return _stored()[str(case)]


def write():
    """Stores the outputs of every case."""
    import jax

    jax.config.update("jax_enable_x64", True)
    np.savez_compressed(STORED, **{str(case): computed_outputs(case) for case in CASES})


if __name__ == "__main__":
    write()
