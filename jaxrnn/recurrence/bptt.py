"""`unroll`: a cell over a sequence, with backpropagation through time derived by hand.

One driver for every cell (Werbos 1990; the cell's file has its equations). With a = x w_xh + b_h:

1. Forward: one scan. Where a gradient is wanted, the inputs' share a of all steps is one matrix
   product before it, as long as that fits the cache; else each step makes its own.
2. Backward: the reverse scan carries nothing but the gradient of the carry, through the cell's
   transposed step, and leaves ∂a of each step behind.
3. The weights' gradients are contracted after it, a chunk of time at once, as large products:
   ∂w_xh = Σ_t x_tᵀ ∂a_t, ∂b_h = Σ_t ∂a_t, ∂x_t = ∂a_t w_xhᵀ, and the cell's recurrent ones.
   Autodiff of a scan instead does a thin outer product and the addition of a whole weight matrix
   at every step.
4. The backward pass goes chunk by chunk, so that 2 and 3 meet in the cache.

Saved for the backward pass beside inputs and hs: what the cell's Saved and Carry hold, for the
LSTM 4 + 1 arrays [T, *B, H]; with `recompute`, the carry at each chunk's start and nothing else.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, accumulator, contract, dot, sum_to_bias
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_carry, check_inputs, check_params, is_token_ids
from jaxrnn.recurrence.steps import project
from jaxrnn.recurrence.time_chunks import (
    Chunked,
    cache_sized_chunk,
    chunk_starts,
    join_time,
    scan_chunks,
    split_time,
)


def unroll(
    cell: Cell,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    chunk_length: int | None = None,
    recompute: bool = False,
) -> tuple[Any, Array]:
    """Runs a cell over a sequence; its gradient is hand-derived backpropagation through time.

    Reverse mode only, of any order, under `jit`, `vmap` and `jax.checkpoint`; for forward mode
    (`jax.jvp`) take `unroll_autodiff`. Tried here it is a TypeError that says so; where the
    function was jitted before `jax.jvp`, JAX raises its own.

    Args:
        cell: one of `CELLS`.
        params: its Params, w_xh [I, G·H], w_hh [H, G·H], b_h [G·H], ...
        carry: its Carry before the first step, every field [*B, H].
        xs: [T, *B, I] in the params' dtype, or integer token ids [T, *B]: one-hot rows by index.
        chunk_length: steps a chunk of time in the backward pass, at least 1; changes speed and
            memory, and values by rounding only. None: chosen from the sizes.
        recompute: keep only the carry at each chunk's start and run each chunk's forward steps
            again in the backward pass: for a third more arithmetic, the memory beyond xs, hs and
            their gradients grows with √T instead of T (Chen et al. 2016).

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError, ValueError: a shape or dtype that does not fit; the sentence says which.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=8)
        >>> carry = rnn.zero_carry(rnn.LSTM, params, batch_shape=(2,))
        >>> tokens = jnp.zeros((10, 2), jnp.int32)
        >>> carry, hs = rnn.unroll(rnn.LSTM, params, carry, tokens)
        >>> hs.shape
        (10, 2, 8)
    """
    check_params("unroll", cell, params)
    batch = check_inputs("unroll", params, xs, time_axes=1)
    check_carry("unroll", cell, params, carry, batch)
    if cell.backward is None or cell.gradient_in_bulk is None:
        hint = "jaxrnn.unroll_autodiff takes a cell without one"
        raise TypeError(sentence("unroll", "cell", "a cell with a backward step", cell, hint))
    if chunk_length is None and recompute:
        chunk_length = math.isqrt(xs.shape[0] - 1) + 1 if xs.shape[0] else 1
    elif chunk_length is None:
        chunk_length = cache_sized_chunk(xs.shape[0], _step_bytes(params, batch))
    elif not isinstance(chunk_length, int) or chunk_length < 1:
        expected = "an integer of at least 1"
        raise ValueError(sentence("unroll", "chunk_length", expected, chunk_length))
    try:
        return _unroll(cell, chunk_length, recompute, params, carry, xs)
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        hint = "jaxrnn.unroll_autodiff takes the same (cell, params, carry, xs) and has it"
        raise TypeError(
            sentence("unroll", "differentiation", "reverse mode", "forward mode (jvp)", hint)
        ) from error


# Up to here the inputs' share of all steps is made at once. Beyond, writing and reading it costs
# more than the larger product gains: at (B, T, I, H) = (128, 32, 64, 256), 16 MiB, the LSTM's
# forward takes 27 ms with it and 17 ms without; at (50, 50, 128, 128), 5 MiB, 6.8 and 7.7.
PROJECTED_BYTES = 8 << 20


def _step_bytes(params: Any, batch: tuple[int, ...]) -> int:
    """Of one step's pre-activations [*B, G·H]."""
    return math.prod(batch) * params.b_h.size * accumulator(params.b_h.dtype).itemsize


def _run(
    cell: Cell, params: Any, carry: Any, xs: Array, at_once: bool = True
) -> tuple[Any, tuple[Any, Any]]:
    """(last carry, (the carry after each step, what each step saved))."""
    batch = carry.h.shape[:-1]
    at_once = at_once and xs.shape[0] * _step_bytes(params, batch) <= PROJECTED_BYTES

    def one_step(carry: Any, x: Array) -> tuple[Any, tuple[Any, Any]]:
        carry, saved = cell.forward(params, carry, x if at_once else project(params, x))
        return carry, (carry, saved)

    return jax.lax.scan(one_step, carry, project(params, xs) if at_once else xs)


class _Residuals(NamedTuple):
    """What the forward pass leaves for the backward pass.

    Attributes:
        params: the cell's.
        xs: [T, *B, I] or token ids [T, *B].
        starts: the carry before each chunk.
        steps: (the carry after each step, what each step saved); None to run them again.
    """

    params: Any
    xs: Array
    starts: Chunked
    steps: Any


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _unroll(
    cell: Cell, chunk_length: int, recompute: bool, params: Any, carry: Any, xs: Array
) -> tuple[Any, Array]:
    # With nothing saved, XLA's CPU compiler makes one loop of a GRU's whole pointwise step and does
    # not vectorise it over blocks of a stacked projection: 10.1 ms, and 6.3 without a stack, at
    # (50, 50, 128, 128). The LSTM takes 7.2 instead of 6.8.
    last, (carries, _) = _run(cell, params, carry, xs, at_once=False)
    return last, carries.h


def _forward(
    cell: Cell, chunk_length: int, recompute: bool, params: Any, carry: Any, xs: Array
) -> tuple[tuple[Any, Array], _Residuals]:
    if not recompute:
        last, steps = _run(cell, params, carry, xs)
        starts = chunk_starts(carry, steps[0], chunk_length)
        return (last, steps[0].h), _Residuals(params, xs, starts, steps)

    def one_chunk(start: Any, xs: Array) -> tuple[Any, tuple[Any, Array]]:
        last, (carries, _) = _run(cell, params, start, xs)
        return last, (start, carries.h)

    last, chunks = scan_chunks(one_chunk, carry, split_time(xs, chunk_length))
    starts, hs = (Chunked(*(part and part[i] for part in chunks)) for i in (0, 1))
    return (last, join_time(hs)), _Residuals(params, xs, starts, None)


def _backward(
    cell: Cell,
    chunk_length: int,
    recompute: bool,
    residuals: _Residuals,
    d_outputs: tuple[Any, Array],
) -> tuple[Any, Any, Array | None]:
    params, xs, starts, steps = residuals
    d_carry, d_hs = d_outputs
    exact = accumulator(params.w_hh.dtype)
    step_backward, gradient_in_bulk = cell.backward, cell.gradient_in_bulk
    assert step_backward is not None  # `unroll` has checked
    assert gradient_in_bulk is not None

    def one_step(d_carry: Any, inputs: Any) -> tuple[Any, Any]:
        carry, next_carry, saved, d_h = inputs
        d_carry = d_carry._replace(h=d_carry.h + d_h.astype(exact))
        return step_backward(params, carry, saved, next_carry, d_carry)

    def one_chunk(state: Any, inputs: Any) -> tuple[Any, Array | None]:
        d_carry, d_params = state
        start, (xs, d_hs, steps) = inputs
        carries, saved = _run(cell, params, start, xs)[1] if recompute else steps
        previous = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), start, carries)
        d_carry, d_gates = jax.lax.scan(
            one_step, d_carry, (previous, carries, saved, d_hs), reverse=True
        )
        d_x_gates, recurrent = gradient_in_bulk(previous.h, saved, d_gates)
        d_w_xh, d_b_h, d_xs = _transpose_of_project(params, xs, d_x_gates)
        d_chunk = cell.Params(w_xh=d_w_xh, b_h=d_b_h, **recurrent)
        return (d_carry, jax.tree.map(jnp.add, d_params, d_chunk)), d_xs

    pieces = split_time((xs, d_hs, steps), chunk_length)
    inputs = Chunked(*(part and (start, part) for start, part in zip(starts, pieces, strict=True)))
    state = (
        jax.tree.map(lambda d: d.astype(exact), d_carry),
        jax.tree.map(lambda w: jnp.zeros(w.shape, exact), params),
    )
    (d_first, d_params), d_xs = scan_chunks(one_chunk, state, inputs, reverse=True)
    return (
        jax.tree.map(lambda d, w: d.astype(w.dtype), d_params, params),
        jax.tree.map(lambda d, h: d.astype(h.dtype), d_first, d_carry),
        None if is_token_ids(xs) else join_time(d_xs),
    )


def _transpose_of_project(
    params: Any, xs: Array, d_x_gates: Array
) -> tuple[Array, Array, Array | None]:
    """∂w_xh, ∂b_h and, for inputs that are no token ids, ∂x; from ∂a [K, *B, G·H]."""
    w_xh = params.w_xh
    if is_token_ids(xs):
        return _sum_by_token(xs, d_x_gates, w_xh.shape[0]), sum_to_bias(d_x_gates), None
    d_xs = dot(d_x_gates.astype(w_xh.dtype), w_xh.T).astype(xs.dtype)
    return contract(xs, d_x_gates), sum_to_bias(d_x_gates), d_xs


# Up to this vocabulary the transpose of the gather is a product with one-hot rows; beyond, XLA's
# scatter, which adds row by row but does not grow with the vocabulary.
ONE_HOT_VOCABULARY = 512


def _sum_by_token(tokens: Array, d_x_gates: Array, vocabulary: int) -> Array:
    """Σ of the rows ∂a [K, *B, G·H] that stand at each token: [V, G·H]."""
    if vocabulary <= ONE_HOT_VOCABULARY:
        return contract(jax.nn.one_hot(tokens, vocabulary, dtype=d_x_gates.dtype), d_x_gates)
    rows = d_x_gates.reshape(-1, d_x_gates.shape[-1])
    return jax.ops.segment_sum(rows, tokens.ravel(), num_segments=vocabulary)


_unroll.defvjp(_forward, _backward)
