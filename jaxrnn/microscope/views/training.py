"""Loss curves and samples of a run."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only


def training_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Loss curves and samples of the run."""
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
        title=f"Training of {subject.name}",
        description=f"On {Path(run.source).name}.",
        facts=facts,
        token=run.settings.token,
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.curves import draw_training

        draw_training(axes, records, token=run.settings.token)

    return View(page, f"{len(records):,} records of metrics.jsonl.", draw)
