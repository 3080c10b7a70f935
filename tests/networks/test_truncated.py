"""Truncated BPTT against its definition: block by block, the gradient of k2 steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells, random_problem, worst_relative

import jaxrnn as rnn

STACK = rnn.Stack([rnn.LSTM, rnn.GRU])


def weighted(hs):
    return jnp.sum(jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape) * hs**2)


def by_definition(net, params, carry, xs, k1, k2):
    """Σ over blocks of the loss on its outputs, its gradient stopped k2 steps before its end."""
    length = xs.shape[0]

    def total(params, carry, xs):
        loss = 0.0
        for first in range(0, length, k1):
            end = min(first + k1, length)
            start = max(end - k2, 0)
            before = carry
            if start:
                before, _ = rnn.unroll_autodiff(net, params, carry, xs[:start])
                before = jax.lax.stop_gradient(before)
            last, hs = rnn.unroll_autodiff(net, params, before, xs[start:end])
            weights = jnp.zeros((length, *hs.shape[1:])).at[first:end].set(hs[first - start :])
            loss += weighted(weights)
        return loss + sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(last))

    return jax.jit(jax.value_and_grad(total, (0, 1, 2)))(params, carry, xs)


@pytest.mark.parametrize(
    ("net", "k1", "k2"),
    [
        (rnn.LSTM, 2, 5),
        (rnn.ELMAN, 3, 3),
        (STACK, 2, 3),
        *(pytest.param(rnn.CELLS[p.values[0]], 2, 4, marks=p.marks) for p in cells()),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(2,), pytest.param((), marks=pytest.mark.slow)])
def test_the_gradient_is_the_definitions(net, k1, k2, batch):
    params, carry, xs = random_problem(net, length=7, batch=batch)

    def total(params, carry, xs):
        last, hs = rnn.unroll_truncated(net, params, carry, xs, forward_steps=k1, backward_steps=k2)
        return weighted(hs) + sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(last))

    found = jax.jit(jax.value_and_grad(total, (0, 1, 2)))(params, carry, xs)
    assert worst_relative(found, by_definition(net, params, carry, xs, k1, k2)) < 1e-12


def test_values_are_unrolls_and_a_long_window_is_the_whole_gradient():
    params, carry, xs = random_problem("gru", length=7)
    tokens = jax.device_put(np.argmax(xs, axis=-1))
    for inputs in (xs, tokens):
        expected = rnn.unroll(rnn.GRU, params, carry, inputs)
        found = rnn.unroll_truncated(
            rnn.GRU, params, carry, inputs, forward_steps=2, backward_steps=3
        )
        assert worst_relative(found, expected) < 1e-13

    def total(run, params):
        return weighted(run(rnn.GRU, params, carry, xs)[1])

    whole = jax.jit(jax.grad(lambda p: total(rnn.unroll, p)))(params)
    long = jax.jit(jax.grad(
        lambda p: total(lambda *a: rnn.unroll_truncated(*a, forward_steps=3, backward_steps=99), p)
    ))(params)  # fmt: skip
    assert worst_relative(long, whole) < 1e-12


def test_bad_steps_are_named():
    params, carry, xs = random_problem("gru")
    with pytest.raises(ValueError, match="backward_steps: expected at least forward_steps, 3, got"):
        rnn.unroll_truncated(rnn.GRU, params, carry, xs, forward_steps=3, backward_steps=2)
    with pytest.raises(ValueError, match="unroll_truncated: forward_steps: expected an integer of"):
        rnn.unroll_truncated(rnn.GRU, params, carry, xs, forward_steps=0, backward_steps=2)
    with pytest.raises(TypeError, match="runs forwards only"):
        rnn.unroll_truncated(
            rnn.Bidirectional(rnn.GRU), params, carry, xs, forward_steps=1, backward_steps=2
        )


def test_nothing_to_read():
    params, carry, xs = random_problem("gru", length=0)
    _, hs = rnn.unroll_truncated(rnn.GRU, params, carry, xs, forward_steps=1, backward_steps=2)
    assert np.shape(hs) == (0, 2, 4)
