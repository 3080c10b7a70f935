"""Loss curves and samples of a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from jaxrnn.charlm import bits
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only


def training_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Loss curves and samples of the run."""
    from jaxrnn.microscope.pages.shell import Story
    from jaxrnn.microscope.pages.training import training_page

    subject = only(subjects, "training")
    run = subject.run
    if not run.metrics_path.exists():
        rule, got = "a run that has begun to train", f"{run.path}, which has no metrics.jsonl"
        raise ValueError(sentence("show", "RUN", rule, got))
    records = run.metrics()
    settings = asdict(run.settings)
    facts = {name: value for name, value in settings.items() if value is not None}
    page = partial(
        training_page,
        records,
        Story(
            _finding(records),
            "The loss is what the next character costs on average. Training has done its work "
            "where the validation dots stop falling; the samples show what the numbers mean.",
            source=f"{subject.name}, on {Path(run.source).name}.",
        ),
        facts=facts,
        token=run.settings.token,
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.curves import draw_training

        draw_training(axes, records, token=run.settings.token)

    return View(page, f"{len(records):,} records of metrics.jsonl.", draw)


def _finding(records: Sequence[Mapping[str, Any]]) -> str:
    """From which loss to which, as a title."""
    losses = [
        bits(record["loss"])
        for record in records
        if isinstance(record.get("loss"), int | float) and math.isfinite(record["loss"])
    ]
    if len(losses) < 2:
        return "Training has begun"
    last = [*(record for record in records if record.get("smoothed_loss"))][-1:]
    end = bits(last[0]["smoothed_loss"]) if last else losses[-1]
    return f"From {losses[0]:.2f} to {end:.2f} bits a character"
