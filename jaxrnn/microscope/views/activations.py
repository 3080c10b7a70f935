"""Units over time on the text, and what they encode."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.probes import Probe, characters, standard_probes
from jaxrnn.microscope.unit_search import Finding, search_units
from jaxrnn.microscope.views.subject import (
    SHORTEST_SEARCH,
    Stretch,
    Subject,
    View,
    known_around,
    layer_number,
    only,
    read,
    unit_numbers,
)
from jaxrnn.microscope.views.tokens import Tokens

SEARCHED = 20_000
"""Tokens on which units are searched."""

LEGIBLE = 100
"""Tokens that a still picture of activations can show and still be read."""

LISTED = 12
"""Units whose meaning is said in the terminal."""


def activations_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Units over time on the text, and what they encode."""
    from jaxrnn.microscope.pages.activations import activations_page, layer_fields
    from jaxrnn.microscope.pages.plots import MOST_BYTES

    subject = only(subjects, "activations")
    config, layer = subject.run.config, layer_number(subject, stretch)
    tokens = subject.tokens(stretch.text)
    cell = config.cells[layer]
    units = unit_numbers(subject, stretch)
    fields = len(cell.Carry._fields) + len({*cell.gates} - {*cell.Carry._fields})
    fitting = MOST_BYTES * 3 // 4 // (len(units) * fields)
    start, end = stretch.bounds(tokens, min(2000, fitting))
    if end - start > fitting:
        rule = f"at most {fitting:,} {tokens.names} on a page with {len(units)} units"
        hint = "a shorter stretch with --from and --to, or fewer units with --units"
        raise ValueError(sentence("show", "--to", rule, f"{end - start:,}", hint))
    progress("reading the text", 0, 3)
    seen = read(subject, subject.params, tokens, start, end)
    arrays = layer_fields(cell, seen.layers[layer])
    # Behind a projection the memory and the gates have other units than h; the page has one list.
    others = [name for name, array in arrays.items() if array.shape[1] != arrays["h"].shape[1]]
    left_out = f" Left out: {', '.join(others)}, whose units are not h's." if others else ""
    arrays = {name: array for name, array in arrays.items() if name not in others}
    progress("searching for what units encode", 1, 3)
    findings = _search(subject, tokens, start, layer)
    progress("searching for what units encode", 3, 3)
    named = [finding for finding in findings if finding.named and finding.unit in units]
    page = partial(
        activations_page,
        tokens.labels[start:end],
        {name: array[:, units] for name, array in arrays.items()},
        title=f"Inside {subject.name}",
        description=f"Layer {layer + 1} of {len(config.cells)}. "
        f"{stretch.words(tokens, start, end)}; after "
        f"{subject.step:,} steps of training.{left_out}",
        units=units,
        first=start,
        meanings={finding.unit: _meaning(finding) for finding in named},
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.maps import draw_activations

        last = min(end, start + LEGIBLE)
        values = arrays["h"][: last - start, units]
        draw_activations(axes, tokens.labels[start:last], values, units=units)

    return View(page, _words(findings, named, len(units), tokens), draw)


def _search(subject: Subject, tokens: Tokens, start: int, layer: int) -> tuple[Finding, ...]:
    """What units encode, found on the text around the stretch; nothing where it is too short."""
    around = known_around(tokens, start, SEARCHED + 1)
    last = len(around) - 1
    if len(around) < SHORTEST_SEARCH or not (probes := _probes(around.part(0, last))):
        return ()
    states = [
        np.asarray(read(subject, params, around, 0, last).layers[layer].carries.h)
        for params in (subject.params, subject.untrained)
    ]
    report = search_units(states[0], probes, jax.random.key(0), untrained=states[1])
    return report.findings


def _probes(tokens: Tokens) -> tuple[Probe, ...]:
    """Being a certain token, and the properties of the text where each token ends."""
    # What a byte at the end begins, is no character of the text.
    places = np.minimum(tokens.characters, len(tokens.text) - 1)
    others = [
        probe._replace(values=probe.values[places])
        for probe in standard_probes(tokens.text)
        if not probe.is_character
    ]
    varying = (probe for probe in others if np.ptp(probe.values))
    return (*characters(tokens.labels), *varying)


def _words(
    findings: Sequence[Finding], named: Sequence[Finding], shown: int, tokens: Tokens
) -> str:
    if not findings:
        return (
            f"Fewer than {SHORTEST_SEARCH} {tokens.names}: too few to search for what units encode."
        )
    if not named:
        return f"None of the {shown} units shown follows a probe that the search tries."
    matched = sum(finding.untrained >= abs(finding.confirmation) for finding in named)
    lines = [f"  unit {finding.unit:4}  {_meaning(finding)}" for finding in named[:LISTED]]
    if len(named) > LISTED:
        lines.append(f"  and {len(named) - LISTED} more, on the page")
    head = f"{len(named)} of the {shown} units shown have a name"
    if matched:
        head += f", {matched} of them no better than the best unit of the untrained network"
    return f"{head}:\n" + "\n".join(lines)


def _meaning(finding: Finding) -> str:
    numbers = f"correlation {finding.confirmation:+.2f}; the best untrained unit "
    numbers += f"{finding.untrained:.2f}"
    return f"{finding.meaning} ({numbers.replace('-', '−')})"
