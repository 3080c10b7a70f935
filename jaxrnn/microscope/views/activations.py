"""Units over time on the text, and what they encode."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxrnn.charlm import Vocab
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.record import Progress, silent
from jaxrnn.microscope.measurements.probes import Probe, characters, standard_probes
from jaxrnn.microscope.measurements.unit_search import Finding, search_units
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

SEARCHED = 10_000
"""Tokens on which units are searched."""

UNTRAINED_UNITS = 300
"""Units of untrained networks, at least, that say what a unit encodes by chance."""

MOST_NETWORKS = 20

LEGIBLE = 100
"""Tokens that a still picture of activations can show and still be read."""

LISTED = 12
"""Units whose meaning is said in the terminal."""

FINDINGS = {
    "depth": "counts how many brackets are open",
    "inside quotes": "knows when the text is inside quotes",
    "inside brackets": "knows when the text is inside brackets",
    "inside a comment": "knows when the text is inside a comment",
    "distance since a newline": "counts the characters since the last line break",
    "position in the line": "foresees the end of the line",
}
"""What a unit does that follows a probe, for the title."""


def activations_view(
    subjects: Sequence[Subject], stretch: Stretch, progress: Progress = silent
) -> View:
    """Units over time on the text, and what they encode."""
    from jaxrnn.microscope.pages.activations import Typing, activations_page, layer_fields
    from jaxrnn.microscope.pages.plots import MOST_BYTES
    from jaxrnn.microscope.pages.shell import Story
    from jaxrnn.microscope.pages.typed_text import model_for_typing, why_not
    from jaxrnn.microscope.pages.unit_gallery import named_meanings
    from jaxrnn.microscope.pages.whole_text import WholeText, characters_that_fit

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
    progress("reading the text", 0, 4)
    seen = read(subject, subject.params, tokens, start, end)
    arrays = layer_fields(cell, seen.layers[layer])
    # Behind a projection the memory and the gates have other units than h; the page has one list.
    others = [name for name, array in arrays.items() if array.shape[1] != arrays["h"].shape[1]]
    left_out = f" Left out: {', '.join(others)}, whose units are not h's." if others else ""
    arrays = {name: array for name, array in arrays.items() if name not in others}
    first, around = known_around(tokens, start, max(SEARCHED, characters_that_fit(len(units))) + 1)
    progress("reading the text", 1, 4)
    states = _states(subject, subject.params, around, layer)
    searched = around.part(0, min(SEARCHED + 1, len(around)))
    findings = _search(subject, searched, states[:SEARCHED], layer, progress)
    progress("searching for what units encode", 4, 4)
    named = [finding for finding in findings if finding.named and finding.unit in units]
    kept = min(len(states), characters_that_fit(len(units)))
    whole = (
        WholeText(around.labels[:kept], states[:kept, units], first, len(tokens)) if kept else None
    )
    vocab, reason = subject.run.vocab, why_not(config, subject.params)
    if not reason and not isinstance(vocab, Vocab):
        reason = f"Text cannot be typed on this page: the model reads {tokens.kind}."
    if not reason and units != list(range(states.shape[1])):
        reason = "Text cannot be typed on this page: it shows some of the layer's units only."
    start_of_box = "".join(tokens.labels[start : start + 60]).partition("\n")[0]
    model = None
    if not reason and isinstance(vocab, Vocab):
        model = model_for_typing(config, subject.params, vocab, layer, start_of_box)
    page = partial(
        activations_page,
        tokens.labels[start:end],
        {name: array[:, units] for name, array in arrays.items()},
        Story(
            title_of(_shown_first(named, arrays["h"][:, units], units), subject.name),
            "A recurrent network remembers in the values of its units, and some of them mean "
            "something that a reader can name. Blue is a positive value, orange a negative one: "
            "look where the colour changes.",
            source=f"{subject.name}, layer {layer + 1} of {len(config.cells)}. "
            f"{stretch.words(tokens, start, end)}; after {subject.step:,} steps of "
            f"training.{left_out}",
        ),
        units=units,
        first=start,
        meanings=named_meanings(named),
        tracks=_tracks(tokens.part(start, end), named),
        whole=whole,
        typing=Typing(model, reason),
    )

    def draw(axes: Any) -> None:
        from jaxrnn.microscope.figures.maps import draw_activations

        last = min(end, start + LEGIBLE)
        values = arrays["h"][: last - start, units]
        draw_activations(axes, tokens.labels[start:last], values, units=units)

    return View(page, _words(findings, named, len(units), tokens), draw)


def _shown_first(named: Sequence[Finding], values: Any, units: Sequence[int]) -> Finding | None:
    """The finding of the unit that the page opens on."""
    from jaxrnn.microscope.pages.unit_gallery import named_meanings, ranked

    first = units[ranked(values, units, named_meanings(named))[0]]
    return next((finding for finding in named if finding.unit == first), None)


def title_of(best: Finding | None, name: str) -> str:
    """A finding as a title."""
    if best is None:
        return f"No unit of {name} has a meaning that a search can name"
    if best.probe in FINDINGS:
        return f"Unit {best.unit} {FINDINGS[best.probe]}"
    from jaxrnn.microscope.pages.unit_gallery import upper_meaning

    meaning = upper_meaning(best.meaning)
    return f"Unit {best.unit} marks where the {meaning[:1].lower()}{meaning[1:]}"


def _states(subject: Subject, params: Any, tokens: Tokens, layer: int) -> Any:
    """[T − 1, H], h of the layer on all tokens but the last."""
    if len(tokens) < 2:
        return np.zeros((0, 0), np.float32)
    return np.asarray(read(subject, params, tokens, 0, len(tokens) - 1).layers[layer].carries.h)


def _search(
    subject: Subject, tokens: Tokens, states: Any, layer: int, progress: Progress
) -> tuple[Finding, ...]:
    """What units encode, found on a text; nothing where it is too short."""
    if len(tokens) < SHORTEST_SEARCH:
        return ()
    if not (probes := _probes(tokens.part(0, len(tokens) - 1))):
        return ()
    networks = min(MOST_NETWORKS, -(-UNTRAINED_UNITS // states.shape[1]))
    untrained = []
    for draw in range(networks):
        progress("reading it untrained", 2, 4)
        untrained.append(_states(subject, subject.untrained_draw(draw), tokens, layer))
    progress("searching for what units encode", 3, 4)
    report = search_units(states, probes, jax.random.key(0), untrained=np.stack(untrained))
    return report.findings


def _probes(tokens: Tokens, rarest: int = 20) -> tuple[Probe, ...]:
    """Being a certain token, and the properties of the text where each token ends."""
    # What a byte at the end begins, is no character of the text.
    places = np.minimum(tokens.characters, len(tokens.text) - 1)
    others = [
        probe._replace(values=probe.values[places])
        for probe in standard_probes(tokens.text)
        if not probe.is_character
    ]
    varying = (probe for probe in others if np.ptp(probe.values))
    return (*characters(tokens.labels, rarest), *varying)


def _tracks(tokens: Tokens, named: Sequence[Finding]) -> list[Probe]:
    """The properties that the named units follow, strongest first, as they are in the text."""
    probes = {probe.name: probe for probe in _probes(tokens, rarest=1)}
    names = dict.fromkeys(finding.probe for finding in named)
    return [probes[name] for name in names if name in probes]


def _words(
    findings: Sequence[Finding], named: Sequence[Finding], shown: int, tokens: Tokens
) -> str:
    if not findings:
        return (
            f"Fewer than {SHORTEST_SEARCH} {tokens.names}: too few to search for what units encode."
        )
    if not named:
        return (
            f"None of the {shown} units shown encodes more than the units of untrained networks do."
        )
    lines = [f"  unit {finding.unit:4}  {_meaning(finding)}" for finding in named[:LISTED]]
    if len(named) > LISTED:
        lines.append(f"  and {len(named) - LISTED} more, on the page")
    return f"{len(named)} of the {shown} units shown have a name:\n" + "\n".join(lines)


def _meaning(finding: Finding) -> str:
    numbers = f"correlation {finding.confirmation:+.2f}; the best untrained unit "
    numbers += f"{finding.untrained:.2f}"
    return f"{finding.meaning} ({numbers.replace('-', '−')})"
