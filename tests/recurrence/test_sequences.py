"""Padding, neighbours, boundaries, masks: what reaches what, to the bit where it must."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells, random_like, random_masks, random_problem, worst_relative

import jaxrnn as rnn

T, B = 7, 3
LENGTHS = jax.device_put(np.array([4, 7, 0]))
both = pytest.mark.parametrize("run", [rnn.unroll, rnn.unroll_autodiff], ids=["hand", "autodiff"])


def boundaries(shape, *steps):
    """Resets [T, *B] before each of these steps."""
    resets = np.zeros(shape, bool)
    resets[list(steps)] = True
    return jax.device_put(resets)


def loss(run, name, params, carry, xs, **given):
    """All outputs of every sequence, each weighted; and the outputs themselves."""
    last, hs = run(rnn.CELLS[name], params, carry, xs, **given)
    weights = jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape)
    total = jnp.sum(weights * hs**2) + sum(jnp.sum(jnp.sin(c)) for c in last)
    return total, (last, hs)


def outputs_and_gradients(run, name, wanted, *arguments, **given):
    call = functools.partial(loss, run, name, **given)
    return jax.jit(jax.value_and_grad(call, wanted, has_aux=True))(*arguments)


@pytest.mark.parametrize("name", cells("lstm"))
@both
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
def test_padding_reaches_nothing(name, run, reverse, tokens):
    params, carry, xs = random_problem(name, length=T, batch=(B,), tokens=tokens)
    padding = np.arange(T)[:, None] >= np.asarray(LENGTHS)
    wanted = (0, 1) if tokens else (0, 1, 2)
    given = {"lengths": LENGTHS, "reverse": reverse}
    bad = np.array(xs)
    bad[padding] = 99 if tokens else np.nan
    bad = jax.device_put(bad)
    (_, clean), gradients = outputs_and_gradients(run, name, wanted, params, carry, xs, **given)
    (_, dirty), dirty_gradients = outputs_and_gradients(
        run, name, wanted, params, carry, bad, **given
    )
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    jax.tree.map(np.testing.assert_array_equal, dirty_gradients, gradients)
    last, hs = clean
    assert not np.asarray(hs)[padding].any()
    for field, first in zip(last, carry, strict=True):
        # Of length 0: the carry stays.
        np.testing.assert_array_equal(np.asarray(field)[2], np.asarray(first)[2])
    if not tokens:
        assert not np.asarray(gradients[2])[padding].any()


@both
def test_neighbours_do_not_matter(run):
    params, carry, xs = random_problem("lstm", length=T, batch=(B,))
    given = {"lengths": LENGTHS, "resets": boundaries((T, B), 2)}
    first = lambda tree: jax.tree.map(lambda a: np.asarray(a)[..., 0, :], tree)  # noqa: E731
    (_, alone), gradients = outputs_and_gradients(run, "lstm", (1, 2), params, carry, xs, **given)
    other = np.array(xs)
    other[:, 1] = np.inf
    other = jax.device_put(other)
    (_, beside), beside_gradients = outputs_and_gradients(
        run, "lstm", (1, 2), params, carry, other, **given
    )
    jax.tree.map(np.testing.assert_array_equal, first(beside), first(alone))
    jax.tree.map(np.testing.assert_array_equal, first(beside_gradients), first(gradients))


@pytest.mark.parametrize("name", cells("lstm"))
@pytest.mark.parametrize("reverse", [False, True])
def test_resets_are_sequences_one_by_one(name, reverse):
    """One row with boundaries before steps 2 and 5 is three sequences; so are its gradients."""
    cell, pieces = rnn.CELLS[name], [(0, 2), (2, 5), (5, 7)]
    params, carry, xs = random_problem(name, length=T, batch=(1,))
    reset_carry = random_like(carry, 3)
    resets = boundaries((T, 1), 2, 5)
    weights = np.cos(np.arange(xs.shape[0] * carry.h.shape[-1])).reshape(T, 1, -1)

    def whole(params, carry, reset_carry, xs):
        last, hs = rnn.unroll(
            cell, params, carry, xs, resets=resets, reset_carry=reset_carry, reverse=reverse
        )
        return jnp.sum(weights * hs) + jnp.sum(last.h), hs

    def one_by_one(params, carry, reset_carry, xs):
        parts, last = [], None
        for start, end in pieces[::-1] if reverse else pieces:
            first = carry if last is None else reset_carry
            last, hs = rnn.unroll(cell, params, first, xs[start:end], reverse=reverse)
            parts.append(hs)
        hs = jnp.concatenate(parts[::-1] if reverse else parts)
        return jnp.sum(weights * hs) + jnp.sum(last.h), hs

    found, expected = (
        jax.jit(jax.value_and_grad(f, (0, 1, 2, 3), has_aux=True))(params, carry, reset_carry, xs)
        for f in (whole, one_by_one)
    )
    assert worst_relative(found, expected) < 1e-12


def test_resets_without_a_carry_start_from_zero():
    params, carry, xs = random_problem("lstm", length=3, batch=(1,))
    resets = boundaries((3, 1), 1)
    _, hs = rnn.unroll(rnn.LSTM, params, carry, xs, resets=resets)
    zero = rnn.zero_carry(rnn.LSTM, params, (1,))
    _, fresh = rnn.unroll(rnn.LSTM, params, zero, np.asarray(xs)[1:])
    np.testing.assert_allclose(np.asarray(hs)[1:], fresh, rtol=1e-13)


def test_a_reset_carry_broadcasts():
    params, carry, xs = random_problem("lstm", length=3)
    resets = np.ones((3, 2), bool)
    one = jax.tree.map(lambda c: np.asarray(c)[0], carry)
    both = jax.tree.map(lambda c: np.broadcast_to(np.asarray(c)[:1], c.shape), carry)

    @jax.jit
    def total(reset_carry):
        run = functools.partial(rnn.unroll, rnn.LSTM, params, carry, xs, resets=resets)
        return jnp.sum(run(reset_carry=reset_carry)[1])

    assert total(one) == total(both)
    by_one, by_both = jax.grad(total)(one), jax.grad(total)(both)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, np.sum(b, 0), rtol=1e-12), by_one, by_both
    )


def test_masks_over_time_and_for_all_steps():
    params, carry, xs = random_problem("gru", length=T, batch=(B,))
    run = jax.jit(functools.partial(rnn.unroll, rnn.GRU, params, carry, xs))
    masks = rnn.draw_masks(rnn.GRU, params, jax.random.key(0), T, (B,), recurrent_dropout=0.5)
    assert masks.recurrent.shape == carry.h.shape
    assert set(np.unique(masks.recurrent)) == {0.0, 2.0}
    over_time = rnn.Masks(np.broadcast_to(masks.recurrent, (T, *carry.h.shape)))
    np.testing.assert_allclose(run(masks=masks)[1], run(masks=over_time)[1], rtol=1e-14)
    assert worst_relative(run(masks=masks)[1], run()[1]) > 0.01


def test_zoneout_in_training_and_in_use():
    params, carry, xs = random_problem("lstm", length=T, batch=(B,))
    run = jax.jit(functools.partial(rnn.unroll, rnn.LSTM, params, carry, xs))
    everything_stays = rnn.Masks(keep=rnn.LSTM.Carry(h=1.0, c=1.0))
    last, hs = run(masks=everything_stays)
    jax.tree.map(np.testing.assert_array_equal, last, carry)
    np.testing.assert_array_equal(hs, np.broadcast_to(carry.h, hs.shape))
    share = rnn.LSTM.Carry(h=0.2, c=0.6)
    masks = rnn.draw_masks(rnn.LSTM, params, jax.random.key(1), 400, (50,), zoneout=share)
    assert abs(np.mean(masks.keep.h) - 0.2) < 0.01
    assert abs(np.mean(masks.keep.c) - 0.6) < 0.01
    half = rnn.Masks(keep=rnn.LSTM.Carry(h=0.5, c=0.0))
    xs = np.asarray(xs)[:1]
    one, _ = rnn.unroll(rnn.LSTM, params, carry, xs)
    kept, _ = rnn.unroll(rnn.LSTM, params, carry, xs, masks=half)
    mean = 0.5 * np.asarray(carry.h) + 0.5 * np.asarray(one.h)
    np.testing.assert_allclose(kept.h, mean, rtol=1e-13)
    np.testing.assert_allclose(kept.c, one.c, rtol=1e-13)


def test_masks_are_constants():
    params, carry, xs = random_problem("gru")

    def total(run, recurrent):
        return jnp.sum(run(rnn.GRU, params, carry, xs, masks=rnn.Masks(recurrent))[1])

    for run in (rnn.unroll, rnn.unroll_autodiff):
        gradient = jax.jit(jax.grad(functools.partial(total, run)))
        assert not np.any(gradient(np.ones(carry.h.shape)))


def test_the_projection_is_not_masked():
    """Recurrent dropout acts where h enters, not where a projection makes it."""
    params, carry, xs = random_problem("lstm_projected", length=1)
    _, hs = rnn.unroll(
        rnn.LSTM_PROJECTED, params, carry, xs, masks=rnn.Masks(np.zeros(carry.h.shape))
    )
    without = params._replace(w_hh=np.zeros(params.w_hh.shape))
    _, expected = rnn.unroll(rnn.LSTM_PROJECTED, without, carry, xs)
    np.testing.assert_allclose(hs, expected, rtol=1e-13)
    assert np.asarray(hs).all()


@pytest.mark.parametrize("name", cells("lstm"))
def test_narrow_dtypes_take_every_option(name):
    params, carry, xs = random_problem(name, dtype=jnp.bfloat16)
    masks = random_masks(rnn.CELLS[name], params, 7, (2,), seed=0)
    given = {"lengths": jnp.asarray([3, 7]), "masks": masks}
    given |= {"resets": boundaries((7, 2), 2), "reset_carry": carry}
    (_, outputs), gradients = outputs_and_gradients(
        rnn.unroll, name, (0, 1, 2), params, carry, xs, **given
    )
    assert {a.dtype for a in jax.tree.leaves((outputs, gradients))} == {jnp.dtype(jnp.bfloat16)}
    for a in jax.tree.leaves((outputs, gradients)):
        assert np.isfinite(np.asarray(a, np.float32)).all()


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16])
def test_lengths_of_any_integer_dtype(dtype):
    params, carry, xs = random_problem("elman", length=300, batch=(1,), hidden=2)
    lengths = jnp.asarray([100], dtype)
    _, hs = rnn.unroll(rnn.ELMAN, params, carry, xs, lengths=lengths)
    assert int((np.asarray(hs) != 0).any(-1).sum()) == 100


@both
def test_a_sequence_without_steps_may_hold_anything(run):
    """Of length 0, with NaN in its carry: no parameter's gradient sees it."""
    params, carry, xs = random_problem("lstm", length=T, batch=(B,))
    given = {"lengths": LENGTHS}
    bad = jax.tree.map(np.array, carry)
    for field in bad:
        field[2] = np.nan

    def total(params, carry):
        last, hs = run(rnn.LSTM, params, carry, xs, **given)
        return jnp.sum(hs**2) + sum(jnp.sum(c[:2]) for c in last)

    clean, dirty = (jax.jit(jax.grad(total))(params, c) for c in (carry, bad))
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
