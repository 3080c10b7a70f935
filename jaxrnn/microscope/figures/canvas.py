"""What all still pictures share: colours, text that Matplotlib can draw, saving to a file."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jaxrnn.microscope.pages.html import visible, write_file

try:
    import matplotlib.font_manager
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError(
        "Still pictures are drawn by Matplotlib, which is missing; "
        'pip install "jaxrnn[show]" brings it.'
    ) from error

DIVERGING = LinearSegmentedColormap.from_list("jaxrnn", ["#ea4e14", "#ffffff", "#1d5edd"])
"""Negative orange-red, zero white, positive blue; as on the pages."""

SEQUENTIAL = LinearSegmentedColormap.from_list("jaxrnn sizes", ["#ffffff", "#1d5edd"])

FONT = "DejaVu Sans Mono"
"""Comes with Matplotlib, so it is there on every machine."""


@cache
def _known() -> frozenset[int]:
    path = matplotlib.font_manager.findfont(FONT)
    return frozenset(matplotlib.font_manager.get_font(path).get_charmap())


def drawable(token: str) -> str:
    """A character or a word as a still picture shows it; a box where the font has none.

    >>> [drawable(c) for c in ("a", " ", "\\n", "🙂", " cat")]
    ['a', ' ', '↵', '▯', ' cat']
    """
    return "".join(map(_drawable, token))


def _drawable(character: str) -> str:
    if character == " ":
        return " "
    shown = visible(character)
    return shown if len(shown) == 1 and ord(shown) in _known() else "▯"


def save(
    draw: Callable[[Any], None],
    path: str | Path,
    *,
    size: tuple[float, float] = (8.0, 4.0),
    dots_an_inch: int = 150,
) -> Path:
    """Draws one picture into a file.

    Args:
        draw: `(axes) -> None`.
        path: ends in .png, .svg or .pdf.
        size: width and height in inches.
        dots_an_inch: of a .png.

    Returns:
        The path.

    Example:
        >>> import tempfile
        >>> from jaxrnn.microscope.figures.curves import draw_curves
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(lambda axes: draw_curves(axes, {"a": [[1.0, 0.5]]}), f"{folder}/a.png")
        ...     path.stat().st_size > 1000
        True
    """
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dots_an_inch, format=Path(path).suffix.removeprefix("."))
    return write_file(path, picture.getvalue())
