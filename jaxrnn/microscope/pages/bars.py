"""Bars: a number for each of a few groups, chart under chart."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool
from jaxrnn.microscope.pages.plots import SERIES, plot, plot_page
from jaxrnn.microscope.pages.tables import passages, table

MOST_BARS = 60


class Bar(NamedTuple):
    """One group.

    Attributes:
        label: its name.
        value: the length of its bar.
        note: what else there is to say of it, shown when it is hovered.
    """

    label: str
    value: float
    note: str = ""


class Chart(NamedTuple):
    """Bars of one kind.

    Attributes:
        bars: from the top down, labels all different.
        axis: what the lengths are, with the unit.
        explanation: a sentence under the heading.
    """

    bars: Sequence[Bar]
    axis: str
    explanation: str = ""


def bars_page(
    charts: Mapping[str, Chart],
    *,
    title: str,
    description: str = "",
    rows: Sequence[tuple[str, str]] = (),
    rows_heading: str = "",
    texts: Mapping[str, str] | None = None,
) -> str:
    """A page of bar charts.

    Args:
        charts: by heading.
        title: of the page.
        description: a paragraph under the title.
        rows: of a table below: what was measured, and the value.
        rows_heading: what stands over the table.
        texts: to read below, by what they are.

    Returns:
        HTML.

    Raises:
        ValueError: no charts, a chart without bars or with over `MOST_BARS`, labels that repeat.

    Example:
        >>> chart = Chart([Bar("letter", 1.5), Bar("space", 0.5)], axis="bits a character")
        >>> bars_page({"By kind": chart}, title="Losses")[:15]
        '<!doctype html>'
    """
    if not charts:
        raise ValueError(sentence("bars_page", "charts", "at least one", "none"))
    plots, parts = {}, []
    for number, (heading, chart) in enumerate(charts.items()):
        labels = [bar.label for bar in chart.bars]
        if not 1 <= len(set(labels)) == len(labels) <= MOST_BARS:
            rule = f"1 to {MOST_BARS} bars with different labels"
            raise ValueError(sentence("bars_page", f"charts[{heading!r}]", rule, str(labels)))
        name = f"bars {number}"
        plots[name] = _chart(chart, name)
        parts.append(
            f"<h2>{html.escape(heading)}</h2>"
            f'<p class="quiet">{html.escape(chart.explanation)}</p>'
            f'<div class="plot"><!--{name}--></div>'
        )
    body = (
        f"<header>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(description)}</p>\n</header>\n"
        f"<main>\n{''.join(parts)}\n{table(rows, rows_heading)}\n{passages(texts or {})}\n</main>"
    )
    return plot_page(title, body, plots, assets=("still.js",))


def _chart(chart: Chart, name: str) -> object:
    labels = [bar.label for bar in chart.bars]
    drawn = plot(
        height=70 + 24 * len(labels),
        y_range=labels[::-1],
        x_axis_label=chart.axis,
        toolbar_location=None,
        tools="",
    )
    source = ColumnDataSource(
        {
            "label": labels,
            "value": [bar.value for bar in chart.bars],
            "note": [bar.note for bar in chart.bars],
        }
    )
    colour = SERIES[0]
    bars = drawn.hbar(y="label", right="value", height=0.72, source=source, color=colour, name=name)
    tooltips = [("", "@label"), (chart.axis, "@value{0.0000}"), ("", "@note")]
    drawn.add_tools(HoverTool(renderers=[bars], tooltips=tooltips))
    drawn.ygrid.visible = False
    return drawn
