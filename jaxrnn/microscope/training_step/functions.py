"""What the lines of a listing call: NumPy in float64, and a cell's own helpers on it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import parts

Array = np.ndarray


def in_float64(helper: Callable[..., Any]) -> Callable[..., Any]:
    """A function of JAX arrays as one of NumPy arrays, computed in float64.

    Args:
        helper: takes arrays and anything else, gives an array or a tree of them.

    Returns:
        A function that hands on what is no array as it is.

    >>> in_float64(jnp.cumsum)(np.array([0.1, 0.2])).dtype
    dtype('float64')
    """

    def run(*arguments: Any, **keywords: Any) -> Any:
        with jax.enable_x64(True):
            given = jax.tree.map(_to_jax, (arguments, keywords))
            return jax.tree.map(np.asarray, helper(*given[0], **given[1]))

    return run


def _to_jax(value: Any) -> Any:
    return jnp.asarray(value) if isinstance(value, np.ndarray | np.generic) else value


def _one_hot(index: int, size: int) -> Array:
    return np.eye(size)[index]


def _softmax(y: Array) -> Array:
    exponentials = np.exp(y - y.max())
    return exponentials / exponentials.sum()


def _sigmoid(a: Array) -> Array:
    # ½ + ½ tanh(a/2) is σ(a) without an overflow at large negative a.
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def _split(value: Array, count: int) -> list[Array]:
    return np.split(value, count, axis=-1)


def _split_off_last(value: Array, count: int) -> list[Array]:
    return np.split(value, [value.shape[-1] // count * (count - 1)], axis=-1)


def _join(*values: Array) -> Array:
    return np.concatenate(values, axis=-1)


def _length(*values: Array) -> float:
    """The Euclidean norm of all of them as one vector."""
    return float(np.sqrt(sum(np.sum(value**2) for value in values)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "clip": np.clip,
    "exp": np.exp,
    "join": _join,
    "length": _length,
    "log": np.log,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "one_hot": _one_hot,
    "outer": np.outer,
    "positive": lambda h: np.where(h > 0, 1.0, 0.0),
    "relu": lambda a: np.maximum(a, 0.0),
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "split": _split,
    "split_off_last": _split_off_last,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "where": np.where,
    "zeros_like": np.zeros_like,
}
"""By the name that it has in a line."""

_SAME = (
    (parts.blocks, "split"),
    (parts.split_off_last, "split_off_last"),
    (parts.join, "join"),
    (parts.sigmoid, "sigmoid"),
    (jax.nn.sigmoid, "sigmoid"),
    (jax.nn.relu, "relu"),
    (jnp.tanh, "tanh"),
    (jnp.exp, "exp"),
    (jnp.log, "log"),
    (jnp.sqrt, "sqrt"),
    (jnp.maximum, "maximum"),
    (jnp.minimum, "minimum"),
    (jnp.where, "where"),
)


def name_in_a_line(function: Any) -> str | None:
    """What a cell's function is called in a line: `jnp.tanh` is "tanh"; None for a helper."""
    return next((name for known, name in _SAME if known is function), None)
