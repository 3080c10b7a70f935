"""One training step line by line, in a picture of the unrolled network."""

from collections.abc import Sequence
from functools import partial

import jax

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.views.subject import (
    Stretch,
    Subject,
    View,
    carry_before,
    encoded,
    only,
    unit_numbers,
)

MOST_NUMBERS = 60_000_000
"""About as many are kept of either network, in float64: half a gigabyte."""


def stepper_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """One training step line by line, in a picture of the unrolled network."""
    from jaxrnn.microscope.pages.selection import MOST_UNITS
    from jaxrnn.microscope.pages.stepper import MOST_STEPS, stepper_page

    subject = only(subjects, "stepper")
    run, settings = subject.run, subject.run.settings
    tokens = subject.tokens(stretch.text)
    start, end = stretch.bounds(tokens, 8)
    if end - start > MOST_STEPS:
        rule, got = f"at most {MOST_STEPS} {tokens.names} for the stepper", f"{start} to {end}"
        raise ValueError(sentence("show", "--from, --to", rule, got))
    units = None
    if stretch.units is not None:
        units = unit_numbers(subject, stretch)
        if len(units) > MOST_UNITS:
            rule = f"at most {MOST_UNITS} units for the stepper"
            raise ValueError(sentence("show", "--units", rule, f"{len(units)} of them"))
    kept = sum(leaf.size for leaf in jax.tree.leaves(subject.params)) * (end - start + 6)
    if kept > MOST_NUMBERS:
        rule = f"at most {MOST_NUMBERS:,} numbers to keep, of parameters at every step"
        hint = "a shorter stretch (--from, --to) or a smaller model"
        raise ValueError(sentence("show", "RUN", rule, f"{kept:,}", hint))
    inputs, targets = encoded(subject, tokens, start, end)
    recordings = {}
    for number, (name, params) in enumerate(
        {"untrained": subject.untrained, "trained": subject.params}.items()
    ):
        progress("recording", number, 2)
        carry = carry_before(subject, params, tokens, start)
        recordings[name] = record(
            run.config,
            params,
            carry,
            inputs,
            targets,
            update=settings.optimizer,
            learning_rate=settings.learning_rate,
            limit=settings.grad_clip,
            norm_limit=settings.grad_clip_norm,
            decay_rate=settings.decay_rate,
            weight_decay=settings.weight_decay,
            loss=settings.loss,
        )
    progress("recording", 2, 2)
    trained = recordings["trained"]
    shown = ["".join(tokens.labels[k : end - start + k]) for k in (start, start + 1)]
    page = partial(
        stepper_page,
        recordings,
        run.vocab.labels,
        title=f"One training step brings the loss from {trained.loss:.2f} to "
        f"{trained.loss_after:.2f} nats",
        text=f"The run {subject.name} reads {shown[0]!r} and should expect {shown[1]!r}, "
        "one token on.",
        more=["η is the run's highest learning rate."],
        units=units,
    )
    changes = [
        f"  {name}: {r.loss:.4f} → {r.loss_after:.4f} nats" for name, r in recordings.items()
    ]
    head = f"Loss of the window, before and after one update by {trained.update_in_words}:\n"
    return View(page, head + "\n".join(changes))
