"""One cell's gradient online, by real-time recurrent learning, and how it is stored.

The influence of a parameter θ on the carry's n numbers s is followed forwards in time (Williams and
Zipser 1989), with J the step's Jacobian and what the step does of itself beside it:

    P_t = J_t P_{t−1} + ∂s_t/∂θ,      ∂L/∂θ = Σ_t ∂L_t/∂s_t · P_t.

Nothing of the past is kept but P, whatever T is. Both terms come from the cell's own transposed
step with unit cotangents (`jacobians`): row k of it, contracted by the cell's `pairs`, is ∂s_k/∂θ.

An influence is a tree like the Params, with an axis of rows beside the batch. *Whole*: [*B, n, …],
a row for each of the n numbers. *Own*: [*B, m, …], each entry's influence on its own unit alone, m
numbers for the m fields of the carry: all there is in an elementwise cell (Irie, Gopalakrishnan and
Schmidhuber 2023), SnAp-1 in another (Menick et al. 2021).
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.recurrence.autodiff import scan
from jaxrnn.recurrence.checks import is_token_ids
from jaxrnn.recurrence.jacobians import (
    Layout,
    Moment,
    OwnParts,
    Rows,
    Whole,
    every_row,
    has_own_parts,
    is_elementwise,
    own_rows,
    run_moment,
)
from jaxrnn.recurrence.memory import device_memory
from jaxrnn.recurrence.products import masked, working_dtype
from jaxrnn.recurrence.sequences import Fixed, Timed, cast, masks_at
from jaxrnn.recurrence.sharding import same_axes


def layout_of(cell: Cell, approximation: str | None) -> Layout:
    """Which influences are kept: all, or those on an entry's own unit."""
    return OwnParts if approximation == "snap1" or is_elementwise(cell) else Whole


def rows_of(cell: Cell, params: Any, layout: Layout) -> int:
    """The numbers kept for each entry of the parameters, n or m."""
    widths = cell.carry_of(cell.sizes_of(params))
    return len(widths) if layout is OwnParts else sum(widths)


def check_fits(
    function: str, cell: Cell, params: Any, batch: tuple[int, ...], layout: Layout
) -> None:
    """Raises ValueError unless the influence fits the memory three times.

    That is what a step takes, 2.7 times the influence of a GRU (B = 8, H = 64): before it, after
    it, and on the way.
    """
    sizes, most = cell.sizes_of(params), device_memory() // 3
    one = math.prod(batch) * working_dtype(params).itemsize

    def needed(units: int, layout: Layout = layout) -> int:
        scaled = {k: v if k == "I" else max(v * units // sizes["H"], 1) for k, v in sizes.items()}
        entries = sum(math.prod(shape) for shape in cell.params_of(scaled))
        widths = cell.carry_of(scaled)
        return int(one * entries * (len(widths) if layout is OwnParts else sum(widths)))

    wanted = needed(sizes["H"])
    if wanted <= most:
        return
    low, high = 0, sizes["H"]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= most else (low, middle)
    hint = f"H of at most {low} would fit" if low else "a smaller batch would fit"
    snap1 = needed(sizes["H"], OwnParts)
    if layout is Whole and has_own_parts(cell) and snap1 <= most:
        hint += f'; so would approximation="snap1" of jaxrnn.rtrl_init, with {snap1:,} bytes'
    expected = f"an influence of at most {most:,} bytes, a third of the memory"
    got = f"one of {wanted:,} bytes"
    raise ValueError(sentence(function, "params", expected, got, hint))


def no_influence(cell: Cell, params: Any, batch: tuple[int, ...], layout: Layout) -> Any:
    """Zeros [*B, rows, …]."""
    rows, wide = rows_of(cell, params, layout), working_dtype(params)
    return jax.tree.map(lambda w: jnp.zeros((*batch, rows, *w.shape), wide), params)


class Derivative(NamedTuple):
    """What a carry, or a loss, owes to an earlier carry, to `reset_carry` and to the parameters.

    Attributes:
        carry: matrices as the layout has them (of a step its Jacobian), or None: not wanted.
        reset: the same by `reset_carry`, or None.
        params: Params of [*B, rows, …].
    """

    carry: Any
    reset: Any
    params: Any


def derivative(cell: Cell, params: Any, at: Moment, layout: Layout) -> Derivative:
    """Of one step, arrays [*B, ·]."""
    rows = (own_rows if layout is OwnParts else every_row)(cell, params, at)
    return Derivative(
        layout.matrices(cell, rows.before),
        None if rows.reset is None else layout.matrices(cell, rows.reset),
        _by_params(cell, params, at, rows),
    )


def _by_params(cell: Cell, params: Any, at: Moment, rows: Rows) -> Any:
    """What each row's cotangent does to every parameter, sequence by sequence."""
    wide, count = working_dtype(params), rows.before.h.shape[0]

    def for_each(tree: Any) -> Any:
        return jax.tree.map(lambda a: jnp.broadcast_to(a[None], (count, *a.shape)), tree)

    pairs = cell.pairs
    assert pairs is not None  # the verbs have checked
    d_a, declared = pairs(
        for_each(cast(at.start, wide)), for_each(cast(at.step.saved, wide)), rows.left
    )
    xs, recurrent = at.now.xs, masks_at(at.now, at.fixed)[0]
    if is_token_ids(xs):
        xs = jax.nn.one_hot(xs, params.w_xh.shape[0], dtype=wide)
    factors = {"w_xh": (for_each(xs), d_a), "b_h": (None, d_a)} | masked(cell, declared, recurrent)

    def outer(name: str, w: Array) -> Array:
        operand, cotangent = factors[name]
        if operand is None:
            made = cotangent
        elif w.ndim == 1:
            made = operand * cotangent
        else:
            made = operand.astype(wide)[..., :, None] * cotangent[..., None, :]
        return jnp.moveaxis(made, 0, -1 - w.ndim)

    return cell.Params(*map(outer, cell.Params._fields, params))


def carried_on(cell: Cell, step: Derivative, before: Derivative, layout: Layout) -> Derivative:
    """The influences after a step, J P + what the step does of itself; None stays None."""

    def through(jacobian: Array, matrix: Array) -> Array:
        return jnp.matmul(jacobian, matrix, precision=jax.lax.Precision.HIGHEST)

    def on_params(own: Array, before: Array, text: str) -> Array:
        (jacobian,), axes = step.carry, len(text.split())
        if layout is Whole:
            flat = before.reshape(*before.shape[:-axes], math.prod(before.shape[-axes:]))
            return through(jacobian, flat).reshape(own.shape) + own
        units = _by_unit(before, jacobian.shape[-3], axes)
        each = jnp.moveaxis(jacobian, -3, -1)[..., None, None, :]  # [*B, m, m, 1, 1, H]
        return jnp.sum(each * units[..., None, :, :, :, :], -4).reshape(own.shape) + own

    reset = before.reset
    if reset is not None:
        reset = tuple(map(through, step.carry, reset))
        if step.reset is not None:
            reset = tuple(map(jnp.add, reset, step.reset))
    return Derivative(
        None if before.carry is None else tuple(map(through, step.carry, before.carry)),
        reset,
        cell.Params(*map(on_params, step.params, before.params, cell.param_shapes)),
    )


def gathered(cell: Cell, d: Any, influence: Derivative, layout: Layout) -> Derivative:
    """∂L/∂s · P from a Carry ∂L/∂s, of the parameters summed over the batch; None stays None."""
    vectors, batch = layout.pack(cell, d), d.h.ndim - 1

    def back(vector: Array, matrix: Array) -> Array:
        return jnp.matmul(vector[..., None, :], matrix, precision=jax.lax.Precision.HIGHEST)[
            ..., 0, :
        ]

    def of_params(p: Array, text: str) -> Array:
        (vector,), axes = vectors, tuple(range(batch + 1))
        if layout is Whole:
            return jnp.tensordot(vector, p, (axes, axes), precision=jax.lax.Precision.HIGHEST)
        units = _by_unit(p, vector.shape[-2], len(text.split()))
        each = jnp.moveaxis(vector, -1, -2)[..., None, None, :]  # [*B, m, 1, 1, H]
        return jnp.sum(each * units, axes).reshape(p.shape[batch + 1 :])

    return Derivative(
        None if influence.carry is None else tuple(map(back, vectors, influence.carry)),
        None if influence.reset is None else tuple(map(back, vectors, influence.reset)),
        cell.Params(*map(of_params, influence.params, cell.param_shapes)),
    )


def _by_unit(p: Array, units: int, axes: int) -> Array:
    """[*B, m, M, G·H] or [*B, m, G·H] as [*B, m, M or 1, G, H]: column c is of unit c mod H."""
    lead = p.shape[:-axes]
    rows = p.shape[-2] if axes == 2 else 1
    return p.reshape(*lead, rows, p.shape[-1] // units, units)


def unroll_cell_online(
    cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed
) -> tuple[Any, Array]:
    """(the carry after the last step, the states h [T, *B, H]), the gradient found online."""
    return _online(cell, params, carry, timed, fixed)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _online(cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed) -> tuple[Any, Array]:
    return scan(cell, params, carry, timed, fixed)


def _forward(
    cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed
) -> tuple[tuple[Any, Array], tuple[Any, ...]]:
    check_fits("unroll_rtrl", cell, params, carry.h.shape[:-1], layout_of(cell, None))
    return _online(cell, params, carry, timed, fixed), (params, carry, timed, fixed)


class _State(NamedTuple):
    """From step to step: the carry, the influences on it, and the gradients so far.

    `influence` and `gradient` are Derivatives: by the first carry, `reset_carry`, the parameters.
    """

    carry: Any
    influence: Derivative
    gradient: Derivative


def _backward(
    cell: Cell, residuals: tuple[Any, ...], d_outputs: tuple[Any, Array]
) -> tuple[Any, Any, Timed, Fixed]:
    params, carry, timed, fixed = residuals
    d_last, d_hs = d_outputs
    wide, batch = working_dtype(params), carry.h.shape[:-1]
    layout = layout_of(cell, None)

    def one_step(state: _State, inputs: tuple[Timed, Array, Array]) -> tuple[_State, None]:
        now, d_h, is_last = inputs
        at = run_moment(cell, params, fixed, state.carry, now)
        influence = carried_on(cell, derivative(cell, params, at, layout), state.influence, layout)
        d = jax.tree.map(lambda d: jnp.where(is_last, d.astype(wide), 0), d_last)
        d = d._replace(h=d.h + d_h.astype(wide))
        gradient = jax.tree.map(jnp.add, state.gradient, gathered(cell, d, influence, layout))
        return _State(at.step.after, influence, gradient), None

    zero = jax.tree.map(lambda c: jnp.zeros(c.shape, wide), carry)
    vectors = layout.pack(cell, zero)
    eye = tuple(
        jnp.broadcast_to(jnp.eye(v.shape[-1], dtype=wide), (*v.shape, v.shape[-1])) for v in vectors
    )
    resets = fixed.reset_carry is not None
    nothing = Derivative(
        eye,
        jax.tree.map(jnp.zeros_like, eye) if resets else None,
        no_influence(cell, params, batch, layout),
    )
    d_nothing = Derivative(
        vectors,
        vectors if resets else None,
        jax.tree.map(lambda w: jnp.zeros(w.shape, wide), params),
    )
    length = timed.xs.shape[0]
    if length == 0:
        return (
            jax.tree.map(jnp.zeros_like, params),
            d_last,
            Timed(_no_gradient(timed.xs)),
            Fixed(jax.tree.map(jnp.zeros_like, fixed.reset_carry)),
        )
    first, _ = same_axes((_State(carry, nothing, d_nothing), d_hs))
    state, _ = jax.lax.scan(one_step, first, (timed, d_hs, jnp.arange(length) == length - 1))

    def narrow(vectors: tuple[Array, ...]) -> Any:
        return cast(layout.unpack(cell, vectors, carry), carry.h.dtype)

    return (
        jax.tree.map(lambda d, w: d.astype(w.dtype), state.gradient.params, params),
        narrow(state.gradient.carry),
        Timed(_no_gradient(timed.xs)),
        Fixed(narrow(state.gradient.reset) if resets else None),
    )


def _no_gradient(xs: Array) -> Array | None:
    """`unroll_rtrl` refuses to be asked for it."""
    return None if is_token_ids(xs) else jnp.zeros_like(xs)


_online.defvjp(_forward, _backward)
