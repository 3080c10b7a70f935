"""Activations: a map of units over time on the text, and the text in the colours of one unit."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.cells import Cell
from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.bokeh_parts import BoxAnnotation, ColumnDataSource, Span, value
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
from jaxrnn.microscope.pages.tables import table

MOST_STEPS = 20_000


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
    *,
    title: str,
    description: str = "",
    units: Sequence[int] | None = None,
    first: int = 0,
    meanings: Mapping[int, str] | None = None,
) -> str:
    """A page with a heat map of units over time, on the text that the network read.

    Args:
        text: T characters, or T other tokens, those that were read.
        fields: arrays [T, H] by name, e.g. from `layer_fields`; the page shows one at a time.
        title: of the page.
        description: a sentence under the title.
        units: the numbers of the H units in the model; None: 0 … H − 1.
        first: the place of the first character in the whole text.
        meanings: what a unit encodes, in words, by its number, e.g. of a unit search's findings.

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
    words = {labels.index(unit): text for unit, text in (meanings or {}).items() if unit in labels}
    data = {
        "characters": [visible(character) for character in text],
        "words": any(len(token) > 1 for token in text),
        "text": [readable(character) for character in text],
        "units": size,
        "labels": labels,
        "first": first,
        "unit": next(iter(words), int(main.var(axis=0).argmax())),
        "fields": shown,
        "orders": _orders(main, words),
        "meanings": words,
    }
    kept = max(field["scale"] for field in shown) / 2
    found = sorted((meanings or {}).items(), key=lambda item: (item[1], item[0]))
    body = _BODY.format(
        found=table([(f"unit {unit}", text) for unit, text in found], "What the units encode"),
        title=html.escape(title),
        description=html.escape(description),
        fields=options([field["name"] for field in shown]),
        orders=options([order["name"] for order in data["orders"]]),
        last=first + steps - 1,
        first=first,
        precision=f"{kept:.1g}",
        data=embedded_json("activations", data),
    )
    return plot_page(
        title,
        body,
        _plots(source, shown[0], size, steps, data["words"]),
        assets=("activations.js",),
    )


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
        min_border_left=16,
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
    drawn.yaxis.visible = False
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
        min_border_left=16,
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


_BODY = """<header>
<h1>{title}</h1>
<p>{description}</p>
</header>
<main>
<div class="row">
<label>show <select id="field">{fields}</select></label>
<label>sort units <select id="order">{orders}</select></label>
<label>unit <input id="unit" type="number" min="0"></label>
</div>
<div id="readout" class="readout" role="status">Hover over the map or the text for a value.</div>
<div class="plot"><!--map--></div>
<div class="plot"><!--strip--></div>
<p class="quiet">Hover for the value; a click chooses the unit whose values colour the text below.
Blue is positive, orange negative. Values are kept to ±{precision}.</p>
<h2>The text in the colours of the unit</h2>
<div id="text" class="text" tabindex="0" aria-label="The text; arrow keys move"></div>
<h2>Where else are the same units on?</h2>
<p class="quiet">Drag over a stretch of the text (or shift and arrow keys). Units whose value stays
above the threshold all through it, or below its negative, are on; below stand their numbers, and
the places where most of them are on again.</p>
<div class="row">
<label>from <input id="from" type="number" min="{first}" max="{last}"></label>
<label>to <input id="to" type="number" min="{first}" max="{last}"></label>
<label>threshold <input id="threshold" type="range" min="0" max="0.95" step="0.05" value="0.4">
<span id="threshold-value"></span></label>
</div>
<p id="on" role="status"></p>
<table class="list" id="places">
<thead><tr><th>place</th><th>of these units are on</th><th>text</th></tr></thead>
<tbody id="found"></tbody></table>
{found}
</main>
{data}"""
