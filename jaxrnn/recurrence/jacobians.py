"""The Jacobian of a step, from the cell's own transposed step and unit cotangents.

With s the carry's n numbers side by side, row k of J = ∂s'/∂s is what `run_step_T` makes of the
k-th unit vector. The same row holds what else a step's derivative has: ∂reset_carry, and what the
cell's `pairs` turns into ∂s'_k/∂θ for every parameter θ.

A *unit's own part* of J is a matrix [m, m] over the fields of the carry that are equally wide: 1×1
for a GRU, 2×2 for the LSTM's h and c. Where every unit works by itself but for the products
(`Cell.unitwise`), all of them are found in one pass a field, with products of the weights'
diagonals. Where there are no products between units at all, they are the whole of J.

Everything here takes one step, arrays [*B, ·], or K of them, [K, *B, ·]; *S stands for either.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, dimensions
from jaxrnn.cells.contract import check_unitwise
from jaxrnn.recurrence.products import own_product_T, working_dtype
from jaxrnn.recurrence.sequences import Fixed, Step, Timed, run_step, run_step_T, start_of


class Moment(NamedTuple):
    """A step that was run, or K of them: what its transpose needs.

    Attributes:
        fixed: what is the same at all steps; with K steps, with an axis of length 1 in front.
        start: the carry that the step started from, resets included.
        step: what it left.
        now: its part of `Timed`.
    """

    fixed: Fixed
    start: Any
    step: Step
    now: Timed


def run_moment(
    cell: Cell, params: Any, fixed: Fixed, before: Any, now: Timed, *, projected: bool = False
) -> Moment:
    """Runs a step, or K of them, from the carry before; `projected` as `run_step` has it."""
    start = start_of(before, now, fixed)
    step, _ = run_step(cell, params, fixed, before, now, projected=projected)
    return Moment(fixed, start, step, now)


class Rows(NamedTuple):
    """Rows of a step's derivative, an axis in front: the n units, or the m fields for own parts.

    Attributes:
        before: with respect to the carry before the step, a Carry.
        reset: with respect to `reset_carry`, a Carry; None where there is none.
        left: what the cell's `pairs` wants.
    """

    before: Any
    reset: Any
    left: Any


def has_own_parts(cell: Cell) -> bool:
    """Whether in a single step every parameter moves one unit, that of its last axis, alone.

    So it is where units work by themselves but for the products, and all sizes but the inputs' are
    H: a projection's or a layer norm's parameters move all units at once.
    """
    sizes = {*cell.carry_sizes, *(dimensions(text)[-1][1] for text in cell.param_shapes)}
    return cell.unitwise and sizes == {"H"}


def is_elementwise(cell: Cell) -> bool:
    """Whether no unit sees another within the recurrence, so that J is its own parts exactly."""
    shapes = cell.param_shapes._replace(w_xh="")
    return has_own_parts(cell) and all(len(text.split()) < 2 for text in shapes)


def check_elementwise(function: str, cell: Cell) -> None:
    """Raises ValueError where a cell counts as elementwise and a unit of it moves another.

    Else its gradient would be wrong, not only slow to find.
    """
    if is_elementwise(cell):
        check_unitwise(function, cell)


def every_row(cell: Cell, params: Any, at: Moment) -> Rows:
    """All n rows of a step's derivative: arrays [n, *S, ·]."""
    after = at.step.after
    widths = [field.shape[-1] for field in after]
    units = jnp.eye(sum(widths), dtype=working_dtype(params))

    def row(unit: Array) -> Rows:
        d, offset = [], 0
        for field, width in zip(after, widths, strict=True):
            d.append(jnp.broadcast_to(_as_last(unit[offset : offset + width], field), field.shape))
            offset += width
        return Rows(*run_step_T(cell, params, *at, cell.Carry(*d)))

    return jax.vmap(row)(units)


def own_rows(cell: Cell, params: Any, at: Moment) -> Rows:
    """The rows of every unit's own part, of a unitwise cell: arrays [m, *S, ·], m fields."""
    after, wide = at.step.after, working_dtype(params)

    def row(chosen: Array) -> Rows:
        d = cell.Carry(*(jnp.broadcast_to(c, f.shape) for c, f in zip(chosen, after, strict=True)))
        return Rows(*run_step_T(cell, params, *at, d, transposed=own_product_T))

    return jax.vmap(row)(jnp.eye(len(after), dtype=wide))


class Whole:
    """A carry as one vector of all its numbers, [*S, n], whose Jacobian is the whole of J."""

    @staticmethod
    def pack(cell: Cell, carry: Any) -> tuple[Array, ...]:
        """([*S, n],)."""
        return (jnp.concatenate(list(carry), -1),)

    @staticmethod
    def unpack(cell: Cell, vectors: tuple[Array, ...], like: Any) -> Any:
        """The inverse; `like` has the widths."""
        parts, offset = [], 0
        for field in like:
            parts.append(vectors[0][..., offset : offset + field.shape[-1]])
            offset += field.shape[-1]
        return cell.Carry(*parts)

    @staticmethod
    def matrices(cell: Cell, rows: Any) -> tuple[Array, ...]:
        """([*S, n, n],), from a Carry of rows [n, *S, ·]."""
        return (jnp.moveaxis(jnp.concatenate(list(rows), -1), 0, -2),)

    @classmethod
    def jacobian(cls, cell: Cell, params: Any, at: Moment) -> tuple[Array, ...]:
        """([*S, n, n],)."""
        return cls.matrices(cell, every_row(cell, params, at).before)


class OwnParts:
    """A carry unit by unit, [*S, H, m], a group for each width; J is the units' own parts alone."""

    @staticmethod
    def groups(cell: Cell) -> tuple[tuple[int, ...], ...]:
        """The carry's fields, by number, that have the same size."""
        sizes = list(cell.carry_sizes)
        return tuple(
            tuple(i for i, other in enumerate(sizes) if other == size)
            for size in dict.fromkeys(sizes)
        )

    @classmethod
    def pack(cls, cell: Cell, carry: Any) -> tuple[Array, ...]:
        """([*S, H, m], …)."""
        return tuple(jnp.stack([carry[i] for i in group], -1) for group in cls.groups(cell))

    @classmethod
    def unpack(cls, cell: Cell, vectors: tuple[Array, ...], like: Any) -> Any:
        """The inverse."""
        fields = dict.fromkeys(range(len(like)))
        for group, vector in zip(cls.groups(cell), vectors, strict=True):
            fields.update({field: vector[..., place] for place, field in enumerate(group)})
        return cell.Carry(*fields.values())

    @classmethod
    def matrices(cls, cell: Cell, rows: Any) -> tuple[Array, ...]:
        """([*S, H, m, m], …), from a Carry of rows [m, *S, ·]."""
        return tuple(
            jnp.stack([jnp.stack([rows[j][i] for j in group], -1) for i in group], -2)
            for group in cls.groups(cell)
        )

    @classmethod
    def jacobian(cls, cell: Cell, params: Any, at: Moment) -> tuple[Array, ...]:
        """([*S, H, m, m], …)."""
        if not cell.unitwise:
            return cls._picked(cell, params, at)
        return cls.matrices(cell, own_rows(cell, params, at).before)

    @classmethod
    def _picked(cls, cell: Cell, params: Any, at: Moment) -> tuple[Array, ...]:
        """From the rows of all units, one after the other, of each what it does to itself."""
        after, wide = at.step.after, working_dtype(params)

        def row(field: int, group: tuple[int, ...], unit: Array) -> Array:
            width = after[field].shape[-1]
            d = [jnp.zeros(f.shape, wide) for f in after]
            chosen = jax.nn.one_hot(unit, width, dtype=wide)
            d[field] = jnp.broadcast_to(_as_last(chosen, after[field]), after[field].shape)
            before, _, _ = run_step_T(cell, params, *at, cell.Carry(*d))
            return jnp.stack([before[j][..., unit] for j in group], -1)

        parts = []
        for group in cls.groups(cell):
            units = jnp.arange(after[group[0]].shape[-1])
            rows = [jax.lax.map(lambda u, i=i, g=group: row(i, g, u), units) for i in group]
            parts.append(jnp.moveaxis(jnp.stack(rows, -2), 0, -3))
        return tuple(parts)


Layout = type[Whole] | type[OwnParts]


def _as_last(vector: Array, like: Array) -> Array:
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)


def affine_scan(a: Array, b: Array, *, reverse: bool = False) -> Array:
    """x_t = a_t x_{t−1} + b_t from x = 0, for all t in log₂ T rounds (Blelloch 1990).

    Args:
        a: [T, *S, k, k].
        b: [T, *S, k].
        reverse: x_t = a_t x_{t+1} + b_t instead.

    Returns:
        [T, *S, k].
    """

    def compose(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
        return _times(then[0], first[0]), _times(then[0], first[1][..., None])[..., 0] + then[1]

    solved: Array = jax.lax.associative_scan(compose, (a, b), reverse=reverse)[1]
    return solved


def _times(x: Array, y: Array) -> Array:
    """Matrix products; of very small matrices by sums that XLA fuses."""
    if x.shape[-1] > 4:
        return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)
    return jnp.sum(x[..., :, :, None] * y[..., None, :, :], -2)
