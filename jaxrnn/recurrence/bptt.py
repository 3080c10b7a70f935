"""`unroll`: a cell over a sequence, with backpropagation through time derived by hand.

One driver for every cell (Werbos 1990; the cell's file has its equations). With a = x w_xh + b_h:

1. Forward: the inputs' share a of a whole chunk of time is one matrix product, outside the
   recurrence; the scan over the chunk's steps does only what depends on the state.
2. Backward: the reverse scan carries nothing but the gradient of the carry, through the cell's
   transposed step, and leaves ∂a of each step behind.
3. The weights' gradients are contracted after it, a chunk at a time, as large matrix products:
   ∂w_xh = Σ_t x_tᵀ ∂a_t, ∂b_h = Σ_t ∂a_t, ∂x_t = ∂a_t w_xhᵀ, and the cell's recurrent ones.
   Autodiff of a scan instead does a thin outer product and the addition of a whole weight matrix
   at every step.

Saved for the backward pass beside inputs and hs: what the cell's Saved and Carry hold, e.g. for
the LSTM 4 + 1 arrays [T, *B, H].
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
    join_time,
    scan_chunks,
    split_time,
)


def unroll(
    cell: Cell, params: Any, carry: Any, xs: Array, *, chunk_length: int | None = None
) -> tuple[Any, Array]:
    """Runs a cell over a sequence; its gradient is hand-derived backpropagation through time.

    Reverse mode only, of any order, under `jit`, `vmap` and `jax.checkpoint`; for forward mode
    (`jax.jvp`) take `unroll_autodiff`.

    Args:
        cell: one of `CELLS`.
        params: its Params, w_xh [I, G·H], w_hh [H, G·H], b_h [G·H], ...
        carry: its Carry before the first step, every field [*B, H].
        xs: [T, *B, I] in the params' dtype, or integer token ids [T, *B]: one-hot rows by index.
        chunk_length: steps a chunk of time, at least 1; changes speed and memory, and values by
            rounding only. None: chosen from the sizes.

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
    if chunk_length is None:
        gate_bytes = math.prod(batch) * params.b_h.size * accumulator(params.b_h.dtype).itemsize
        chunk_length = cache_sized_chunk(xs.shape[0], gate_bytes)
    elif chunk_length < 1:
        expected = "an integer of at least 1"
        raise ValueError(sentence("unroll", "chunk_length", expected, chunk_length))
    try:
        return _unroll(cell, chunk_length, params, carry, xs)
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        hint = "jaxrnn.unroll_autodiff has the same signature and forward mode"
        raise TypeError(
            sentence("unroll", "differentiation", "reverse mode", "forward mode (jvp)", hint)
        ) from error


class _Residuals(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    params: Any
    xs: Array
    chunks: Chunked  # of (carry before the chunk, carries after each step, saved of each step)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _unroll(cell: Cell, chunk_length: int, params: Any, carry: Any, xs: Array) -> tuple[Any, Array]:
    outputs, _ = _forward(cell, chunk_length, params, carry, xs)
    return outputs


def _forward(
    cell: Cell, chunk_length: int, params: Any, carry: Any, xs: Array
) -> tuple[tuple[Any, Array], _Residuals]:
    def one_step(carry: Any, x_gates: Array) -> tuple[Any, Any]:
        carry, saved = cell.forward(params, carry, x_gates)
        return carry, (carry, saved)

    def one_chunk(first: Any, xs: Array) -> tuple[Any, Any]:
        carry, (carries, saved) = jax.lax.scan(one_step, first, project(params, xs))
        return carry, (first, carries, saved)

    carry, chunks = scan_chunks(one_chunk, carry, split_time(xs, chunk_length))
    hs = join_time(Chunked(*(None if part is None else part[1].h for part in chunks)))
    return (carry, hs), _Residuals(params, xs, chunks)


def _backward(
    cell: Cell, chunk_length: int, residuals: _Residuals, d_outputs: tuple[Any, Array]
) -> tuple[Any, Any, Array | None]:
    params, xs, chunks = residuals
    d_carry, d_hs = d_outputs
    exact = accumulator(params.w_hh.dtype)
    step_backward, gradient_in_bulk = cell.backward, cell.gradient_in_bulk
    assert step_backward is not None and gradient_in_bulk is not None  # `unroll` has checked

    def one_step(d_carry: Any, inputs: Any) -> tuple[Any, Any]:
        carry, next_carry, saved, d_h = inputs
        d_carry = d_carry._replace(h=d_carry.h + d_h.astype(exact))
        return step_backward(params, carry, saved, next_carry, d_carry)

    def one_chunk(state: Any, inputs: Any) -> tuple[Any, Array | None]:
        d_carry, d_params = state
        xs, d_hs, (first, carries, saved) = inputs
        previous = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b[:-1]]), first, carries)
        d_carry, d_gates = jax.lax.scan(
            one_step, d_carry, (previous, carries, saved, d_hs), reverse=True
        )
        d_x_gates, recurrent = gradient_in_bulk(previous.h, saved, d_gates)
        d_w_xh, d_b_h, d_xs = _transpose_of_project(params, xs, d_x_gates)
        d_chunk = cell.Params(w_xh=d_w_xh, b_h=d_b_h, **recurrent)
        return (d_carry, jax.tree.map(jnp.add, d_params, d_chunk)), d_xs

    inputs = Chunked(
        *(
            None if chunk is None else (x, d, chunk)
            for x, d, chunk in zip(
                split_time(xs, chunk_length), split_time(d_hs, chunk_length), chunks, strict=True
            )
        )
    )
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
        one_hot = jax.nn.one_hot(xs, w_xh.shape[0], dtype=w_xh.dtype)
        return contract(one_hot, d_x_gates), sum_to_bias(d_x_gates), None
    d_xs = dot(d_x_gates.astype(w_xh.dtype), w_xh.T).astype(xs.dtype)
    return contract(xs, d_x_gates), sum_to_bias(d_x_gates), d_xs


_unroll.defvjp(_forward, _backward)
