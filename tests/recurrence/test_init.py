import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn


@pytest.mark.parametrize("name", rnn.CELLS)
def test_shapes_and_dtypes(name):
    cell = rnn.CELLS[name]
    sizes = {"I": 5, "H": 3, "P": 2}
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float64):
        make = functools.partial(rnn.init, cell, input_size=5, hidden_size=3, dtype=dtype)
        params = jax.eval_shape(make, jax.random.key(0))
        assert tuple(w.shape for w in params) == tuple(cell.params_of(sizes))
        assert {w.dtype for w in params} == {jnp.dtype(dtype)}
        carry = rnn.zero_carry(cell, params, (2, 4))
        for field, width in zip(carry, cell.carry_of(sizes), strict=True):
            assert field.shape == (2, 4, width)
            assert field.dtype == dtype
            assert not np.any(field)
    known = sizes if cell.has_projection else {"I": 5, "H": 3}
    assert cell.sizes_of(params) == known


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru_reset_before", "mgu"])
def test_blocks_are_orthogonal_and_glorot(name):
    cell = rnn.CELLS[name]
    params = rnn.init(cell, jax.random.key(1), input_size=40, hidden_size=60, dtype=jnp.float64)
    params = jax.tree.map(np.asarray, params)
    matrices = [getattr(params, field) for field in cell.recurrent]
    blocks = [block for w in matrices for block in np.split(w, w.shape[1] // 60, axis=1)]
    assert len(blocks) == len(cell.gates)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(60), atol=1e-10)
    bound = np.sqrt(6 / (40 + 60))
    assert 0.99 * bound < np.abs(params.w_xh).max() <= bound
    assert abs(np.std(params.w_xh) - bound / np.sqrt(3)) < 0.02 * bound
    # A key for each block: no two are alike.
    for many in (blocks, np.split(params.w_xh, len(cell.gates), axis=1)):
        for i, one in enumerate(many):
            assert not any(np.allclose(one, other) for other in many[:i])


def test_a_projection_is_half_as_wide_unless_said():
    draw = lambda **p: rnn.init(rnn.LSTM_PROJECTED, jax.random.key(0), 3, 5, **p)  # noqa: E731
    assert jax.eval_shape(draw).w_hr.shape == (5, 3)
    assert jax.eval_shape(functools.partial(draw, proj_size=2)).w_hh.shape == (2, 20)
    with pytest.raises(ValueError, match="init: proj_size: expected none beside the cell 'lstm'"):
        rnn.init(rnn.LSTM, jax.random.key(0), 3, 5, proj_size=2)


def test_gains_are_one_and_an_elementwise_recurrence_is_between_0_and_1():
    params = rnn.init(rnn.LSTM_LAYERNORM, jax.random.key(0), 3, 4)
    for gain in (params.gain_x, params.gain_h, params.gain_c):
        assert np.all(np.asarray(gain) == 1)
    np.testing.assert_array_equal(params.b, [0] * 4 + [1] * 4 + [0] * 8)
    u = np.asarray(rnn.init(rnn.INDRNN, jax.random.key(0), 3, 1000).u)
    assert u.min() >= 0
    assert u.max() <= 1
    assert abs(u.mean() - 0.5) < 0.03
    p = np.asarray(rnn.init(rnn.LSTM_PEEPHOLE, jax.random.key(0), 3, 100).p_i)
    assert 0.09 < np.abs(p).max() <= 0.1
    assert p.min() < -0.09


def test_forget_bias_is_one_and_the_rest_zero():
    b_h = rnn.init(rnn.LSTM, jax.random.key(0), 2, 3).b_h
    np.testing.assert_array_equal(b_h, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    gru = rnn.init(rnn.GRU, jax.random.key(0), 2, 3)
    assert not np.any(gru.b_h)
    assert not np.any(gru.b_hn)


def test_relu_starts_from_the_identity():
    params = rnn.init(rnn.ELMAN_RELU, jax.random.key(0), 2, 3)
    np.testing.assert_array_equal(params.w_hh, np.eye(3))
    assert np.any(params.w_xh)


def test_the_key_decides():
    same = [rnn.init(rnn.GRU, jax.random.key(3), 2, 3).w_xh for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert np.not_equal(same[0], rnn.init(rnn.GRU, jax.random.key(4), 2, 3).w_xh).all()
