"""Training: how loss, learning rate and gradient went, and what was written on the way."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import ColumnDataSource, HoverTool, NumeralTickFormatter
from jaxrnn.microscope.pages.html import embedded_json, readable
from jaxrnn.microscope.pages.plots import SERIES, plot, plot_page
from jaxrnn.microscope.pages.shell import Story, closing, opening, try_this, upper_first

Record = Mapping[str, Any]

MOST_POINTS = 2_000


def training_page(
    records: Sequence[Record],
    story: Story,
    *,
    facts: Mapping[str, object] | None = None,
    token: str = "character",
) -> str:
    """A page of a run's curves and samples.

    Args:
        records: of metrics.jsonl, as `charlm.training_loop.train` yields them.
        story: the words of the page.
        facts: settings to list, by name.
        token: what one token is called.

    Returns:
        HTML.

    Raises:
        ValueError: no record has a loss.

    Example:
        >>> records = [{"step": 1, "epoch": 0.1, "seconds": 1.0, "loss": 3.2},
        ...            {"step": 2, "epoch": 0.2, "seconds": 1.5, "loss": 2.9}]
        >>> training_page(records, Story("A run"))[:15]
        '<!doctype html>'
    """
    losses = [record for record in records if _number(record, "loss")]
    if not losses:
        hint = "the run has just begun, or its metrics.jsonl is empty"
        rule = "at least one record with a loss"
        raise ValueError(sentence("training_page", "records", rule, "none", hint))
    samples = [record for record in records if "sample" in record]
    curves = {
        "loss": ("training", losses),
        "smoothed_loss": ("training, smoothed", losses),
        "validation_loss": ("validation", [r for r in records if _number(r, "validation_loss")]),
    }
    drawn = _loss_plot(curves, token)
    others = {
        "rate": _curve(losses, "learning_rate", "learning rate", drawn.x_range, log=True),
        "norm": _curve(losses, "gradient_norm", "gradient norm, before clipping", drawn.x_range),
        "speed": _curve(losses, "tokens_per_second", f"{token}s a second", drawn.x_range),
    }
    others = {name: curve for name, curve in others.items() if curve is not None}
    data = {
        "token": token,
        "samples": [
            {
                "step": record["step"],
                "epoch": record.get("epoch"),
                "text": [readable(character) for character in record["sample"]],
            }
            for record in samples
        ],
    }
    body = _BODY.format(
        opening=opening(story),
        tries=try_this(story.tries),
        closing=closing(story),
        summary=html.escape(_summary(losses, curves["validation_loss"][1], token)),
        plots="".join(f'<div class="plot"><!--{name}--></div>' for name in others),
        facts="".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in (facts or {}).items()
        ),
        facts_hidden="" if facts else "hidden",
        samples_hidden="" if samples else "hidden",
        last=max(0, len(samples) - 1),
        data=embedded_json("training", data),
    )
    assets = ("training.css", "training.js")
    return plot_page(story.title, body, {"losses": drawn, **others}, assets=assets)


def _number(record: Record, name: str) -> bool:
    value = record.get(name)
    return isinstance(value, int | float) and math.isfinite(value)


def _summary(losses: Sequence[Record], validations: Sequence[Record], token: str) -> str:
    last = losses[-1]
    text = f"{last['step']:,} steps"
    if "epoch" in last:
        text += f", {last['epoch']:.2f} epochs"
    if "seconds" in last:
        text += f", {_duration(last['seconds'])}"
    text += f"; training loss {_both_units(last['loss'], token)}"
    if validations:
        best = min(validations, key=lambda record: record["validation_loss"])
        value = _both_units(best["validation_loss"], token)
        text += f"; best validation {value} at step {best['step']:,}"
    return text + "."


def _both_units(nats: float, token: str) -> str:
    return f"{nats:.4f} nats = {nats / math.log(2):.4f} bits a {token}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _thinned(records: Sequence[Record]) -> Sequence[Record]:
    """At most `MOST_POINTS` of them, evenly, the last one always."""
    every = -(-len(records) // MOST_POINTS)
    return records if every <= 1 else [*records[:-1:every], records[-1]]


def _loss_plot(curves: Mapping[str, tuple[str, Sequence[Record]]], token: str) -> Any:
    drawn = plot(
        height=340, x_axis_label="Step", y_axis_label="Loss, nats a character", name="losses"
    )
    shown = []
    for colour, (field, (label, records)) in zip(SERIES, curves.items(), strict=False):
        kept = [record for record in _thinned(records) if _number(record, field)]
        if not kept:
            continue
        nats = [float(record[field]) for record in kept]
        source = ColumnDataSource(
            {
                "step": [record["step"] for record in kept],
                "nats": nats,
                "bits": [value / math.log(2) for value in nats],
                "shown": nats,
            },
            name=f"{field} source",
        )
        style = {"source": source, "color": colour, "legend_label": label}
        # The smoothed line is wide and pale, so that the raw one shows through it.
        width, alpha = {"loss": (1, 0.9), "smoothed_loss": (4, 0.4)}.get(field, (2, 1.0))
        line = drawn.line("step", "shown", line_width=width, alpha=alpha, **style)
        shown.append(line)
        # A line through one point is nothing to see.
        if field == "validation_loss" or len(kept) == 1:
            drawn.scatter("step", "shown", size=6, **style)
    tooltips = [("step", "@step{0,0}"), ("nats", "@nats{0.0000}"), ("bits", "@bits{0.0000}")]
    drawn.add_tools(HoverTool(renderers=shown, tooltips=tooltips, mode="vline"))
    drawn.legend.click_policy = "hide"
    return drawn


def _curve(
    records: Sequence[Record], field: str, label: str, x_range: Any, *, log: bool = False
) -> Any:
    kept = [record for record in _thinned(records) if _number(record, field)]
    if not kept:
        return None
    values = [float(record[field]) for record in kept]
    drawn = plot(
        height=200,
        title=upper_first(label),
        x_range=x_range,
        x_axis_label="Step",
        y_axis_type="log" if log and min(values) > 0 else "linear",
        toolbar_location=None,
        name=field,
    )
    source = ColumnDataSource({"step": [record["step"] for record in kept], "value": values})
    line = drawn.line("step", "value", source=source, line_width=1.5, color=SERIES[0])
    if len(kept) == 1:
        drawn.scatter("step", "value", source=source, size=6, color=SERIES[0])
    if max(values) >= 1000:
        drawn.yaxis.formatter = NumeralTickFormatter(format="0,0")
    tooltips = [("step", "@step{0,0}"), (label, "@value{0.[000000]}")]
    drawn.add_tools(HoverTool(renderers=[line], tooltips=tooltips, mode="vline"))
    return drawn


_BODY = """{opening}
<main class="story">
<p>{summary}</p>
<div class="row"><span class="choice" role="group" aria-label="Unit">
<button type="button" data-unit="nats" aria-pressed="true">Nats</button>
<button type="button" data-unit="bits" aria-pressed="false">Bits</button>
</span></div>
<figure id="losses"><div class="plot"><!--losses--></div>
<figcaption>The loss of each reported step, thin, and smoothed, wide; dots are the loss on the
held-out part of the text, which nothing is learned from. A click on a name hides its
line.</figcaption></figure>
{tries}
<section {samples_hidden}>
<h2>What it wrote on the way</h2>
<div class="row">
<button id="earlier" type="button">◀ Earlier</button>
<button id="later" type="button">Later ▶</button>
<label class="wide-range">Sample
<input id="sample" type="range" min="0" max="{last}" value="{last}"></label>
<span id="sample-place" class="quiet"></span>
</div>
<div id="sample-text" class="text" tabindex="0" aria-label="Sample"></div>
</section>
<div class="small-plots">{plots}</div>
{closing}
<details {facts_hidden}><summary>Settings</summary>
<table class="list">{facts}</table>
</details>
</main>
{data}"""
