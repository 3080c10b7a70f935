"""Parameters, the zero carry, one time step."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, accumulator, bias, dot
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import (
    check_carry,
    check_cell,
    check_inputs,
    check_key,
    check_params,
    hidden_size,
    is_token_ids,
)


def init(
    cell: Cell, key: Array, input_size: int, hidden_size: int, *, dtype: Any = jnp.float32
) -> Any:
    """Draws a cell's parameters.

    Args:
        cell: one of `CELLS`.
        key: a `jax.random.key`; consumed.
        input_size: I, at least 1; for token ids the vocabulary's size.
        hidden_size: H, at least 1.
        dtype: float32, bfloat16 or float64 (the last needs `jax_enable_x64`).

    Returns:
        The cell's Params: w_xh [I, G·H] Glorot uniform and w_hh [H, G·H] orthogonal, a block a
        gate; biases zero, but the LSTM's forget gate 1; `ELMAN_RELU`'s w_hh the identity.

    Raises:
        TypeError: `cell` is no cell, `key` no key, or `dtype` no floating dtype.
        ValueError: a size below 1; float64 without `jax_enable_x64`.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=128)
        >>> params.w_xh.shape, params.w_hh.shape, params.b_h.shape
        ((65, 512), (128, 512), (512,))
    """
    check_cell("init", cell)
    check_key("init", key)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(sentence("init", "dtype", "a floating dtype", jnp.dtype(dtype).name))
    if jnp.finfo(dtype).bits > jnp.finfo(jnp.result_type(float)).bits:
        hint = 'jax.config.update("jax_enable_x64", True) allows it'
        raise ValueError(sentence("init", "dtype", "at most 32 bits", jnp.dtype(dtype).name, hint))
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(sentence("init", name, "an integer of at least 1", size))
    return cell.init(key, int(input_size), int(hidden_size), jnp.dtype(dtype))


def zero_carry(cell: Cell, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
    """The carry before the first step: zeros [*B, H] in every field, in the params' dtype.

    Raises:
        TypeError, ValueError: `params` are not this cell's.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=128)
        >>> rnn.zero_carry(rnn.LSTM, params, batch_shape=(32,)).c.shape
        (32, 128)
    """
    check_params("zero_carry", cell, params)
    if not isinstance(batch_shape, tuple | list):
        hint = f"batch_shape=({batch_shape},)"
        raise TypeError(sentence("zero_carry", "batch_shape", "a tuple", batch_shape, hint))
    shape = (*batch_shape, hidden_size(params))
    return cell.Carry(*(jnp.zeros(shape, params.w_hh.dtype) for _ in cell.Carry._fields))


def project(params: Any, xs: Array) -> Array:
    """The inputs' share of the pre-activations, x w_xh + b_h, for any leading axes.

    Args:
        params: a cell's params.
        xs: [..., I], or token ids [...], which pick rows of w_xh: a gather, no product. An id
            outside 0 … I−1 gives NaN, so that it is seen.

    Returns:
        [..., G·H] in float32 or wider.
    """
    w_xh = params.w_xh
    if is_token_ids(xs):
        rows = w_xh.at[xs]
        x_gates = rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        x_gates = x_gates.astype(accumulator(w_xh.dtype))
    else:
        x_gates = dot(xs, w_xh)
    return x_gates + bias(params.b_h, x_gates)


def step(cell: Cell, params: Any, carry: Any, x: Array) -> tuple[Any, Array]:
    """One time step.

    Args:
        cell: one of `CELLS`.
        params: its Params.
        carry: its Carry, every field [*B, H].
        x: [*B, I], or token ids [*B].

    Returns:
        (carry, h [*B, H]); h is `carry.h`.

    Raises:
        TypeError, ValueError: a shape or dtype that does not fit; the sentence says which.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.GRU, params)
        >>> carry, h = rnn.step(rnn.GRU, params, carry, jnp.ones(3, jnp.float32))
        >>> h.shape
        (4,)
    """
    check_params("step", cell, params)
    check_carry("step", cell, params, carry, check_inputs("step", params, x, time_axes=0))
    carry, _ = cell.forward(params, carry, project(params, x))
    return carry, carry.h
