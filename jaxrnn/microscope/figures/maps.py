"""Maps: activations on a text, all pairs of steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.errors import sentence
from jaxrnn.microscope.figures.canvas import DIVERGING, FONT, SEQUENTIAL, drawable


def draw_activations(
    axes: Any,
    text: Sequence[str],
    values: ArrayLike,
    *,
    units: ArrayLike | None = None,
    label: str = "h",
) -> None:
    """Units over time, with the characters that were read below.

    Args:
        axes: a Matplotlib axes.
        text: T characters, or T other tokens.
        values: [T, H].
        units: the numbers of the H units; None: 0 … H − 1.
        label: what the values are.

    Raises:
        ValueError: values that do not fit the text.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or len(array) != len(text):
        raise ValueError(sentence("draw_activations", "values", f"[{len(text)}, H]", array))
    most = np.abs(array).max() or 1.0
    image = axes.imshow(
        array.T, aspect="auto", cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest"
    )
    axes.figure.colorbar(image, ax=axes, label=label, pad=0.01)
    numbers = np.arange(array.shape[1]) if units is None else np.asarray(units)
    every = max(1, len(numbers) // 16)
    axes.set_yticks(np.arange(0, len(numbers), every), [str(n) for n in numbers[::every]])
    axes.set_ylabel("unit")
    if len(text) <= 120:
        labels = axes.set_xticks(np.arange(len(text)), [drawable(c) for c in text])
        for tick in labels:
            tick.label1.set(family=FONT, fontsize=7, parse_math=False)
        longest = max(map(len, text), default=1)
        axes.tick_params(axis="x", length=0, rotation=90 if longest > 1 else 0)
    else:
        axes.set_xlabel("character")


def draw_pairs(
    axes: Any, matrix: ArrayLike, *, logarithmic: bool = False, powers: int = 12, label: str = ""
) -> None:
    """A number for every pair of steps, the later one down, the earlier one across.

    Args:
        axes: a Matplotlib axes.
        matrix: [S, T]; coloured around 0 if any number is below it.
        logarithmic: colours are powers of ten, `powers` of them from the largest down.
        powers: see there.
        label: what the numbers are.
    """
    array = np.asarray(matrix, np.float64)
    options: dict[str, Any]
    if logarithmic:
        sizes = np.abs(array)
        array = np.where(sizes > 0, np.log10(np.where(sizes > 0, sizes, 1.0)), np.nan)
        top = np.nanmax(array) if np.isfinite(array).any() else 0.0
        options = {"cmap": SEQUENTIAL, "vmin": top - powers, "vmax": top}
        label = f"log₁₀ {label}".strip()
    elif (array < 0).any():
        most = np.abs(array).max()
        options = {"cmap": DIVERGING, "vmin": -most, "vmax": most}
    else:
        options = {"cmap": SEQUENTIAL, "vmin": 0.0, "vmax": array.max() or 1.0}
    image = axes.imshow(array, interpolation="nearest", **options)
    axes.figure.colorbar(image, ax=axes, label=label)
    axes.set_xlabel("earlier step")
    axes.set_ylabel("later step")
