"""Activations: the text in the colours of a unit, and what all units do over it."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.cells import Cell
from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.probes import Probe
from jaxrnn.microscope.pages.bokeh_parts import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJSTickFormatter,
    FixedTicker,
    Span,
    value,
)
from jaxrnn.microscope.pages.html import embedded_json, options, readable, visible
from jaxrnn.microscope.pages.plots import (
    MOST_NUMBERS,
    bits_that_fit,
    calls,
    heat_map,
    plot,
    plot_page,
    quantise,
)
from jaxrnn.microscope.pages.shell import Story, closing, colour_key, opening, try_this
from jaxrnn.microscope.pages.unit_gallery import (
    Meaning,
    cards,
    in_groups,
    opening_stretch,
    ranked,
    upper_meaning,
)
from jaxrnn.microscope.pages.whole_text import WholeText, packed_whole

MOST_STEPS = 20_000

MOST_TRACKS = 4


class Typing(NamedTuple):
    """The model itself, for text that the reader types.

    Attributes:
        model: of `model_for_typing`; None where it does not run in the page.
        reason: why not, as a sentence.
    """

    model: Mapping[str, Any] | None
    reason: str = ""


def layer_fields(cell: Cell, layer: Any) -> dict[str, NDArray[np.float64]]:
    """What there is to see of a layer: its carry and its gates, each [T, H].

    Args:
        cell: of the layer.
        layer: a `jaxrnn.recurrence.Trace` without a batch axis, e.g. of `ModelTrace.layers`.

    Returns:
        Arrays by the name of the carry's field or of the gate, in the cell's order; h first.
    """
    seen = {**layer.carries._asdict(), **layer.gates}
    names = dict.fromkeys([*cell.Carry._fields, *cell.gates])
    return {name: np.asarray(seen[name], np.float64) for name in names}


def activations_page(
    text: Sequence[str],
    fields: Mapping[str, ArrayLike],
    story: Story,
    *,
    units: Sequence[int] | None = None,
    first: int = 0,
    meanings: Sequence[Meaning] = (),
    tracks: Sequence[Probe] = (),
    whole: WholeText | None = None,
    typing: Typing | None = None,
) -> str:
    """A page of what the units do as the network reads a text.

    It opens on the unit whose meaning is strongest and can be seen (correlation times movement),
    with a stretch already chosen in which that unit is on.

    Args:
        text: T characters, or T other tokens, those that were read.
        fields: arrays [T, H] by name, e.g. from `layer_fields`; the page shows one at a time.
        story: the words of the page.
        units: the numbers of the H units in the model; None: 0 … H − 1.
        first: the place of the first character in the whole text.
        meanings: what units encode, e.g. of a unit search's findings.
        tracks: properties of the text, values [T], to draw under it.
        whole: h on a longer text, in which matches are counted.
        typing: the model itself, for text that the reader types.

    Returns:
        HTML.

    Raises:
        ValueError: arrays that do not fit the text, or more than a page can carry.
    """
    arrays = {name: np.asarray(values, np.float64) for name, values in fields.items()}
    if not arrays:
        raise ValueError(sentence("activations_page", "fields", "at least one array", "none"))
    shape = next(iter(arrays.values())).shape
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape != shape or array.shape[0] != len(text):
            rule = f"arrays [T = {len(text)}, H] of one shape"
            raise ValueError(sentence("activations_page", f"fields[{name!r}]", rule, array))
    steps, size = shape
    _check_size(steps, size, [*arrays])
    bits = bits_that_fit(steps * size * len(arrays))
    labels = list(range(size)) if units is None else [int(unit) for unit in units]

    images = {name: quantise(array.T, bits) for name, array in arrays.items()}
    source = ColumnDataSource({name: [image.steps] for name, image in images.items()})
    top = 2 ** (bits - 1) - 1
    shown = [
        {
            "name": name,
            "scale": image.scale,
            "most": image.scale * top,
            "signed": bool((image.steps < 0).any()),
            "digits": int(np.clip(np.ceil(-np.log10(image.scale)), 0, 4)),
        }
        for name, image in images.items()
    ]
    main = next(iter(arrays.values()))
    known = [meaning for meaning in meanings if meaning.unit in labels]
    order = ranked(main, labels, known)
    # Where what it encodes is there: below 0 for a negative correlation.
    wanted = next((np.sign(m.correlation) for m in known if m.unit == labels[order[0]]), 0)
    start, end = opening_stretch(main[:, order[0]], shown[0]["most"], int(wanted))
    words = {labels.index(meaning.unit): meaning.words for meaning in known}
    data = {
        "characters": [visible(character) for character in text],
        "words": any(len(token) > 1 for token in text),
        "text": [readable(character) for character in text],
        "units": size,
        "labels": labels,
        "first": first,
        "unit": order[0],
        "from": start,
        "to": end,
        "fields": shown,
        "orders": _orders(main, {labels.index(each.unit): each.meaning for each in known}),
        "meanings": words,
        "gallery": cards(main, labels, known, order, shown[0]["most"]),
        "tracks": [_track(probe, steps) for probe in tracks[:MOST_TRACKS]],
        "whole": None if whole is None else packed_whole(whole, shown[0]["most"]),
    }
    body = _BODY.format(
        opening=opening(story),
        tries=try_this(story.tries),
        closing=closing(story),
        found=in_groups(known),
        unit_key=colour_key("", "", "", name="key"),
        fields=options([field["name"] for field in shown]),
        field_hidden="hidden" if len(shown) == 1 else "",
        orders=options([each["name"] for each in data["orders"]]),
        last=first + steps - 1,
        first=first,
        whole_hidden="" if whole is not None else "hidden",
        typing=_typing(typing),
        data=embedded_json("activations", data),
    )
    assets = ("activations.css", "activations.js", "cells.js", "typed.js", "unit_lines.js")
    return plot_page(
        story.title, body, _plots(source, shown[0], size, steps, data["words"]), assets=assets
    )


def _track(probe: Probe, steps: int) -> dict[str, Any]:
    values = np.asarray(probe.values, np.float64)[:steps]
    low, high = float(values.min()), float(values.max())
    parts = (values - low) / (high - low or 1.0)
    return {
        "name": upper_meaning(probe.name),
        "low": low,
        "high": high,
        "parts": parts.round(3).tolist(),
    }


def _typing(typing: Typing | None) -> str:
    if typing is None:
        return ""
    if typing.model is None:
        return f"<h2>Type your own text</h2><p>{html.escape(typing.reason)}</p>"
    return _TYPED + embedded_json("typed-model", typing.model)


def _check_size(steps: int, size: int, fields: Sequence[str]) -> None:
    most = min(MOST_STEPS, MOST_NUMBERS // (max(1, size) * len(fields)))
    if 1 <= steps <= most:
        return
    rule = f"1 to {most:,} tokens with {size:,} units and the fields {', '.join(fields)}"
    hint = (
        "choose a shorter stretch for `text` and `fields` (--from, --to), or fewer units in "
        "`fields` (--units)"
    )
    raise ValueError(sentence("activations_page", "text", rule, f"{steps:,}", hint))


def _orders(values: NDArray[np.float64], meanings: Mapping[int, str]) -> list[dict[str, Any]]:
    """Ways to sort the units; the order of the model comes first."""
    size = values.shape[1]
    orders = {
        "as in the model": list(range(size)),
        "by likeness": _by_likeness(values),
        "by mean": np.argsort(values.mean(axis=0), kind="stable").tolist(),
        "by how much they move": np.argsort(-values.var(axis=0), kind="stable").tolist(),
    }
    if meanings:
        orders["by what they encode"] = sorted(
            range(size), key=lambda unit: (unit not in meanings, meanings.get(unit, ""), unit)
        )
    return [{"name": name, "units": units} for name, units in orders.items()]


def _by_likeness(values: NDArray[np.float64]) -> list[int]:
    """A chain: each unit is followed by the one of the remaining that is most correlated."""
    centred = values - values.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    unit_vectors = centred / np.where(length > 0, length, 1.0)
    likeness = unit_vectors.T @ unit_vectors
    chain, left = [int(values.var(axis=0).argmax())], np.ones(values.shape[1], bool)
    left[chain[0]] = False
    while left.any():
        following = int(np.where(left, likeness[chain[-1]], -np.inf).argmax())
        chain.append(following)
        left[following] = False
    return chain


def _plots(
    source: Any, field: Mapping[str, Any], size: int, steps: int, words: bool
) -> dict[str, Any]:
    drawn = plot(
        height=int(np.clip(18 * size, 160, 460)),
        name="map",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        # The same borders as the strip of characters below, so that the columns meet.
        min_border_left=56,
        min_border_right=64,
    )
    heat_map(
        drawn,
        source,
        field["name"],
        rows=size,
        columns=steps,
        bar=(-field["most"] if field["signed"] else 0, field["most"]),
        name="activations",
        signed=field["signed"],
    )
    drawn.xaxis.visible = False
    # The script names the rows, whose order changes, at as many places as there is room for.
    drawn.yaxis.ticker = FixedTicker(ticks=[row + 0.5 for row in range(0, size, -(-size // 24))])
    drawn.yaxis.formatter = CustomJSTickFormatter(code="return window.rowName?.(tick) ?? ''")
    drawn.yaxis.axis_label = "Unit"
    drawn.yaxis.name = "rows"
    drawn.grid.visible = False
    here = Span(location=0.5, dimension="height", line_color="#888888", name="place")
    row = BoxAnnotation(
        bottom=0, top=1, fill_alpha=0, line_color="#888888", line_width=1.5, name="row"
    )
    stretch = BoxAnnotation(
        left=0, right=1, fill_alpha=0.0, line_color="#d4002a", line_width=1.5, name="stretch"
    )
    for mark in (here, row, stretch):
        drawn.add_layout(mark)
    drawn.x_range.js_on_change("start", calls("ranged"))
    drawn.x_range.js_on_change("end", calls("ranged"))
    strip = plot(
        height=110 if words else 58,
        toolbar_location=None,
        x_range=drawn.x_range,
        y_range=(0, 1),
        tools="xpan",
        min_border_left=56,
        min_border_right=64,
    )
    strip.yaxis.visible = False
    strip.grid.visible = False
    strip.text(
        x="place",
        y="height",
        text="character",
        angle=math.pi / 2 if words else 0,
        source=ColumnDataSource({"place": [], "height": [], "character": []}),
        text_align="center",
        text_baseline="middle",
        text_font=value("monospace"),
        text_font_size="13px",
        text_color="#808890",
        name="characters",
    )
    return {"map": drawn, "strip": strip}


_BODY = """{opening}
<main class="story">
<figure id="coloured">
<div class="row">
<label>Unit <input id="unit" type="number" min="0"></label>
<label {field_hidden}>Value <select id="field">{fields}</select></label>
{unit_key}
</div>
<p id="meaning" class="meaning" role="status"></p>
<div id="text" class="text" tabindex="0" role="application"
aria-label="The text in the colours of the unit; arrow keys move, with shift they choose"></div>
<div id="readout" class="readout" role="status">Hover over the text for a value.</div>
<figcaption>Each character has the colour of the unit's value just after it was read. Drag over a
stretch to ask which units stay on all through it.</figcaption>
</figure>
<h2>The most telling units</h2>
<div id="gallery" class="gallery"></div>
{tries}
<h2>All units at once</h2>
<figure id="lines-figure">
<div class="row">
<button id="pan-left" type="button" aria-label="Earlier text">◀</button>
<button id="pan-right" type="button" aria-label="Later text">▶</button>
<label>From <input id="from" type="number" min="{first}" max="{last}"></label>
<label>To <input id="to" type="number" min="{first}" max="{last}"></label>
<label>Threshold <input id="threshold" type="range" min="0.125" max="0.875" step="0.125"
value="0.5"> <span id="threshold-value"></span></label>
</div>
<canvas id="lines" role="img" aria-label="Every unit as a line over the text"></canvas>
<p id="on" role="status"></p>
<figcaption>Every unit is a line. Over the chosen stretch, between the red marks, those that stay
above the threshold are blue and those that stay below its negative orange; the chosen unit is
thick. Below the text stand properties of it, filled where they are large. Drag to choose another
stretch.</figcaption>
</figure>
<h2>Where else are the same units on?</h2>
<div {whole_hidden}>
<p id="whole-count" role="status"></p>
<canvas id="whole" role="img" aria-label="Matches over the whole text"></canvas>
</div>
<div class="wide" tabindex="0" role="region" aria-label="Places">
<table class="list" id="places">
<thead><tr><th>Place</th><th>Of these units, on</th><th>Text</th></tr></thead>
<tbody id="found"></tbody></table></div>
{typing}
<h2>The map of all units</h2>
<div class="row"><label>Sort units <select id="order">{orders}</select></label></div>
<figure>
<div class="plot"><!--map--></div>
<div class="plot"><!--strip--></div>
<figcaption>Time goes to the right, one row a unit; blue is positive, orange negative. Hover for
the value; a click chooses the unit.</figcaption>
</figure>
{closing}
{found}
</main>
{data}"""

_TYPED = """<h2>Type your own text</h2>
<figure id="typing">
<p>The network itself runs on this page: it reads what stands in the box, from a state of zeros,
and every character takes the colour of unit <b id="typed-unit"></b>.</p>
<label class="unseen" for="typed">Text for the network to read</label>
<textarea id="typed" rows="3" spellcheck="false" autocapitalize="off"></textarea>
<div id="typed-shown" class="text" tabindex="0" role="region" aria-label="What it read"></div>
<p id="typed-unknown" class="note-inline" role="status"></p>
<p id="typed-expected"></p>
</figure>
"""
