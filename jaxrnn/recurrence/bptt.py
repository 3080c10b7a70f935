"""`unroll` of one cell: over a sequence, with backpropagation through time derived by hand.

One driver for every cell (Werbos 1990; the cell's file has its equations). With a = x w_xh + b_h:

1. Forward: one scan. Where a gradient is wanted, the inputs' share a of all steps is one matrix
   product before it, as long as that fits the cache (`tuning`); else each step makes its own.
2. Backward: the reverse scan carries nothing but the gradient of the carry, through the cell's
   transposed step, and leaves ∂a of each step behind.
3. The weights' gradients are contracted after it, a chunk of time at once, as large products, from
   the pairs that the cell declares: ∂w_xh = Σ_t x_tᵀ ∂a_t, ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t, … Autodiff of
   a scan instead does a thin outer product and the addition of a whole weight matrix at every step.
4. The backward pass goes chunk by chunk, so that 2 and 3 meet in the cache.

Lengths, resets and masks are part of a step and of its transpose (`sequences`).

Steps 1 and 2 are loops over time, run as `loops` has it: as scans, or each as one kernel.

Saved for the backward pass beside inputs and hs: what the cell's `saved` and Carry hold, for the
LSTM 4 + 1 arrays [T, *B, H]; with `recompute`, the carry at each chunk's start and nothing else.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn import tuning
from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.precision import accumulator
from jaxrnn.recurrence.checks import is_token_ids
from jaxrnn.recurrence.loops import SCAN, Loop
from jaxrnn.recurrence.products import parameter_gradients, project, working_dtype
from jaxrnn.recurrence.sequences import (
    Fixed,
    Timed,
    cast,
    masks_at,
    over_steps,
    run_step,
    run_step_T,
    start_of,
)
from jaxrnn.recurrence.sharding import same_axes
from jaxrnn.recurrence.time_chunks import (
    Chunked,
    chunk_starts,
    join_time,
    scan_chunks,
    split_time,
    tuned_chunk,
)


def unroll_cell(
    cell: Cell,
    params: Any,
    carry: Any,
    timed: Timed,
    fixed: Fixed,
    *,
    chunk_length: int | None,
    recompute: bool,
    loop: Loop = SCAN,
) -> tuple[Any, Array]:
    """(the carry after the last step, the states h [T, *B, H]); the gradient is derived by hand."""
    length = timed.xs.shape[0]
    if length == 0:
        return carry, jnp.zeros((0, *carry.h.shape), carry.h.dtype)
    if chunk_length is None and recompute:
        chunk_length = math.isqrt(length - 1) + 1
    elif chunk_length is None and loop.in_one_piece:
        chunk_length = length
    elif chunk_length is None:
        chunk_length = tuned_chunk(length, _step_bytes(params, carry))
    return _bptt(cell, int(chunk_length), recompute, loop, params, carry, timed, fixed)


def _step_bytes(params: Any, carry: Any) -> int:
    """Of one step's pre-activations [*B, G·H]."""
    columns = params.w_xh.shape[1] * accumulator(params.w_xh.dtype).itemsize
    return int(math.prod(carry.h.shape[:-1]) * columns)


def _run(
    loop: Loop,
    cell: Cell,
    params: Any,
    carry: Any,
    timed: Timed,
    fixed: Fixed,
    *,
    gradient: bool = True,
    keep: bool = True,
) -> tuple[Any, Any]:
    """(last carry, what every step left, a Step, or its h alone where not `keep`)."""
    tuned = tuning.here()
    limit = tuned.projected_bytes if gradient else tuned.projected_bytes_forward
    fits = limit is not None and timed.xs.shape[0] * _step_bytes(params, carry) <= limit
    projected = loop.in_one_piece or fits
    if projected:
        timed = timed._replace(xs=project(params, timed.xs))
    return loop(functools.partial(_step, cell, projected, keep), params, fixed)(carry, timed)


def _step(
    cell: Cell, projected: bool, keep: bool, params: Any, fixed: Fixed, carry: Any, now: Timed
) -> tuple[Any, Any]:
    step, _ = run_step(cell, params, fixed, carry, now, projected=projected)
    return step.after, step if keep else step.after.h


def _step_T(cell: Cell, params: Any, fixed: Fixed, state: Any, inputs: Any) -> tuple[Any, Any]:
    d_carry, d_reset = state
    start, step, now, d_h = inputs
    d_carry = d_carry._replace(h=d_carry.h + d_h.astype(working_dtype(params)))
    d_carry, d_reset_now, left = run_step_T(cell, params, fixed, start, step, now, d_carry)
    return (d_carry, jax.tree.map(jnp.add, d_reset, d_reset_now)), left


class _Residuals(NamedTuple):
    """What the forward pass leaves for the backward pass.

    Attributes:
        params: the cell's.
        timed: inputs and whatever else differs from step to step.
        fixed: what does not.
        starts: the carry before each chunk.
        steps: what each step left; None to run them again.
    """

    params: Any
    timed: Timed
    fixed: Fixed
    starts: Chunked
    steps: Any


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _bptt(
    cell: Cell,
    chunk_length: int,
    recompute: bool,
    loop: Loop,
    params: Any,
    carry: Any,
    timed: Timed,
    fixed: Fixed,
) -> tuple[Any, Array]:
    return _run(loop, cell, params, carry, timed, fixed, gradient=False, keep=False)


def _forward(
    cell: Cell,
    chunk_length: int,
    recompute: bool,
    loop: Loop,
    params: Any,
    carry: Any,
    timed: Timed,
    fixed: Fixed,
) -> tuple[tuple[Any, Array], _Residuals]:
    if not recompute:
        last, steps = _run(loop, cell, params, carry, timed, fixed)
        starts = chunk_starts(carry, steps.after, chunk_length)
        return (last, steps.after.h), _Residuals(params, timed, fixed, starts, steps)

    def one_chunk(start: Any, timed: Timed) -> tuple[Any, tuple[Any, Array]]:
        last, hs = _run(loop, cell, params, start, timed, fixed, keep=False)
        return last, (start, hs)

    last, chunks = scan_chunks(one_chunk, carry, split_time(timed, chunk_length))
    starts, hs = (Chunked(*(part and part[i] for part in chunks)) for i in (0, 1))
    return (last, join_time(hs)), _Residuals(params, timed, fixed, starts, None)


def _backward(
    cell: Cell,
    chunk_length: int,
    recompute: bool,
    loop: Loop,
    residuals: _Residuals,
    d_outputs: tuple[Any, Array],
) -> tuple[Any, Any, Timed, Fixed]:
    params, timed, fixed, starts, steps = residuals
    d_carry, d_hs = d_outputs
    wide = working_dtype(params)
    backward = loop(functools.partial(_step_T, cell), params, fixed)
    pairs = cell.pairs
    assert pairs is not None  # `unroll` has checked

    def one_chunk(state: Any, inputs: Any) -> tuple[Any, Array | None]:
        d_state, d_params = state
        first, (timed, d_hs, steps) = inputs
        if recompute:
            _, steps = _run(loop, cell, params, first, timed, fixed)
        before = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), first, steps.after)
        start = start_of(before, timed, over_steps(fixed))
        inputs = (start, steps, timed._replace(xs=None), d_hs)
        d_state, left = backward(d_state, inputs, reverse=True)
        d_a, declared = pairs(cast(start, wide), cast(steps.saved, wide), left)
        recurrent, _ = masks_at(timed, fixed)
        d_chunk, d_xs = parameter_gradients(cell, params, timed.xs, d_a, declared, recurrent)
        return (d_state, jax.tree.map(jnp.add, d_params, d_chunk)), d_xs

    pieces = split_time((timed, d_hs, steps), chunk_length)
    inputs = Chunked(*(part and (start, part) for start, part in zip(starts, pieces, strict=True)))
    d_reset = jax.tree.map(lambda r: jnp.zeros_like(r, wide), fixed.reset_carry)
    state = (
        (cast(d_carry, wide), d_reset),
        jax.tree.map(lambda w: jnp.zeros_like(w, wide), params),
    )
    state, _ = same_axes((state, params))
    ((d_first, d_reset), d_params), d_xs = scan_chunks(one_chunk, state, inputs, reverse=True)
    return (
        jax.tree.map(lambda d, w: d.astype(w.dtype), d_params, params),
        jax.tree.map(lambda d, h: d.astype(h.dtype), d_first, d_carry),
        Timed(None if is_token_ids(timed.xs) else join_time(d_xs)),
        Fixed(cast(d_reset, d_carry.h.dtype)),
    )


_bptt.defvjp(_forward, _backward)
