"""Where the loss is, and what would have prevented the errors."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jaxrnn.charlm import bits
from jaxrnn.charlm.loss_groups import Group, character_classes, group_losses
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.copying import sort_suffixes
from jaxrnn.microscope.measurements.error_breakdown import errors_by_cause
from jaxrnn.microscope.measurements.surprise import (
    positions_in_word,
    top_alternatives,
)
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only, own_text, read

if TYPE_CHECKING:
    from jaxrnn.microscope.pages.bars import Bar

LONGEST_PLACE = 12
"""From this place in a word on, places are counted together."""

HARDEST = 10
"""Characters that are listed one by one."""

CONTEXT = 24
"""Characters before one of them that are shown with it."""


def surprise_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """The loss by kind of character, by place in the word, and by what would have prevented it."""
    from jaxrnn.microscope.pages.bars import Chart, bars_page
    from jaxrnn.microscope.pages.html import visible
    from jaxrnn.microscope.pages.shell import Story

    subject = only(subjects, "surprise")
    start, end = stretch.bounds(10_000)
    text = stretch.text[start : end + 1]
    progress("reading the text", 0, 3)
    seen = read(subject, subject.params, stretch.text, start, end)
    losses = np.asarray(seen.losses, np.float64)
    progress("sorting the training text", 1, 3)
    places = [min(place, LONGEST_PLACE) for place in positions_in_word(text)]
    kinds = group_losses(losses, character_classes(text)[1:])
    by_place = group_losses(losses, places[1:])
    charts = {
        "By kind of character": Chart(_bars(kinds), "Share of the loss"),
        "By place in the word": Chart(_bars(_by_place(by_place)), "Share of the loss"),
    }
    try:
        training = sort_suffixes(own_text(subject.run)[0])
    except ValueError as missing:
        causes: tuple[Group, ...] = ()
        note = f"Errors by cause need the text that the run was trained on. {missing}\n"
    else:
        progress("looking for the causes of errors", 2, 3)
        causes, note = errors_by_cause(text, losses, training), ""
    progress("looking for the causes of errors", 3, 3)
    if causes:
        explanation = (
            "An error is a character with a probability below ½; it goes to the first cause that "
            "would have prevented it (Karpathy, Johnson and Li 2015). They make up "
            f"{losses[losses > np.log(2)].sum() / losses.sum():.0%} of the whole loss."
        )
        charts["Errors, by what would have prevented them"] = Chart(
            _bars(causes), "Share of the errors' loss", explanation
        )
    # Of equal contexts the worst one only: a table of one line ten times says nothing.
    contexts: dict[str, int] = {}
    for at in np.argsort(-losses).tolist():
        contexts.setdefault(text[max(0, at - 3) : at + 2], at)
        if len(contexts) == HARDEST:
            break
    hardest = np.array([*contexts.values()])
    alternatives = top_alternatives(np.asarray(seen.logits)[hardest], subject.run.vocab, count=3)
    mean = f"{bits(losses.mean()):.4f} bits a character"
    rows = []
    for at, expected in zip(hardest, alternatives, strict=True):
        before = "".join(map(visible, text[max(0, at + 1 - CONTEXT) : at + 1]))
        likeliest = ", ".join(f"{visible(a.character)} {a.probability:.2f}" for a in expected)
        p = float(np.exp(-losses[at]))
        rows.append((f"…{before}[{visible(text[at + 1])}]", f"p = {p:.1e}; expected {likeliest}"))
    first = sum(group.share for group in by_place if group.label == 1)
    page = partial(
        bars_page,
        charts,
        Story(
            f"{first:.0%} of the loss falls on the first characters of words",
            "A language model pays for every character that it did not expect: −log₂ p bits. "
            "Where it pays shows what it has not learned, or what nobody could know.",
            source=f"{subject.name}. {stretch.words(start, end + 1)}; after {subject.step:,} steps "
            f"of training. Mean loss of these characters: {mean}.",
        ),
        rows=rows,
        rows_heading="The greatest surprises",
    )
    lines = [
        f"  {group.label!s:20} {group.characters:6,} characters, {group.mean_bits:5.2f} bits "
        f"each, {group.share:4.0%} of {'the errors’' if causes else 'the'} loss"
        for group in (causes or kinds)
    ]
    head = "The errors, by what would have prevented them:" if causes else "By kind of character:"
    return View(
        page,
        f"{mean} on {end - start:,} of {len(stretch.text):,} characters.\n{note}{head}\n"
        + "\n".join(lines),
    )


def _by_place(groups: Sequence[Group]) -> tuple[Group, ...]:
    """In the order of places, with words for them: 1 … `LONGEST_PLACE`, then 0, outside words."""

    def words(place: int) -> str:
        if place == 0:
            return "in no word"
        return f"character {place}" + (" or later" if place == LONGEST_PLACE else "")

    by_number = {int(str(group.label)): group for group in groups}
    places = sorted(by_number, key=lambda place: place or LONGEST_PLACE + 1)
    return tuple(by_number[place]._replace(label=words(place)) for place in places)


def _bars(groups: Sequence[Group]) -> "list[Bar]":
    from jaxrnn.microscope.pages.bars import Bar

    return [
        Bar(
            str(group.label),
            group.share,
            f"{group.characters:,} characters, {group.mean_bits:.2f} bits each",
        )
        for group in groups
    ]
