"""Gates: how much of the time each unit's gate is nearly closed and nearly open."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.gate_statistics import GateStatistics
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool
from jaxrnn.microscope.pages.plots import SERIES, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, figure, opening, try_this
from jaxrnn.microscope.pages.tables import table

NAMED = 8
"""Dots of a layer, in one plot, that have their number beside them."""


def gates_page(
    layers: Mapping[str, Sequence[GateStatistics]],
    story: Story,
    *,
    rows: Sequence[tuple[str, str]] = (),
) -> str:
    """A page of saturation plots, as in Karpathy, Johnson and Li (2015), figure 2.

    Args:
        layers: what `saturated_gates` returned, by the name of the layer.
        story: the words of the page.
        rows: of one more table, e.g. the dead and the saturated units.

    Returns:
        HTML.

    Raises:
        ValueError: no layers, or a layer without sigmoid gates.

    Example:
        >>> import numpy as np
        >>> gate = GateStatistics("f", np.array([0.1, 0.0]), np.array([0.2, 0.9]))
        >>> gates_page({"layer 1": [gate]}, Story("Gates"))[:15]
        '<!doctype html>'
    """
    if not layers or any(not gates for gates in layers.values()):
        hint = "an Elman cell has none"
        raise ValueError(sentence("gates_page", "layers", "layers with gates", "none", hint))
    names = list(dict.fromkeys(each.gate for gates in layers.values() for each in gates))
    plots = {name: _scatter(name, layers) for name in names}
    panels = "".join(f'<div class="plot"><!--{name}--></div>' for name in names)
    caption = (
        "Each dot is a unit, the outermost with their numbers. To the right: its gate is open "
        "(above 0.9) most of the time. To the top: closed (below 0.1) most of the time. On the "
        "dashed line it is always one or the other, near the corner at 0 neither. A click on a "
        "layer’s name hides it."
    )
    body = (
        f'{opening(story)}<main class="story">'
        + figure(f'<div class="small-plots">{panels}</div>', caption)
        + try_this(story.tries)
        + closing(story)
        + table(rows, "Units whose output stands still")
        + "</main>"
    )
    return plot_page(story.title, body, plots, assets=("still.js",))


def _scatter(gate: str, layers: Mapping[str, Sequence[GateStatistics]]) -> Any:
    drawn = plot(
        height=340,
        title=f"Gate {gate}",
        x_axis_label="Share of the time above 0.9 (open)",
        y_axis_label="Share of the time below 0.1 (closed)",
        x_range=(-0.03, 1.03),
        y_range=(-0.03, 1.03),
        toolbar_location=None,
        name=f"gate {gate}",
    )
    drawn.line([0, 1], [1, 0], line_color="#888888", line_dash="dashed")
    for colour, (layer, gates) in zip(itertools.cycle(SERIES), layers.items(), strict=False):
        for each in gates:
            if each.gate != gate:
                continue
            source = ColumnDataSource(
                {
                    "unit": np.arange(len(each.left_saturated)),
                    "open": each.right_saturated,
                    "closed": each.left_saturated,
                }
            )
            dots = drawn.scatter(
                "open", "closed", source=source, size=7, alpha=0.6, color=colour,
                legend_label=layer, name=f"{gate} {layer}",
            )  # fmt: skip
            _name_the_outermost(drawn, each)
            tooltips = [
                ("", layer),
                ("unit", "@unit"),
                ("above 0.9", "@open{0.000}"),
                ("below 0.1", "@closed{0.000}"),
            ]
            drawn.add_tools(HoverTool(renderers=[dots], tooltips=tooltips))
    drawn.legend.click_policy = "hide"
    return drawn


def _name_the_outermost(drawn: Any, gate: GateStatistics) -> None:
    """Numbers beside the dots that are farthest from all others: a cloud's inside stays bare."""
    dots = np.stack([gate.right_saturated, gate.left_saturated], axis=1)
    apart = np.linalg.norm(dots[:, None] - dots[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    lonely = apart.min(axis=1, initial=np.inf)
    chosen = [int(unit) for unit in np.argsort(-lonely)[:NAMED] if lonely[unit] > 0.04]
    drawn.text(
        x="x",
        y="y",
        text="unit",
        source=ColumnDataSource(
            {"x": dots[chosen, 0], "y": dots[chosen, 1], "unit": [str(unit) for unit in chosen]}
        ),
        x_offset=6,
        y_offset=5,
        text_font_size="11px",
        text_color="#808890",
    )
