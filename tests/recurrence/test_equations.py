"""Each cell's step is its paper's: NumPy from the equations, gate by gate.

A new cell may add its own here; every other test finds it by itself.
"""

import jax
import numpy as np
import pytest
from oracles import random_problem

import jaxrnn as rnn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def split(x, count):
    return np.split(x, count, axis=-1)


def elman(p, h, x):
    return {"h": np.tanh(x @ p.w_xh + h @ p.w_hh + p.b_h)}, {}


def elman_relu(p, h, x):
    return {"h": np.maximum(x @ p.w_xh + h @ p.w_hh + p.b_h, 0)}, {}


def indrnn(p, h, x):
    return {"h": np.maximum(x @ p.w_xh + p.u * h + p.b_h, 0)}, {}


def lstm(p, h, c, x):
    a_i, a_f, a_g, a_o = split(x @ p.w_xh + h @ p.w_hh + p.b_h, 4)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c = f * c + i * g
    return {"h": o * np.tanh(c), "c": c}, {"i": i, "f": f, "g": g, "o": o}


def lstm_projected(p, h, c, x):
    new, gates = lstm(p, h, c, x)
    return {"h": new["h"] @ p.w_hr, "c": new["c"]}, gates


def lstm_peephole(p, h, c, x):
    a_i, a_f, a_g, a_o = split(x @ p.w_xh + h @ p.w_hh + p.b_h, 4)
    i, f, g = sigmoid(a_i + p.p_i * c), sigmoid(a_f + p.p_f * c), np.tanh(a_g)
    c = f * c + i * g
    o = sigmoid(a_o + p.p_o * c)
    return {"h": o * np.tanh(c), "c": c}, {"i": i, "f": f, "g": g, "o": o}


def lstm_layernorm(p, h, c, x):
    p_i, p_f, p_g, p_o = split(p.gain_x * norm(x @ p.w_xh) + p.gain_h * norm(h @ p.w_hh) + p.b, 4)
    i, f, g, o = sigmoid(p_i), sigmoid(p_f), np.tanh(p_g), sigmoid(p_o)
    c = f * c + i * g
    return {"h": o * np.tanh(p.gain_c * norm(c) + p.b_c), "c": c}, {"i": i, "f": f, "g": g, "o": o}


def gru(p, h, x):
    (a_r, a_z, a_n), (u_r, u_z, u_n) = split(x @ p.w_xh + p.b_h, 3), split(h @ p.w_hh, 3)
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = np.tanh(a_n + r * (u_n + p.b_hn))
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n}


def gru_reset_before(p, h, x):
    (a_r, a_z, a_n), (u_r, u_z) = split(x @ p.w_xh + p.b_h, 3), split(h @ p.w_hh, 2)
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = np.tanh(a_n + (r * h) @ p.w_hn)
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n}


def gru_layernorm(p, h, x):
    size = h.shape[-1]
    a, u = x @ p.w_xh, h @ p.w_hh
    a = np.concatenate([norm(a[..., : 2 * size]), norm(a[..., 2 * size :])], -1)
    u = np.concatenate([norm(u[..., : 2 * size]), norm(u[..., 2 * size :])], -1)
    (a_r, a_z, a_n), (u_r, u_z, u_n) = split(p.gain_x * a + p.b, 3), split(p.gain_h * u, 3)
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = np.tanh(a_n + r * (u_n + p.b_hn))
    return {"h": (1 - z) * n + z * h}, {"r": r, "z": z, "n": n}


def mgu(p, h, x):
    a_f, a_n = split(x @ p.w_xh + p.b_h, 2)
    f = sigmoid(a_f + h @ p.w_hh)
    n = np.tanh(a_n + (f * h) @ p.w_hn)
    return {"h": (1 - f) * h + f * n}, {"f": f, "n": n}


PAPERS = (
    elman, elman_relu, lstm, lstm_peephole, lstm_projected, lstm_layernorm, gru, gru_reset_before,
    gru_layernorm, mgu, indrnn,
)  # fmt: skip


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.__name__)
def test_the_step_is_the_papers(paper):
    name = paper.__name__
    params, carry, xs = random_problem(name, length=3)
    seen = jax.jit(rnn.trace)(rnn.CELLS[name], params, carry, xs)
    p, state = jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, carry)._asdict()
    for t, x in enumerate(np.asarray(xs)):
        state, gates = paper(p, *state.values(), x)
        gates = gates or {"h": state["h"]}
        for field, value in state.items():
            np.testing.assert_allclose(getattr(seen.carries, field)[t], value, rtol=1e-12)
        assert seen.gates.keys() == gates.keys() == seen.pre_activations.keys()
        for gate, value in gates.items():
            np.testing.assert_allclose(seen.gates[gate][t], value, rtol=1e-12)


def test_pre_activations_are_what_the_nonlinearity_takes():
    params, carry, xs = random_problem("lstm")
    seen = jax.jit(rnn.trace)(rnn.LSTM, params, carry, xs)
    before = np.concatenate([np.asarray(carry.h)[None], seen.carries.h[:-1]])
    product = np.asarray(xs) @ np.asarray(params.w_xh) + before @ np.asarray(params.w_hh)
    packed = np.concatenate([seen.pre_activations[gate] for gate in "ifgo"], axis=-1)
    np.testing.assert_allclose(packed, product + np.asarray(params.b_h), rtol=1e-12)
