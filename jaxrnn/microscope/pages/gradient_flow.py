"""Gradient flow: what is left of the gradient, step by step back, before and after training."""

import html
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.gradient_flow import FlowOverTraining
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool
from jaxrnn.microscope.pages.html import embedded_json, options, packed
from jaxrnn.microscope.pages.plots import SERIES, heat_map, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, opening, try_this

MOST_STEPS = 200
POWERS = 12
"""Powers of ten that curves and colours cover; what is smaller is lost in float32 beside the
largest."""


def gradient_flow_page(models: Mapping[str, FlowOverTraining], story: Story) -> str:
    """A page of gradient histograms over time and training, norm curves, and all pairs of steps.

    Args:
        models: by name, e.g. "RNN", "LSTM, h", "LSTM, c", "GRU"; of one text and of equally many
            moments.
        story: the words of the page.

    Returns:
        HTML.

    Raises:
        ValueError: no models, models of different lengths, or more steps than a page can carry.
    """
    if not models:
        raise ValueError(sentence("gradient_flow_page", "models", "at least one", "none"))
    first = next(iter(models.values()))
    steps, moments = first.histograms.counts.shape[1], len(first.moments)
    for name, flow in models.items():
        shapes = [flow.histograms.counts.shape[:2], *(one.norms.shape for one in flow.flows)]
        expected = [(moments, steps)] + [(steps, steps)] * moments
        if shapes != expected or len(flow.moments) != moments:
            rule = f"{moments} moments of {steps} steps, as of the first model"
            raise ValueError(sentence("gradient_flow_page", f"models[{name!r}]", rule, str(shapes)))
    if steps > MOST_STEPS:
        hint = "take a shorter stretch of the text: --from, --to"
        rule = f"at most {MOST_STEPS} steps"
        raise ValueError(sentence("gradient_flow_page", "models", rule, str(steps), hint))
    largest = max(float(one.norms.max()) for flow in models.values() for one in flow.flows)
    if not largest > 0:
        rule, got = "a gradient somewhere", "zeros only"
        raise ValueError(sentence("gradient_flow_page", "models", rule, got))
    data = {
        "steps": steps,
        "models": [_model(name, flow) for name, flow in models.items()],
        "largest": largest,
        "powers": POWERS,
        "edges": first.histograms.edges.tolist(),
        "bins": _used_sizes(models),
    }
    sliders = {"last_moment": moments - 1, "last_step": steps - 1}
    body = _BODY.format(
        opening=opening(story),
        tries=try_this(story.tries),
        closing=closing(story),
        models=options(models),
        ridges=_ridges(models),
        data=embedded_json("flow", data),
        moments_hidden="hidden" if moments < 2 else "",
        **sliders,
    )
    plots = {
        "curves": _curves(models, steps, largest),
        "matrix": _matrix(steps, largest),
    }
    return plot_page(story.title, body, plots, assets=("gradient_flow.css", "gradient_flow.js"))


def _model(name: str, flow: FlowOverTraining) -> dict[str, Any]:
    return {
        "name": name,
        "moments": flow.moments,
        "words": flow.words,
        "counts": packed(flow.histograms.counts),
        "norms": packed(np.stack([one.norms for one in flow.flows])),
        "means": packed(np.stack([one.by_distance for one in flow.flows])),
        "factors": [one.factor_a_step for one in flow.flows],
        "reaches": [one.reach for one in flow.flows],
    }


def _ridges(models: Mapping[str, FlowOverTraining]) -> str:
    """A place for each model's ridges, which the page's script draws."""
    return "".join(
        f'<figure class="ridge"><figcaption><b>{html.escape(name)}</b> '
        f'<span id="median-{number}"></span></figcaption>'
        f'<svg id="ridge-{number}" viewBox="0 0 300 330" role="img" '
        f'aria-label="Sizes of gradient entries of {html.escape(name)}"></svg></figure>'
        for number, name in enumerate(models)
    )


def _used_sizes(models: Mapping[str, FlowOverTraining]) -> tuple[int, int]:
    """The first and last bins that hold anything, of all models and moments: one scale for all."""
    counts = np.sum([flow.histograms.counts.sum(axis=(0, 1)) for flow in models.values()], axis=0)
    used = np.flatnonzero(counts)
    # The bin at the low end has what is 0 or lost.
    return int(used[1] if len(used) > 1 and used[0] == 0 else used[0]), int(used[-1])


def _curves(models: Mapping[str, FlowOverTraining], steps: int, largest: float) -> Any:
    drawn = plot(
        height=320,
        name="curves",
        x_axis_label="Steps back from the loss",
        y_axis_label="Mean ‖∂L/∂h‖",
        y_axis_type="log",
        x_range=(-0.5, steps - 0.5),
        y_range=(largest * 10**-POWERS, largest * 3),
    )
    for colour, name in zip(itertools.cycle(SERIES), models, strict=False):
        source = ColumnDataSource({"distance": [0], "mean": [largest]}, name=f"curve {name}")
        line = drawn.line(
            "distance", "mean", source=source, color=colour, line_width=2, legend_label=name
        )
        tooltips = [
            ("model", name),
            ("steps back", "@distance"),
            ("mean norm", "@mean{0.000e+0}"),
        ]
        drawn.add_tools(HoverTool(renderers=[line], tooltips=tooltips))
    drawn.legend.location = "bottom_left"
    drawn.legend.click_policy = "hide"
    return drawn


def _matrix(steps: int, largest: float) -> Any:
    source = ColumnDataSource({"norms": [np.zeros((steps, steps), np.int8)]})
    drawn = plot(
        height=440,
        max_width=720,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_label="State at step t",
        y_axis_label="Loss at step s",
    )
    top = math.log10(largest)
    heat_map(
        drawn,
        source,
        "norms",
        rows=steps,
        columns=steps,
        bar=(top - POWERS, top),
        name="matrix",
        signed=False,
    )
    drawn.grid.visible = False
    return drawn


_BODY = """{opening}
<main class="story">
<div class="row">
<label>Model <select id="model">{models}</select></label>
<span class="row" {moments_hidden}>
<button id="play" type="button">▶ Train</button>
<label>Training
<input id="moment" type="range" min="0" max="{last_moment}" value="{last_moment}"></label>
<b id="moment-name"></b></span>
</div>
<h2>Mean norm of the gradient, by how far back</h2>
<figure id="curves"><div class="plot"><!--curves--></div>
<figcaption><span id="words" role="status"></span></figcaption></figure>
{tries}
<h2>Sizes of the gradient's entries, step by step back</h2>
<div class="row">
<button id="walk" type="button">▶ Step back</button>
<label class="wide-range">Steps back from the last loss
<input id="back" type="range" min="0" max="{last_step}" value="0"></label>
<b id="back-name"></b></div>
<div class="ridges">{ridges}</div>
<p class="quiet">A hill is the histogram of |∂L/∂h| over the units, on one logarithmic scale for all
models, steps and moments; hills farther down are farther back in time. The dashed line is the same
before training; the red hill is the step that the slider is at. ▶ Train plays through training.</p>
<h2>Every loss, every state</h2>
<p class="quiet">How large the gradient of the loss at s is at the state of t, in powers of ten.</p>
<div id="readout" class="readout" role="status">Hover over the map for the number of a pair.</div>
<div class="plot"><!--matrix--></div>
{closing}
</main>
{data}"""
