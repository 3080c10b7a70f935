"""How the gates and units of every layer spend their time."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.gate_statistics import (
    GateStatistics,
    saturated_gates,
    unit_activity,
)
from jaxrnn.microscope.views.subject import Stretch, Subject, View, only, read


def gates_view(subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent) -> View:
    """How much of the time each gate is nearly open and nearly closed; dead and saturated units."""
    from jaxrnn.microscope.pages.gates import gates_page
    from jaxrnn.microscope.pages.shell import Story

    subject = only(subjects, "gates")
    tokens = subject.tokens(stretch.text)
    start, end = stretch.bounds(tokens, 5000)
    progress("reading the text", 0, 1)
    seen = read(subject, subject.params, tokens, start, end)
    progress("reading the text", 1, 1)
    layers = {
        f"layer {number}": saturated_gates(cell, layer)
        for number, (cell, layer) in enumerate(
            zip(subject.run.config.cells, seen.layers, strict=True), 1
        )
    }
    if not any(layers.values()):
        rule = "a cell with gates between 0 and 1, an lstm or a gru"
        raise ValueError(sentence("show", "RUN", rule, subject.name, "--view activations"))
    rows = []
    for number, layer in enumerate(seen.layers, 1):
        activity = unit_activity(layer.carries.h)
        for kind, units in (
            ("never moves", activity.dead),
            ("is beyond ±0.9 for 90 % of the time or more", activity.saturated),
        ):
            numbers = ", ".join(map(str, np.flatnonzero(units))) or "none"
            rows.append((f"Layer {number}, units whose output {kind}", numbers))
    lines = [
        f"  {layer}, gate {each.gate}: above 0.9 {each.right_saturated.mean():.0%} of the time, "
        f"below 0.1 {each.left_saturated.mean():.0%}"
        for layer, gates in layers.items()
        for each in gates
    ]
    lines += [f"  {name}: {numbers}" for name, numbers in rows]
    page = partial(
        gates_page,
        layers,
        Story(
            _finding(layers),
            "A gate that is always open or always closed is a wire; one that opens and closes is "
            "a decision. Each dot below is a unit, placed by how much of the time its gate is "
            "nearly open and nearly closed.",
            source=f"{subject.name}. {stretch.words(tokens, start, end)}; after "
            f"{subject.step:,} steps of training.",
        ),
        rows=rows,
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.gates import draw_saturation

        draw_saturation(axes, next(gates for gates in layers.values() if gates))

    return View(page, "Mean over the units:\n" + "\n".join(lines), draw)


def _finding(layers: Mapping[str, Sequence[GateStatistics]]) -> str:
    """The gate that is most often one or the other, as a title."""
    shares = [
        (float(share.mean()), gate.gate, layer, word)
        for layer, gates in layers.items()
        for gate in gates
        for share, word in ((gate.right_saturated, "open"), (gate.left_saturated, "closed"))
    ]
    share, gate, layer, word = max(shares)
    return f"Gate {gate} of {layer} is nearly {word} {share:.0%} of the time"
