"""The whole story of a run: the other views, one after the other, on one page."""

import dataclasses
import html
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.views.subject import (
    Stretch,
    Subject,
    View,
    check_known,
    layer_number,
    only,
)


class Part(NamedTuple):
    """A chapter of the story.

    Attributes:
        heading: what it is about.
        view: its name in `VIEWS`.
        length: tokens that it reads; None: as many as the view reads by itself. Maps of units and
            of pairs grow with it, and the whole page is to stay below 8 MB.
    """

    heading: str
    view: str
    length: int | None = None


PARTS = {
    "training": Part("Training, samples", "training"),
    "units": Part("Units", "activations", 500),
    "gradients": Part("Gradients", "gradient-flow"),
    "connectivity": Part("Connectivity", "connectivity"),
    "surprises": Part("Surprises", "surprise"),
    "copying": Part("Copying", "copying"),
}

LONGEST = 150
"""Tokens of the shortest stretch that every part can read: those of the connectivity."""

FIRST_WORDS = 400
"""Characters of the last sample at the head of the page."""


def story_view(subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent) -> View:
    """Every part of the story that the run can tell; what it cannot is said."""
    from jaxrnn.microscope.pages.framed import Chapter, framed_page
    from jaxrnn.microscope.pages.shell import Story
    from jaxrnn.microscope.views import VIEWS

    subject = only(subjects, "story")
    # What is wrong with the run or with what was asked is said once, not in every part.
    tokens = subject.tokens(stretch.text)
    start, least = stretch.bounds(tokens, LONGEST)
    check_known(subject, tokens, start, least + 1)
    layer_number(subject, stretch)
    step = subject.step
    chapters, words, missing = [], [], []
    first: Exception | None = None
    for name, part in PARTS.items():
        end = part.length and min(stretch.start + part.length, len(tokens) - 1)
        try:
            view = VIEWS[part.view](subjects, dataclasses.replace(stretch, end=end), progress)
            chapters.append(Chapter(name, part.heading, view.page()))
        except (ValueError, OSError) as error:
            first = first or error
            missing.append(f"{part.heading}: left out. {error}")
        else:
            words.append(f"{part.heading}\n" + _indented(view.words))
    if first is not None and not chapters:
        raise first
    run = subject.run
    story = Story(
        f"Inside {run.path.name}",
        "One network, from its first step of training to what it writes: how it learned, what "
        "its units watch, how far back its gradients and its predictions reach, where it is "
        "surprised, and what it knows by heart.",
        source=f"{subject.name}, after {step:,} steps of training.",
    )
    page = partial(framed_page, chapters, story, before=_first_words(run), missing=missing)
    return View(page, "\n".join([*words, *missing]))


def _first_words(run: Any) -> str:
    """The beginning of the last sample on the way, as HTML; nothing where there is none."""
    records = run.metrics() if run.metrics_path.exists() else []
    samples = [record["sample"] for record in records if record.get("sample")]
    if not samples:
        return ""
    shown = html.escape(samples[-1][:FIRST_WORDS])
    named = 'tabindex="0" role="region" aria-label="What it writes"'
    return f'<div class="first-words" {named}>{shown}…</div>'


def _indented(words: str) -> str:
    return "\n".join(f"  {line}" for line in words.splitlines())
