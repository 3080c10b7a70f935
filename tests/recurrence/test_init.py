import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn


@pytest.mark.parametrize("name", rnn.CELLS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float64])
def test_shapes_and_dtypes(name, dtype):
    cell = rnn.CELLS[name]
    params = rnn.init(cell, jax.random.key(0), input_size=5, hidden_size=3, dtype=dtype)
    columns = 3 * len(cell.gates)
    assert params.w_xh.shape == (5, columns)
    assert params.w_hh.shape == (3, columns)
    assert params.b_h.shape == (columns,)
    assert {w.dtype for w in params} == {jnp.dtype(dtype)}
    carry = rnn.zero_carry(cell, params, (2, 4))
    assert all(c.shape == (2, 4, 3) and c.dtype == dtype and not c.any() for c in carry)


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru_reset_before"])
def test_blocks_are_orthogonal_and_glorot(name):
    cell = rnn.CELLS[name]
    params = rnn.init(cell, jax.random.key(1), input_size=40, hidden_size=60, dtype=jnp.float64)
    w_hh = np.asarray(params.w_hh).reshape(60, len(cell.gates), 60)
    for gate in range(len(cell.gates)):
        np.testing.assert_allclose(w_hh[:, gate].T @ w_hh[:, gate], np.eye(60), atol=1e-10)
    bound = np.sqrt(6 / (40 + 60))
    assert 0.99 * bound < np.abs(params.w_xh).max() <= bound
    assert abs(np.std(params.w_xh) - bound / np.sqrt(3)) < 0.02 * bound


def test_forget_bias_is_one_and_the_rest_zero():
    b_h = rnn.init(rnn.LSTM, jax.random.key(0), 2, 3).b_h
    np.testing.assert_array_equal(b_h, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    gru = rnn.init(rnn.GRU, jax.random.key(0), 2, 3)
    assert not gru.b_h.any()
    assert not gru.b_hn.any()


def test_relu_starts_from_the_identity():
    params = rnn.init(rnn.ELMAN_RELU, jax.random.key(0), 2, 3)
    np.testing.assert_array_equal(params.w_hh, np.eye(3))
    assert params.w_xh.any()


def test_the_key_decides():
    same = [rnn.init(rnn.GRU, jax.random.key(3), 2, 3).w_xh for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (same[0] != rnn.init(rnn.GRU, jax.random.key(4), 2, 3).w_xh).all()
