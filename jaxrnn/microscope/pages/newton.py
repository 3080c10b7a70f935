"""Newton's method over time: iterates settling step by step, and what decides whether they do."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.parallel import Settling, Trial
from jaxrnn.microscope.pages.bokeh_parts import (
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Span,
)
from jaxrnn.microscope.pages.plots import SERIES, legend_below, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, opening, try_this

POWERS = 16
"""Powers of ten that colours and curves cover, down to the rounding of float64."""


def newton_page(
    settlings: Sequence[Settling],
    trials: Sequence[Trial],
    story: Story,
    *,
    limit: int,
) -> str:
    """A page of Newton's iterates, of their errors, and of iterations against the exponent.

    Args:
        settlings: the nets whose iterates are drawn.
        trials: all nets that were tried.
        story: the words of the page.
        limit: iterations after which a sequence is run step by step.

    Returns:
        HTML.

    Raises:
        ValueError: no nets.
    """
    for name, given in (("settlings", settlings), ("trials", trials)):
        if not given:
            raise ValueError(sentence("newton_page", name, "at least one", "none"))
    plots = {f"map {number}": _map(settling) for number, settling in enumerate(settlings)}
    plots |= {"errors": _errors(settlings, limit), "exponents": _exponents(trials, limit)}
    body = _BODY.format(
        opening=opening(story),
        tries=try_this(story.tries),
        maps="".join(_map_section(number, each) for number, each in enumerate(settlings)),
        limit=limit,
        steps=settlings[0].errors.shape[1],
        closing=closing(story),
    )
    return plot_page(story.title, body, plots, assets=("still.js",))


def _map_section(number: int, settling: Settling) -> str:
    trial = settling.trial
    exponent = f"{trial.exponent:+.2f}".replace("-", "−")
    ended = (
        f"settled after {trial.iterations} iterations"
        if trial.settled
        else f"not settled after {trial.iterations} iterations, and run step by step"
    )
    name = html.escape(trial.name[0].upper() + trial.name[1:])
    return (
        f"<p><b>{name}</b>, exponent {exponent}: {ended}.</p>"
        f'<div class="plot"><!--map {number}--></div>'
    )


def _powers(errors: Any) -> Any:
    """log₁₀ of the errors, no less than what rounding leaves."""
    return np.log10(np.maximum(np.asarray(errors, np.float64), 10.0**-POWERS))


def _map(settling: Settling) -> Any:
    rows, steps = settling.errors.shape
    drawn = plot(
        height=130 + 6 * rows,
        x_axis_label="Step",
        y_axis_label="Iteration",
        x_range=Range1d(-0.5, steps - 0.5, bounds=(-0.5, steps - 0.5)),
        y_range=Range1d(rows - 0.5, -0.5, bounds=(-0.5, rows - 0.5)),
    )
    powers = _powers(settling.errors).astype(np.float32)
    # Rows of an image count upwards from its lower edge, which the range turns round.
    source = ColumnDataSource({"power": [powers]})
    colours = LinearColorMapper(["#000000"], low=-POWERS, high=0, tags=["sequential"])
    image = drawn.image(
        "power", x=-0.5, y=-0.5, dw=steps, dh=rows, source=source, color_mapper=colours
    )
    drawn.add_layout(
        ColorBar(color_mapper=colours, width=10, padding=4, title="log₁₀ error"), "right"
    )
    tooltips = [("step", "$x{0}"), ("iteration", "$y{0}"), ("error", "10^@power{0.0}")]
    drawn.add_tools(HoverTool(renderers=[image], tooltips=tooltips))
    drawn.grid.visible = False
    return drawn


def _errors(settlings: Sequence[Settling], limit: int) -> Any:
    drawn = plot(
        height=360,
        x_axis_label="Iteration",
        y_axis_label="Largest error of all steps",
        y_axis_type="log",
        x_range=(-0.5, limit + 0.5),
        y_range=(10.0**-POWERS, 10),
    )
    for colour, (errors, name) in zip(
        SERIES, ((each.errors, each.trial.name) for each in settlings), strict=False
    ):
        largest = 10 ** _powers(errors.max(axis=1))
        source = ColumnDataSource({"iteration": np.arange(len(largest)), "error": largest})
        line = drawn.line(
            "iteration", "error", source=source, color=colour, line_width=2, legend_label=name
        )
        drawn.scatter("iteration", "error", source=source, color=colour, size=5)
        tooltips = [("", name), ("iteration", "@iteration"), ("error", "@error{0.0e+0}")]
        drawn.add_tools(HoverTool(renderers=[line], tooltips=tooltips))
    legend_below(drawn)
    return drawn


def _exponents(trials: Sequence[Trial], limit: int) -> Any:
    drawn = plot(
        height=360,
        x_axis_label="Largest Lyapunov exponent, nats a step",
        y_axis_label="Iterations",
        y_range=(0, 1.2 * limit),
    )
    quiet = {"line_color": "#888888", "line_dash": "dashed"}
    drawn.add_layout(Span(location=0, dimension="height", **quiet))
    drawn.add_layout(Span(location=1.04 * limit, dimension="width", **quiet))
    for colour, net in zip(SERIES, dict.fromkeys(trial.net for trial in trials), strict=False):
        for settled, marker in ((True, "circle"), (False, "x")):
            chosen = [t for t in trials if t.net == net and t.settled is settled]
            columns = {
                "exponent": [trial.exponent for trial in chosen],
                "iterations": [trial.iterations for trial in chosen],
                "place": [t.iterations if settled else 1.12 * limit for t in chosen],
                "name": [trial.name for trial in chosen],
                "guess": [trial.at_guess for trial in chosen],
                "ended": ["settled" if settled else "run step by step"] * len(chosen),
            }
            points = drawn.scatter(
                "exponent", "place", source=ColumnDataSource(columns), marker=marker,
                color=colour, size=9, fill_alpha=0.6, line_width=2,
                **({"legend_label": net} if settled else {}),
            )  # fmt: skip
            tooltips = [
                ("", "@name"),
                ("exponent", "@exponent{0.000}"),
                ("along the first guess", "@guess{0.000}"),
                ("iterations", "@iterations"),
                ("", "@ended"),
            ]
            drawn.add_tools(HoverTool(renderers=[points], tooltips=tooltips))
    legend_below(drawn)
    return drawn


_BODY = """{opening}
<main class="story">
<h2>How the guess settles</h2>
<p class="quiet">The error of the state after each of {steps} steps (across) in each iteration
(downwards; on top the first guess, zeros). Full colour is an error of 1 or more, none is the
rounding of float64. Whatever the net, with each iteration one more step at the left is right;
where neighbouring states draw together, the others soon are too. The exponent says how fast they
do: the largest Lyapunov exponent, in nats a step.</p>
{maps}
{tries}
<h2>How fast</h2>
<p class="quiet">The largest error of any step, by iteration. Once a guess is near, each iteration
squares its error: the fall steepens down to what rounding leaves.</p>
<div class="plot"><!--errors--></div>
<h2>What decides it</h2>
<p class="quiet">Every point is a net with its w_hh times a factor. Left of the upright dashed line
neighbouring states draw together, right of it they drift apart. Circles settled; crosses, above
the level line, did not within {limit} iterations, when the steps one by one are fewer than the
rounds of the scans, and were run so.</p>
<div class="plot"><!--exponents--></div>
{closing}
</main>"""
