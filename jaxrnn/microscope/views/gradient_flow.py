"""What is left of the gradient, step by step back, over training."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import charlm
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.gradient_flow import (
    FlowOverTraining,
    GradientFlow,
    direction,
    explode_or_vanish,
    flow_of_gradients,
    gradient_histograms,
    product_singular_values,
    recurrent_spectrum,
    step_jacobians,
)
from jaxrnn.microscope.measurements.predictability import largest_lyapunov_exponent
from jaxrnn.microscope.traces import layer_inputs
from jaxrnn.microscope.traces.gradient_traces import state_gradients
from jaxrnn.microscope.views.subject import (
    WARM_UP,
    Stretch,
    Subject,
    View,
    carry_before,
    encoded,
    known_around,
    layer_number,
    read,
)
from jaxrnn.microscope.views.tokens import Tokens

JACOBIANS = 24
"""Steps whose Jacobians are taken; of 192 units their singular values take a second or two."""

FOLLOWED = 1_000
"""Tokens along which the Lyapunov exponent is measured, where the text has as many."""


def gradient_flow_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """What is left of the gradient, step by step back, at every moment that a checkpoint keeps."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page
    from jaxrnn.microscope.pages.shell import Story

    kinds = {subject.run.vocab.kind: subject for subject in subjects}
    if len(kinds) > 1:
        got = ", ".join(f"{kind} of {subject.run.path.name}" for kind, subject in kinds.items())
        raise ValueError(sentence("show", "RUN", "runs with tokens of one kind", got))
    tokens = subjects[0].tokens(stretch.text)
    start, end = stretch.bounds(tokens, 64)
    histories = [_moments(subject, len(subjects) > 1) for subject in subjects]
    models: dict[str, FlowOverTraining] = {}
    lines = []
    total, done = sum(map(len, histories)), 0
    for subject, history in zip(subjects, histories, strict=True):
        layer = layer_number(subject, stretch)
        tokens = subject.tokens(stretch.text)
        inputs, targets = encoded(subject, tokens, start, end)
        by_moment = []
        for params in history.values():
            progress("gradients", done, total)
            carry = carry_before(subject, params, tokens, start)
            gradients = state_gradients(subject.run.config, params, carry, inputs, targets)
            by_moment.append(gradients[layer])
            done += 1
        last = [*history.values()][-1]
        for field in by_moment[0]._fields:
            arrays = [np.asarray(getattr(moment, field), np.float64) for moment in by_moment]
            flows = tuple(flow_of_gradients(array) for array in arrays)
            name = _unlike(models, subject, field)
            words = ""
            if field == "h":
                words = _what_makes_it(subject, last, layer, flows[-1], tokens, start, end)
                words = f"{words}\n{_predictability(subject, last, layer, tokens, start)}"
            histograms = gradient_histograms(np.stack([array[-1] for array in arrays]))
            models[name] = FlowOverTraining((*history,), histograms, flows, words)
            factors = f"{flows[0].factor_a_step:.3f} before training, {flows[-1].factor_a_step:.3f}"
            lines.append(f"  {name}: {factors} after")
            if field == "h":
                lines += [f"    {line}" for line in words.split("\n")]
    progress("gradients", total, total)
    page = partial(
        gradient_flow_page,
        models,
        Story(
            _finding(models),
            "To learn from what it read long ago, a network needs a gradient that reaches back "
            "that far. On this scale a straight line down is a loss by the same factor at every "
            "step back.",
            source=f"{stretch.words(tokens, start, end)}. A run keeps its first parameters, a "
            "few checkpoints spaced over training, its last two and the best.",
        ),
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.curves import draw_gradient_norms

        draw_gradient_norms(axes, {name: flow.flows[-1] for name, flow in models.items()})

    head = "Factor by which the gradient changes with each step back:\n"
    return View(page, head + "\n".join(lines), draw)


def _finding(models: dict[str, FlowOverTraining]) -> str:
    """How far the gradient of the first model reaches, as a title."""
    flow = next(iter(models.values())).flows[-1]
    half = np.log(0.5) / np.log(flow.factor_a_step) if flow.factor_a_step < 1 else np.inf
    if np.isinf(half):
        return "The gradient does not shrink on its way back"
    steps = f"{half:.0f} steps" if half >= 1.5 else "a single step"
    return f"Half of the gradient is gone after {steps} back"


def _moments(subject: Subject, compared: bool) -> dict[str, Any]:
    """Parameters by moment: every checkpoint; where runs are compared, the first and the best."""
    if compared:
        return {"before training": subject.untrained, "at the best checkpoint": subject.params}
    return {
        "before training" if step == 0 else f"after {step:,} steps": params
        for step, params in subject.history.items()
    }


def _unlike(models: dict[str, FlowOverTraining], subject: Subject, field: str) -> str:
    """A name that no model has yet: runs in folders of the same name get their parent's too."""
    tail = "" if field == "h" else f", {field}"
    name = subject.name + tail
    parent = subject.run.path.absolute().parent
    while name in models:
        name = f"{parent.name}/{name}" if parent.name else f"{name} (again)"
        parent = parent.parent
    return name


def _what_makes_it(
    subject: Subject,
    params: Any,
    layer: int,
    flow: GradientFlow,
    tokens: Tokens,
    start: int,
    end: int,
) -> str:
    """The last moment's w_hh and step Jacobians beside its gradient, and a verdict."""
    cell, weights = subject.run.config.cells[layer], params.layers[layer]
    spectra = recurrent_spectrum(cell, weights)
    before = carry_before(subject, params, tokens, start)
    seen = read(subject, params, tokens, start, min(end, start + JACOBIANS))
    xs = layer_inputs(subject.run.config, params, before, seen.inputs)[layer]
    jacobians = np.asarray(step_jacobians(cell, weights, before[layer], xs), np.float64)
    each = np.linalg.norm(jacobians, 2, axis=(1, 2))
    product = product_singular_values(jacobians)[-1, 0]
    of_what = "carry" if len(cell.Carry._fields) > 1 else "h"
    measured = (
        f"The Jacobian of a step, ∂{of_what}ₜ/∂{of_what}ₜ₋₁, has a largest singular value of "
        f"{each.min():.2f} to {each.max():.2f} (median {np.median(each):.2f}); the product of "
        f"{len(each)} steps has {product:.2g}."
    )
    if len(spectra) == 1:
        verdict = explode_or_vanish(spectra[0], flow)
        return f"{measured} w_hh: spectral radius {verdict.spectral_radius:.3f}, {verdict.words}"
    values = ", ".join(
        f"{each.gate} {each.largest_singular_value:.2f} ({each.spectral_radius:.2f})".replace(
            "(nan)", "(not square)"
        )
        for each in spectra
    )
    factor = flow.factor_a_step
    return (
        f"{measured} w_hh by gate, largest singular value (spectral radius): {values}; yet the "
        f"gradient {direction(factor)}, by {factor:.3f} a step: where gates carry the state "
        "along, w_hh does not decide it."
    )


def _predictability(subject: Subject, params: Any, layer: int, tokens: Tokens, start: int) -> str:
    """The layer's Lyapunov exponent along the text around the stretch, and what it means."""
    config, around = subject.run.config, known_around(tokens, start, FOLLOWED)[1]
    ids = jnp.asarray(around.ids)
    zero = charlm.zero_carry(config, params, ())
    xs = layer_inputs(config, params, zero, ids)[layer]
    guess = jax.tree.map(lambda c: jnp.zeros((len(around), *c.shape), c.dtype), zero[layer])
    found, at_guess = (
        largest_lyapunov_exponent(
            config.cells[layer], params.layers[layer], zero[layer], xs, jax.random.key(0),
            along=along, settle=min(WARM_UP, len(around) // 2),
        )
        for along in (None, guess)
    )  # fmt: skip
    first = f"{at_guess.exponent:+.3f}".replace("-", "−")
    return (
        f"Along {len(around):,} {around.names}: {found.words[0].lower()}{found.words[1:]} "
        f"Along zeros, its first guess, the exponent is {first}; few iterations can "
        "be expected where both are below 0."
    )
