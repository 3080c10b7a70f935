"""Pages with Bokeh plots: the shell, and the pieces that several pages draw with.

Bokeh draws and zooms; the controls are the browser's own, so they follow the keyboard, the
screen reader and the colour scheme like any other. Text of a corpus never passes through Bokeh's
templates: it goes in as escaped JSON, and the page's script hands it to the plots.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.microscope.pages.bokeh_parts import (
    ColorBar,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Resources,
    TapTool,
    components,
    figure,
)
from jaxrnn.microscope.pages.html import page

MOST_BYTES = 5_500_000
"""Of image data in a page, in base64; with Bokeh's 1.3 MB and the text it stays below 8 MB."""

MOST_NUMBERS = MOST_BYTES * 3 // 4
"""That fit into so many bytes, with 8 bits each."""

SERIES = ("#3b7dd8", "#e4572e", "#2a9d6f", "#8e5bd0", "#c08a00", "#d1488f")
"""Colours of curves; legible on white and on black."""


class Quantised(NamedTuple):
    """Numbers as small integers: value = steps × scale.

    Attributes:
        steps: int8 or int16, from −127 to 127 or −32767 to 32767.
        scale: the value of one step; the error is at most half of it.
    """

    steps: NDArray[Any]
    scale: float


def quantise(values: ArrayLike, bits: int) -> Quantised:
    """Rounds numbers to the steps of a scale that is symmetric around 0 and just wide enough.

    >>> quantise([-0.5, 0.25, 0.0], bits=8)
    Quantised(steps=array([-127,   64,    0], dtype=int8), scale=0.003937007874015748)
    """
    array = np.asarray(values, np.float64)
    most = 2 ** (bits - 1) - 1
    scale = float(np.abs(array).max(initial=0.0)) / most or 1.0 / most
    steps = np.rint(array / scale).astype({8: np.int8, 16: np.int16}[bits])
    return Quantised(steps, scale)


def bits_that_fit(numbers: int) -> int:
    """16 where that many numbers fit into a page, else 8; more than `MOST_NUMBERS` do not."""
    return 16 if 2 * numbers <= MOST_NUMBERS else 8


def plot_page(
    title: str,
    body: str,
    plots: Mapping[str, Any],
    *,
    assets: Sequence[str],
) -> str:
    """A page with Bokeh plots in it, Bokeh included.

    Args:
        title: plain text.
        body: HTML with a place `<!--name-->` for each plot.
        plots: Bokeh models by the name of their place; `name=` of a model finds it in scripts.
        assets: names of files in `assets/`, besides those that every such page has.

    Returns:
        HTML.
    """
    script, divs = components(dict(plots))
    for name, div in divs.items():
        body = body.replace(f"<!--{name}-->", div)
    bokeh = Resources(mode="inline", components=["bokeh"]).render_js()
    all_assets = ("plots.css", "page.js", "plots.js", *assets)
    return page(title, body + script, head=bokeh, assets=all_assets)


def plot(**options: Any) -> Any:
    """A Bokeh figure with the settings that all of them share."""
    defaults: dict[str, Any] = {
        "sizing_mode": "stretch_width",
        "tools": "xpan,xwheel_zoom,box_zoom,reset,save",
        "active_scroll": None,
        "toolbar_location": "above",
        "output_backend": "canvas",
        "min_border_right": 12,
        # The page's ground shows through; a first paint in white would leave its edges behind.
        "border_fill_color": None,
        "background_fill_color": None,
    }
    drawn = figure(**(defaults | options))
    drawn.toolbar.logo = None
    drawn.xgrid.grid_line_alpha = drawn.ygrid.grid_line_alpha = 0.4
    return drawn


def legend_below(drawn: Any) -> None:
    """Puts the legend under a figure, where it covers nothing, and makes room for it."""
    (legend,) = drawn.legend
    legend.location = "top_left"
    drawn.add_layout(legend, "below")
    drawn.height += 24 * len(legend.items)


def calls(function: str) -> Any:
    """A Bokeh callback that calls a function of the page's script: `(cb_obj, cb_data)`."""
    return CustomJS(code=f"window.{function}?.(cb_obj, cb_data)")


def heat_map(
    drawn: Any,
    source: Any,
    image: str,
    *,
    rows: int,
    columns: int,
    bar: tuple[float, float],
    name: str,
    signed: bool = True,
) -> None:
    """An image of integers, with a bar that says what their colours stand for.

    The page's script sets the palettes, since they depend on the colour scheme, and hears of the
    pointer through `hovered` and `tapped`.

    Args:
        drawn: the figure.
        source: with a column `image` that holds one integer array [rows, columns].
        image: the column.
        rows: of the image, from the top down.
        columns: of the image.
        bar: values at the ends of the bar.
        name: of the renderer, for scripts.
        signed: colours around 0; False: from 0 up.
    """
    top = int(np.iinfo(source.data[image][0].dtype).max)
    tags = ["diverging" if signed else "sequential"]
    colours = LinearColorMapper(["#000000"], low=-top if signed else 0, high=top, tags=tags)
    shown = LinearColorMapper(["#000000"], low=bar[0], high=bar[1], tags=tags, name=f"{name} bar")
    drawn.image(
        image, x=0, y=0, dw=columns, dh=rows, source=source, color_mapper=colours, name=name
    )
    drawn.x_range = Range1d(0, columns, bounds=(0, columns))
    drawn.y_range = Range1d(rows, 0, bounds=(0, rows))
    drawn.add_layout(ColorBar(color_mapper=shown, width=10, padding=4), "right")
    drawn.add_tools(
        HoverTool(tooltips=None, callback=calls("hovered")),
        TapTool(callback=None),
    )
    drawn.js_on_event("tap", calls("tapped"))
