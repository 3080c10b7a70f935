"""Stacks of layers against cells put on top of each other by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import networks


def random_stack(cell, key, input_size, hidden_size, num_layers):
    layers = networks.init_layers(cell, key, input_size, hidden_size, num_layers, dtype=jnp.float64)
    keys = iter(jax.random.split(key, 99))
    return jax.tree.map(lambda w: w + 0.2 * jax.random.normal(next(keys), w.shape), layers)


@pytest.mark.parametrize("name", list(rnn.CELLS))
def test_layers_feed_each_other(name):
    cell = rnn.CELLS[name]
    layers = random_stack(cell, jax.random.key(0), 3, 4, 3)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 3))
    carries = networks.zero_carries(cell, layers, (2,))
    carries = jax.tree.map(lambda c: c + 0.3, carries)
    last, hs = jax.jit(networks.unroll_layers)(cell, layers, carries, xs)
    expected, expected_last = xs, []
    for params, carry in zip(layers, carries, strict=True):
        carry, expected = rnn.unroll_autodiff(cell, params, carry, expected)
        expected_last.append(carry)
    np.testing.assert_allclose(hs, expected, rtol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), last, tuple(expected_last)
    )


def test_steps_make_an_unrolling():
    cell = rnn.GRU
    layers = random_stack(cell, jax.random.key(0), 5, 4, 2)
    tokens = jnp.array([[1, 4], [0, 2], [3, 3]])
    carries = networks.zero_carries(cell, layers, (2,))
    _, hs = networks.unroll_layers(cell, layers, carries, tokens)
    for t in range(3):
        carries, h = networks.step_layers(cell, layers, carries, tokens[t])
        np.testing.assert_allclose(h, hs[t], rtol=1e-12)


def test_dropout_scales_what_it_keeps():
    xs = jnp.full((200, 50), 3.0)
    dropped = np.asarray(networks.drop(jax.random.key(0), xs, 0.25))
    assert set(np.unique(dropped)) == {0.0, 4.0}
    assert abs((dropped == 0).mean() - 0.25) < 0.02


def test_dropout_differs_from_layer_to_layer_and_spares_the_recurrence():
    cell = rnn.ELMAN
    layers = random_stack(cell, jax.random.key(0), 4, 64, 2)
    xs = jax.random.normal(jax.random.key(1), (5, 1, 4))
    carries = networks.zero_carries(cell, layers, (1,))
    clean, _ = networks.unroll_layers(cell, layers, carries, xs)
    last, hs = networks.unroll_layers(
        cell, layers, carries, xs, dropout=0.5, dropout_key=jax.random.key(2)
    )
    # The first layer reads no dropped input and its own state is whole.
    np.testing.assert_allclose(last[0].h, clean[0].h, rtol=1e-12)
    assert not np.allclose(last[1].h, clean[1].h)
    assert abs((np.asarray(hs) == 0).mean() - 0.5) < 0.1
    ones = jnp.ones((100,))
    first, second = (
        networks.drop(jax.random.fold_in(jax.random.key(2), index), ones, 0.5) for index in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_without_a_key_nothing_is_dropped():
    cell = rnn.ELMAN
    layers = random_stack(cell, jax.random.key(0), 4, 8, 2)
    xs = jnp.ones((5, 1, 4))
    carries = networks.zero_carries(cell, layers, (1,))
    _, clean = networks.unroll_layers(cell, layers, carries, xs)
    _, hs = networks.unroll_layers(cell, layers, carries, xs, dropout=0.5)
    np.testing.assert_array_equal(hs, clean)


def test_layers_start_from_different_weights():
    layers = networks.init_layers(rnn.LSTM, jax.random.key(0), 4, 4, 2)
    assert not np.array_equal(layers[0].w_hh, layers[1].w_hh)


def test_no_layers_is_an_error():
    with pytest.raises(ValueError, match="num_layers"):
        networks.init_layers(rnn.LSTM, jax.random.key(0), 4, 4, 0)
