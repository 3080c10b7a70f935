"""The states of a long text, in four bits each, so that a page can count matches all over it."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.microscope.pages.html import readable

LEVELS = 8
"""Thresholds that a page can count exactly: multiples of an eighth of the largest value."""

MOST_NUMBERS = 1_800_000
"""Of states: 1.2 MB in base64."""

MOST_CHARACTERS = 60_000


class WholeText(NamedTuple):
    """h on a longer text than a page shows one by one.

    Attributes:
        text: N characters, or other tokens.
        states: [N, H].
        first: the place of the first character in all of the text.
        total: characters of all of the text.
    """

    text: Sequence[str]
    states: ArrayLike
    first: int
    total: int


def characters_that_fit(units: int) -> int:
    """How long a text may be.

    >>> characters_that_fit(256), characters_that_fit(15)
    (7031, 60000)
    """
    return min(MOST_CHARACTERS, MOST_NUMBERS // max(1, units))


def packed_whole(whole: WholeText, most: float) -> dict[str, Any]:
    """As JSON: per unit and character how many eighths of `most`, with its sign, in half a byte."""
    levels = to_levels(np.asarray(whole.states, np.float64), most)
    flat = (levels.T + (LEVELS - 1)).astype(np.uint8).ravel()
    flat = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    halves = flat[0::2] | (flat[1::2] << 4)
    return {
        "text": [readable(character) for character in whole.text],
        "levels": base64.b64encode(halves.tobytes()).decode("ascii"),
        "first": whole.first,
        "total": whole.total,
    }


def to_levels(values: NDArray[np.float64], most: float) -> NDArray[np.int64]:
    """Whole eighths of `most` that a value reaches, from −7 to 7.

    >>> to_levels(np.array([0.51, -0.49, 1.0]), 1.0)
    array([ 4, -3,  7])
    """
    eighths = np.floor(LEVELS * np.abs(values) / (most or 1.0)).astype(np.int64)
    signed: NDArray[np.int64] = np.sign(values).astype(np.int64) * np.minimum(eighths, LEVELS - 1)
    return signed
