"""Padding, neighbours, boundaries, masks: what reaches what, to the bit where it must."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells, random_like, random_problem, worst_relative

import jaxrnn as rnn

T, B = 7, 3
LENGTHS = jnp.asarray([4, 7, 0])
both = pytest.mark.parametrize("run", [rnn.unroll, rnn.unroll_autodiff], ids=["hand", "autodiff"])


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
    bad = xs.at[padding].set(99 if tokens else jnp.nan)
    (_, clean), gradients = outputs_and_gradients(run, name, wanted, params, carry, xs, **given)
    (_, dirty), dirty_gradients = outputs_and_gradients(
        run, name, wanted, params, carry, bad, **given
    )
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    jax.tree.map(np.testing.assert_array_equal, dirty_gradients, gradients)
    last, hs = clean
    assert not np.asarray(hs)[padding].any()
    for field, first in zip(last, carry, strict=True):
        np.testing.assert_array_equal(field[2], first[2])  # of length 0: the carry stays
    if not tokens:
        assert not np.asarray(gradients[2])[padding].any()


@both
def test_neighbours_do_not_matter(run):
    params, carry, xs = random_problem("lstm", length=T, batch=(B,))
    given = {"lengths": LENGTHS, "resets": jnp.zeros((T, B), bool).at[2].set(True)}
    first = lambda tree: jax.tree.map(lambda a: np.asarray(a)[..., 0, :], tree)  # noqa: E731
    (_, alone), gradients = outputs_and_gradients(run, "lstm", (1, 2), params, carry, xs, **given)
    other = xs.at[:, 1].set(jnp.inf)
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
    resets = jnp.zeros((T, 1), bool).at[jnp.asarray([2, 5])].set(True)
    weights = jnp.cos(jnp.arange(xs.shape[0] * carry.h.shape[-1], dtype=jnp.float64))
    weights = weights.reshape(T, 1, -1)

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
    resets = jnp.zeros((3, 1), bool).at[1].set(True)
    _, hs = rnn.unroll(rnn.LSTM, params, carry, xs, resets=resets)
    _, fresh = rnn.unroll(rnn.LSTM, params, rnn.zero_carry(rnn.LSTM, params, (1,)), xs[1:])
    np.testing.assert_allclose(hs[1:], fresh, rtol=1e-13)


def test_a_reset_carry_broadcasts():
    params, carry, xs = random_problem("lstm", length=3)
    resets = jnp.ones((3, 2), bool)
    one = jax.tree.map(lambda c: c[0], carry)
    both = jax.tree.map(lambda c: jnp.broadcast_to(c[:1], c.shape), carry)

    def total(reset_carry):
        run = functools.partial(rnn.unroll, rnn.LSTM, params, carry, xs, resets=resets)
        return jnp.sum(run(reset_carry=reset_carry)[1])

    assert total(one) == total(both)
    by_one, by_both = jax.grad(total)(one), jax.grad(total)(both)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b.sum(0), rtol=1e-12), by_one, by_both)


def test_masks_over_time_and_for_all_steps():
    params, carry, xs = random_problem("gru", length=T, batch=(B,))
    run = jax.jit(functools.partial(rnn.unroll, rnn.GRU, params, carry, xs))
    masks = rnn.draw_masks(rnn.GRU, params, jax.random.key(0), T, (B,), recurrent_dropout=0.5)
    assert masks.recurrent.shape == carry.h.shape
    assert set(np.unique(masks.recurrent)) == {0.0, 2.0}
    over_time = rnn.Masks(jnp.broadcast_to(masks.recurrent, (T, *carry.h.shape)))
    np.testing.assert_allclose(run(masks=masks)[1], run(masks=over_time)[1], rtol=1e-14)
    assert worst_relative(run(masks=masks)[1], run()[1]) > 0.01


def test_zoneout_in_training_and_in_use():
    params, carry, xs = random_problem("lstm", length=T, batch=(B,))
    run = jax.jit(functools.partial(rnn.unroll, rnn.LSTM, params, carry, xs))
    everything_stays = rnn.Masks(keep=rnn.LSTM.Carry(h=1.0, c=1.0))
    last, hs = run(masks=everything_stays)
    jax.tree.map(np.testing.assert_array_equal, last, carry)
    np.testing.assert_array_equal(hs, jnp.broadcast_to(carry.h, hs.shape))
    share = rnn.LSTM.Carry(h=0.2, c=0.6)
    masks = rnn.draw_masks(rnn.LSTM, params, jax.random.key(1), 400, (50,), zoneout=share)
    assert abs(float(masks.keep.h.mean()) - 0.2) < 0.01
    assert abs(float(masks.keep.c.mean()) - 0.6) < 0.01
    half = rnn.Masks(keep=rnn.LSTM.Carry(h=0.5, c=0.0))
    one, _ = rnn.unroll(rnn.LSTM, params, carry, xs[:1])
    kept, _ = rnn.unroll(rnn.LSTM, params, carry, xs[:1], masks=half)
    np.testing.assert_allclose(kept.h, 0.5 * carry.h + 0.5 * one.h, rtol=1e-13)
    np.testing.assert_allclose(kept.c, one.c, rtol=1e-13)


def test_masks_are_constants():
    params, carry, xs = random_problem("gru")

    def total(run, recurrent):
        return jnp.sum(run(rnn.GRU, params, carry, xs, masks=rnn.Masks(recurrent))[1])

    for run in (rnn.unroll, rnn.unroll_autodiff):
        assert not jax.grad(functools.partial(total, run))(jnp.ones_like(carry.h)).any()


def test_the_projection_is_not_masked():
    """Recurrent dropout acts where h enters, not where a projection makes it."""
    params, carry, xs = random_problem("lstm_projected", length=1)
    _, hs = rnn.unroll(
        rnn.LSTM_PROJECTED, params, carry, xs, masks=rnn.Masks(jnp.zeros_like(carry.h))
    )
    without = params._replace(w_hh=jnp.zeros_like(params.w_hh))
    _, expected = rnn.unroll(rnn.LSTM_PROJECTED, without, carry, xs)
    np.testing.assert_allclose(hs, expected, rtol=1e-13)
    assert np.asarray(hs).all()


@pytest.mark.parametrize("name", cells("lstm"))
def test_narrow_dtypes_take_every_option(name):
    params, carry, xs = random_problem(name, dtype=jnp.bfloat16)
    masks = rnn.draw_masks(
        rnn.CELLS[name], params, jax.random.key(0), 7, (2,), recurrent_dropout=0.3, zoneout=0.2
    )
    given = {"lengths": jnp.asarray([3, 7]), "masks": masks}
    given |= {"resets": jnp.zeros((7, 2), bool).at[2].set(True), "reset_carry": carry}
    (_, outputs), gradients = outputs_and_gradients(
        rnn.unroll, name, (0, 1, 2), params, carry, xs, **given
    )
    assert {a.dtype for a in jax.tree.leaves((outputs, gradients))} == {jnp.dtype(jnp.bfloat16)}
    assert all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves((outputs, gradients)))


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
    bad = jax.tree.map(lambda c: c.at[2].set(jnp.nan), carry)

    def total(params, carry):
        last, hs = run(rnn.LSTM, params, carry, xs, **given)
        return jnp.sum(hs**2) + sum(jnp.sum(c[:2]) for c in last)

    clean, dirty = (jax.jit(jax.grad(total))(params, c) for c in (carry, bad))
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
