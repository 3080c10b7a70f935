"""A loop over time as one TPU kernel, for any cell: the body is the driver's own step.

The grid is tiles of the batch × blocks of time. The weights' block is the same throughout, so they
are brought into the core's memory (VMEM) once and stay for the whole sequence; a tile's state stays
there from block to block; inputs and what the steps leave are streamed past, block by block.
Backward in time, the blocks are visited from the last to the first. Weight gradients are not made
here: they stay large products after the loop.

Neither the batch need be a multiple of the tile nor T of the block: rows beyond the batch hold
anything and reach no other row, and are not written; a last, shorter block runs fewer steps. Where
H is no multiple of the 128 lanes, gates' blocks begin between lane boundaries: right, and slower.

Nothing here has run on a TPU; see benchmarks/NOTES.md.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.extend.core
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.interpreters import mlir

from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.recurrence.loops import SCAN, Body, RunOverTime
from jaxrnn.recurrence.step_programs import StepProgram

# A TPU core's VMEM is 16 MiB up to v4, 128 MiB on v5e and v6e, 64 MiB on v5p and v7 (JAX's own
# table, behind `pltpu.get_tpu_info`). Which one a program is lowered for is not known, so the least
# of them counts; a quarter is left for what a step makes on its way. Unmeasured.
VMEM_BYTES = 16 << 20
USABLE_BYTES = VMEM_BYTES // 4 * 3

# The tile is as large as fits, since a product of few rows leaves the matrix unit idle; then the
# block. Multiples of 16 rows are whole tiles of bfloat16 and float32. Unmeasured.
ROWS = (128, 64, 32, 16)
STEPS = (32, 16, 8, 4, 2, 1)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The loop as a kernel where the program is lowered for a TPU.

    Attributes:
        or_scan: whether the scan stands in where there is no kernel; else that is an error.
        interpret: for tests: `pallas_call`'s argument of that name, on whatever platform.
        rows, steps: for tests: tile and block, instead of those that fit.
    """

    or_scan: bool = False
    interpret: Any = False
    rows: int | None = None
    steps: int | None = None

    in_one_piece: ClassVar[bool] = True

    def __call__(self, body: Body, params: Any, fixed: Any) -> RunOverTime:
        """As `Loop` has it."""

        def run(state: Any, xs: Any, /, *, reverse: bool = False) -> tuple[Any, Any]:
            after: tuple[Any, Any] = _over_time(self, body, reverse, params, fixed, state, xs)
            return after

        return run


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _over_time(
    kernel: Kernel, body: Body, reverse: bool, params: Any, fixed: Any, state: Any, xs: Any
) -> tuple[Any, Any]:
    arrays = (params, fixed, state, xs)
    call = None if not math.prod(jax.tree.leaves(state)[0].shape) else _plan(kernel, body, *arrays)
    if call is None:
        return _scan(body, reverse, *arrays)
    after: tuple[Any, Any]
    in_kernel = functools.partial(call, reverse)
    if kernel.interpret:
        after = in_kernel(*arrays)
        return after
    elsewhere = functools.partial(_scan if kernel.or_scan else _refuse, body, reverse)
    after = jax.lax.platform_dependent(*arrays, tpu=in_kernel, default=elsewhere)
    return after


def _scan(
    body: Body, reverse: bool, params: Any, fixed: Any, state: Any, xs: Any
) -> tuple[Any, Any]:
    return SCAN(body, params, fixed)(state, xs, reverse=reverse)


def _over_time_forward(
    kernel: Kernel, body: Body, reverse: bool, *arrays: Any
) -> tuple[Any, tuple[Any, ...]]:
    return _over_time(kernel, body, reverse, *arrays), arrays


def _over_time_backward(
    kernel: Kernel, body: Body, reverse: bool, arrays: tuple[Any, ...], d: Any
) -> tuple[Any, ...]:
    """Of second derivatives; the first are the driver's, whose loops these are."""
    transposed: tuple[Any, ...] = jax.vjp(functools.partial(_scan, body, reverse), *arrays)[1](d)
    return transposed


_over_time.defvjp(_over_time_forward, _over_time_backward)


class _Call:
    """One kernel call, its sizes chosen."""

    def __init__(self, kernel: Kernel, program: StepProgram, rows: int, steps: int) -> None:
        self.kernel, self.program, self.rows, self.steps = kernel, program, rows, steps

    def __call__(self, reverse: bool, params: Any, fixed: Any, state: Any, xs: Any) -> Any:
        """Runs the kernel on arrays with any batch axes."""
        batch = jax.tree.leaves(state)[0].shape[:-1]
        total = math.prod(batch)
        xs = jax.tree.map(functools.partial(_stream, len(batch)), xs)
        length = jax.tree.leaves(xs)[0].shape[0]
        blocks = -(-length // self.steps)
        fixed, state = jax.tree.map(lambda a: a.reshape(total, a.shape[-1]), (fixed, state))
        weights = [_at_least_2d(w) for w in self.program.before(params)]
        like_state, like_left = self.program.outputs
        axes = _axes(state)

        def by_rows(a: Any) -> pl.BlockSpec:
            return pl.BlockSpec((self.rows, a.shape[-1]), lambda b, t: (b, 0))

        def by_time(a: Any) -> pl.BlockSpec:
            return pl.BlockSpec(
                (self.steps, self.rows, a.shape[-1]),
                lambda b, t: (blocks - 1 - t if reverse else t, b, 0),
            )

        def whole(a: Any) -> pl.BlockSpec:
            return pl.BlockSpec(a.shape, lambda b, t: (0,) * a.ndim, pipeline_mode=pl.Buffered(1))

        def shaped(*lead: int) -> Callable[[Any], jax.ShapeDtypeStruct]:
            return lambda a: jax.ShapeDtypeStruct(
                (*lead, a.shape[-1]), a.dtype, manual_axis_type=axes
            )

        last, left = pl.pallas_call(
            functools.partial(self._body, length, blocks, reverse),
            grid=(-(-total // self.rows), blocks),
            in_specs=(
                [whole(w) for w in weights],
                *jax.tree.map(by_rows, (fixed, state)),
                jax.tree.map(by_time, xs),
            ),
            out_specs=(jax.tree.map(by_rows, like_state), jax.tree.map(by_time, like_left)),
            out_shape=(
                jax.tree.map(shaped(total), like_state),
                jax.tree.map(shaped(length, total), like_left),
            ),
            compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
            interpret=self.kernel.interpret,
            name="jaxrnn_backward" if reverse else "jaxrnn_forward",
        )(weights, fixed, state, xs)
        return jax.tree.map(lambda a: a.reshape(*a.shape[:-2], *batch, a.shape[-1]), (last, left))

    def _body(
        self,
        length: int,
        blocks: int,
        reverse: bool,
        weights: Sequence[Any],
        fixed: Any,
        first: Any,
        xs: Any,
        state: Any,
        left: Any,
    ) -> None:
        """A block of time of a tile; `state`, an output, stays in VMEM from block to block."""

        @pl.when(pl.program_id(1) == 0)
        def _begin() -> None:
            _write(state, ..., _read(first, ...))

        block = blocks - 1 - pl.program_id(1) if reverse else pl.program_id(1)
        count: Any = self.steps
        if length % self.steps:
            count = jnp.minimum(jnp.int32(self.steps), jnp.int32(length) - block * self.steps)
        shared = [
            functools.partial(_load, w, like.shape)
            for w, like in zip(weights, self.program.shared, strict=True)
        ]

        def one_step(i: Array, _: None) -> None:
            t = count - 1 - i if reverse else i
            now = jax.tree.map(_as_flag, _read(xs, t))
            after, leaves = self.program.rest(shared, (_read(fixed, ...), _read(state, ...), now))
            _write(state, ..., after)
            _write(left, t, leaves)

        jax.lax.fori_loop(jnp.int32(0), jnp.int32(count), one_step, None)


def _plan(kernel: Kernel, body: Body, params: Any, fixed: Any, state: Any, xs: Any) -> _Call | None:
    """The largest tile and block that fit; None: the scan, where that may stand in.

    Raises:
        ValueError: there is no kernel for the params' dtype, or they do not fit.
    """
    batch = jax.tree.leaves(state)[0].shape[:-1]
    total, length = math.prod(batch), jax.tree.leaves(xs)[0].shape[0]
    dtype = params.w_xh.dtype
    if not kernel.interpret and dtype not in (jnp.float32, jnp.bfloat16):
        if kernel.or_scan:
            return None
        expected = 'params in float32 or bfloat16 for "kernel"'
        raise ValueError(sentence("unroll", "backend", expected, dtype.name, _INSTEAD))
    now = jax.eval_shape(lambda: jax.tree.map(lambda a: _stream(len(batch), a)[0], xs))
    tiles = [kernel.rows] if kernel.rows else [min(total, ROWS[0])]
    tiles += [] if kernel.rows else [rows for rows in ROWS if rows < tiles[0]]
    blocks = [kernel.steps] if kernel.steps else [min(length, steps) for steps in STEPS]
    for rows in tiles:
        rows = min(rows, total)

        def tile(a: Any, rows: int = rows) -> jax.ShapeDtypeStruct:
            dtype = jnp.bool_ if a.dtype == FLAG else a.dtype
            return jax.ShapeDtypeStruct((rows, a.shape[-1]), dtype)

        program = StepProgram(body, params, *jax.tree.map(tile, (fixed, state, now)))
        like_state, like_left = program.outputs
        still = sum(_bytes(w.shape, w.dtype) for w in program.shared)
        still += 2 * sum(
            _bytes((rows, a.shape[-1]), a.dtype)
            for a in jax.tree.leaves((fixed, state, like_state))
        )
        a_step = 2 * sum(
            _bytes((rows, a.shape[-1]), a.dtype) for a in jax.tree.leaves((now, like_left))
        )
        for steps in blocks:
            if kernel.interpret or still + steps * a_step <= USABLE_BYTES:
                return _Call(kernel, program, rows, steps)
    if kernel.or_scan:
        return None
    expected = f"weights and a step that fit {USABLE_BYTES >> 20} MiB of a TPU core's memory"
    units = jax.tree.leaves(state)[0].shape[-1]
    got = f"{(still + a_step) / 2**20:.1f} MiB with {units} units in {dtype.name}"
    raise ValueError(sentence("unroll", "backend", expected, got, _INSTEAD))


_INSTEAD = 'backend="auto" takes the scan where there is no kernel, "scan" always'

# What is true or false travels as a column of numbers, [T, *B, 1]: bits have no tiles of their own.
FLAG = jnp.int32


def _stream(batch_axes: int, a: Array) -> Array:
    """[T, *B, N], or [T, *B] of bool, as [T, rows, N or 1]."""
    if a.ndim == 1 + batch_axes:
        a = a.astype(FLAG)[..., None]
    return a.reshape(a.shape[0], -1, a.shape[-1])


def _as_flag(a: Array) -> Array:
    return a != 0 if a.dtype == FLAG else a


def _at_least_2d(a: Array) -> Array:
    return a if a.ndim > 1 else a.reshape(1, a.size)


def _load(ref: Any, shape: tuple[int, ...]) -> Array:
    loaded: Array = ref[...].reshape(shape)
    return loaded


def _read(refs: Any, index: Any) -> Any:
    return jax.tree.map(lambda ref: ref[index], refs)


def _write(refs: Any, index: Any, values: Any) -> None:
    jax.tree.map(lambda ref, value: ref.__setitem__(index, value), refs, values)


def _axes(state: Any) -> Any:
    """Over which axes of a mesh the arrays differ, inside of `jax.shard_map`."""
    return jax.typeof(jax.tree.leaves(state)[0]).manual_axis_type


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    """In VMEM, where the last two axes are padded to whole tiles of 8 words by 128 lanes."""
    *lead, rows, columns = (1, *shape) if len(shape) < 2 else shape
    size = jnp.dtype(dtype).itemsize
    packed = 8 * max(4 // size, 1)
    tiles = -(-rows // packed) * -(-columns // 128)
    return int(math.prod(lead) * tiles * packed * 128 * size)


# Whether a platform has a kernel is known when a program is lowered for it and not before, since
# lowering for a TPU needs none. So what refuses is an operation that cannot be lowered.
_no_kernel = jax.extend.core.Primitive("jaxrnn_no_kernel")
_no_kernel.def_abstract_eval(lambda: jax.core.ShapedArray((), jnp.dtype(jnp.float32)))


def _lower_no_kernel(context: Any) -> Any:
    here = " and ".join(context.module_context.platforms)
    expected = 'a TPU for "kernel", the only platform that has one'
    raise ValueError(sentence("unroll", "backend", expected, here, _INSTEAD))


mlir.register_lowering(_no_kernel, _lower_no_kernel)


def _refuse(body: Body, reverse: bool, *arrays: Any) -> Any:
    """The scan, to which the refusal sticks whichever part of it is used."""
    refusal = _no_kernel.bind()
    return jax.tree.map(lambda a: a + refusal.astype(a.dtype), _scan(body, reverse, *arrays))
