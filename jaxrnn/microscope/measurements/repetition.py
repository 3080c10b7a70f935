"""Loops: a text that has begun to repeat itself for good, as greedy decoding does."""

from typing import NamedTuple

import numpy as np

from jaxrnn.errors import sentence

LEAST_TURNS = 3
"""How often a loop has to be gone through before it counts as one."""


class Loop(NamedTuple):
    """The end of a text that repeats itself.

    Attributes:
        start: where the first turn begins.
        period: characters of a turn.
    """

    start: int
    period: int


def find_loop(text: str) -> Loop | None:
    """The shortest turn that a text ends in, again and again.

    Args:
        text: N characters; a loop is one that fills its end at least `LEAST_TURNS` times.

    Returns:
        The loop; None where the text does not end in one.

    >>> find_loop("once upon a time and then and then and then and")
    Loop(start=16, period=9)
    >>> find_loop("banana") is None
    True
    """
    points = np.array([ord(character) for character in text])
    for period in range(1, len(points) // LEAST_TURNS + 1):
        different = np.flatnonzero(points[period:] != points[:-period])
        start = int(different[-1]) + 1 if len(different) else 0
        if len(points) - start >= LEAST_TURNS * period:
            return Loop(start, period)
    return None


def distinct_share(text: str, n: int = 8) -> float:
    """The share of a text's n-grams that are different from each other.

    Args:
        text: at least n characters.
        n: characters of an n-gram.

    Returns:
        1 where none comes twice, near 0 where the text goes round and round.

    Raises:
        ValueError: n below 1, or a text that is shorter.

    >>> distinct_share("abababab", n=2)
    0.2857142857142857
    """
    if not 1 <= n <= len(text):
        rule = f"1 to {len(text)}, the characters of the text"
        raise ValueError(sentence("distinct_share", "n", rule, n))
    grams = [text[at : at + n] for at in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)
