"""A text whose characters are coloured by a number each, as Karpathy, Johnson and Li (2015) do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.errors import sentence
from jaxrnn.microscope.figures.canvas import DIVERGING, FONT, drawable


def draw_coloured_text(
    axes: Any,
    text: Sequence[str],
    values: ArrayLike,
    *,
    columns: int = 80,
    most: float | None = None,
    target: int | None = None,
) -> None:
    """Characters in lines, each on a ground of its value's colour.

    Args:
        axes: a Matplotlib axes; its ticks are taken away.
        text: N characters, or other tokens; lines end at newlines and after `columns` characters.
        values: up to N numbers, for the first characters; e.g. a unit's activations [N], or one
            row of a connectivity matrix.
        columns: of a line.
        most: the value of the full colour; None: the largest.
        target: place of a character to frame in green, e.g. the one that was predicted.

    Raises:
        ValueError: more values than characters.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or len(numbers) > len(text):
        rule = f"at most {len(text)} numbers, one a token"
        raise ValueError(sentence("draw_coloured_text", "values", rule, numbers))
    full = most or float(np.abs(numbers).max(initial=0.0)) or 1.0
    line, column = 0, 0
    for place, character in enumerate(text):
        colour = (
            DIVERGING(0.5 + 0.5 * float(np.clip(numbers[place] / full, -1, 1)))[:3]
            if (place < len(numbers))
            else (1.0, 1.0, 1.0)
        )
        frame = "#15803d" if place == target else "none"
        shown = drawable(character)
        if column + len(shown) > columns and column:
            line, column = line + 1, 0
        axes.add_patch(_box(column, line, len(shown), colour, frame))
        axes.text(
            column + 0.5 * len(shown),
            line + 0.5,
            shown,
            ha="center",
            va="center",
            family=FONT,
            fontsize=8,
            parse_math=False,
        )
        column += len(shown)
        if character == "\n" or column >= columns:
            line, column = line + 1, 0
    axes.set_xlim(0, columns)
    axes.set_ylim(line + 1, 0)
    axes.set_axis_off()


def _box(column: int, line: int, width: int, colour: Any, frame: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column, line + 0.05), width, 0.9, facecolor=colour, edgecolor=frame)
