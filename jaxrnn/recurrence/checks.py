"""What the functions of this package accept, checked at trace time from shapes and dtypes only."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import CELLS, Cell
from jaxrnn.errors import sentence


def is_token_ids(xs: Any) -> bool:
    """Whether `xs` are integers, i.e. one-hot rows by index."""
    return jnp.issubdtype(xs.dtype, jnp.integer)


def hidden_size(params: Any) -> int:
    """H, from w_hh [H, G·H]."""
    return int(params.w_hh.shape[0])


def check_cell(function: str, cell: Any) -> None:
    """Raises TypeError unless `cell` is a Cell."""
    if not isinstance(cell, Cell):
        hint = f"one of jaxrnn.CELLS: {', '.join(CELLS)}"
        raise TypeError(sentence(function, "cell", "a jaxrnn.Cell", cell, hint))


def check_key(function: str, key: Any) -> None:
    """Raises TypeError unless `key` is a new-style key."""
    if not (hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise TypeError(sentence(function, "key", "a jax.random.key", key, "jax.random.key(0)"))


def check_params(function: str, cell: Cell, params: Any) -> None:
    """Raises TypeError or ValueError unless `params` are this cell's, of one floating dtype."""
    check_cell(function, cell)
    if not isinstance(params, cell.Params):
        expected = f"the Params of {cell!r} with fields {', '.join(cell.Params._fields)}"
        hint = f"make them with jaxrnn.init(jaxrnn.CELLS[{cell.name!r}], ...)"
        raise TypeError(sentence(function, "params", expected, type(params).__name__, hint))
    w_hh = params.w_hh
    if not hasattr(w_hh, "dtype"):
        raise TypeError(sentence(function, "params.w_hh", "an array", type(w_hh).__name__))
    if not jnp.issubdtype(w_hh.dtype, jnp.floating):
        raise TypeError(sentence(function, "params.w_hh", "a floating dtype", w_hh))
    for name, w in zip(cell.Params._fields, params, strict=True):
        if not hasattr(w, "dtype"):
            raise TypeError(sentence(function, f"params.{name}", "an array", type(w).__name__))
        if w.dtype != w_hh.dtype:
            expected = f"{w_hh.dtype}, the dtype of params.w_hh"
            raise TypeError(sentence(function, f"params.{name}", expected, w))
    columns = len(cell.gates) * w_hh.shape[0]
    if w_hh.ndim != 2 or w_hh.shape[1] != columns:
        expected = f"[H, {len(cell.gates)}·H], here [{w_hh.shape[0]}, {columns}]"
        raise ValueError(sentence(function, "params.w_hh", expected, w_hh))
    if params.w_xh.ndim != 2 or params.w_xh.shape[1] != columns:
        expected = f"[I, {columns}], with the columns of params.w_hh"
        raise ValueError(sentence(function, "params.w_xh", expected, params.w_xh))
    if params.b_h.shape != (columns,):
        raise ValueError(sentence(function, "params.b_h", f"[{columns}]", params.b_h))
    for name in set(cell.Params._fields) - {"w_xh", "w_hh", "b_h"}:
        extra = getattr(params, name)
        if name.startswith("b_") and extra.shape != w_hh.shape[:1]:
            raise ValueError(sentence(function, f"params.{name}", f"[{w_hh.shape[0]}]", extra))


def check_inputs(function: str, params: Any, xs: Any, time_axes: int) -> tuple[int, ...]:
    """Raises unless `xs` fit the parameters; returns the batch shape *B.

    Args:
        function: for the sentence.
        params: a cell's params.
        xs: [T, *B, I] or integers [T, *B] with `time_axes=1`; [*B, I] or [*B] with 0.
        time_axes: 1 for a sequence, 0 for one step.
    """
    argument, lead = ("xs", "T, ") if time_axes else ("x", "")
    size, dtype = params.w_xh.shape[0], params.w_xh.dtype
    if not hasattr(xs, "dtype") or not hasattr(xs, "shape"):
        expected = f"an array [{lead}*B, {size}] of {dtype} or integers [{lead}*B]"
        raise TypeError(sentence(function, argument, expected, type(xs).__name__))
    if is_token_ids(xs):
        if xs.ndim < time_axes:
            expected = f"token ids [{lead}*B] with a time axis"
            raise ValueError(sentence(function, argument, expected, xs))
        return tuple(xs.shape[time_axes:])
    if xs.dtype != dtype:
        expected = f"{dtype}, the dtype of params.w_xh, or integer token ids"
        hint = f"convert with {argument}.astype({str(dtype)!r})"
        raise TypeError(sentence(function, argument, expected, xs, hint))
    if xs.ndim < time_axes + 1 or xs.shape[-1] != size:
        expected = f"[{lead}*B, {size}], {size} being the rows of params.w_xh"
        raise ValueError(sentence(function, argument, expected, xs))
    return tuple(xs.shape[time_axes:-1])


def check_carry(function: str, cell: Cell, params: Any, carry: Any, batch: tuple[int, ...]) -> None:
    """Raises unless every field of `carry` is [*B, H] in the parameters' dtype."""
    hint = f"jaxrnn.zero_carry(cell, params, batch_shape={batch})"
    if not isinstance(carry, cell.Carry):
        expected = f"the Carry of {cell!r} with fields {', '.join(cell.Carry._fields)}"
        raise TypeError(sentence(function, "carry", expected, type(carry).__name__, hint))
    shape, dtype = (*batch, hidden_size(params)), params.w_hh.dtype
    for name, value in zip(cell.Carry._fields, carry, strict=True):
        if not hasattr(value, "dtype"):
            expected = f"an array {list(shape)}"
            raise TypeError(sentence(function, f"carry.{name}", expected, repr(value), hint))
        if value.shape != shape:
            expected = f"shape {list(shape)}, the batch of the input and the units of w_hh"
            raise ValueError(sentence(function, f"carry.{name}", expected, value, hint))
        if value.dtype != dtype:
            expected = f"{dtype}, the dtype of params"
            raise TypeError(sentence(function, f"carry.{name}", expected, value, hint))
