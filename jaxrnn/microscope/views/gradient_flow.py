"""What is left of the gradient, step by step back, over training."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.gradient_flow import (
    FlowOverTraining,
    GradientFlow,
    explode_or_vanish,
    flow_of_gradients,
    gradient_histograms,
    recurrent_spectrum,
)
from jaxrnn.microscope.gradient_traces import state_gradients
from jaxrnn.microscope.traces import encode_text
from jaxrnn.microscope.views.subject import Stretch, Subject, View, carry_before, layer_number


def gradient_flow_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """What is left of the gradient, step by step back, at every moment that a checkpoint keeps."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    start, end = stretch.bounds(64)
    histories = [_moments(subject, len(subjects) > 1) for subject in subjects]
    models: dict[str, FlowOverTraining] = {}
    lines = []
    total, done = sum(map(len, histories)), 0
    for subject, history in zip(subjects, histories, strict=True):
        layer = layer_number(subject, stretch)
        inputs, targets = encode_text(subject.run.vocab, stretch.text[start : end + 1])
        by_moment = []
        for params in history.values():
            progress("gradients", done, total)
            carry = carry_before(subject, params, stretch.text, start)
            gradients = state_gradients(subject.run.config, params, carry, inputs, targets)
            by_moment.append(gradients[layer])
            done += 1
        for field in by_moment[0]._fields:
            arrays = [np.asarray(getattr(moment, field), np.float64) for moment in by_moment]
            flows = tuple(flow_of_gradients(array) for array in arrays)
            name = _unlike(models, subject, field)
            words = _spectrum(subject, layer, flows[-1])
            histograms = gradient_histograms(np.stack([array[-1] for array in arrays]))
            models[name] = FlowOverTraining((*history,), histograms, flows, words)
            factors = f"{flows[0].factor_a_step:.3f} before training, {flows[-1].factor_a_step:.3f}"
            lines.append(f"  {name}: {factors} after")
            if field == "h":
                lines.append(f"    {words}")
    progress("gradients", total, total)
    page = partial(
        gradient_flow_page,
        models,
        title="How the gradient flows back through time",
        description=f"Characters {start:,} to {end - 1:,} of {stretch.source}.",
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.curves import draw_gradient_norms

        draw_gradient_norms(axes, {name: flow.flows[-1] for name, flow in models.items()})

    head = "Factor by which the gradient changes with each step back:\n"
    return View(page, head + "\n".join(lines), draw)


def _moments(subject: Subject, compared: bool) -> dict[str, Any]:
    """Parameters by moment: every checkpoint; where runs are compared, the first and the best."""
    if compared:
        return {"before training": subject.untrained, "at the best checkpoint": subject.params}
    steps = sorted(subject.history)
    return {
        "before training" if step == 0 else f"after {step:,} steps": subject.history[step]
        for step in steps
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


def _spectrum(subject: Subject, layer: int, flow: GradientFlow) -> str:
    """The trained w_hh beside the gradient: the claim tried where the cell has one block."""
    cell = subject.run.config.recurrent_cell
    spectra = recurrent_spectrum(cell, subject.params.layers[layer])
    if len(spectra) == 1:
        verdict = explode_or_vanish(spectra[0], flow)
        return f"w_hh: spectral radius {verdict.spectral_radius:.3f}, {verdict.words}"
    values = ", ".join(
        f"{each.gate} {each.largest_singular_value:.2f} ({each.spectral_radius:.2f})"
        for each in spectra
    )
    return f"w_hh by gate, largest singular value (spectral radius): {values}."
