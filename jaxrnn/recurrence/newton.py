"""One cell over a sequence in parallel over time, by Newton's method.

The states of all steps are the root of s_t − f(s_{t−1}, x_t) = 0. From any guess s, with the
residual r_t = f(s_{t−1}, x_t) − s_t and the Jacobian J_t of step t, Newton's step δ solves

    δ_t = J_t δ_{t−1} + r_t,

an affine recurrence, which an associative scan does in log₂ T rounds (Lim, Zhu, Selfridge and Kasim
2024, DEER). With the units' own parts for J_t it costs no more than a few runs of the cell
(Gonzalez, Warrington, Smith and Linderman 2024, quasi-DEER). The residual of causal equations
vanishes for one more step with every iteration, so that T iterations always suffice; how few do is
a matter of the net: few where it forgets, all of them where it is chaotic.

Of a quasi-Newton method the step says little about the error, so that its last one is Newton's own.

Two safeguards, after each of Newton's steps: the states are clipped to a box, and the cell is run
once from them, which brings back what is outside of the range of its nonlinearities.

The solution counts as one where the residual and the step that led there are both below the
tolerance: of a chaotic net the residual alone says little about the states. Where it does not
count, the sequence is run step by step.

The gradient at a solution needs no derivation of its own: the adjoint states λ_t = g_t + J_{t+1}ᵀ
λ_{t+1} are one affine recurrence backwards in time, with the whole Jacobians; given them, the
cell's transposed steps all run at once.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.recurrence.autodiff import scan_carries
from jaxrnn.recurrence.checks import is_token_ids
from jaxrnn.recurrence.jacobians import (
    Layout,
    Moment,
    OwnParts,
    Whole,
    affine_scan,
    is_elementwise,
    run_moment,
)
from jaxrnn.recurrence.products import parameter_gradients, project, working_dtype
from jaxrnn.recurrence.sequences import (
    Fixed,
    Timed,
    cast,
    choose,
    masks_at,
    over_steps,
    run_step_T,
)
from jaxrnn.recurrence.sharding import same_axes

JACOBIANS = ("full", "diagonal")


# Without a guess the steps are run so often from wherever they stand, each of them seeing that many
# inputs of its past. It costs less than one iteration and saves several: a trained ELMAN takes 5
# instead of 9, MGU 4 instead of 7, the LSTM with a projection 8 instead of 181 (T = 1,000, H = 16).
SWEEPS = 8


class Solution(NamedTuple):
    """How Newton's method over time went.

    Attributes:
        converged: bool, of the whole batch; where false, the sequences were run step by step.
        iterations: int32, of Newton's method; the runs that it begins with are not counted.
        residual: the largest |f(s_{t−1}, x_t) − s_t| / (1 + |s_t|) at its end.
        last_step: the largest |δ_t| / (1 + |s_t|) of the last iteration.
        carries: the carry after each step, fields [T, *B, H]: the `guess` of a next call.
    """

    converged: Array
    iterations: Array
    residual: Array
    last_step: Array
    carries: Any


@dataclasses.dataclass(frozen=True)
class Method:
    """How Newton's method is run.

    Attributes:
        jacobian: "full" or "diagonal".
        tolerance: for residual and step.
        max_iterations: after which the sequence is run step by step.
    """

    jacobian: str
    tolerance: float
    max_iterations: int


def solve_cell(
    cell: Cell,
    params: Any,
    carry: Any,
    timed: Timed,
    fixed: Fixed,
    *,
    method: Method,
    guess: Any = None,
) -> tuple[tuple[Any, Solution], Array]:
    """((the carry after the last step, how it went), the states h [T, *B, H])."""
    length = timed.xs.shape[0]
    carries, found = _solve(cell, method, params, carry, timed, fixed, guess)
    last = jax.tree.map(lambda c: c[-1], carries) if length else carry
    return (last, Solution(*found, carries)), carries.h


class _Found(NamedTuple):
    """`Solution` without the carries."""

    converged: Array
    iterations: Array
    residual: Array
    last_step: Array


class _Iterate(NamedTuple):
    """Where Newton's method stands.

    Attributes:
        carries: what is taken for the carry after each step, fields [T, *B, ·].
        at: the steps from there.
        iterations: how many have been.
        residual: the largest, as `Solution` has it.
        last_step: the same of Newton's step.
    """

    carries: Any
    at: Moment
    iterations: Array
    residual: Array
    last_step: Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    cell: Cell, method: Method, params: Any, carry: Any, timed: Timed, fixed: Fixed, guess: Any
) -> tuple[Any, _Found]:
    if timed.xs.shape[0] == 0:
        nothing = jnp.zeros((), working_dtype(params))
        none = jax.tree.map(lambda c: jnp.zeros((0, *c.shape), c.dtype), carry)
        return none, _Found(jnp.bool_(True), jnp.int32(0), nothing, nothing)
    end = _iterate(cell, method, params, carry, timed, fixed, guess)
    converged = _is_solution(method, end)

    def step_by_step() -> Any:
        carries, _ = scan_carries(cell, params, carry, timed, fixed)
        return carries

    carries = jax.lax.cond(converged, lambda: end.carries, step_by_step)
    return carries, _Found(converged, end.iterations, end.residual, end.last_step)


def _iterate(
    cell: Cell, method: Method, params: Any, carry: Any, timed: Timed, fixed: Fixed, guess: Any
) -> _Iterate:
    wide, dtype = working_dtype(params), carry.h.dtype
    own = method.jacobian == "diagonal" or is_elementwise(cell)
    layout: Layout = OwnParts if own else Whole
    run_all = functools.partial(_run_all, cell, params, carry, _projected(params, timed), fixed)

    def one_more(now: _Iterate, layout: Layout = layout) -> _Iterate:
        carries, made = cast(now.carries, wide), cast(now.at.step.after, wide)
        residual = layout.pack(cell, jax.tree.map(jnp.subtract, made, carries))
        jacobian = layout.jacobian(cell, params, now.at)
        deltas = layout.unpack(cell, tuple(map(affine_scan, jacobian, residual)), carries)
        moved = jax.tree.map(_into_box, jax.tree.map(jnp.add, carries, deltas), made)
        carries_after = run_all(cast(moved, dtype)).step.after
        at = run_all(carries_after)
        wide_after = cast(carries_after, wide)
        left = jax.tree.map(jnp.subtract, cast(at.step.after, wide), wide_after)
        return _Iterate(
            carries_after,
            at,
            now.iterations + 1,
            _largest(left, wide_after),
            _largest(deltas, carries),
        )

    def go_on(now: _Iterate) -> Array:
        # A residual that is NaN stays so: an input is, or the states themselves grow out of range.
        more = (now.iterations < method.max_iterations) & ~jnp.isnan(now.residual)
        return more & ~_is_solution(method, now)

    if guess is None:
        shape = timed.xs.shape[:1]
        guess = jax.tree.map(lambda c: jnp.zeros((*shape, *c.shape), c.dtype), carry)
        start, _ = same_axes((guess, (params, carry, timed)))
        guess = jax.lax.fori_loop(0, SWEEPS, lambda _, c: run_all(c).step.after, start)
    elif timed.counts is not None:
        # Backwards in time the padding comes first, and hands on the carry.
        guess = choose(timed.counts, guess, jax.tree.map(lambda c: c[None], carry))
    unknown = jnp.asarray(jnp.inf, wide)
    first = _Iterate(guess, run_all(guess), jnp.int32(0), unknown, unknown)
    first, _ = same_axes((first, first.at.step.after))
    end: _Iterate = jax.lax.while_loop(go_on, one_more, first)
    if layout is Whole or is_elementwise(cell):
        return end
    # The unit's own parts leave out how errors pass from unit to unit: the states may be a solution
    # to every digit and far from the one that belongs to this carry.
    whole = functools.partial(one_more, layout=Whole)
    judged: _Iterate = jax.lax.cond(_is_solution(method, end), whole, lambda end: end, end)
    return judged


def _is_solution(method: Method, now: _Iterate) -> Array:
    return (now.residual <= method.tolerance) & (now.last_step <= method.tolerance)


def _run_all(
    cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed, carries: Any
) -> Moment:
    """All steps at once, each from the carry [T, *B, ·] that is taken to be before it.

    `timed.xs` are the inputs' share already, the same in all iterations.
    """
    before = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), carry, carries)
    return run_moment(cell, params, over_steps(fixed), before, timed, projected=True)


def _projected(params: Any, timed: Timed) -> Timed:
    return timed._replace(xs=project(params, timed.xs))


def _into_box(moved: Array, made: Array) -> Array:
    """Within what the cell has just made, or 1; where it is no number, what the cell has made.

    No cell has to say what its box is: the state after a tanh keeps to 1 by itself, and a memory
    cell's box grows with what it holds. For a GRU that is as good as its true box. An LSTM with its
    weights times 3 (T = 1,000) takes 140 iterations, with a box of 20 for c 151, and with none does
    not get there.
    """
    box = jnp.max(jnp.abs(made), initial=1.0)
    return jnp.where(jnp.isfinite(moved), jnp.clip(moved, -box, box), made)


def _largest(change: Any, carries: Any) -> Array:
    """The largest |change| / (1 + |carry|)."""
    relative = jax.tree.map(
        lambda d, s: jnp.max(jnp.abs(d) / (1 + jnp.abs(s)), initial=0.0), change, carries
    )
    largest: Array = functools.reduce(jnp.maximum, relative)
    return largest


class _Residuals(NamedTuple):
    """What the solution leaves for its gradient."""

    params: Any
    carry: Any
    timed: Timed
    fixed: Fixed
    carries: Any
    converged: Array


def _forward(
    cell: Cell, method: Method, params: Any, carry: Any, timed: Timed, fixed: Fixed, guess: Any
) -> tuple[tuple[Any, _Found], _Residuals]:
    # Through `_solve` again, not through its iterations, so that this has a derivative too.
    carries, found = _solve(cell, method, params, carry, timed, fixed, guess)
    return (carries, found), _Residuals(params, carry, timed, fixed, carries, found.converged)


def _backward(
    cell: Cell, method: Method, residuals: _Residuals, d_outputs: tuple[Any, _Found]
) -> tuple[Any, Any, Timed, Fixed, Any]:
    params, carry, timed, fixed, carries, converged = residuals
    if timed.xs.shape[0] == 0:
        zeros = jax.tree.map(jnp.zeros_like, (params, carry))
        return *zeros, Timed(None), Fixed(), None
    wide = working_dtype(params)
    d_carries = cast(d_outputs[0], wide)
    at = _run_all(cell, params, carry, _projected(params, timed), fixed, carries)
    layout: Layout = OwnParts if is_elementwise(cell) else Whole

    def at_once() -> Any:
        adjoint = tuple(
            affine_scan(_of_next_step(jacobian), d, reverse=True)
            for jacobian, d in zip(
                layout.jacobian(cell, params, at), layout.pack(cell, d_carries), strict=True
            )
        )
        return layout.unpack(cell, adjoint, carries)

    def step_by_step() -> Any:
        def one_step(d_carry: Any, inputs: Any) -> tuple[Any, Any]:
            start, step, now, d = inputs
            adjoint = jax.tree.map(jnp.add, d_carry, d)
            d_carry, _, _ = run_step_T(cell, params, fixed, start, step, now, adjoint)
            return d_carry, adjoint

        steps = (at.start, at.step, timed._replace(xs=None), d_carries)
        after_the_last = jax.tree.map(lambda d: jnp.zeros_like(d[0]), d_carries)
        return jax.lax.scan(one_step, after_the_last, steps, reverse=True)[1]

    # Of a net that is chaotic the products of Jacobians would overflow.
    adjoint = jax.lax.cond(converged, at_once, step_by_step)
    d_before, d_reset, left = run_step_T(cell, params, *at, adjoint)
    pairs = cell.pairs
    assert pairs is not None  # `solve_parallel` has checked
    d_a, declared = pairs(cast(at.start, wide), cast(at.step.saved, wide), left)
    recurrent, _ = masks_at(timed, fixed)
    d_params, d_xs = parameter_gradients(cell, params, timed.xs, d_a, declared, recurrent)
    return (
        jax.tree.map(lambda d, w: d.astype(w.dtype), d_params, params),
        jax.tree.map(lambda d, c: d[0].astype(c.dtype), d_before, carry),
        Timed(None if is_token_ids(timed.xs) else d_xs),
        Fixed(jax.tree.map(lambda d: jnp.sum(d, 0).astype(carry.h.dtype), d_reset)),
        None,
    )


def _of_next_step(jacobian: Array) -> Array:
    """J_{t+1}ᵀ at step t, and 0 at the last."""
    turned = jnp.swapaxes(jacobian, -1, -2)
    return jnp.concatenate([turned[1:], jnp.zeros_like(turned[:1])])


_solve.defvjp(_forward, _backward)
