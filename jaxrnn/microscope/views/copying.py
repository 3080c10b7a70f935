"""How much of what a model writes stands in its training text word for word."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.copying import longest_passages, match_lengths, novel_share_of, sort_suffixes
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only

WRITTEN = 2000
"""Tokens of the sample, and characters of the held-out text beside it."""

LONGEST = 30
"""The largest n of the n-grams."""

PASSAGES = 10


def copying_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """The longest passages of a sample that the training text has, and the share of new n-grams."""
    from jaxrnn.microscope.pages.curves import curves_page
    from jaxrnn.microscope.pages.html import visible

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
    times = Counter(passage.text for passage in passages)
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
        title=f"What {subject.name} copies",
        description=f"A sample of {WRITTEN:,} {run.settings.token}s beside the text that the run "
        "was trained on: for each n, the share of its n-grams that the training text does not "
        "have. Text by the same hand, held out, is the measure: who copies less has more "
        "that is new.",
        x_label="n, characters",
        y_label="share of n-grams that are new",
        legend="bottom_right",
        rows=rows,
        rows_heading="The longest passages that both have",
        texts={"The sample": sample},
    )
    lines = [f"  {rows[k][1]}: {rows[k][0]}" for k in range(min(3, len(rows)))]
    return View(page, "The longest passages taken from the training text:\n" + "\n".join(lines))


def _novel_shares(lengths: NDArray[np.int64]) -> list[float]:
    return [novel_share_of(lengths, n) for n in range(1, min(LONGEST, len(lengths)) + 1)]
