"""gradcheck finds the cells right, and finds what is broken on purpose."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.gradient_check import central_differences


@pytest.mark.parametrize(
    ("name", "token_inputs"),
    [
        *((name, False) for name in rnn.CELLS),
        ("lstm", True),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in rnn.CELLS if name != "lstm"),
    ],
)
def test_every_cell_is_right(name, token_inputs):
    report = rnn.gradcheck(rnn.CELLS[name], jax.random.key(1), token_inputs=token_inputs)
    assert report.ok, str(report)
    names = [row.name for row in report.rows]
    fields = list(rnn.CELLS[name].Params._fields) + [
        f"carry.{field}" for field in rnn.CELLS[name].Carry._fields
    ]
    assert names == fields + ([] if token_inputs else ["xs"])


def broken(cell, change):
    """The cell with `change` applied to what its backward step returns."""

    def backward(*arguments):
        return change(*cell.backward(*arguments))

    return dataclasses.replace(cell, name="broken", backward=backward)


@pytest.mark.parametrize(
    "change",
    [
        lambda d_carry, d_gates: (d_carry, 1.0001 * d_gates),
        lambda d_carry, d_gates: (d_carry._replace(h=d_carry.h * 0), d_gates),
        lambda d_carry, d_gates: (d_carry._replace(c=d_carry.h), d_gates),
    ],
)
def test_a_wrong_derivative_is_found(change):
    report = rnn.gradcheck(broken(rnn.LSTM, change), jax.random.key(1))
    assert not report.ok
    assert "WRONG" in str(report)


def test_a_gradient_that_is_nan_is_not_ok():
    nan = broken(rnn.ELMAN, lambda d_carry, d_gates: (d_carry, d_gates * jnp.nan))
    assert not rnn.gradcheck(nan, jax.random.key(1)).ok


def test_central_differences_of_a_cubic():
    with jax.enable_x64(True):
        arrays = {"x": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "y": jnp.asarray([2.0])}
        slopes = jax.jit(
            lambda arrays: central_differences(lambda a: jnp.sum(a["x"] ** 3) * a["y"][0], arrays)
        )(arrays)
    np.testing.assert_allclose(slopes["x"], 6 * np.asarray(arrays["x"]) ** 2, rtol=1e-8)
    np.testing.assert_allclose(slopes["y"], [1 - 8 + 0.125 + 27], rtol=1e-8)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="gradcheck: length: expected at least 1, got 0"):
        rnn.gradcheck(rnn.GRU, jax.random.key(0), length=0)
    with pytest.raises(TypeError, match="gradcheck: key: expected"):
        rnn.gradcheck(rnn.GRU, 0)


def test_a_relu_that_is_off_is_right():
    """Of one unit, one step and these draws, some gradients are zero throughout, and right."""
    for seed in range(4):
        one = {"hidden_size": 1, "batch_size": 1, "length": 1}
        assert rnn.gradcheck(rnn.ELMAN_RELU, jax.random.key(seed), **one).ok
