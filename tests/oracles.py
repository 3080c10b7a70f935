"""Oracles and random values for the tests: NumPy loops written from the equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn


def cells(*ordinary):
    """All cells for `parametrize`; those that are not named are left to the slow run."""
    return [
        pytest.param(name, marks=() if name in ordinary else pytest.mark.slow) for name in rnn.CELLS
    ]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_step(name, p, carry, x):
    """One step of the cell `name` from its equations; p, carry, x in NumPy, gates by name."""
    h = carry["h"]
    size = h.shape[-1]
    a = x @ p["w_xh"] + p["b_h"]
    u = h @ p["w_hh"]
    block = lambda v, k: v[..., k * size : (k + 1) * size]  # noqa: E731
    if name in ("elman", "elman_relu"):
        new = np.tanh(a + u) if name == "elman" else np.maximum(a + u, 0)
        return {"h": new}, {"h": new}
    if name == "lstm":
        i, f, o = (sigmoid(block(a + u, k)) for k in (0, 1, 3))
        g = np.tanh(block(a + u, 2))
        c = f * carry["c"] + i * g
        return {"h": o * np.tanh(c), "c": c}, {"i": i, "f": f, "g": g, "o": o}
    r, z = sigmoid(block(a + u, 0)), sigmoid(block(a + u, 1))
    if name == "gru":
        n = np.tanh(block(a, 2) + r * (block(u, 2) + p["b_hn"]))
    else:
        n = np.tanh(block(a, 2) + (r * h) @ block(p["w_hh"], 2))
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n}


def numpy_unroll(name, params, carry, xs):
    """(last carry, hs, gates of every step) as NumPy, xs [T, *B, I]."""
    p = {k: np.asarray(v) for k, v in params._asdict().items()}
    state = {k: np.asarray(v) for k, v in carry._asdict().items()}
    hs, gates = [], []
    for x in np.asarray(xs):
        state, inside = numpy_step(name, p, state, x)
        hs.append(state["h"])
        gates.append(inside)
    return state, np.stack(hs), {k: np.stack([g[k] for g in gates]) for k in gates[0]}


def random_problem(
    name, *, length=7, batch=(2,), inputs=3, hidden=4, tokens=False, dtype=jnp.float64, seed=0
):
    """(params, carry, xs), all random, none zero."""
    cell = rnn.CELLS[name]
    random = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(random.normal(size=shape), dtype)  # noqa: E731
    columns = len(cell.gates) * hidden
    shapes = {"w_xh": (inputs, columns), "w_hh": (hidden, columns), "b_h": (columns,)}
    shapes |= {field: (hidden,) for field in cell.Params._fields if field not in shapes}
    params = cell.Params(**{field: 0.5 * normal(*shape) for field, shape in shapes.items()})
    params = params._replace(b_h=jnp.abs(params.b_h))  # else relu units die, and test nothing
    carry = cell.Carry(*(0.5 * normal(*batch, hidden) for _ in cell.Carry._fields))
    if tokens:
        return params, carry, jnp.asarray(random.integers(0, inputs, (length, *batch)), jnp.int32)
    return params, carry, normal(length, *batch, inputs)


def worst_relative(a, b):
    """max |a − b| / max |b| over each array of two trees; the worst of them."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(
        float(np.max(np.abs(np.asarray(x) - np.asarray(y))) / np.max(np.abs(np.asarray(y))))
        for x, y in pairs
    )
