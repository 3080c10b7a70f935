"""Where the loss is, and what would have prevented the errors."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import bits
from jaxrnn.charlm.loss_groups import (
    Group,
    character_classes,
    character_losses,
    group_losses,
    word_classes,
)
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.copying import sort_suffixes
from jaxrnn.microscope.measurements.error_breakdown import errors_by_cause
from jaxrnn.microscope.measurements.surprise import (
    positions_in_word,
    top_alternatives,
)
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only, read

if TYPE_CHECKING:
    from jaxrnn.microscope.pages.bars import Bar

LONGEST_PLACE = 12
"""From this place in a word on, places are counted together."""

HARDEST = 10
"""Tokens that are listed one by one."""

CONTEXT = 24
"""Tokens before one of them that are shown with it."""


def surprise_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """The loss by kind of character, by place in the word, and by what would have prevented it.

    The losses of bytes are added up to those of characters; of words there is only their kind.
    """
    from jaxrnn.microscope.pages.bars import Chart, bars_page
    from jaxrnn.microscope.pages.html import visible
    from jaxrnn.microscope.pages.shell import Story

    subject = only(subjects, "surprise")
    whole = subject.tokens(stretch.text)
    start, end = stretch.bounds(whole, 10_000)
    tokens = whole.part(start, end + 1)
    progress("reading the text", 0, 3)
    seen = read(subject, subject.params, whole, start, end)
    losses = np.asarray(seen.losses, np.float64)
    progress("sorting the training text", 1, 3)
    causes: tuple[Group, ...] = ()
    note = ""
    if tokens.kind == "words":
        kinds = group_losses(losses, word_classes(tokens.labels[1:]))
        title = f"{kinds[0].share:.0%} of the loss falls on: {kinds[0].label}"
        charts = {"By kind of token": Chart(_bars(kinds, "tokens"), "Share of the loss")}
    else:
        text, by_character = tokens.text, character_losses(losses, tokens.lengths)
        places = [min(place, LONGEST_PLACE) for place in positions_in_word(text)]
        kinds = group_losses(by_character, character_classes(text)[1:])
        by_place = group_losses(by_character, places[1:])
        first = sum(group.share for group in by_place if group.label == 1)
        title = f"{first:.0%} of the loss falls on the first characters of words"
        charts = {
            "By kind of character": Chart(_bars(kinds), "Share of the loss"),
            "By place in the word": Chart(_bars(_by_place(by_place)), "Share of the loss"),
        }
        causes, note = _causes(subject, text, by_character, progress)
        if causes:
            errors = by_character[by_character > np.log(2)].sum() / by_character.sum()
            explanation = (
                "An error is a character with a probability below ½; it goes to the first cause "
                "that would have prevented it (Karpathy, Johnson and Li 2015). They make up "
                f"{errors:.0%} of the whole loss."
            )
            charts["Errors, by what would have prevented them"] = Chart(
                _bars(causes), "Share of the errors' loss", explanation
            )
    progress("looking for the causes of errors", 3, 3)
    hardest = _hardest(tokens.labels, losses)
    alternatives = top_alternatives(np.asarray(seen.logits)[hardest], subject.run.vocab, count=3)
    mean = f"{bits(losses.mean()):.4f} bits a {tokens.name}"
    rows = []
    for at, expected in zip(hardest, alternatives, strict=True):
        before = "".join(map(visible, tokens.labels[max(0, at + 1 - CONTEXT) : at + 1]))
        likeliest = ", ".join(f"{visible(a.character)} {a.probability:.2f}" for a in expected)
        p = float(np.exp(-losses[at]))
        shown = f"…{before}[{visible(tokens.labels[at + 1])}]"
        rows.append((shown, f"p = {p:.1e}; expected {likeliest}"))
    page = partial(
        bars_page,
        charts,
        Story(
            title,
            f"A language model pays for every {tokens.name} that it did not expect: −log₂ p bits. "
            "Where it pays shows what it has not learned, or what nobody could know.",
            source=f"{subject.name}. {stretch.words(whole, start, end + 1)}; after "
            f"{subject.step:,} steps of training. Mean loss of these {tokens.names}: {mean}.",
        ),
        rows=rows,
        rows_heading="The greatest surprises",
    )
    counted = "tokens" if tokens.kind == "words" else "characters"
    lines = [
        f"  {group.label!s:20} {group.characters:6,} {counted}, {group.mean_bits:5.2f} bits "
        f"each, {group.share:4.0%} of {'the errors’' if causes else 'the'} loss"
        for group in (causes or kinds)
    ]
    head = f"By kind of {counted[:-1]}:"
    if causes:
        head = "The errors, by what would have prevented them:"
    return View(
        page,
        f"{mean} on {end - start:,} of {len(whole):,} {tokens.names}.\n{note}{head}\n"
        + "\n".join(lines),
    )


def _causes(
    subject: Subject, text: str, losses: NDArray[np.float64], progress: Progress
) -> tuple[tuple[Group, ...], str]:
    """The errors by cause, or why they are not to be had."""
    try:
        training = sort_suffixes(subject.own_text.train.text)
    except ValueError as missing:
        note = f"Errors by cause need the text that the run was trained on. {missing}\n"
        return (), note
    progress("looking for the causes of errors", 2, 3)
    return errors_by_cause(text, losses, training), ""


def _hardest(labels: Sequence[str], losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where the greatest losses are.

    Of equal contexts the worst one only: a table of one line ten times says nothing.
    """
    contexts: dict[tuple[str, ...], int] = {}
    for at in np.argsort(-losses).tolist():
        contexts.setdefault(tuple(labels[max(0, at - 3) : at + 2]), at)
        if len(contexts) == HARDEST:
            break
    return np.array([*contexts.values()], np.int64)


def _by_place(groups: Sequence[Group]) -> tuple[Group, ...]:
    """In the order of places, with words for them: 1 … `LONGEST_PLACE`, then 0, outside words."""

    def words(place: int) -> str:
        if place == 0:
            return "in no word"
        return f"character {place}" + (" or later" if place == LONGEST_PLACE else "")

    by_number = {int(str(group.label)): group for group in groups}
    places = sorted(by_number, key=lambda place: place or LONGEST_PLACE + 1)
    return tuple(by_number[place]._replace(label=words(place)) for place in places)


def _bars(groups: Sequence[Group], counted: str = "characters") -> "list[Bar]":
    from jaxrnn.microscope.pages.bars import Bar

    return [
        Bar(
            str(group.label),
            group.share,
            f"{group.characters:,} {counted}, {group.mean_bits:.2f} bits each",
        )
        for group in groups
    ]
