"""What depends on each unit: the loss without it, and what is written without it."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from jaxrnn.charlm import bits
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.clamping import Clamp, clamped_sample, clamping_effects
from jaxrnn.microscope.views.subject import (
    Stretch,
    Subject,
    View,
    carry_before,
    encoded,
    layer_number,
    only,
    unit_numbers,
)

SHOWN = 30
"""Units that have a bar."""

WRITTEN = 400
"""Tokens of each of the two texts."""


def clamping_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """The change in loss when each unit in turn is silenced, and what is written without one."""
    from jaxrnn.microscope.pages.bars import Bar, Chart, bars_page
    from jaxrnn.microscope.pages.shell import Story

    subject = only(subjects, "clamping")
    run, layer = subject.run, layer_number(subject, stretch)
    units = unit_numbers(subject, stretch)
    tokens = subject.tokens(stretch.text)
    start, end = stretch.bounds(tokens, 500)
    value = stretch.value or 0.0
    held = f"held at {value:g}" if value else "silenced"
    progress("clamping units", 0, 3)
    inputs, targets = encoded(subject, tokens, start, end)
    carry = carry_before(subject, subject.params, tokens, start)
    effects = bits(1.0) * np.asarray(
        clamping_effects(run.config, subject.params, carry, inputs, targets, layer, value),
        np.float64,
    )
    order = sorted(units, key=lambda unit: -abs(effects[unit]))
    most = order[0]
    texts = {}
    for number, (name, clamps) in enumerate(
        {"as it is": [], f"with unit {most} {held}": [Clamp(layer, most, value)]}.items(), 1
    ):
        progress("writing", number, 3)
        texts[f"What it writes {name}, by the same draws"] = clamped_sample(
            run.config, subject.params, run.vocab, jax.random.key(0), clamps, WRITTEN,
            tokens.first_text(start),
        )  # fmt: skip
    progress("writing", 3, 3)
    chart = Chart(
        [Bar(f"unit {unit}", float(effects[unit])) for unit in order[:SHOWN]],
        f"change in loss, bits a {tokens.name}",
        f"The {min(SHOWN, len(order))} units whose clamping changes the loss most; to the right, "
        "blue, the text becomes harder without the unit; to the left, orange, easier.",
    )
    page = partial(
        bars_page,
        {f"Units of layer {layer + 1}, each {held} in turn": chart},
        Story(
            f"Unit {most} is missed most when it is {held}",
            f"Each unit in turn is {held} while the network reads, and the loss says how much it "
            "is missed. Most networks spread their work, so that no single unit matters much.",
            source=f"{subject.name}. {stretch.words(tokens, start, end + 1)}. A clamped "
            f"unit's h is {value:g} at every step.",
        ),
        texts=texts,
    )
    lines = [f"  unit {unit:4}  {effects[unit]:+.4f}".replace("-", "−") for unit in order[:8]]
    head = f"{held.capitalize()}, a unit changes the loss by (bits a {tokens.name}):\n"
    return View(page, head + "\n".join(lines))
