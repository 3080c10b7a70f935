"""Bars: a number for each of a few groups, chart under chart."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool
from jaxrnn.microscope.pages.plots import SERIES, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, figure, opening, try_this, upper_first
from jaxrnn.microscope.pages.tables import Marked, passages, table

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
    story: Story,
    *,
    rows: Sequence[tuple[str, str]] = (),
    rows_heading: str = "",
    texts: Mapping[str, str | Marked] | None = None,
) -> str:
    """A page of bar charts.

    Args:
        charts: by heading.
        story: the words of the page.
        rows: of one more table: what it is, and what there is to say of it.
        rows_heading: what stands over the table.
        texts: to read below, by what they are.

    Returns:
        HTML.

    Raises:
        ValueError: no charts, a chart without bars or with over `MOST_BARS`, labels that repeat.

    Example:
        >>> chart = Chart([Bar("letter", 1.5), Bar("space", 0.5)], axis="bits a character")
        >>> bars_page({"By kind": chart}, Story("Losses"))[:15]
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
            + figure(f'<div class="plot"><!--{name}--></div>', chart.explanation)
        )
    body = (
        f'{opening(story)}<main class="story">{"".join(parts)}{try_this(story.tries)}'
        f"{closing(story)}{table(rows, rows_heading)}{passages(texts or {})}</main>"
    )
    return plot_page(story.title, body, plots, assets=("still.js",))


def _chart(chart: Chart, name: str) -> object:
    labels = [bar.label for bar in chart.bars]
    drawn = plot(
        height=70 + 24 * len(labels),
        y_range=labels[::-1],
        x_axis_label=upper_first(chart.axis),
        toolbar_location=None,
        tools="",
    )
    source = ColumnDataSource(
        {
            "label": labels,
            "value": [bar.value for bar in chart.bars],
            "note": [bar.note for bar in chart.bars],
            # Below 0 is the opposite of what the axis says, so it has another colour.
            "colour": [SERIES[bar.value < 0] for bar in chart.bars],
        }
    )
    bars = drawn.hbar(
        y="label", right="value", height=0.72, source=source, color="colour", name=name
    )
    tooltips = [("", "@label"), (chart.axis, "@value{0.0000}"), ("", "@note")]
    drawn.add_tools(HoverTool(renderers=[bars], tooltips=tooltips))
    drawn.ygrid.visible = False
    return drawn
