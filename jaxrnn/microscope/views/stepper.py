"""One training step line by line, untrained and trained side by side."""

from collections.abc import Sequence
from functools import partial

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.views.subject import Stretch, Subject, View, carry_before, encoded, only


def stepper_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """One training step line by line, untrained and trained side by side."""
    from jaxrnn.microscope.pages.stepper import MOST_STEPS, MOST_UNITS, stepper_page

    subject = only(subjects, "stepper")
    run, settings = subject.run, subject.run.settings
    tokens = subject.tokens(stretch.text)
    start, end = stretch.bounds(tokens, 8)
    if settings.num_layers > 1 or max(settings.sizes) > MOST_UNITS:
        hint = f"jaxrnn train --rnn-size {MOST_UNITS} --num-layers 1; or --view activations"
        rule, got = f"a model of one layer with at most {MOST_UNITS} units", subject.name
        raise ValueError(sentence("show", "RUN", rule, got, hint))
    if end - start > MOST_STEPS:
        rule, got = f"at most {MOST_STEPS} {tokens.names} for the stepper", f"{start} to {end}"
        raise ValueError(sentence("show", "--from, --to", rule, got))
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
    shown = ["".join(tokens.labels[k : end - start + k]) for k in (start, start + 1)]
    page = partial(
        stepper_page,
        recordings,
        run.vocab.labels,
        title=f"One training step of {subject.name}",
        text=f"It reads {shown[0]!r} and should expect {shown[1]!r}. η is the run's highest rate.",
    )
    changes = [
        f"  {name}: {r.loss:.4f} → {r.loss_after:.4f} nats" for name, r in recordings.items()
    ]
    update = recordings["trained"].update_in_words
    head = f"Loss of the window, before and after one update by {update}:\n"
    return View(page, head + "\n".join(changes))
