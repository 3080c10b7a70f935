"""Connectivity of several models under one cursor, before and after training."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.completions import Completion
from jaxrnn.microscope.measurements.connectivity import RankAgreement, reach
from jaxrnn.microscope.pages.connected_text import (
    MEANINGS,
    SIGNED,
    Place,
    agreement_table,
    reach_curves,
    worth_looking_at,
)
from jaxrnn.microscope.pages.html import embedded_json, options, packed, readable, visible
from jaxrnn.microscope.pages.plots import plot_page
from jaxrnn.microscope.pages.shell import (
    Story,
    Try,
    closing,
    colour_key,
    opening,
    try_this,
)

MOST_NUMBERS = 900_000
"""Float32 in all maps of a page, 4.8 MB in base64."""


class Moment(NamedTuple):
    """A model at one moment of its training.

    Attributes:
        matrices: by definition, [T, T] from `microscope.connectivity`.
        chances: [T], what each right character got.
        completions: T lists of how it would go on.
    """

    matrices: Mapping[str, ArrayLike]
    chances: ArrayLike
    completions: Sequence[Sequence[Completion]]


class Compared(NamedTuple):
    """One model: untrained and trained.

    Attributes:
        before: with the parameters that training began with.
        after: trained.
        agreement: how far the definitions agree, trained; shown as a table.
    """

    before: Moment
    after: Moment
    agreement: RankAgreement | None = None


def side_by_side_page(text: Sequence[str], models: Mapping[str, Compared], story: Story) -> str:
    """A page on which several models read one text, a panel each.

    Args:
        text: T + 1 characters; the models read the first T and expected the last T.
        models: by name, all with the same definitions.
        story: the words of the page.

    Returns:
        HTML.

    Raises:
        ValueError: no models, arrays that do not fit the text, or more than a page can carry.
    """
    steps = len(text) - 1
    if not models:
        raise ValueError(sentence("side_by_side_page", "models", "at least one", "none"))
    names = [*next(iter(models.values())).after.matrices]
    numbers = 2 * len(models) * len(names) * steps * steps
    if steps < 1 or numbers > MOST_NUMBERS:
        rule = f"2 characters or more, with at most {MOST_NUMBERS:,} numbers in all maps"
        got = f"{steps + 1:,} characters with {numbers:,}"
        raise ValueError(sentence("side_by_side_page", "text", rule, got))
    after = {
        name: {
            definition: _matrix(name, matrix, steps)
            for definition, matrix in model.after.matrices.items()
        }
        for name, model in models.items()
    }
    last = [*models.values()][-1].after
    places = _finished_words("".join(text), last.completions) + worth_looking_at(
        "".join(text), np.asarray(last.chances), _matrix("after", last.matrices[names[0]], steps)
    )
    data = {
        "steps": steps,
        "start": places[0].step,
        "characters": [visible(character) for character in text],
        "text": [readable(character) for character in text],
        "definitions": [
            {"name": name, "meaning": MEANINGS.get(name, "").format(token="character"),
             "signed": name in SIGNED}
            for name in names
        ],
        "models": [
            {"name": name, "moments": [_moment(name, each, names, steps) for each in model[:2]]}
            for name, model in models.items()
        ],
    }  # fmt: skip
    body = _BODY.format(
        opening=opening(story),
        definitions=options([name.replace("_", " ") for name in names]),
        key=colour_key("How much it mattered for the prediction", "0", "most", signed=False)
        if names[0] not in SIGNED
        else colour_key("How much it spoke for the prediction", "against", "for"),
        tries=try_this([*(_try(place.step, place.why, text) for place in places), *story.tries]),
        panels="".join(_panel(number, name) for number, name in enumerate(models)),
        closing=closing(story),
        agreement=_agreement(models),
        data=embedded_json("models", data),
    )
    plots = {"reached": reach_curves(after, "character")}
    return plot_page(story.title, body, plots, assets=("side_by_side.css", "side_by_side.js"))


def _finished_words(text: str, completions: Sequence[Sequence[Completion]]) -> tuple[Place, ...]:
    """The place where the last model finishes most of a word as it really goes on."""
    found = []
    for step, ways in enumerate(completions):
        rest = re.match(r"[^\W\d_]*", text[step + 1 :])
        if rest is not None and ways[0].text == rest[0] and text[step].isalpha():
            found.append((len(rest[0]), step))
    if not found or max(found)[0] < 2:
        return ()
    return (Place(max(found)[1], "the word is finished from here"),)


def _matrix(name: str, matrix: ArrayLike, steps: int) -> NDArray[np.float64]:
    array = np.asarray(matrix, np.float64)
    if array.shape != (steps, steps):
        rule = f"[{steps}, {steps}], the characters of the text that were read"
        raise ValueError(sentence("side_by_side_page", f"models[{name!r}]", rule, array))
    return array


def _moment(name: str, moment: Moment, names: Sequence[str], steps: int) -> dict[str, Any]:
    """Maps as parts of each row's largest, since rows span many powers of ten."""
    maps, reaches = [], []
    for definition in names:
        array = _matrix(name, moment.matrices[definition], steps)
        largest = np.abs(array).max(axis=1, keepdims=True)
        maps.append(packed(array / np.where(largest > 0, largest, 1.0)))
        reaches.append(reach(array).tolist())
    return {
        "maps": maps,
        "reaches": reaches,
        "chances": np.round(np.asarray(moment.chances, np.float64), 6).tolist(),
        "completions": [
            [["".join(map(visible, each.text)), round(each.probability, 4)] for each in ways]
            for ways in moment.completions
        ],
    }


def _agreement(models: Mapping[str, Compared]) -> str:
    tables = "".join(
        agreement_table(name, model.agreement)
        for name, model in models.items()
        if model.agreement is not None
    )
    head = "Do the definitions agree? A table for each model"
    return f"<details><summary>{head}</summary>{tables}</details>" if tables else ""


def _panel(number: int, name: str) -> str:
    return (
        f'<section class="panel" aria-labelledby="name-{number}"><h2 id="name-{number}"></h2>'
        f'<p class="quiet" id="said-{number}"></p>'
        f'<div class="text" id="text-{number}" tabindex="0" role="group" '
        f'aria-label="The text as {name} sees it; arrow keys move"></div>'
        f'<p class="quiet">How it would go on:</p>'
        f'<table class="list ways"><tbody id="ways-{number}"></tbody></table></section>'
    )


def _try(step: int, why: str, text: Sequence[str]) -> Try:
    before = "".join(text[max(0, step - 11) : step + 1]).split("\n")[-1].lstrip()
    return Try(f"“{before}[{visible(text[step + 1])}]”: {why}", {"place": step + 1})


_BODY = """{opening}
<main class="story">
<div class="row">
<span class="choice" role="group" aria-label="Training">
<button type="button" data-moment="0" aria-pressed="false">Before training</button>
<button type="button" data-moment="1" aria-pressed="true">After</button></span>
<button id="play" type="button">▶ Read</button>
<label>Definition <select id="definition">{definitions}</select></label>
</div>
{key}
<figure>
<div class="panels">{panels}</div>
<figcaption>One cursor for all: point at a character (or use the arrow keys) and every model shows
which earlier characters its prediction of that one hung on, each on its own scale. The green frame
is the character itself; below stand the three likeliest ways on, each to the end of its
word. <span id="meaning"></span></figcaption></figure>
{tries}
<h2>How far back?</h2>
<figure><div class="plot"><!--reached--></div>
<figcaption>The share of all connectivity that lies within a distance, trained. The dashed line is
90 %.</figcaption></figure>
{closing}
{agreement}
</main>
{data}"""
