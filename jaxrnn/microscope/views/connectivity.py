"""Which earlier characters mattered for each prediction."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxrnn.microscope.connectivity import DEFINITIONS, connectivity_matrix, rank_agreement, reach
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.views.subject import Stretch, Subject, View, carry_before, only, read


def connectivity_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Which earlier characters mattered for each prediction."""
    from jaxrnn.microscope.pages.connectivity import ConnectedModel, connectivity_page

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
    page = partial(
        connectivity_page,
        tokens.labels[start : end + 1],
        {subject.name: ConnectedModel(matrices, seen.logits, agreement)},
        subject.run.vocab.labels,
        title=f"What mattered to {subject.name}",
        description=f"{stretch.words(tokens, start, end + 1)}.",
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

    head = "90 % of the connectivity lies, on average, within\n"
    return View(page, head + "\n".join(lines), draw)
