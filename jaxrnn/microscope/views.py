"""The views of a trained run: each reads a text with the run's model and makes a page of it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn import charlm
from jaxrnn.charlm import corpus, runs, training_loop
from jaxrnn.errors import sentence
from jaxrnn.microscope.connectivity import DEFINITIONS, connectivity_matrix, rank_agreement, reach
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.gradient_flow import (
    FlowOverTraining,
    flow_of_gradients,
    gradient_histograms,
)
from jaxrnn.microscope.gradient_traces import state_gradients
from jaxrnn.microscope.probes import standard_probes
from jaxrnn.microscope.traces import ModelTrace, encode_text, trace_model
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.unit_search import Finding, search_units

WARM_UP = 200
"""Characters before the stretch that a model reads first, so that its state is in its stride."""

SEARCHED = 20_000
"""Characters on which units are searched."""

SHORTEST_SEARCH = 400

LEGIBLE = 100
"""Characters that a still picture of activations can show and still be read."""


class Subject:
    """A model to look at; parameters are read when a view first needs them.

    Args:
        path: the folder of its run.
        note: is told, in a sentence, of broken checkpoints.

    Attributes:
        run: its run.

    Raises:
        ValueError, OSError: there is no run; or, later, no checkpoint that can be read.
    """

    def __init__(self, path: str, note: Callable[[str], None]) -> None:
        self.run = runs.open_run(path)
        self._note = note
        if self.run.settings.dtype == "float64":
            jax.config.update("jax_enable_x64", True)

    @cached_property
    def checkpoint(self) -> tuple[charlm.Params, int]:
        """Parameters and step of the best checkpoint."""
        params, facts = runs.load_params(self.run, self._note)
        return params, int(facts["step"])

    @property
    def params(self) -> charlm.Params:
        """The best checkpoint's parameters."""
        return self.checkpoint[0]

    @property
    def step(self) -> int:
        """The best checkpoint's step."""
        return self.checkpoint[1]

    @cached_property
    def untrained(self) -> charlm.Params:
        """The parameters that training began with."""
        return training_loop.first_params(self.run)

    @property
    def name(self) -> str:
        """The run's folder and its model in words."""
        settings = self.run.settings
        size = f"{settings.num_layers} × {settings.rnn_size}"
        return f"{self.run.path.name} ({settings.model}, {size})"


@dataclass(frozen=True)
class Stretch:
    """Which part of which text, and which units of which layer.

    Attributes:
        text: all of it.
        source: where it is from, in words.
        start: place of the first character to show.
        end: place after the last one; None: as many as the view shows by default.
        layer: counted from 0; −1 is the last.
        units: their numbers; None: all.
        definition: of connectivity; None: all.
    """

    text: str
    source: str
    start: int = 0
    end: int | None = None
    layer: int = -1
    units: tuple[int, ...] | None = None
    definition: str | None = None

    def bounds(self, length: int, predicted: int = 1) -> tuple[int, int]:
        """Start and end of the stretch, `length` characters unless the end was given.

        `predicted` characters of the text must follow its end.
        """
        end = min(self.start + length, len(self.text) - predicted) if self.end is None else self.end
        if not 0 <= self.start < end <= len(self.text) - predicted:
            raise ValueError(
                sentence(
                    "show",
                    "--from, --to",
                    f"a stretch within the text's {len(self.text):,} characters, one of which must "
                    "be left to predict",
                    f"{self.start} to {end}",
                )
            )
        return self.start, end


class View(NamedTuple):
    """What a view shows.

    Attributes:
        page: makes its HTML.
        words: the same in a few lines of text.
        draw: `(axes) -> None`, its still picture; None: it has none.
    """

    page: Callable[[], str]
    words: str
    draw: Callable[[Any], None] | None = None


def held_out_text(run: runs.Run) -> tuple[str, str]:
    """The part of the run's own text that it was not trained on, and where it is from.

    Raises:
        ValueError: the text is not where it was, or is another one now.
    """
    hint = "name a text: --text FILE"
    if run.source == "pydoc_data.topics":
        whole = corpus.python_documentation()
    else:
        try:
            whole = corpus.read_text(run.source, run.settings.encoding)
        except OSError:
            rule, got = "the text of the run where it was", f"{run.source}, which is gone"
            raise ValueError(sentence("show", "--text", rule, got, hint)) from None
    if whole.sha256 != run.sha256:
        rule, got = "the text that the run was trained on", f"{run.source}, which has changed"
        raise ValueError(sentence("show", "--text", rule, got, hint))
    settings = run.settings
    training, validation = corpus.split(whole.text, settings.train_frac, settings.val_frac)
    if len(validation) >= SHORTEST_SEARCH:
        return validation, "the held-out part of its text"
    return training, "the text that it was trained on"


def activations_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Units over time on the text, and what they encode."""
    from jaxrnn.microscope.pages.activations import activations_page, layer_fields
    from jaxrnn.microscope.pages.plots import MOST_BYTES

    subject = _only(subjects, "activations")
    config, layer = subject.run.config, _layer(subject, stretch)
    cell = config.recurrent_cell
    units = _units(config.hidden_size, stretch.units)
    fields = len(cell.Carry._fields) + len({*cell.gates} - {*cell.Carry._fields})
    fitting = MOST_BYTES * 3 // 4 // (len(units) * fields)
    start, end = stretch.bounds(min(2000, fitting))
    progress("reading the text", 0, 3)
    seen = _trace(subject, subject.params, stretch.text, start, end)
    arrays = layer_fields(cell, seen.layers[layer])
    progress("searching for what units encode", 1, 3)
    findings = _search(subject, stretch, layer)
    progress("searching for what units encode", 3, 3)
    wanted = set(units)
    meanings = {
        finding.unit: _meaning(finding)
        for finding in findings
        if finding.named and finding.unit in wanted
    }
    page = partial(
        activations_page,
        stretch.text[start:end],
        {name: array[:, units] for name, array in arrays.items()},
        title=f"Inside {subject.name}",
        description=f"Layer {layer + 1} of {config.num_layers}, characters {start:,} to "
        f"{end - 1:,} of {stretch.source}; after {subject.step:,} steps of training.",
        units=units,
        first=start,
        meanings=meanings,
    )
    if not findings:
        words = f"Fewer than {SHORTEST_SEARCH} characters: too few to search for what units encode."
    elif not meanings:
        words = "No unit could be named: none follows a probe that the search tries."
    else:
        lines = [f"  unit {unit:4}  {meaning}" for unit, meaning in [*meanings.items()][:12]]
        words = f"{len(meanings)} units have a name:\n" + "\n".join(lines)

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.maps import draw_activations

        last = min(end, start + LEGIBLE)
        values = arrays["h"][: last - start, units]
        draw_activations(axes, stretch.text[start:last], values, units=units)

    return View(page, words, draw)


def connectivity_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Which earlier characters mattered for each prediction."""
    from jaxrnn.microscope.pages.connectivity import ConnectedModel, connectivity_page

    subject = _only(subjects, "connectivity")
    start, end = stretch.bounds(150)
    seen = _trace(subject, subject.params, stretch.text, start, end)
    carry = _carry(subject, subject.params, stretch.text, start)
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
        stretch.text[start : end + 1],
        {subject.name: ConnectedModel(matrices, seen.logits, agreement)},
        subject.run.vocab.characters,
        title=f"What mattered to {subject.name}",
        description=f"Characters {start:,} to {end:,} of {stretch.source}.",
        first=start,
    )
    lines = [
        f"  {name.replace('_', ' '):28} {np.mean(reach(matrix)):6.1f} characters"
        for name, matrix in matrices.items()
    ]

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.coloured_text import draw_coloured_text

        text = stretch.text[start : end + 1]
        matrix = matrices[names[0]]
        draw_coloured_text(axes, text, matrix[-1], target=len(text) - 1)

    head = "90 % of the connectivity lies, on average, within\n"
    return View(page, head + "\n".join(lines), draw)


def gradient_flow_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """What is left of the gradient, step by step back, before and after training."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    start, end = stretch.bounds(64)
    models, lines = {}, []
    for number, subject in enumerate(subjects):
        progress("gradients", number, len(subjects))
        layer = _layer(subject, stretch)
        by_moment = []
        for params in (subject.untrained, subject.params):
            inputs, targets = encode_text(subject.run.vocab, stretch.text[start : end + 1])
            carry = _carry(subject, params, stretch.text, start)
            gradients = state_gradients(subject.run.config, params, carry, inputs, targets)
            by_moment.append(gradients[layer])
        for field in by_moment[0]._fields:
            arrays = [np.asarray(getattr(moment, field), np.float64) for moment in by_moment]
            flows = tuple(flow_of_gradients(array) for array in arrays)
            name = subject.name if field == "h" else f"{subject.name}, {field}"
            while name in models:  # Another run in a folder of the same name.
                name += " (again)"
            models[name] = FlowOverTraining(
                ("before training", f"after {subject.step:,} steps"),
                gradient_histograms(np.stack([array[-1] for array in arrays])),
                flows,
            )
            factors = [f"{flow.factor_a_step:.3f}" for flow in flows]
            lines.append(f"  {name}: {factors[0]} before training, {factors[1]} after")
    progress("gradients", len(subjects), len(subjects))
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


def training_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Loss curves and samples of the run."""
    from jaxrnn.microscope.pages.training import training_page

    subject = _only(subjects, "training")
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
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.curves import draw_training

        draw_training(axes, records)

    return View(page, f"{len(records):,} records of metrics.jsonl.", draw)


def stepper_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """One training step line by line, untrained and trained side by side."""
    from jaxrnn.microscope.pages.stepper import MOST_UNITS, stepper_page

    subject = _only(subjects, "stepper")
    run, settings = subject.run, subject.run.settings
    start, end = stretch.bounds(8)
    inputs, targets = encode_text(run.vocab, stretch.text[start : end + 1])
    every_step = settings.loss != "last_cross_entropy"
    if settings.num_layers > 1 or settings.rnn_size > MOST_UNITS:
        hint = f"jaxrnn train --rnn-size {MOST_UNITS} --num-layers 1; or --view activations"
        rule, got = f"a model of one layer with at most {MOST_UNITS} units", subject.name
        raise ValueError(sentence("show", "RUN", rule, got, hint))
    # The picture has two updates; the others are shown as the plain one that they grew from.
    update = "adagrad" if settings.optimizer == "adagrad" else "sgd"
    recordings = {}
    for name, params in (("untrained", subject.untrained), ("trained", subject.params)):
        carry = _carry(subject, params, stretch.text, start)
        recordings[name] = record(
            run.config, params, carry, inputs, targets, update=update, every_step=every_step
        )
    shown = [stretch.text[start:end], stretch.text[start + 1 : end + 1]]
    page = partial(
        stepper_page,
        recordings,
        run.vocab.characters,
        title=f"One training step of {subject.name}",
        text=f"It reads {shown[0]!r} and should expect {shown[1]!r}.",
    )
    changes = [
        f"  {name}: {r.loss:.4f} → {r.loss_after:.4f} nats" for name, r in recordings.items()
    ]
    return View(page, "Loss of the window, before and after one update:\n" + "\n".join(changes))


VIEWS: dict[str, Callable[..., View]] = {
    "activations": activations_view,
    "connectivity": connectivity_view,
    "gradient-flow": gradient_flow_view,
    "training": training_view,
    "stepper": stepper_view,
}


def _only(subjects: Sequence[Subject], view: str) -> Subject:
    if len(subjects) != 1:
        rule, hint = f"one run for the view {view}", "gradient-flow takes several"
        raise ValueError(sentence("show", "RUN", rule, f"{len(subjects)}", hint))
    return subjects[0]


def _layer(subject: Subject, stretch: Stretch) -> int:
    layers = subject.run.config.num_layers
    if not -layers <= stretch.layer < layers:
        rule = f"a layer from 1 to {layers}"
        raise ValueError(sentence("show", "--layer", rule, stretch.layer + 1))
    return stretch.layer % layers


def _units(size: int, wanted: tuple[int, ...] | None) -> list[int]:
    if wanted is None:
        return list(range(size))
    for unit in wanted:
        if not 0 <= unit < size:
            raise ValueError(sentence("show", "--units", f"units from 0 to {size - 1}", unit))
    return list(wanted)


def _carry(subject: Subject, params: charlm.Params, text: str, start: int) -> tuple[Any, ...]:
    """The state after the characters before the stretch."""
    config, before = subject.run.config, text[max(0, start - WARM_UP) : start]
    carry = charlm.zero_carry(config, params, ())
    if before:
        carry, _ = charlm.apply(
            config, params, carry, jax.numpy.asarray(subject.run.vocab.encode(before))
        )
    return carry


def _trace(subject: Subject, params: charlm.Params, text: str, start: int, end: int) -> ModelTrace:
    inputs, targets = encode_text(subject.run.vocab, text[start : end + 1])
    carry = _carry(subject, params, text, start)
    return trace_model(subject.run.config, params, carry, inputs, targets)


def _search(subject: Subject, stretch: Stretch, layer: int) -> tuple[Finding, ...]:
    """What units encode, found on the text around the stretch; nothing where it is too short."""
    text = stretch.text[max(0, stretch.start - SEARCHED // 2) :][: SEARCHED + 1]
    probes = standard_probes(text[:-1])
    if len(text) < SHORTEST_SEARCH or not probes:
        return ()
    states = [
        np.asarray(_trace(subject, params, text, 0, len(text) - 1).layers[layer].carries.h)
        for params in (subject.params, subject.untrained)
    ]
    report = search_units(states[0], probes, jax.random.key(0), untrained=states[1])
    return report.findings


def _meaning(finding: Finding) -> str:
    return (
        f"{finding.meaning} (correlation {finding.confirmation:+.2f}; the best untrained unit "
        f"{finding.untrained:.2f})"
    ).replace("-", "−")
