"""One way to word an error: where, which argument, the rule, what came, what to try."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def sentence(function: str, argument: str, expected: str, got: object, hint: str = "") -> str:
    """Words an error for people.

    Args:
        function: the public function that was called, e.g. `"unroll"`.
        argument: the argument at fault, e.g. `"xs"`.
        expected: the rule with its numbers filled in, e.g. `"shape [T, *B, 65]"`.
        got: what came instead; an array is described by dtype and shape, never by value.
        hint: what to try.

    Returns:
        One sentence, or two with the hint.

    >>> sentence("unroll", "xs", "a last axis of 65", "a last axis of 64", "one-hot with V=65?")
    'unroll: xs: expected a last axis of 65, got a last axis of 64. Hint: one-hot with V=65?'
    """
    text = f"{function}: {argument}: expected {expected}, got {describe(got)}."
    return f"{text} Hint: {hint}" if hint else text


def describe(value: Any) -> str:
    """Dtype and shape of an array (reads nothing else, so tracers do), else the value's text.

    >>> import numpy as np
    >>> describe(np.zeros((2, 3), np.float32))
    'float32[2, 3]'
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return value if isinstance(value, str) else repr(value)


@contextmanager
def plainly(function: str) -> Iterator[None]:
    """Lets a sentence of this function out of `jax.jit` without what JAX notes about its frames."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if str(error).startswith(f"{function}: "):
            error.__notes__ = []
        raise
