"""Curves of several trainings on one plot: one colour a variant, one line a seed."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool, Span
from jaxrnn.microscope.pages.plots import SERIES, legend_below, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, figure, opening, try_this, upper_first
from jaxrnn.microscope.pages.tables import Marked, passages, table

MOST_POINTS = 1_000


def curves_page(
    curves: Mapping[str, Sequence[ArrayLike]],
    story: Story,
    *,
    x_label: str = "update",
    y_label: str = "loss in nats",
    x: ArrayLike | None = None,
    levels: Mapping[str, float] | None = None,
    smooth: int = 1,
    legend: str = "top_right",
    caption: str = "",
    rows: Sequence[tuple[str, str]] = (),
    rows_heading: str = "",
    texts: Mapping[str, str | Marked] | None = None,
) -> str:
    """A page of curves that are compared.

    Args:
        curves: by variant, one array [N] a seed.
        story: the words of the page.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        x: [N], where the values stand; None: 1 … N of each curve.
        levels: values to mark with a dashed line, by what they mean.
        smooth: values that a point is the mean of, itself and those before it.
        legend: where it stands, in Bokeh's words; "below" is below the plot.
        caption: what the plot shows, below it.
        rows: of one more table: what it is, and what there is to say of it.
        rows_heading: what stands over the table.
        texts: to read below, e.g. samples, by what they are.

    Returns:
        HTML.

    Raises:
        ValueError: no curves, or a curve without values.

    Example:
        >>> curves_page({"one-hot": [[3.0, 2.0]], "embedding": [[3.0, 1.9]]}, Story("Two"))[:15]
        '<!doctype html>'
    """
    arrays = {
        name: [_running_mean(np.asarray(values, np.float64), smooth) for values in seeds]
        for name, seeds in curves.items()
    }
    if not arrays or any(not seeds or any(not v.size for v in seeds) for seeds in arrays.values()):
        rule = "one variant or more, each with a curve"
        raise ValueError(sentence("curves_page", "curves", rule, str([*curves])))
    drawn = plot(
        height=400,
        x_axis_label=upper_first(x_label),
        y_axis_label=upper_first(y_label),
        name="curves",
    )
    for colour, (name, seeds) in zip(itertools.cycle(SERIES), arrays.items(), strict=False):
        lines = [
            _line(drawn, values, x, colour, name, alpha=1 if len(seeds) == 1 else 0.55)
            for values in seeds
        ]
        tooltips = [("", name), (x_label, "@x{0,0}"), (y_label, "@y{0.0000}")]
        drawn.add_tools(HoverTool(renderers=lines, tooltips=tooltips))
    for label, level in (levels or {}).items():
        dashed = {"line_color": "#888888", "line_dash": "dashed"}
        drawn.add_layout(Span(location=level, dimension="width", **dashed))
        # A line without points has no mark in the legend.
        drawn.line([np.nan], [np.nan], legend_label=label, **dashed)
    drawn.legend.click_policy = "hide"
    if legend == "below":
        legend_below(drawn)
    else:
        drawn.legend.location = legend
    body = (
        f'{opening(story)}<main class="story">'
        + figure('<div class="plot"><!--curves--></div>', caption)
        + try_this(story.tries)
        + closing(story)
        + table(rows, rows_heading)
        + passages(texts or {})
        + "</main>"
    )
    return plot_page(story.title, body, {"curves": drawn}, assets=("still.js",))


def _running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The mean of each value and the up to `width` − 1 values before it."""
    sums = np.cumsum(np.append(0.0, values))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _line(
    drawn: Any, values: Any, x: ArrayLike | None, colour: str, name: str, *, alpha: float
) -> Any:
    places = np.arange(1, len(values) + 1) if x is None else np.asarray(x, np.float64)
    every = -(-len(values) // MOST_POINTS)
    kept = np.unique(np.append(np.arange(0, len(values), every), len(values) - 1))
    source = ColumnDataSource({"x": places[kept], "y": values[kept]})
    return drawn.line(
        "x", "y", source=source, color=colour, alpha=alpha, line_width=1.5, legend_label=name
    )
