"""How the next token is chosen from its logits: the likeliest, or drawn among likely ones.

p = softmax(logits / temperature), cut to the likeliest by top_k and top_p, then drawn from
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm import model
from jaxrnn.errors import sentence
from jaxrnn.precision import accumulator

Array = jax.Array

LARGEST_SIZE = 2**31 - 1


class Choice(NamedTuple):
    """How tokens are chosen; numbers in the dtype of the logits.

    Attributes:
        greedy: takes the likeliest; the rest then says nothing.
        temperature: a positive, normal number of that dtype.
        top_k: at most V; None: all.
        top_p: None: all.
    """

    greedy: bool
    temperature: np.floating
    top_k: int | None
    top_p: np.floating | None


def make_choice(
    config: model.Config,
    params: model.Params,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Choice:
    """The choice that the arguments of `sample` ask for.

    Raises:
        TypeError: one of them is no number of Python, NumPy or JAX.
        ValueError: a number out of range.
    """
    temperature = check_number("temperature", temperature)
    if not 0 <= temperature < math.inf:
        raise ValueError(sentence("sample", "temperature", "a number from 0 up", temperature))
    if top_k is not None:
        top_k = min(check_integer("top_k", top_k, 1), config.vocab_size)
    if top_p is not None:
        top_p = check_number("top_p", top_p)
        if not 0 < top_p <= 1:
            raise ValueError(sentence("sample", "top_p", "above 0 and at most 1", top_p))
    dtype = accumulator(params.w_hy.dtype)
    limits = jnp.finfo(dtype)
    # A device takes what is below the smallest normal number as 0, and would divide by it.
    greedy = temperature < float(limits.tiny)
    divisor = 1.0 if greedy else min(temperature, float(limits.max))
    # Rounding may bring the sum of probabilities to 1 before the last token.
    share = None if top_p is None or top_p == 1 else dtype.type(top_p)
    return Choice(greedy, dtype.type(divisor), top_k, share)


def check_number(name: str, value: Any, function: str = "sample") -> Any:
    """An argument of `sample` or its kin, a number of Python, NumPy or JAX, as Python's.

    Raises:
        TypeError: it is none, or its value is not known yet.
    """
    if isinstance(value, jax.core.Tracer):
        hint = f"{function} writes text, so it cannot be called inside jax.jit"
        raise TypeError(sentence(function, name, "a number", "one that is traced", hint))
    if isinstance(value, np.generic | np.ndarray | jax.Array) and value.shape == ():
        value = jax.device_get(value).item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        got = repr(value) if isinstance(value, str) else value
        raise TypeError(sentence(function, name, "a number", got))
    return value


def check_integer(name: str, value: Any, least: int, function: str = "sample") -> int:
    """The same of an integer.

    Raises:
        TypeError: it is none.
        ValueError: it is below `least`, or above what a size can be.
    """
    number = check_number(name, value, function)
    if not isinstance(number, int):
        raise TypeError(sentence(function, name, "an integer", number))
    if number < least:
        raise ValueError(sentence(function, name, f"at least {least}", number))
    if number > LARGEST_SIZE:
        raise ValueError(sentence(function, name, f"at most {LARGEST_SIZE:,}", number))
    return number


def choose(
    key: Array,
    logits: Array,
    temperature: Array,
    top_p: Array | None,
    *,
    greedy: bool,
    top_k: int | None,
) -> Array:
    """Logits [*B, V] -> ids int32 [*B], by the fields of a `Choice`."""
    if greedy:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    # From the largest down, so that a small temperature ends at −∞ and not at ∞.
    below = (logits - jnp.max(logits, axis=-1, keepdims=True)) / temperature
    kept = keep_likeliest(below, top_k, top_p)
    return jax.random.categorical(key, kept).astype(jnp.int32)


def keep_likeliest(logits: Array, top_k: int | None, top_p: Array | float | None) -> Array:
    """Logits with −∞ for all but the likeliest; of equal ones, none is cut while one is kept.

    Args:
        logits: [..., V].
        top_k: keeps the k largest; None: all.
        top_p: of those, keeps the fewest, at least one, whose probabilities add up to p or more;
            None: all.

    Returns:
        [..., V].

    >>> import jax.numpy as jnp
    >>> logits = jnp.log(jnp.array([0.5, 0.1, 0.3, 0.1]))
    >>> jnp.isfinite(keep_likeliest(logits, 3, None)).tolist()
    [True, True, True, True]
    >>> jnp.isfinite(keep_likeliest(logits, None, 0.7)).tolist()
    [True, False, True, False]

    Source: top-k Fan, Lewis and Dauphin (2018); top-p, "nucleus", Holtzman et al. (2020).
    """
    lowest = jnp.asarray(-jnp.inf, logits.dtype)
    if top_k is not None:
        smallest = jax.lax.top_k(logits, top_k)[0][..., -1:]
        logits = jnp.where(logits < smallest, lowest, logits)
    if top_p is not None:
        descending = jnp.flip(jnp.sort(logits, axis=-1), axis=-1)
        probabilities = jax.nn.softmax(descending.astype(accumulator(logits.dtype)), axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        kept = before < jnp.asarray(top_p, before.dtype)
        # The likeliest in any case: of a small p its own dtype may make 0.
        kept = kept | (jax.lax.broadcasted_iota(jnp.int32, kept.shape, kept.ndim - 1) == 0)
        smallest = jnp.min(
            jnp.where(kept, descending, jnp.asarray(jnp.inf, logits.dtype)), axis=-1, keepdims=True
        )
        logits = jnp.where(logits < smallest, lowest, logits)
    return logits
