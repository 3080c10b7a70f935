"""The LSTM's two states: gates at work on a line, what c and h still say, and the way back."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool, Span
from jaxrnn.microscope.pages.html import embedded_json, options, packed, visible
from jaxrnn.microscope.pages.plots import SERIES, legend_below, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, colour_key, figure, opening, try_this

FIELDS = ("i", "f", "o", "g", "c", "h")
MOST_UNITS = 64
POWERS = 8
"""Powers of ten that the gradients' axis covers."""


def two_states_page(
    lines: Sequence[str],
    fields: Mapping[str, ArrayLike],
    units: Sequence[int],
    readable: Mapping[str, ArrayLike],
    gradients: Mapping[str, ArrayLike],
    moments: Sequence[str],
    story: Story,
    *,
    chance: float,
    units_caption: str = "",
) -> str:
    """A page of an LSTM at work: gates, c and h of one unit, and how far each state reaches.

    Args:
        lines: texts of one length T that the LSTM read one after the other.
        fields: [lines · T, H] by name: the gates i, f, o, the candidate g, and c and h.
        units: those to choose from, the first one is shown first.
        readable: [N] by state, the share of what is asked that a probe reads k steps on.
        gradients: [moments, N] by state, mean norms by steps back.
        moments: names of the moments, the last one the trained model.
        story: the words of the page.
        chance: the share that a guess gets right.
        units_caption: what the units were chosen by.

    Returns:
        HTML.

    Raises:
        ValueError: lines of different lengths, or arrays that do not fit them.
    """
    steps, chosen = len(lines[0]) if lines else 0, list(units)[:MOST_UNITS]
    if not steps or any(len(line) != steps for line in lines):
        rule = "one line or more, of one length"
        raise ValueError(sentence("two_states_page", "lines", rule, str(lines)))
    arrays = {name: np.asarray(fields[name], np.float64) for name in FIELDS if name in fields}
    shapes = {name: array.shape for name, array in arrays.items()}
    rows = len(lines) * steps
    if len(arrays) < len(FIELDS) or any(shape[0] != rows for shape in shapes.values()):
        rule = f"{', '.join(FIELDS)}, each [{rows}, H]"
        raise ValueError(sentence("two_states_page", "fields", rule, str(shapes)))
    data = {
        "lines": [[visible(character) for character in line] for line in lines],
        "steps": steps,
        "units": chosen,
        "fields": {name: packed(array[:, chosen].T) for name, array in arrays.items()},
        # Each unit's memory has a colour scale of its own.
        "most": np.maximum(np.abs(arrays["c"][:, chosen]).max(axis=0), 1e-6).tolist(),
    }
    body = _BODY.format(
        opening=opening(story),
        units=options([f"{unit}" for unit in chosen]),
        lines=options([f"{line.strip()}" for line in lines]),
        keys=colour_key("Memory c and output h", "−", "+")
        + colour_key("Gates", "0, closed", "1, open", signed=False),
        units_caption=units_caption,
        tries=try_this(story.tries),
        readable=figure(
            '<div class="plot"><!--readable--></div>',
            "The share of lines whose letter in brackets a linear probe reads from the state, so "
            "many characters after the bracket. One probe for all distances: it finds what stays "
            "in its place. The dashed line is a guess.",
        ),
        gradients=figure(
            '<div class="plot"><!--gradients--></div>',
            "How strongly the loss of the answer depends on each state before it: mean norms of "
            f"the gradient, on a logarithmic scale. Solid: {moments[-1]}; dashed: {moments[0]}.",
        ),
        closing=closing(story),
        data=embedded_json("states", data),
    )
    plots = {
        "readable": _readable(readable, chance),
        "gradients": _gradients(gradients),
    }
    assets = ("two_states.css", "two_states.js")
    return plot_page(story.title, body, plots, assets=assets)


def _readable(curves: Mapping[str, ArrayLike], chance: float) -> Any:
    drawn = plot(
        height=320,
        x_axis_label="Characters after the bracket",
        y_axis_label="Share of letters read right",
        y_range=(0, 1.05),
    )
    for colour, (name, values) in zip(itertools.cycle(SERIES), curves.items(), strict=False):
        _line(drawn, np.asarray(values, np.float64), colour, name, "@y{0.00}")
    dashed = {"line_color": "#888888", "line_dash": "dashed"}
    drawn.add_layout(Span(location=chance, dimension="width", **dashed))
    legend_below(drawn)
    return drawn


def _gradients(curves: Mapping[str, ArrayLike]) -> Any:
    arrays = {name: np.asarray(values, np.float64) for name, values in curves.items()}
    top = 10 ** math.ceil(math.log10(max(float(each.max()) for each in arrays.values())))
    drawn = plot(
        height=360,
        x_axis_label="Steps back from the answer",
        y_axis_label="Mean norm of the gradient",
        y_axis_type="log",
        y_range=(top * 10.0**-POWERS, top),
    )
    for colour, (name, rows) in zip(itertools.cycle(SERIES), arrays.items(), strict=False):
        seen = np.where(rows > 0, rows, np.nan)
        _line(drawn, seen[0], colour, name, "@y{0.0e+0}", line_dash="dashed", alpha=0.6)
        _line(drawn, seen[-1], colour, name, "@y{0.0e+0}")
    legend_below(drawn)
    return drawn


def _line(drawn: Any, values: ArrayLike, colour: str, name: str, shown: str, **style: Any) -> None:
    array = np.asarray(values)
    source = ColumnDataSource({"x": np.arange(len(array)), "y": array})
    style = {"line_width": 2, **style}
    line = drawn.line("x", "y", source=source, color=colour, legend_label=name, **style)
    drawn.add_tools(HoverTool(renderers=[line], tooltips=[("", name), ("at", "@x"), ("", shown)]))


_BODY = """{opening}
<main class="story">
<h2>Gates at work</h2>
<div class="row">
<label>Line <select id="line">{lines}</select></label>
<label>Unit <select id="unit">{units}</select></label>
<button id="play" type="button">▶ Read</button>
</div>
{keys}
<figure>
<div class="strips" id="strips" tabindex="0" role="group"
 aria-label="Gates and states by character; arrow keys move"></div>
<div id="readout" class="readout worked" role="status"></div>
<figcaption>One unit of the LSTM, a column a character. The input gate i says how much of the new
value g is written into the memory c, the forget gate f how much of c stays, the output gate o how
much of c is shown as h. The line below works the numbers out for the column under the pointer.
{units_caption}</figcaption></figure>
{tries}
<h2>What the states still say</h2>
{readable}
<h2>The way back</h2>
{gradients}
{closing}
</main>
{data}"""
