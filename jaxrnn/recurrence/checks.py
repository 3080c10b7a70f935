"""What the library's functions accept, checked at trace time from shapes and dtypes only."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import CELLS, Cell
from jaxrnn.cells.cell import dimensions, resolve
from jaxrnn.errors import describe, sentence


def is_token_ids(xs: Any) -> bool:
    """Whether `xs` are integers, i.e. one-hot rows by index."""
    return jnp.issubdtype(xs.dtype, jnp.integer)


def check_key(function: str, key: Any, name: str = "key") -> None:
    """Raises TypeError unless `key` is one new-style key."""
    if not (hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise TypeError(sentence(function, name, "a jax.random.key", key, "jax.random.key(0)"))
    if key.shape != ():
        hint = "take one of them, keys[i], or jax.vmap over all"
        got = f"an array of {math.prod(key.shape)} keys"
        raise TypeError(sentence(function, name, "a single jax.random.key", got, hint))


def check_size(function: str, name: str, size: Any) -> None:
    """Raises ValueError unless `size` is an integer of at least 1."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(sentence(function, name, "an integer of at least 1", size))


def check_batch_shape(function: str, batch_shape: Any) -> None:
    """Raises TypeError unless `batch_shape` is a tuple or list."""
    if not isinstance(batch_shape, tuple | list):
        hint = f"batch_shape=({batch_shape},)"
        raise TypeError(sentence(function, "batch_shape", "a tuple", batch_shape, hint))


def check_probability(function: str, name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a number in [0, 1)."""
    if not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        got = repr(value) if isinstance(value, str) else value
        raise ValueError(sentence(function, name, "a probability from 0 to below 1", got))


def check_dtype(function: str, dtype: Any) -> None:
    """Raises unless `dtype` is a floating one that JAX has at present."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(sentence(function, "dtype", "a floating dtype", jnp.dtype(dtype).name))
    if jnp.finfo(dtype).bits > jnp.finfo(jnp.result_type(float)).bits:
        hint = 'jax.config.update("jax_enable_x64", True) allows it'
        got = jnp.dtype(dtype).name
        raise ValueError(sentence(function, "dtype", "at most 32 bits", got, hint))


def check_params(function: str, cell: Cell, params: Any) -> None:
    """Raises TypeError or ValueError unless `params` are this cell's, of one floating dtype."""
    if not isinstance(params, cell.Params):
        expected = f"the Params of {cell!r}, with fields {', '.join(cell.Params._fields)}"
        hint = "make them with jaxrnn.init"
        raise TypeError(sentence(function, "params", expected, whose(params), hint))
    names = cell.Params._fields
    for name, w in zip(names, params, strict=True):
        if not hasattr(w, "dtype"):
            raise TypeError(sentence(function, f"params.{name}", "an array", type(w).__name__))
    dtype = params[0].dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(sentence(function, f"params.{names[0]}", "a floating dtype", params[0]))
    sizes = cell.sizes_of(params)
    for name, text, w in zip(names, cell.param_shapes, params, strict=True):
        if w.dtype != dtype:
            expected = f"{dtype}, the dtype of params.{names[0]}"
            raise TypeError(sentence(function, f"params.{name}", expected, w))
        unknown = {letter for _, letter in dimensions(text)} - {*sizes}
        if unknown or tuple(w.shape) != resolve(text, sizes):
            letters = ", ".join(
                f"{factor}·{letter}" if factor > 1 else letter
                for factor, letter in dimensions(text)
            )
            here = "" if unknown else f", here {list(resolve(text, sizes))}"
            raise ValueError(sentence(function, f"params.{name}", f"[{letters}]{here}", w))


def check_inputs(
    function: str, params: Any, xs: Any, time_axes: int, batch: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """Raises unless `xs` fit the parameters; returns the batch shape *B.

    Args:
        function: for the sentence.
        params: a cell's params.
        xs: [T, *B, I] or integers [T, *B] with `time_axes=1`; [*B, I] or [*B] with 0.
        time_axes: 1 for a sequence, 0 for one step.
        batch: the carry's batch shape, where it is known, for the hints.
    """
    argument, lead = ("xs", "T, ") if time_axes else ("x", "")
    size, dtype = params.w_xh.shape[0], params.w_xh.dtype
    if not hasattr(xs, "dtype") or not hasattr(xs, "shape"):
        expected = f"an array [{lead}*B, {size}] of {dtype} or integers [{lead}*B]"
        hint = f"jnp.asarray({argument}, ...) makes one" if isinstance(xs, list | tuple) else ""
        raise TypeError(sentence(function, argument, expected, type(xs).__name__, hint))
    if is_token_ids(xs):
        if xs.ndim < time_axes:
            expected = f"token ids [{lead}*B] with a time axis"
            raise ValueError(sentence(function, argument, expected, xs))
        found = tuple(xs.shape[time_axes:])
        if batch is not None and found == (*batch, size):
            hint = f"for integer features, {argument}.astype({str(dtype)!r})"
            expected = f"token ids [{lead}*B], which have no feature axis"
            raise ValueError(sentence(function, argument, expected, xs, hint))
        return found
    if xs.dtype != dtype:
        expected = f"{dtype}, the dtype of params.w_xh, or integer token ids"
        hint = f"convert with {argument}.astype({str(dtype)!r})"
        raise TypeError(sentence(function, argument, expected, xs, hint))
    if xs.ndim < time_axes + 1 or xs.shape[-1] != size:
        expected = f"[{lead}*B, {size}], {size} being the rows of params.w_xh"
        raise ValueError(sentence(function, argument, expected, xs))
    return tuple(xs.shape[time_axes:-1])


def check_carry(
    function: str,
    cell: Cell,
    params: Any,
    carry: Any,
    batch: tuple[int, ...],
    argument: str = "carry",
    broadcast: bool = False,
) -> None:
    """Raises unless every field of `carry` is [*B, its size] in the parameters' dtype.

    Args:
        function: for the sentence.
        cell: the cell.
        params: its Params.
        carry: what is checked.
        batch: *B.
        argument: its name.
        broadcast: whether a shape that broadcasts to that will do.
    """
    hint = f"jaxrnn.zero_carry(cell, params, batch_shape={batch})"
    if not isinstance(carry, cell.Carry):
        expected = f"the Carry of {cell!r} with fields {', '.join(cell.Carry._fields)}"
        raise TypeError(sentence(function, argument, expected, whose(carry), hint))
    widths, dtype = cell.carry_of(cell.sizes_of(params)), params.w_xh.dtype
    for name, value, width in zip(cell.Carry._fields, carry, widths, strict=True):
        shape = (*batch, width)
        if not hasattr(value, "dtype"):
            expected = f"an array {list(shape)}"
            raise TypeError(sentence(function, f"{argument}.{name}", expected, repr(value), hint))
        if value.shape != shape and not (broadcast and broadcasts(value.shape, shape)):
            expected = f"shape {list(shape)}, the batch of the input and the units of params"
            if len(batch) == 1 and len(value.shape) == 2 and value.shape[0] != batch[0]:
                hint += "; time comes first: xs are [T, *B, I], token ids [T, *B]"
            raise ValueError(sentence(function, f"{argument}.{name}", expected, value, hint))
        if value.dtype != dtype:
            expected = f"{dtype}, the dtype of params"
            raise TypeError(sentence(function, f"{argument}.{name}", expected, value, hint))


def check_carries(
    function: str, cell: Cell, params: Any, carries: Any, lead: tuple[int, ...], argument: str
) -> None:
    """Raises unless every field of a Carry is [*lead, its size], lead = (T, *B)."""
    expected = f"the Carry of {cell!r} after each step, fields [T, *B, ·]"
    hint = "such as solution.carries of jaxrnn.solve_parallel, or jaxrnn.trace(...).carries"
    if not isinstance(carries, cell.Carry):
        raise TypeError(sentence(function, argument, expected, whose(carries), hint))
    widths, dtype = cell.carry_of(cell.sizes_of(params)), params.w_xh.dtype
    for name, value, width in zip(cell.Carry._fields, carries, widths, strict=True):
        shape = (*lead, width)
        if not hasattr(value, "dtype") or value.shape != shape or value.dtype != dtype:
            expected = f"{dtype}[{', '.join(map(str, shape))}]"
            raise ValueError(sentence(function, f"{argument}.{name}", expected, value, hint))


def check_steps(function: str, xs: Any, batch: tuple[int, ...], lengths: Any, resets: Any) -> None:
    """Raises unless `lengths` [*B] and `resets` [T, *B] fit the inputs.

    Of lengths that are no tracers the values are looked at too; of traced ones, what is over T
    counts as T and what is below 0 as 0.
    """
    length = xs.shape[0]
    if lengths is not None:
        if not hasattr(lengths, "dtype") or not jnp.issubdtype(lengths.dtype, jnp.integer):
            hint = "jnp.asarray(lengths)" if isinstance(lengths, list | tuple) else ""
            got = lengths if hasattr(lengths, "dtype") else type(lengths).__name__
            raise TypeError(sentence(function, "lengths", "an array of integers [*B]", got, hint))
        if tuple(lengths.shape) != batch:
            expected = f"[*B], here {list(batch)}"
            raise ValueError(sentence(function, "lengths", expected, lengths))
        if not isinstance(lengths, jax.core.Tracer) and lengths.size:
            values = np.asarray(lengths)
            low, high = int(values.min()), int(values.max())
            if low < 0 or high > length:
                got = f"{low if low < 0 else high}"
                expected = f"from 0 to {length}, the steps of xs"
                raise ValueError(sentence(function, "lengths", expected, got))
    if resets is not None:
        if not hasattr(resets, "dtype") or resets.dtype != jnp.bool_:
            hint = "resets.astype(bool)" if hasattr(resets, "dtype") else "jnp.asarray(resets)"
            got = resets if hasattr(resets, "dtype") else type(resets).__name__
            raise TypeError(sentence(function, "resets", "an array of bool [T, *B]", got, hint))
        if tuple(resets.shape) != (length, *batch):
            expected = f"[T, *B], here {[length, *batch]}"
            raise ValueError(sentence(function, "resets", expected, resets))


def whose(value: Any) -> str:
    """What it is; of a NamedTuple of a known cell, whose: "the Params of the cell 'gru'"."""
    for cell in CELLS.values():
        for kind, owned in (("Params", cell.Params), ("Carry", cell.Carry)):
            if isinstance(value, owned):
                return f"the {kind} of {cell!r}"
    return describe(value) if hasattr(value, "dtype") else type(value).__name__


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of one shape broadcasts to another.

    >>> broadcasts((3,), (2, 3)), broadcasts((2,), (2, 3))
    (True, False)
    """
    try:
        return bool(np.broadcast_shapes(shape, to) == to)
    except ValueError:
        return False
