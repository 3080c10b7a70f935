"""jaxrnn is PyTorch: values and every gradient, in float64, against what PyTorch computed.

The numbers are stored (see `pytorch_reference`); where torch is installed, they are also what it
computes now. `exchange.from_torch` is part of what is differentiated, so each gradient comes out
under PyTorch's name: that of b_h must be the gradient of both of PyTorch's biases.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recurrence.pytorch_reference import CASES, computed_results, draw_problem, stored_results

import jaxrnn as rnn
from jaxrnn import exchange
from jaxrnn.networks import Directions

CELLS = {
    "rnn_tanh": rnn.ELMAN,
    "rnn_relu": rnn.ELMAN_RELU,
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "lstm_projected": rnn.LSTM_PROJECTED,
}

# (kind, layers, directions, whether the sequences are whole). Every kind is run whole and ragged,
# in one direction and in two; the slow run has all combinations. Both orders of the lengths are one
# compiled program.
ORDINARY = {
    ("rnn_tanh", 1, 1, True),
    ("rnn_tanh", 2, 2, False),
    ("rnn_relu", 2, 2, True),
    ("rnn_relu", 1, 1, False),
    ("lstm", 1, 1, True),
    ("lstm", 2, 2, False),
    ("gru", 1, 2, True),
    ("gru", 3, 1, False),
    ("lstm_projected", 2, 1, True),
    ("lstm_projected", 1, 2, False),
}


def marked(case):
    ordinary = (*case[:3], case.lengths == "whole") in ORDINARY
    return pytest.param(case, id=str(case), marks=() if ordinary else pytest.mark.slow)


def nested(runs, layers, directions):
    """One item a layer and direction, in PyTorch's order, as the network's structure has them."""
    if directions == 2:
        runs = [Directions(*two) for two in zip(runs[::2], runs[1::2], strict=True)]
    return tuple(runs) if layers > 1 else runs[0]


def flat(carry, layers, directions):
    """The inverse of `nested`."""
    runs = carry if layers > 1 else [carry]
    if directions == 1:
        return runs
    return [one for pair in runs for one in (pair.forward, pair.backward)]


def values(kind, layers, directions, arrays, lengths):
    """What PyTorch returns, by its names, computed by jaxrnn from PyTorch's arrays."""
    weights = {name: value for name, value in arrays.items() if "_l" in name}
    nonlinearity = kind.removeprefix("rnn_") if kind.startswith("rnn_") else None
    net, params = exchange.from_torch(weights, nonlinearity=nonlinearity)
    states = [arrays[name] for name in ("h_0", "c_0") if name in arrays]
    carries = [CELLS[kind].Carry(*fields) for fields in zip(*states, strict=True)]
    last, output = rnn.unroll(
        net,
        params,
        nested(carries, layers, directions),
        arrays["input"],
        **({} if lengths is None else {"lengths": lengths}),
    )
    fields = zip(*flat(last, layers, directions), strict=True)
    return {"output": output} | {
        name: jnp.stack(field) for name, field in zip(("h_n", "c_n"), fields, strict=False)
    }


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def results(kind, layers, directions, arrays, lengths, loss_weights):
    """Values and gradients by the names of `stored_results`."""

    def loss(arrays):
        computed = values(kind, layers, directions, arrays, lengths)
        return sum(jnp.sum(w * computed[name]) for name, w in loss_weights.items()), computed

    gradients, computed = jax.grad(loss, has_aux=True)(arrays)
    return computed | {f"d_{name}": value for name, value in gradients.items()}


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
def test_values_and_gradients_are_pytorchs(case):
    problem, expected = draw_problem(case), stored_results(case)
    lengths = None if problem.lengths is None else jnp.asarray(problem.lengths)
    computed = results(*case[:3], problem.arrays, lengths, problem.loss_weights)
    assert computed.keys() == expected.keys()
    for name, value in expected.items():
        allowed = 1e-10 * np.max(np.abs(value))
        np.testing.assert_allclose(computed[name], value, rtol=0, atol=allowed, err_msg=name)


def test_no_stored_gradient_can_be_met_by_leaving_an_array_out():
    for case in CASES:
        for name, value in stored_results(case).items():
            assert np.any(value), (str(case), name)
            if "bias" in name and case.kind != "rnn_relu":
                assert np.all(value), (str(case), name)


def test_stored_numbers_are_what_the_installed_pytorch_computes():
    pytest.importorskip("torch")
    for case in CASES:
        computed, expected = computed_results(case), stored_results(case)
        assert computed.keys() == expected.keys()
        for name, value in expected.items():
            allowed = 1e-12 * np.max(np.abs(value))
            np.testing.assert_allclose(computed[name], value, rtol=0, atol=allowed, err_msg=name)
