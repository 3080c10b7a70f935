"""Which earlier characters mattered for each prediction."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.connectivity import (
    DEFINITIONS,
    connectivity_matrix,
    rank_agreement,
    reach,
)
from jaxrnn.microscope.views.subject import Stretch, Subject, View, carry_before, only, read


def connectivity_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Which earlier characters mattered for each prediction."""
    from jaxrnn.microscope.pages.connected_text import ConnectedModel, connectivity_page
    from jaxrnn.microscope.pages.shell import Story

    subject = only(subjects, "connectivity")
    tokens = subject.tokens(stretch.text)
    start, end = stretch.bounds(tokens, 150)
    seen = read(subject, subject.params, tokens, start, end)
    carry = carry_before(subject, subject.params, tokens, start)
    names = [stretch.definition] if stretch.definition else [*DEFINITIONS]
    matrices = {}
    for number, name in enumerate(names):
        progress(name.replace("_", " "), number, len(names))
        matrices[name] = np.asarray(
            connectivity_matrix(
                subject.run.config, subject.params, carry, seen.inputs, seen.targets, name
            )
        )
    progress(names[-1].replace("_", " "), len(names), len(names))
    several = len(names) > 1 and end - start > 6
    agreement = rank_agreement(matrices) if several else None
    distance = float(np.mean(reach(matrices[names[0]]))) + 1
    page = partial(
        connectivity_page,
        tokens.labels[start : end + 1],
        {subject.name: ConnectedModel(matrices, seen.logits, agreement)},
        subject.run.vocab.labels,
        Story(
            f"Nine tenths of a prediction hang on {distance:.0f} {tokens.names}",
            f"Before every {tokens.name} the network bets on what comes next. The colours show "
            f"which earlier {tokens.names} its bet hung on: the stronger, the more it would have "
            "changed.",
            source=f"{subject.name}. {stretch.words(tokens, start, end + 1)}. The number "
            f"in the title is the mean by the first definition, {names[0].replace('_', ' ')}.",
        ),
        first=start,
        token=tokens.name,
    )
    lines = [
        f"  {name.replace('_', ' '):28} {np.mean(reach(matrix)):6.1f} {tokens.names}"
        for name, matrix in matrices.items()
    ]

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.coloured_text import draw_coloured_text

        text = tokens.labels[start : end + 1]
        matrix = matrices[names[0]]
        draw_coloured_text(axes, text, matrix[-1], target=len(text) - 1)
        words = f"{subject.name}: {names[0].replace('_', ' ')}\n"
        words += "Full colour: mattered most for what stands in the green frame"
        axes.set_title(words, fontsize=9, loc="left")

    head = "90 % of the connectivity lies, on average, within\n"
    return View(page, head + "\n".join(lines), draw)
