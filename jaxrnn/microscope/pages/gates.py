"""Gates: how much of the time each unit's gate is nearly closed and nearly open."""

import html
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.gate_statistics import GateStatistics
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool
from jaxrnn.microscope.pages.plots import SERIES, plot, plot_page
from jaxrnn.microscope.pages.tables import table


def gates_page(
    layers: Mapping[str, Sequence[GateStatistics]],
    *,
    title: str,
    description: str = "",
    rows: Sequence[tuple[str, str]] = (),
) -> str:
    """A page of saturation plots, as in Karpathy, Johnson and Li (2015), figure 2.

    Args:
        layers: what `saturated_gates` returned, by the name of the layer.
        title: of the page.
        description: a sentence under the title.
        rows: of a table below, e.g. the dead and the saturated units.

    Returns:
        HTML.

    Raises:
        ValueError: no layers, or a layer without sigmoid gates.

    Example:
        >>> import numpy as np
        >>> gate = GateStatistics("f", np.array([0.1, 0.0]), np.array([0.2, 0.9]))
        >>> gates_page({"layer 1": [gate]}, title="Gates")[:15]
        '<!doctype html>'
    """
    if not layers or any(not gates for gates in layers.values()):
        hint = "an Elman cell has none"
        raise ValueError(sentence("gates_page", "layers", "layers with gates", "none", hint))
    names = list(dict.fromkeys(each.gate for gates in layers.values() for each in gates))
    plots = {name: _scatter(name, layers) for name in names}
    body = (
        f"<header>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(description)}</p>\n</header>\n"
        '<main>\n<p class="quiet">Each dot is a unit. To the right: its gate is open (above 0.9) '
        "most of the time. To the top: closed (below 0.1) most of the time. On the dashed line it "
        "is always one or the other, near the corner at 0 neither. A click on a layer’s name hides "
        f'it.</p>\n<div class="small-plots">'
        + "".join(f'<div class="plot"><!--{name}--></div>' for name in names)
        + f"</div>\n{table(rows)}\n</main>"
    )
    return plot_page(title, body, plots, assets=("still.js",))


def _scatter(gate: str, layers: Mapping[str, Sequence[GateStatistics]]) -> Any:
    drawn = plot(
        height=340,
        title=f"gate {gate}",
        x_axis_label="share of the time above 0.9",
        y_axis_label="share of the time below 0.1",
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
            tooltips = [
                ("", layer),
                ("unit", "@unit"),
                ("above 0.9", "@open{0.000}"),
                ("below 0.1", "@closed{0.000}"),
            ]
            drawn.add_tools(HoverTool(renderers=[dots], tooltips=tooltips))
    drawn.legend.click_policy = "hide"
    return drawn
