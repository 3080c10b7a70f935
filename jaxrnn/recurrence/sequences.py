"""Sequences of every shape: what happens at a step beside the cell's own equations.

With the carry s before a step, its input x and, where they are given, the rest:

    s ← reset_carry                where a new sequence begins with this step   (resets)
    s' = cell(s, x)                with h ⊙ mask in front of recurrent products (masks.recurrent)
    s' ← keep s + (1 − keep) s'                                       zoneout   (masks.keep)
    s' ← s                         where the step does not count                (lengths)

`Timed` is the one form that lengths, resets, masks and direction are brought into; the scans of
all ways to unroll run over it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, Product
from jaxrnn.cells.contract import vectors
from jaxrnn.recurrence.checks import is_token_ids
from jaxrnn.recurrence.masks import Masks, spread
from jaxrnn.recurrence.products import product, product_T, project, working_dtype


class Timed(NamedTuple):
    """What differs from step to step, with an axis T in front; None: as if it were not there.

    Attributes:
        xs: [*B, I] or token ids [*B].
        counts: bool [*B]; false: the carry stays.
        resets: bool [*B]; true: a new sequence begins.
        recurrent: [*B, H], on h in recurrent products.
        keep: a Carry of [*B, H], the share of the old carry that stays.
    """

    xs: Any
    counts: Any = None
    resets: Any = None
    recurrent: Any = None
    keep: Any = None


class Fixed(NamedTuple):
    """What is the same at all steps, without the axis T.

    Attributes:
        reset_carry: a Carry of [*B, H]; None: zeros.
        recurrent: as `Timed` has it.
        keep: as `Timed` has it.
    """

    reset_carry: Any = None
    recurrent: Any = None
    keep: Any = None


class Step(NamedTuple):
    """What one step leaves.

    Attributes:
        after: the carry after it.
        saved: the cell's, for its backward step.
        new: what the cell itself made of the carry, where `keep` mixes that with the old; else
            None, and `after` is it wherever it matters.
    """

    after: Any
    saved: Any
    new: Any


def bring_into_form(
    carry: Any,
    xs: Array,
    *,
    lengths: Array | None,
    resets: Array | None,
    reset_carry: Any,
    masks: Masks | None,
    reverse: bool,
) -> tuple[Timed, Fixed]:
    """The arguments of `unroll`, checked before, as what the scans run over.

    Where time runs backwards it is turned round here, and nothing else knows of it. Whatever
    stands in the padding becomes a 0, so that no product meets it.
    """
    length, batch = xs.shape[0], carry.h.shape[:-1]
    counts = None
    if lengths is not None:
        # In int32: steps counted in a narrow dtype of the lengths would start over at its end.
        steps = jnp.arange(length, dtype=jnp.int32).reshape(length, *(1,) * len(batch))
        counts = steps < jnp.broadcast_to(lengths.astype(jnp.int32), batch)[None]
        xs = jnp.where(counts if is_token_ids(xs) else counts[..., None], xs, jnp.zeros_like(xs))
    if resets is None:
        reset_carry = None
    else:
        if counts is not None:
            resets = resets & counts
        if reverse and length:
            # A boundary stands in front of step t; running backwards it is crossed after step t.
            resets = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
        if reset_carry is not None:
            reset_carry = jax.tree.map(
                lambda value, like: jnp.broadcast_to(
                    value.reshape((1,) * (like.ndim - value.ndim) + value.shape), like.shape
                ),
                reset_carry,
                carry,
            )
    timed, fixed = Timed(xs, counts, resets), Fixed(reset_carry)
    if masks is not None:
        recurrent, keep = spread(masks, carry, length)
        of_steps = carry.h.ndim + 1
        if recurrent is not None and recurrent.ndim == of_steps:
            timed = timed._replace(recurrent=recurrent)
        else:
            fixed = fixed._replace(recurrent=recurrent)
        if keep is not None and keep.h.ndim == of_steps:
            timed = timed._replace(keep=keep)
        else:
            fixed = fixed._replace(keep=keep)
    if reverse:
        timed = jax.tree.map(lambda a: jnp.flip(a, 0), timed)
    return timed, fixed


def bring_back(hs: Array, counts: Array | None, reverse: bool) -> Array:
    """The states of the scan as `unroll` returns them: 0 in the padding, hs[t] belongs to xs[t]."""
    if counts is not None:
        hs = jnp.where(counts[..., None], hs, jnp.zeros_like(hs))
    return jnp.flip(hs, 0) if reverse else hs


def masks_at(now: Timed, fixed: Fixed) -> tuple[Any, Any]:
    """(recurrent, keep) of a step, or of K steps, from where they stand."""
    recurrent = fixed.recurrent if now.recurrent is None else now.recurrent
    return recurrent, fixed.keep if now.keep is None else now.keep


def start_of(before: Any, now: Timed, fixed: Fixed) -> Any:
    """The carry that a step, or K steps, of the cell start from.

    Where a step does not count that is 0: what the carry of a sequence without steps holds, NaN
    perhaps, then reaches no product.
    """
    start, zero = before, jax.tree.map(jnp.zeros_like, before)
    if now.resets is not None:
        start = choose(now.resets, zero if fixed.reset_carry is None else fixed.reset_carry, start)
    return start if now.counts is None else choose(now.counts, start, zero)


def run_step(
    cell: Cell, params: Any, fixed: Fixed, carry: Any, now: Timed, *, projected: bool = False
) -> tuple[Step, Array]:
    """One step forward.

    Args:
        cell: the cell.
        params: its Params.
        fixed: what is the same at all steps.
        carry: its Carry before the step, [*B, ·] in the params' dtype.
        now: this step's part of `Timed`.
        projected: whether `now.xs` is a = x w_xh + b_h already.

    Returns:
        (Step, what went into the nonlinearities [*B, G·H]).
    """
    recurrent, keep = masks_at(now, fixed)
    start = start_of(carry, now, fixed)
    wide = cast(start, working_dtype(params))
    a = now.xs if projected else project(params, now.xs)
    new, saved, pre = cell.forward(
        product(cell, params, recurrent), vectors(cell, params, a), wide, a
    )
    after = new
    if keep is not None:
        after = jax.tree.map(lambda k, old, new: k * old + (1 - k) * new, keep, wide, new)
    dtype = carry.h.dtype
    after, saved = cast(after, dtype), cast(saved, dtype)
    if now.counts is not None:
        after = choose(now.counts, after, carry)
    return Step(after, saved, None if keep is None else cast(new, dtype)), pre


def run_step_T(
    cell: Cell,
    params: Any,
    fixed: Fixed,
    start: Any,
    step: Step,
    now: Timed,
    d: Any,
    *,
    transposed: Callable[[Cell, Any, Array | None], Product] = product_T,
) -> tuple[Any, Any, Any]:
    """The transpose of `run_step`, from the gradient of the carry after it.

    Args:
        cell: the cell.
        params: its Params.
        fixed: what is the same at all steps.
        start: the carry that the step started from, resets included, [*B, ·].
        step: what it left.
        now: this step's part of `Timed`.
        d: ∂(carry after it), in float32 or wider.
        transposed: how the products of the cell's transposed step are made.

    Returns:
        (∂(carry before it), ∂reset_carry of this step or None, what the cell's `pairs` wants).
    """
    recurrent, keep = masks_at(now, fixed)
    wide = working_dtype(params)
    start, saved = cast(start, wide), cast(step.saved, wide)
    new = cast(step.after if step.new is None else step.new, wide)
    past = None  # what reaches the old carry other than through the cell
    if now.counts is not None:
        zero = jax.tree.map(jnp.zeros_like, d)
        past, d = choose(now.counts, zero, d), choose(now.counts, d, zero)
        new = choose(now.counts, new, zero)
    if keep is not None:
        kept = jax.tree.map(jnp.multiply, keep, d)
        past = kept if past is None else jax.tree.map(jnp.add, past, kept)
        d = jax.tree.map(jnp.subtract, d, kept)
    step_backward = cell.backward
    assert step_backward is not None  # `unroll` has checked
    back = transposed(cell, params, recurrent)
    d, left = step_backward(back, vectors(cell, params, d.h), start, saved, new, d)
    if past is not None:
        d = jax.tree.map(jnp.add, d, past)
    if now.resets is None:
        return d, None, left
    zero = jax.tree.map(jnp.zeros_like, d)
    d_reset = None if fixed.reset_carry is None else choose(now.resets, d, zero)
    return choose(now.resets, zero, d), d_reset, left


def over_steps(fixed: Fixed) -> Fixed:
    """With an axis of length 1 in front, for K steps at once."""
    once: Fixed = jax.tree.map(lambda a: a[None], fixed)
    return once


def choose(where: Array, a: Any, b: Any) -> Any:
    """Field by field `a` where [*S], or a column [*S, 1], is true, else `b`; arrays [*S, ·]."""

    def one(x: Array, y: Array) -> Array:
        return jnp.where(where if where.ndim == x.ndim else where[..., None], x, y)

    return jax.tree.map(one, a, b)


def cast(tree: Any, dtype: Any) -> Any:
    """Every array in one dtype."""
    return jax.tree.map(lambda x: x.astype(dtype), tree)
