"""How much of what a model writes stands in its training text word for word."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.copying import (
    Passage,
    longest_passages,
    match_lengths,
    novel_share_of,
    sort_suffixes,
)
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only

WRITTEN = 2000
"""Tokens of the sample, and characters of the held-out text beside it."""

LONGEST = 30
"""The largest n of the n-grams."""

PASSAGES = 10

MARKED = 12
"""Characters of the shortest passage that is marked in the sample: shorter ones are words."""


def copying_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """The longest passages of a sample that the training text has, and the share of new n-grams."""
    from jaxrnn.microscope.pages.curves import curves_page
    from jaxrnn.microscope.pages.html import visible
    from jaxrnn.microscope.pages.shell import Story
    from jaxrnn.microscope.pages.tables import Marked

    subject = only(subjects, "copying")
    run = subject.run
    training, held_out = (part.text for part in subject.own_text[:2])
    progress("writing", 0, 3)
    prime = next((token for token in ("\n", " ", *run.vocab.labels) if token in run.vocab), "")
    sample = charlm.sample(
        run.config, subject.params, run.vocab, jax.random.key(0), length=WRITTEN, prime=prime
    )
    progress("sorting the training text", 1, 3)
    suffixes = sort_suffixes(training)
    progress("looking for copies", 2, 3)
    curves = {"the sample": [_novel_shares(match_lengths(suffixes, sample))]}
    if len(held_out) > LONGEST:
        curves["held-out text"] = [_novel_shares(match_lengths(suffixes, held_out[:WRITTEN]))]
    passages = longest_passages(suffixes, sample, 4 * PASSAGES)
    copied, times = passages, Counter(passage.text for passage in passages)
    passages = tuple({passage.text: passage for passage in passages}.values())[:PASSAGES]
    progress("looking for copies", 3, 3)
    rows = [
        (
            "".join(map(visible, passage.text)),
            f"{len(passage.text)} characters, {times[passage.text]} × in the sample, "
            f"{passage.occurrences:,} × in the training text",
        )
        for passage in passages
    ]
    page = partial(
        curves_page,
        curves,
        Story(
            _finding(passages),
            "A language model may learn a language or learn a text by heart. New n-grams, beside "
            "those of held-out text by the same hand, tell the two apart: who copies less than "
            "the author repeats himself has learned the language.",
            source=f"{subject.name}: a sample of {WRITTEN:,} {run.settings.token}s beside the text "
            "that the run was trained on.",
        ),
        caption="For each n, the share of n-grams that the training text does not have.",
        x_label="length n, characters",
        y_label="share of n-grams that are new",
        legend="bottom_right",
        rows=rows,
        rows_heading="The longest passages that both have",
        texts={
            f"The sample, its passages of {MARKED} characters or more marked": Marked(
                sample,
                [
                    (each.start, each.start + len(each.text), f"{each.occurrences:,} × in the text")
                    for each in copied
                    if len(each.text) >= MARKED
                ],
            )
        },
    )
    lines = [f"  {rows[k][1]}: {rows[k][0]}" for k in range(min(3, len(rows)))]
    return View(page, "The longest passages taken from the training text:\n" + "\n".join(lines))


def _finding(passages: Sequence[Passage]) -> str:
    """The longest passage, as a title."""
    if not passages:
        return "Nothing in the sample is copied"
    return f"The longest copied passage has {len(passages[0].text)} characters"


def _novel_shares(lengths: NDArray[np.int64]) -> list[float]:
    return [novel_share_of(lengths, n) for n in range(1, min(LONGEST, len(lengths)) + 1)]
