"""Connectivity: hover over a character and see which earlier ones mattered for expecting it."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.connectivity import RankAgreement, reach
from jaxrnn.microscope.measurements.gradient_flow import mean_by_distance
from jaxrnn.microscope.pages.bokeh_parts import (
    BoxAnnotation,
    ColumnDataSource,
    Legend,
    LegendItem,
    Range1d,
    Span,
    value,
)
from jaxrnn.microscope.pages.html import embedded_json, options, readable, visible
from jaxrnn.microscope.pages.plots import (
    MOST_NUMBERS,
    SERIES,
    bits_that_fit,
    heat_map,
    plot,
    plot_page,
    quantise,
)
from jaxrnn.microscope.pages.shell import (
    Story,
    Try,
    closing,
    colour_key,
    opening,
    try_this,
    upper_first,
)

MEANINGS = {
    "loss_gradient_squared": "Σᵢ (∂L/∂xᵢ)²: how strongly the loss of the prediction feels the "
    "{token}.",
    "logit_gradient_norm": "‖∂y/∂x‖: how strongly the expected {token}'s logit feels the "
    "{token} (Madsen 2019, the article).",
    "logit_gradient_norm_squared": "‖∂y/∂x‖²: the same squared (Madsen 2019, its code).",
    "integrated_gradients": "The {token}'s share of the logit, summed along the way from the "
    "text's mean input to the text; blue spoke for, orange against (Sundararajan et al. 2017).",
    "occlusion": "What the logit loses when the {token} is taken out; blue spoke for, orange "
    "against (Zeiler and Fergus 2014).",
}


SIGNED = ("integrated_gradients", "occlusion")
"""Definitions with a sign; the others are sizes."""


class ConnectedModel(NamedTuple):
    """What one model made of the text.

    Attributes:
        matrices: by definition, [S = T, T] from `microscope.connectivity`.
        logits: [T, V].
        agreement: how far the definitions agree; shown as a table.
    """

    matrices: Mapping[str, ArrayLike]
    logits: ArrayLike
    agreement: RankAgreement | None = None


def connectivity_page(
    text: Sequence[str],
    models: Mapping[str, ConnectedModel],
    characters: Sequence[str],
    story: Story,
    *,
    first: int = 0,
    token: str = "character",
) -> str:
    """A page of which earlier characters mattered for each prediction.

    Args:
        text: T + 1 characters, or other tokens; the models read the first T and expected the last
            T.
        models: by name, all with the same definitions.
        characters: V of them; token id k is `characters[k]`.
        story: the words of the page.
        first: the place of the first character in the whole text.
        token: what one token is called.

    Returns:
        HTML.

    Raises:
        ValueError: arrays that do not fit the text, or more than a page can carry.
    """
    steps, names = len(text) - 1, _definitions(models)
    if steps < 1:
        rule = "two characters or more"
        raise ValueError(sentence("connectivity_page", "text", rule, f"{len(text)}"))
    maps = len(names) * len(models)
    most = math.isqrt(MOST_NUMBERS // maps)
    if steps > most:
        rule = f"at most {most + 1:,} {token}s with {len(names)} definitions"
        rule += f" of {len(models)} models" if len(models) > 1 else ""
        hint = (
            "choose a shorter stretch for `text` and `models` (--from, --to), or fewer definitions "
            "in `models` (--definition)"
        )
        raise ValueError(sentence("connectivity_page", "text", rule, f"{len(text):,}", hint))
    bits = bits_that_fit(steps * steps * maps)
    images: dict[str, NDArray[Any]] = {}
    drawn, arrays = [], {}
    for model, (name, connected) in enumerate(models.items()):
        own = {
            definition: _matrix(f"models[{name!r}]", matrix, steps)
            for definition, matrix in connected.matrices.items()
        }
        definitions = []
        for definition, array in own.items():
            # Rows are of very different size (a gradient squared spans many powers of ten), so
            # each is kept as parts of its own largest.
            largest = np.abs(array).max(axis=1)
            image = quantise(array / np.where(largest > 0, largest, 1.0)[:, None], bits)
            column = f"{model} {definition}"
            images[column] = image.steps
            definitions.append(
                {
                    "column": column,
                    "meaning": MEANINGS.get(definition, "").format(token=token),
                    "signed": _is_signed(definition, models),
                    "scale": image.scale,
                    "largest": largest.tolist(),
                    "reach": reach(array).tolist(),
                }
            )
        arrays[name] = own
        logits = np.asarray(connected.logits, np.float64)
        drawn.append({"definitions": definitions, **_predictions(text, logits, characters)})
    last = drawn[-1]
    first_matrix = next(iter(arrays[next(reversed(arrays))].values()))
    places = worth_looking_at(text, np.array(last["chances"]), first_matrix)
    data = {
        "names": {"models": [*models], "definitions": names},
        "token": token,
        "steps": steps,
        "first": first,
        "start": places[0].step,
        "characters": [visible(character) for character in text],
        "text": [readable(character) for character in text],
        "models": drawn,
    }
    body = _BODY.format(
        opening=opening(story),
        closing=closing(story),
        token=token,
        models=options(models),
        key=colour_key(
            "How much it mattered", "0", "most", signed=_is_signed(names[0], models), name="key"
        ),
        tries=try_this([*story.tries, *(_try(place, text, first) for place in places)]),
        model_hidden="" if len(models) > 1 else "hidden",
        definitions=options([name.replace("_", " ") for name in names]),
        agreement="".join(
            agreement_table(name if len(models) > 1 else "", connected.agreement)
            for name, connected in models.items()
            if connected.agreement is not None
        ),
        data=embedded_json("connectivity", data),
    )
    signed = _is_signed(names[0], models)
    plots = {
        "map": _map(images, steps, token, signed=signed),
        "reached": reach_curves(arrays, token),
    }
    return plot_page(story.title, body, plots, assets=("connectivity.css", "connectivity.js"))


class Place(NamedTuple):
    """A prediction worth looking at: its step, and why."""

    step: int
    why: str


def worth_looking_at(
    text: Sequence[str], chances: NDArray[np.float64], matrix: NDArray[np.float64]
) -> tuple[Place, ...]:
    """Predictions that show something, the most telling first.

    The first is inside a word, expected, and hangs on more than the two characters before it: the
    largest product of its probability and of the share of connectivity that lies farther back.

    Args:
        text: T + 1 characters, or other tokens.
        chances: [T], of each right character.
        matrix: [T, T], by one definition.

    Returns:
        Up to three places.
    """
    sizes = np.tril(np.abs(matrix))
    wholes = sizes.sum(axis=1)
    steps = np.arange(len(sizes))
    near = np.array([sizes[s, max(0, s - 1) : s + 1].sum() for s in steps])
    far = 1 - near / np.where(wholes > 0, wholes, 1.0)
    inside = np.array(
        [s >= 2 and "".join(text[s - 1 : s + 2]).isalpha() for s in range(len(sizes))]
    )
    ends = np.array([s + 2 >= len(text) or not text[s + 2].isalpha() for s in range(len(sizes))])
    # A word needs room before it, so that there is something to look back at.
    late = steps >= len(steps) // 4
    score = chances * far * (0.05 + inside) * (1 + ends) * (0.25 + late)
    farthest = int(np.argmax(reach(matrix)))
    places = [
        Place(int(np.argmax(score)), "expected from context"),
        Place(farthest, "looks back the farthest"),
        Place(int(np.argmin(np.where(inside, chances, 2.0))), "the greatest surprise in a word"),
    ]
    return tuple({place.step: place for place in places[::-1]}.values())[::-1]


def _try(place: Place, text: Sequence[str], first: int) -> Try:
    """A link to a prediction, with the word that it is in."""
    before = "".join(text[max(0, place.step - 11) : place.step + 1]).split("\n")[-1].lstrip()
    words = f"“{before}[{visible(text[place.step + 1])}]”: {place.why}"
    return Try(words, {"place": first + place.step + 1, "kept": "yes"})


def _definitions(models: Mapping[str, ConnectedModel]) -> list[str]:
    """The definitions that all models have."""
    each = [[*model.matrices] for model in models.values()]
    if not each or not each[0] or any(names != each[0] for names in each):
        rule = "one model or more, with the same definitions"
        raise ValueError(sentence("connectivity_page", "models", rule, str(each)))
    return each[0]


def _is_signed(definition: str, models: Mapping[str, ConnectedModel]) -> bool:
    """Whether its numbers can be negative; of a definition of one's own: whether one is."""
    if definition in MEANINGS:
        return definition in SIGNED
    return any(np.min(model.matrices[definition]) < 0 for model in models.values())


def _matrix(argument: str, matrix: ArrayLike, steps: int) -> NDArray[np.float64]:
    array = np.asarray(matrix, np.float64)
    if array.shape != (steps, steps):
        rule = f"[{steps}, {steps}], the characters of the text that were read"
        raise ValueError(sentence("connectivity_page", argument, rule, array))
    return array


def _predictions(
    text: Sequence[str], logits: NDArray[np.float64], characters: Sequence[str]
) -> dict[str, Any]:
    """The five likeliest characters at each place, and what the right one got."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    ids = {character: k for k, character in enumerate(characters)}
    targets = [ids[character] for character in text[1:]]
    best = np.argsort(-log_p, axis=1, kind="stable")[:, :5]
    return {
        "predictions": [
            [(visible(characters[k]), float(np.exp(row[k])), bool(k == target)) for k in top]
            for row, top, target in zip(log_p, best, targets, strict=True)
        ],
        "chances": [float(np.exp(row[k])) for row, k in zip(log_p, targets, strict=True)],
        "losses": [-float(row[k]) for row, k in zip(log_p, targets, strict=True)],
    }


def _map(images: Mapping[str, NDArray[Any]], steps: int, token: str, *, signed: bool) -> Any:
    source = ColumnDataSource({name: [image] for name, image in images.items()})
    drawn = plot(
        height=460,
        max_width=760,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        x_axis_label=f"Place of the earlier {token}",
        y_axis_label="Place of the prediction",
    )
    heat_map(
        drawn,
        source,
        next(iter(images)),
        rows=steps,
        columns=steps,
        bar=(-1 if signed else 0, 1),
        name="map",
        signed=signed,
    )
    drawn.grid.visible = False
    drawn.add_layout(BoxAnnotation(bottom=0, top=1, fill_alpha=0, line_color="#d4002a", name="row"))
    return drawn


def reach_curves(models: Mapping[str, Mapping[str, NDArray[np.float64]]], token: str) -> Any:
    """Share within a distance: by definition for one model, by model for several.

    For several models only the chosen definition is visible; the page's script chooses.
    """
    drawn = plot(
        height=280,
        x_axis_label=f"Distance in {token}s",
        y_axis_label="Share within it",
        y_range=(0, 1.02),
        tools="xpan,xwheel_zoom,reset,save,hover",
        tooltips="$name: @share{0.000} within @distance",
    )
    farthest, items = 1, []
    for model, (name, arrays) in enumerate(models.items()):
        for number, (definition, array) in enumerate(arrays.items()):
            means = mean_by_distance(np.abs(array))
            # A diagonal has fewer members the longer the distance; the sum weighs them.
            weights = means * np.arange(len(means), 0, -1)
            share = np.cumsum(weights) / (weights.sum() or 1.0)
            farthest = max(farthest, int(np.argmax(share >= 0.999)) + 1)
            one = len(models) == 1
            label = definition.replace("_", " ") if one else name
            line = drawn.line(
                "distance",
                "share",
                source=ColumnDataSource({"distance": np.arange(len(share)), "share": share}),
                color=SERIES[(number if one else model) % len(SERIES)],
                line_width=2,
                name=label,
                visible=one or number == 0,
            )
            line.tags = [f"definition {number}"]
            items.append(
                LegendItem(
                    label=value(label), renderers=[line], visible=line.visible, tags=[*line.tags]
                )
            )
    drawn.x_range = Range1d(0, farthest)
    drawn.add_layout(
        Span(location=0.9, dimension="width", line_color="#888888", line_dash="dashed")
    )
    drawn.add_layout(Legend(items=items, location="bottom_right", label_text_font_size="11px"))
    return drawn


def agreement_table(model: str, agreement: RankAgreement) -> str:
    """How far the definitions agree, as HTML."""
    names = [upper_first(name.replace("_", " ")) for name in agreement.definitions]
    head = "".join(f'<th scope="col" class="number">{html.escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f'<td class="number">{value:.2f}</td>' for value in row)
        + "</tr>"
        for name, row in zip(names, agreement.correlations, strict=True)
    )
    title = "Do the definitions agree?" + (f" {model}" if model else "")
    return (
        f"<h2>{html.escape(title)}</h2><p class='quiet'>Rank correlation of the sizes, mean over "
        'predictions.</p><div class="wide" tabindex="0" role="region" '
        f'aria-label="{html.escape(title)}"><table class="list"><tr><td></td>{head}</tr>'
        f"{rows}</table></div>"
    )


_BODY = """{opening}
<main class="story">
<div class="row">
<label {model_hidden}>Model <select id="model">{models}</select></label>
<label>Definition <select id="definition">{definitions}</select></label>
<label><input type="checkbox" id="fixed"> Keep this prediction</label>
</div>
{key}
<figure id="connected">
<div id="text" class="text" tabindex="0" role="application"
aria-label="The text; arrow keys move, Enter keeps the prediction"></div>
<div id="readout" class="readout" role="status">Hover over a {token} for what mattered for
it.</div>
<figcaption>Hover over a {token}, tap it, or use the arrow keys: the earlier ones that mattered
for expecting it light up, each prediction on its own scale; the green frame is the {token}
itself. A click keeps the prediction, so that hovering shows the number of each earlier {token}.
<span id="meaning"></span></figcaption>
</figure>
{tries}
<h2>What was expected there <span class="quiet" id="chance"></span></h2>
<table class="list predictions"><tbody id="predictions"></tbody></table>
<h2>All pairs</h2>
<p class="quiet">One row a prediction; colours are parts of the row's largest number. Hover for the
number itself.</p>
<div class="plot"><!--map--></div>
<h2>How far back?</h2>
<div class="plot"><!--reached--></div>
{closing}
{agreement}
</main>
{data}"""
