"""Entries of another library, checked together: their names, shapes and dtypes; and their arrays.

NumPy arrays are computed with in NumPy, so that nothing is compiled for a conversion and float64
stays float64; where a JAX array takes part, and under a trace, it is `jax.numpy`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells.cell import Cell
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_dtype

Shape = tuple[int | None, ...]
"""None: any size."""


def to_array(function: str, argument: str, value: Any) -> Any:
    """A JAX array as it is, anything else as a NumPy array (of a tensor: its memory, no copy).

    Raises:
        TypeError: it is no array of numbers.
    """
    # An nnx.Param holds the array; nnx asks to take it out by [...].
    if hasattr(value, "get_value"):
        value = value[...]
    if isinstance(value, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
        return value
    if hasattr(value, "detach"):
        if value.is_meta:
            expected, got = "a tensor with numbers", "one on the device meta"
            raise TypeError(sentence(function, argument, expected, got))
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy has not; float32 holds all of them
            return value.float().numpy().astype(jnp.bfloat16)
        return value.numpy()
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        got = type(value).__name__
        raise TypeError(sentence(function, argument, "an array", got))
    return array


def kind_of(source: Any) -> str:
    """What it is, for a sentence: lists are taken, but for empty ones."""
    kind = type(source).__name__
    return f"an empty {kind}" if isinstance(source, list | tuple) else kind


def check_entries(
    function: str,
    argument: str,
    what: str,
    expected: Mapping[str, Shape],
    found: Mapping[str, Any],
    hint: str = "",
) -> None:
    """Raises ValueError unless exactly these entries are there, in one floating dtype.

    Args:
        function: for the sentence.
        argument: likewise.
        what: whose entries are expected, e.g. "an LSTM of 2 layers, I=3, H=4".
        expected: shape by name.
        found: array by name. All that is missing, misshapen or too many is named at once.
        hint: for the sentence.
    """
    faults = [f"no {name!r}" for name in expected if name not in found]
    known = {name: found[name] for name in expected if name in found}
    dtype = Counter(str(array.dtype) for array in known.values()).most_common(1)
    for name, array in known.items():
        shape = tuple(array.shape)
        if not _fits(shape, expected[name]):
            faults.append(f"{name!r} as {list(shape)} instead of {_described(expected[name])}")
        if str(array.dtype) != dtype[0][0]:
            faults.append(f"{name!r} in {array.dtype} instead of {dtype[0][0]}")
    faults += [f"an unexpected {name!r}" for name in found if name not in expected]
    if faults:
        got = ", ".join(faults[:20])
        got += f" and {len(faults) - 20} further faults" if len(faults) > 20 else ""
        raise ValueError(sentence(function, argument, f"the entries of {what}", got, hint))
    if dtype and not jnp.issubdtype(jnp.dtype(dtype[0][0]), jnp.floating):
        hint = "weights that are stored as integers have to be made numbers again first"
        raise TypeError(sentence(function, argument, "a floating dtype", dtype[0][0], hint))


def check_choice(function: str, argument: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises ValueError unless `value` is one of the choices."""
    if not any(value is choice or value == choice for choice in choices):
        expected = f"one of {', '.join(map(repr, choices))}"
        raise ValueError(sentence(function, argument, expected, repr(value)))


def most_common(values: Iterable[Any]) -> Any:
    """What occurs most often, the first of these; None where there is nothing."""
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else None


def concatenate(parts: Sequence[Any], axis: int = -1) -> Any:
    """Arrays side by side."""
    return _numpy_of(*parts).concatenate(parts, axis=axis)


def zeros(like: Any, *shape: int) -> Any:
    """Zeros in the dtype of another array."""
    return _numpy_of(like).zeros(shape, like.dtype)


def stack(parts: Sequence[Any]) -> Any:
    """Arrays along a new first axis."""
    return _numpy_of(*parts).stack(parts)


def blocks(array: Any, count: int) -> list[Any]:
    """count blocks along the last axis."""
    size = array.shape[-1] // count
    return [array[..., size * index : size * (index + 1)] for index in range(count)]


def reorder(array: Any, before: str, after: str) -> Any:
    """The blocks along the last axis, a letter each, in another order.

    >>> import numpy as np
    >>> reorder(np.array([1, 1, 2, 2, 3, 3]), "rzn", "zrn")
    array([2, 2, 1, 1, 3, 3])
    """
    named = dict(zip(before, blocks(array, len(before)), strict=True))
    return concatenate([named[gate] for gate in after])


def merge_gru_biases(outside: Any, beside_product: Any) -> dict[str, Any]:
    """b_h and b_hn of a GRU's two biases [3H], blocks r, z, n: those of n stay apart."""
    *r_z, n = blocks(outside, 3)
    *more_r_z, inside = blocks(beside_product, 3)
    merged = [one + other for one, other in zip(r_z, more_r_z, strict=True)]
    return {"b_h": concatenate([*merged, n]), "b_hn": inside}


def second_bias(params: Any) -> Any:
    """What a second bias is where this library has but one: 0, but b_hn in a GRU's last block."""
    if not hasattr(params, "b_hn"):
        return zeros(params.b_h, *params.b_h.shape)
    size = params.b_hn.shape[0]
    return concatenate([zeros(params.b_h, 2 * size), params.b_hn])


def params_of(function: str, cell: Cell, fields: Mapping[str, Any]) -> Any:
    """The cell's Params in JAX arrays of their own memory.

    Raises:
        ValueError: float64 without `jax_enable_x64`; nothing is rounded without being said.
    """
    for value in fields.values():
        if not isinstance(value, jax.Array):
            check_dtype(function, value.dtype)
    # A copy: on a CPU JAX may keep reading the memory of a NumPy array, which is a tensor's here.
    return cell.Params(**{name: jnp.array(value) for name, value in fields.items()})


def to_numpy(tree: Any) -> Any:
    """NumPy arrays of their own memory for JAX arrays; what is traced stays as it is."""
    return jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.core.Tracer) else np.array(leaf, order="C"), tree
    )


def check_zero(function: str, argument: str, value: Any, why: str, hint: str) -> None:
    """Raises ValueError where an array that has no place in the other library is not 0."""
    if isinstance(value, jax.core.Tracer) or np.any(np.asarray(value)):
        got = "traced values" if isinstance(value, jax.core.Tracer) else "other values"
        raise ValueError(sentence(function, argument, f"zeros, because {why}", got, hint))


def _numpy_of(*arrays: Any) -> Any:
    return np if all(isinstance(array, np.ndarray) for array in arrays) else jnp


def _fits(shape: tuple[int, ...], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        wanted in (None, size) for size, wanted in zip(shape, expected, strict=True)
    )


def _described(shape: Shape) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
