"""Probes: properties of a text, one number a character, that a unit may turn out to encode.

A probe's value at position t is a property of the text around text[t], the character that the
network has just read when its state is h_t. Shifting a probe in time then asks about what came
before (lag < 0) or what comes next (lag > 0).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence

_PAIRS = {")": "(", "]": "[", "}": "{"}


class Probe(NamedTuple):
    """A named property of a text.

    Attributes:
        name: e.g. `"depth"` or `"'4'"`, the property of being that character.
        values: [T] float64, one number a character.
        is_character: whether the property is being a certain character; its lags then read as
            "after" and "before" that character.
    """

    name: str
    values: NDArray[np.float64]
    is_character: bool = False


def make_probe(name: str, values: ArrayLike) -> Probe:
    """A probe of one's own.

    Args:
        name: how findings call it.
        values: [T], booleans or numbers, one a character.

    Returns:
        The probe.

    Raises:
        ValueError: not one finite number a character.

    >>> make_probe("is upper case", [c.isupper() for c in "aB"]).values
    array([0., 1.])
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(
            sentence("make_probe", "values", "one finite number a character, [T]", array)
        )
    return Probe(name, array)


def standard_probes(text: str, rarest: int = 20) -> tuple[Probe, ...]:
    """The properties that people look for first.

    Args:
        text: T characters.
        rarest: characters that occur less often than this get no probe of their own.

    Returns:
        `characters`, then depth, inside brackets, inside quotes, inside a comment, distance since
        a newline, position in the line; those that never vary in this text are left out.

    >>> [probe.name for probe in standard_probes("(0) (1)", rarest=2)]
    ["'('", "')'", 'depth', 'inside brackets']
    """
    depth = bracket_depth(text)
    since = distance_since_newline(text)
    others = (
        make_probe("depth", depth),
        make_probe("inside brackets", depth > 0),
        make_probe("inside quotes", inside_quotes(text)),
        make_probe("inside a comment", inside_comment(text)),
        make_probe("distance since a newline", since),
        make_probe("position in the line", position_in_line(text)),
    )
    has_lines = "\n" in text[:-1]
    lined = {"distance since a newline", "position in the line"}
    kept = (
        probe for probe in others if np.ptp(probe.values) and (has_lines or probe.name not in lined)
    )
    return (*characters(text, rarest), *kept)


def characters(text: Sequence[str], rarest: int = 20) -> tuple[Probe, ...]:
    """One probe for each character that occurs at least `rarest` times, and not always.

    Args:
        text: T characters, or other tokens.
        rarest: see there.

    >>> characters("abba", rarest=2)[0]
    Probe(name="'a'", values=array([1., 0., 0., 1.]), is_character=True)
    """
    letters = np.array(list(text), dtype=np.str_)
    counts = Counter(text)
    return tuple(
        Probe(repr(letter), (letters == letter).astype(np.float64), is_character=True)
        for letter in sorted(counts)
        if rarest <= counts[letter] < len(text)
    )


def bracket_depth(text: str) -> NDArray[np.int64]:
    """How many of `([{` are open after each character; a stray closing bracket is skipped.

    >>> bracket_depth("a(b[c])")
    array([0, 1, 1, 2, 2, 1, 0])
    """
    stack: list[str] = []
    depths = []
    for letter in text:
        if letter in "([{":
            stack.append(letter)
        elif letter in _PAIRS and stack and stack[-1] == _PAIRS[letter]:
            stack.pop()
        depths.append(len(stack))
    return np.array(depths, np.int64)


def inside_quotes(text: str) -> NDArray[np.bool_]:
    """Whether the next character stands inside double quotes, straight or curly.

    >>> inside_quotes('a "b" c').astype(int)
    array([0, 0, 1, 1, 0, 0, 0])
    """
    inside, states = False, []
    for letter in text:
        if letter == '"':
            inside = not inside
        elif letter == "“":
            inside = True
        elif letter == "”":
            inside = False
        states.append(inside)
    return np.array(states, np.bool_)


def inside_comment(text: str) -> NDArray[np.bool_]:
    """Whether the next character stands in a comment: `# …` or `// …` to the line's end, `/* … */`.

    >>> inside_comment("a # b\\nc").astype(int)
    array([0, 0, 1, 1, 1, 0, 0])
    """
    ends_at, states = "", []
    for position, letter in enumerate(text):
        pair = text[max(position - 1, 0) : position + 1]
        if ends_at == "\n":
            ends_at = "" if letter == "\n" else ends_at
        elif ends_at == "*/":
            ends_at = "" if pair == "*/" else ends_at
        elif letter == "#" or pair == "//":
            ends_at = "\n"
        elif pair == "/*":
            ends_at = "*/"
        states.append(bool(ends_at))
    return np.array(states, np.bool_)


def distance_since_newline(text: str) -> NDArray[np.int64]:
    """Characters read since the last newline; the newline itself has 0.

    >>> distance_since_newline("ab\\ncd")
    array([1, 2, 0, 1, 2])
    """
    positions = np.arange(1, len(text) + 1)
    newlines = np.where(np.array([letter == "\n" for letter in text], bool), positions, 0)
    return positions - np.maximum.accumulate(newlines) if text else positions


def position_in_line(text: str) -> NDArray[np.float64]:
    """How far along its line a character stands, 0 after a newline to 1 at the line's last one.

    It looks ahead to the line's end, so a network can know it only as well as it foresees that.

    >>> position_in_line("abcd\\nef")
    array([0.25, 0.5 , 0.75, 1.  , 0.  , 0.5 , 1.  ])
    """
    values: list[float] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            values.append(0.0)
        values.extend((np.arange(len(line)) + 1) / max(len(line), 1))
    return np.array(values, np.float64)
