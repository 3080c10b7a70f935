"""The stepper: one training step, line by line, in a picture of the unrolled network."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.formulas import formula
from jaxrnn.microscope.pages.html import embedded_json, packed, page, visible
from jaxrnn.microscope.pages.notation import code_html, equation_html, symbol_html
from jaxrnn.microscope.pages.places import places
from jaxrnn.microscope.pages.selection import MOST_UNITS, Axis, Selection, all_writes, choose
from jaxrnn.microscope.pages.shell import upper_first
from jaxrnn.microscope.training_step import Recording, Write
from jaxrnn.microscope.training_step.listings import MEMORIES, PHASES, layer_number, parameter_of

MOST_STEPS = 32

_SCRIPTS = ("page", "step_formulas", "step_layout", "step_drawing", "stepper", "step_choice")
_PHASE_TITLES = {
    "forward": "Forward",
    "backward": "Backward through time",
    "update": "Update",
}


def stepper_page(
    recordings: Mapping[str, Recording],
    characters: Sequence[str],
    *,
    title: str,
    text: str = "",
    more: Sequence[str] = (),
    units: Sequence[int] | None = None,
) -> str:
    """A page that steps through a training step: forward, backward through time, update.

    Of a layer with more than 16 units, and of more than 16 tokens, a choice is drawn: those
    that move most and those that are read or expected most. Sums say how many terms they leave out.

    Args:
        recordings: what `record` returned, by the name that stands over it, e.g. "untrained" and
            "trained"; of one model's shape and text, so that they are at the same line together.
            The page opens on the last one.
        characters: V of them, or other tokens; token id k is `characters[k]`.
        title: of the page.
        text: one or two sentences under the title.
        more: paragraphs under the picture.
        units: of the last layer, to draw at most 16; None: chosen by how much they move.

    Returns:
        HTML.

    Raises:
        ValueError: recordings that do not match, more steps than the page can show, or units that
            the last layer does not have.

    Example:
        >>> import jax
        >>> from jaxrnn import charlm
        >>> from jaxrnn.microscope.training_step import record
        >>> config = charlm.Config(vocab_size=2, cell="gru", hidden_size=3, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> carry = charlm.zero_carry(config, params, ())
        >>> step = record(config, params, carry, [1, 0, 1, 0], [0, 1, 0, 1])
        >>> stepper_page({"untrained": step}, "01", title="A step")[:15]
        '<!doctype html>'
    """
    _check(recordings, units)
    *_, last = recordings.values()
    selection = Selection(last, choose(last, units))
    data = {
        **_program(last),
        "tensors": _tensors(last, selection, characters),
        "layers": places(last, selection),
        "length": len(last.inputs),
        "inputs": [visible(characters[i]) for i in last.inputs],
        "targets": [
            visible(characters[i]) if t in last.final("p") else ""
            for t, i in enumerate(last.targets)
        ],
        "inputRows": _rows(selection, last.inputs),
        "targetRows": _rows(selection, last.targets),
        "sizes": selection.sizes,
        "sides": [_side(name, recording, selection) for name, recording in recordings.items()],
    }
    names = list(recordings)
    choice = ""
    if len(names) > 1:
        buttons = [(str(number), upper_first(name)) for number, name in enumerate(names)]
        choice = _choice("side", buttons, str(len(names) - 1), "Network")
    notation = _choice(
        "notation", [("codes", "Code"), ("equations", "Equations")], "codes", "Notation"
    )
    speeds = "".join(
        f'<option value="{rate}"{" selected" if rate == 2 else ""}>{rate}/s</option>'
        for rate in (0.5, 1, 2, 5, 10, 20)
    )
    phases = "".join(
        f'<button type="button" data-phase="{phase}">{_PHASE_TITLES[phase].split()[0]}</button>'
        for phase in PHASES
    )
    paragraphs = "".join(
        f"<p>{html.escape(each)}</p>" for each in (*more, _chosen(selection), _update(last)) if each
    )
    body = f"""<header>
<h1>{html.escape(title)}</h1>
<p id="lead">{html.escape(text)}</p>
</header>
<p id="fragment-note" role="alert" hidden></p>
<main id="stage">
<div id="program" class="codes" tabindex="0" role="region" aria-label="The program">{notation}</div>
<div id="view">
<div id="now">
<div id="line">
<div class="row"><span class="badge" id="badge"></span><b id="time"></b>{choice}</div>
<div class="equation" id="now-equation"></div><div class="quiet" id="note"></div></div>
<div id="tokens-frame" tabindex="0" role="region" aria-label="The text">
<table id="tokens"></table></div>
</div>
<div id="window"><div id="picture" tabindex="0" role="group" aria-label="The unrolled network. Shift
 and the arrow keys move the chosen entry."><canvas aria-hidden="true"></canvas></div></div>
<div id="worked" role="status" aria-live="polite" tabindex="0"></div>
</div>
</main>
<section id="player" aria-label="Player">
<input id="scrubber" type="range" min="0" max="1" value="0" aria-label="Executed lines">
<div class="row">
<button id="back" type="button">◀ Back</button>
<button id="play" type="button">▶ Play</button>
<button id="next" type="button">Next ▶</button>
<label>Speed <select id="speed" aria-label="Lines a second">{speeds}</select></label>
<span class="choice">{phases}</span>
<span id="place" class="quiet"></span>
<span id="legend"><span></span>Read <span class="written"></span>Written</span>
</div>
</section>
<section id="about" aria-label="About this page">
<p>Each column is a time step: what is read below, the state in the middle, what is expected above.
The step at hand is drawn large, with the weights on its arrows. A vector that is multiplied stands
left of its matrix, the product above it. <span class="swatch positive"></span> positive,
<span class="swatch negative"></span> negative, the stronger the larger; under a value stands its
gradient (∂) once it is there. What the line has written has a red frame, what it has read a blue
one.</p>
<p class="keys"><kbd>Space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd>
<kbd>End</kbd> jump, <kbd>Shift</kbd> with an arrow moves the chosen entry, whose sum stands under
the picture; a click or a touch chooses one too, and a click on a line goes to its next run. The
address holds the step and the entry, so that a link to it opens there.</p>
{paragraphs}
</section>
{embedded_json("recordings", data)}"""
    scripts = (f"{name}.js" for name in _SCRIPTS)
    return page(title, body, assets=("stepper.css", *scripts))


def _choice(kind: str, buttons: list[tuple[str, str]], pressed: str, label: str) -> str:
    inside = "".join(
        f'<button type="button" data-{kind}="{key}" aria-pressed="{str(key == pressed).lower()}">'
        f"{html.escape(text)}</button>"
        for key, text in buttons
    )
    return f'<span class="choice" role="group" aria-label="{label}">{inside}</span>'


def _check(recordings: Mapping[str, Recording], units: Sequence[int] | None) -> None:
    if not recordings:
        raise ValueError(sentence("stepper_page", "recordings", "at least one", "none"))
    first, *others = recordings.values()
    for other in others:
        if _common(other) != _common(first):
            rule = "recordings of one model, one text, one update and equal sizes"
            raise ValueError(sentence("stepper_page", "recordings", rule, "different ones"))
    if len(first.inputs) > MOST_STEPS:
        rule, hint = f"at most {MOST_STEPS} tokens to read", "record a shorter stretch"
        raise ValueError(sentence("stepper_page", "recordings", rule, len(first.inputs), hint))
    if units is None:
        return
    mark = f"_L{len(first.cells)}" if len(first.cells) > 1 else ""
    size = len(first.final(f"h{mark}")[0])
    if not 1 <= len(units) <= MOST_UNITS or not all(0 <= unit < size for unit in units):
        rule = f"1 to {MOST_UNITS} units from 0 to {size - 1}"
        raise ValueError(sentence("stepper_page", "units", rule, list(units)))


def _common(recording: Recording) -> tuple[object, ...]:
    """What all sides of a page have in common."""
    same = (recording.blocks, recording.inputs, recording.targets, recording.constants)
    return (*same, {write.name: write.value.shape for write in all_writes(recording)})


def _rows(selection: Selection, tokens: Sequence[int]) -> list[int]:
    """Which of the drawn characters each token is; all of them are drawn."""
    drawn = selection.numbers(Axis("V", 1, selection.sizes["V"])).tolist()
    return [drawn.index(token) for token in tokens]


def _program(recording: Recording) -> dict[str, Any]:
    names = {write.name for write in all_writes(recording)}
    numbers = {**recording.constants, "k": 1.0, "T": float(len(recording.inputs))}
    several = len(recording.cells) > 1
    blocks = []
    for block in recording.blocks:
        lines = []
        for line in block.lines:
            shown = {
                "code": code_html(line.code, names),
                "equation": equation_html(line.code, names),
                "note": line.note[:1].upper() + line.note[1:],
                "phase": line.phase,
                **formula(line.code, names, numbers),
            }
            named = [name for name, *_ in (*shown["targets"], *shown["reads"])]
            numbered = [layer_number(name) or 0 for name in named]
            # The readout belongs to the last layer, and so does what is of no layer.
            out = any(parameter_of(name) in ("w_hy", "b_y", "y", "p") for name in named)
            top = len(recording.cells)
            layer = top if out or not several else max(numbered, default=0) or 1
            lines.append({**shown, "layer": layer - 1})
        blocks.append({"head": block.head, "lines": lines})
    return {"blocks": blocks, "phases": _PHASE_TITLES}


def _tensors(
    recording: Recording, selection: Selection, characters: Sequence[str]
) -> list[dict[str, Any]]:
    """What there is to draw: sizes as drawn and in full, and what the entries are called."""
    writes = {write.name: write for write in all_writes(recording)}
    tensors = []
    for name, write in writes.items():
        axes = selection.axes(name)
        tensors.append(
            {
                "name": name,
                "symbol": symbol_html(name),
                "timed": write.time is not None,
                "shape": [len(selection.numbers(axis)) for axis in axes],
                "full": list(write.value.shape),
                "labels": [_labels(selection, axis, characters) for axis in axes],
                "kinds": [{"V": "token", "E": "column"}.get(axis.space, "unit") for axis in axes],
                "blocks": [axis.blocks for axis in axes],
                "gates": _gates(recording, name, axes),
                "memories": [p + name for p in ("d_", *MEMORIES) if p + name in writes],
            }
        )
    return tensors


def _labels(selection: Selection, axis: Axis, characters: Sequence[str]) -> list[str]:
    numbers = selection.numbers(axis)
    if axis.space == "V":
        return [visible(characters[i]) for i in numbers]
    size = axis.size // axis.blocks
    return [str(i % size) for i in numbers]


def _gates(recording: Recording, name: str, axes: list[Axis]) -> list[str]:
    """What the blocks of a tensor's last axis are called: after the gates, if there are as many."""
    blocks = axes[-1].blocks if axes else 1
    gates = recording.cells[(layer_number(name) or 1) - 1].gates
    return [*gates] if len(gates) == blocks else [f"block {k + 1}" for k in range(blocks)]


def _chosen(selection: Selection) -> str:
    """Which units and characters are drawn, where not all are."""
    parts = []
    for space, numbers in selection.chosen.items():
        kind = {"V": "tokens", "E": "columns of the embedding"}.get(space, "units")
        where = f" of layer {space[1:]}" if space[1:] else ""
        listed = "" if space == "V" else f" ({', '.join(map(str, numbers))})"
        parts.append(f"{len(numbers)} of {selection.sizes[space]} {kind}{where}{listed}")
    if not parts:
        return ""
    return (
        f"Drawn are {'; '.join(parts)}: those that move, or are read and expected, most. "
        "The numbers are those of the whole model; sums say how many terms are not drawn."
    )


def _update(recording: Recording) -> str:
    return f"The update is {recording.update_in_words}."


def _side(name: str, recording: Recording, selection: Selection) -> dict[str, Any]:
    def written(write: Write) -> tuple[str, int | None, Any]:
        return (write.name, write.time, packed(selection.cut(write.name, write.value)))

    return {
        "name": name,
        "initial": [written(write) for write in recording.initial],
        "events": [
            {"line": event.line, "t": event.t, "writes": [written(w) for w in event.writes]}
            for event in recording.events
        ],
        "loss": recording.loss,
        "lossAfter": recording.loss_after,
        "unit": "nats a token" if recording.objective == "cross_entropy" else "nats",
    }
