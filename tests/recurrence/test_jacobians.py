"""The Jacobian of a step from unit cotangents, and the affine scans, against their definitions."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from oracles import cells, normal, random_options, random_problem

import jaxrnn as rnn
from jaxrnn.cells.contract import check_unitwise
from jaxrnn.recurrence.jacobians import (
    Moment,
    OwnParts,
    Whole,
    affine_scan,
    is_elementwise,
)
from jaxrnn.recurrence.sequences import Fixed, Timed, bring_into_form, run_step, start_of

every_option = ("lengths", "resets", "masks")


def one_step(name, options=every_option):
    """(cell, params, a step at which everything happens, its carry -> carry as a vector)."""
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, length=1, batch=())
    given = random_options(name, options, params, carry, 1, ())
    given = {"lengths": None, "resets": None, "reset_carry": None, "masks": None} | given
    flat, unravel = ravel_pytree(carry)

    @jax.jit
    def moment_and_jacobian():
        timed, fixed = bring_into_form(carry, xs, **given, reverse=False)
        now = jax.tree.map(lambda a: a[0], timed)

        def after(carry):
            return run_step(cell, params, fixed, carry, now)[0]

        at = Moment(fixed, start_of(carry, now, fixed), after(carry), now)
        return at, jax.jacfwd(lambda s: ravel_pytree(after(unravel(s)).after)[0])(flat)

    at, expected = moment_and_jacobian()
    return cell, params, at, np.asarray(expected)


def jacobian_of(layout, cell, params, at):
    (found,) = jax.jit(lambda: layout.jacobian(cell, params, at))()
    return np.asarray(found)


@pytest.mark.parametrize("name", cells("lstm_projected", "gru_layernorm"))
def test_the_jacobian_is_the_steps(name):
    cell, params, at, expected = one_step(name, ("masks",))
    jacobian = jacobian_of(Whole, cell, params, at)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-12, atol=1e-14)


def test_past_a_sequences_end_and_across_a_reset():
    cell, params, at, _ = one_step("gru", ())
    for now, expected in (
        (at.now._replace(counts=jnp.asarray(False)), np.eye(4)),
        (at.now._replace(resets=jnp.asarray(True)), np.zeros((4, 4))),
    ):
        jacobian = jacobian_of(Whole, cell, params, at._replace(now=now))
        np.testing.assert_array_equal(jacobian, expected)


# Of two products in a row its own weights' part is not all of the diagonal: see below.
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in cells("lstm", "gru_layernorm", "indrnn")
        if name.values[0] not in ("gru_reset_before", "lstm_projected")
    ],
)
def test_own_parts_are_the_jacobians(name):
    cell, params, at, expected = one_step(name, ("masks",))
    own = jacobian_of(OwnParts, cell, params, at)
    fields = len(cell.Carry._fields)
    for unit in range(4):
        block = expected[unit::4, unit::4]
        np.testing.assert_allclose(own[unit], block, rtol=1e-12, atol=1e-14)
        assert own[unit].shape == (fields, fields)


def test_of_two_products_in_a_row_the_own_part_goes_through_both_diagonals():
    cell, params, at, _ = one_step("gru_reset_before", ())
    diagonal = lambda w: w * np.tile(np.eye(4), (1, w.shape[1] // 4))  # noqa: E731
    alone = params._replace(w_hh=diagonal(params.w_hh), w_hn=diagonal(params.w_hn))
    own = jacobian_of(OwnParts, cell, params, at)
    whole = jacobian_of(Whole, cell, alone, at)
    np.testing.assert_allclose(own[..., 0, 0], np.diagonal(whole), rtol=1e-12)


def test_which_cells_are_elementwise():
    assert [name for name, cell in rnn.CELLS.items() if is_elementwise(cell)] == ["indrnn"]


def test_a_carry_is_packed_and_unpacked():
    _, carry, _ = random_problem("lstm_projected")
    for layout in (Whole, OwnParts):
        pack = functools.partial(layout.pack, rnn.LSTM_PROJECTED)
        unpack = functools.partial(layout.unpack, rnn.LSTM_PROJECTED)
        back = jax.jit(lambda: unpack(pack(carry), carry))()  # noqa: B023
        jax.tree.map(np.testing.assert_array_equal, back, carry)
    assert OwnParts.groups(rnn.LSTM) == ((0, 1),)
    assert OwnParts.groups(rnn.LSTM_PROJECTED) == ((0,), (1,))


@pytest.mark.parametrize("size", [1, 2, 6])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_affine_scan_is_the_loop(size, reverse):
    random = np.random.default_rng(size)
    a, b = normal(random, (7, 3, size, size)), normal(random, (7, 3, size))
    x, expected = np.zeros((3, size)), np.zeros(b.shape)
    for t in range(7)[::-1] if reverse else range(7):
        x = expected[t] = np.einsum("bij,bj->bi", a[t], x) + b[t]
    found = jax.jit(affine_scan, static_argnames="reverse")(a, b, reverse=reverse)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_a_cell_that_calls_itself_unitwise_must_be():
    check_unitwise("here", rnn.GRU)
    mixing = dataclasses.replace(rnn.GRU_LAYERNORM, unitwise=True)
    with pytest.raises(ValueError, match="here: gru_layernorm: forward: expected a forward whose"):
        check_unitwise("here", mixing)


def test_of_an_elementwise_cell_it_is_looked_at():
    def forward(product, params, carry, a):
        new, saved, pre = rnn.INDRNN.forward(product, params, carry, a)
        large = jnp.maximum(carry.h - 4.0, 0.0)  # which most states never are
        return new._replace(h=new.h - jnp.roll(large, 1, -1)), saved, pre

    mixing = dataclasses.replace(rnn.INDRNN, name="mixing", forward=forward)
    params, carry, xs = random_problem("indrnn")
    for run in (rnn.unroll_parallel, rnn.unroll_rtrl):
        with pytest.raises(ValueError, match=r"unitwise=False in its Cell"):
            run(mixing, params, carry, xs)


def test_steps_at_once_are_steps_one_by_one():
    """With an axis of steps in front, as Newton's method has it."""
    params, carry, xs = random_problem("lstm", length=3)
    before = rnn.trace(rnn.LSTM, params, carry, xs).carries

    @jax.jit
    def jacobian(before, xs):
        step, _ = run_step(rnn.LSTM, params, Fixed(), before, Timed(xs))
        return Whole.jacobian(rnn.LSTM, params, Moment(Fixed(), before, step, Timed(xs)))[0]

    together = jacobian(before, xs)
    for t in range(3):
        alone = jacobian(jax.tree.map(lambda c: np.asarray(c)[t], before), np.asarray(xs)[t])  # noqa: B023
        np.testing.assert_allclose(together[t], alone, rtol=1e-12)
