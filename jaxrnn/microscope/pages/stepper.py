"""The stepper: one training step, line by line, beside the tensors that each line writes."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.html import embedded_json, packed, page, visible
from jaxrnn.microscope.pages.notation import code_html, equation_html, symbol_html
from jaxrnn.microscope.training_step import Recording, Write
from jaxrnn.microscope.training_step.listings import MEMORIES, PHASES, parameter_of

MOST_UNITS = 16
MOST_STEPS = 32
MOST_CHARACTERS = 256  # as many as there are bytes

_PHASE_TITLES = {
    "forward": "Forward",
    "backward": "Backward through time",
    "update": "Update",
}


def stepper_page(
    recordings: Mapping[str, Recording], characters: Sequence[str], *, title: str, text: str = ""
) -> str:
    """A page that steps through a training step: forward, backward through time, update.

    Args:
        recordings: what `record` returned, by the name that stands over it, e.g. "untrained" and
            "trained"; of one cell, sizes and text, so that they are at the same line together.
        characters: V of them, or other tokens; token id k is `characters[k]`.
        title: of the page.
        text: one or two sentences under the title.

    Returns:
        HTML.

    Raises:
        ValueError: recordings that do not match, or more units, steps or characters than the page
            can show.

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
    first = _check(recordings, characters)
    data = {
        **_program(first),
        **_tensors(first, characters),
        "length": len(first.inputs),
        "inputs": [visible(characters[i]) for i in first.inputs],
        "targets": [
            visible(characters[i]) if t in first.final("p") else ""
            for t, i in enumerate(first.targets)
        ],
        "targetIds": first.targets,
        "columnsWithNumbers": 6,
        "sides": [_side(name, recording) for name, recording in recordings.items()],
    }
    names = list(recordings)
    choice = ""
    if len(names) > 1:
        buttons = [*enumerate(names), ("all", "both" if len(names) == 2 else "all")]
        choice = _choice("show", [(str(key), label) for key, label in buttons], "all", "Network")
    body = f"""<header>
<h1>{html.escape(title)}</h1>
<p>{html.escape(text)}</p>
<p class="quiet keys">Hover over a symbol to find its tensor, over a tensor to find its symbols.
<kbd>space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd> <kbd>End</kbd> jump;
a click on a line goes to its next run. Blue is positive, orange negative; what the line has
changed stands in a red frame.</p>
<p class="quiet">The update is {html.escape(first.update_in_words)}.</p>
</header>
<main id="stage">
<div id="program" class="codes">{
        _choice("notation", [("codes", "Code"), ("equations", "Equations")], "codes", "Notation")
    }</div>
<div>
<div id="now"><div class="row"><span class="badge" id="badge"></span><b id="time"></b>{choice}</div>
<div class="equation" id="now-equation"></div><div class="quiet" id="note"></div></div>
<div id="sides"></div>
</div>
</main>
<div id="player" role="group" aria-label="Player">
<input id="scrubber" type="range" min="0" max="1" value="0" aria-label="Executed lines">
<div class="row">
<button id="back" type="button">◀ Back</button>
<button id="play" type="button">▶ Play</button>
<button id="next" type="button">Next ▶</button>
<label>speed <select id="speed" aria-label="Lines a second">{
        "".join(
            f'<option value="{rate}"{" selected" if rate == 2 else ""}>{rate}/s</option>'
            for rate in (0.5, 1, 2, 5, 10, 20)
        )
    }</select></label>
<span class="choice">{
        "".join(
            f'<button type="button" data-phase="{phase}">{_PHASE_TITLES[phase].split()[0]}</button>'
            for phase in PHASES
        )
    }</span>
<span id="place" class="quiet" aria-live="off"></span>
</div>
</div>
<div id="readout" role="status" hidden></div>
{embedded_json("recordings", data)}"""
    return page(title, body, assets=("stepper.css", "page.js", "tensor_picture.js", "stepper.js"))


def _choice(kind: str, buttons: list[tuple[str, str]], pressed: str, label: str) -> str:
    inside = "".join(
        f'<button type="button" data-{kind}="{key}" aria-pressed="{str(key == pressed).lower()}">'
        f"{html.escape(text)}</button>"
        for key, text in buttons
    )
    return f'<span class="choice" role="group" aria-label="{label}">{inside}</span>'


def _check(recordings: Mapping[str, Recording], characters: Sequence[str]) -> Recording:
    if not recordings:
        raise ValueError(sentence("stepper_page", "recordings", "at least one", "none"))
    first, *others = recordings.values()
    for other in others:
        if _common(other) != _common(first):
            rule = "recordings of one cell, one text, one update and equal sizes"
            raise ValueError(sentence("stepper_page", "recordings", rule, "different ones"))
    units = max(len(write.value) for write in first.initial if write.time == -1)
    limits = [
        ("units", units, MOST_UNITS, "train a smaller network, or take the view of activations"),
        (
            "tokens to read",
            len(first.inputs),
            MOST_STEPS,
            "record a shorter stretch of the text (--from, --to)",
        ),
        (
            "different tokens in the vocabulary",
            len(characters),
            MOST_CHARACTERS,
            "train on a text with fewer, or take the view of activations",
        ),
    ]
    for what, number, most, hint in limits:
        if number > most:
            rule = f"at most {most} {what}"
            raise ValueError(sentence("stepper_page", "recordings", rule, f"{number}", hint))
    return first


def _common(recording: Recording) -> tuple[object, ...]:
    """What all sides of a page have in common."""
    same = (recording.blocks, recording.inputs, recording.targets, recording.constants)
    return (*same, _shapes(recording))


def _writes(recording: Recording) -> list[Write]:
    return [*recording.initial, *(write for event in recording.events for write in event.writes)]


def _shapes(recording: Recording) -> list[tuple[str, tuple[int, ...]]]:
    return list({write.name: write.value.shape for write in _writes(recording)}.items())


def _program(recording: Recording) -> dict[str, Any]:
    names = {name for name, _ in _shapes(recording)}
    blocks = [
        {
            "head": block.head,
            "lines": [
                {
                    "code": code_html(line.code, names),
                    "equation": equation_html(line.code, names),
                    "note": line.note,
                    "phase": line.phase,
                }
                for line in block.lines
            ],
        }
        for block in recording.blocks
    ]
    in_loop = [bool(block.head) for block in recording.blocks for _ in block.lines]
    return {"blocks": blocks, "phases": _PHASE_TITLES, "inLoop": in_loop}


def _tensors(recording: Recording, characters: Sequence[str]) -> dict[str, Any]:
    """What there is to draw, and in which order: a tensor, and beside it its gradient."""
    length = len(recording.inputs)
    times: dict[str, list[int]] = {}
    for write in _writes(recording):
        times.setdefault(write.name, [])
        if write.time is not None:
            times[write.name].append(write.time)
    labels = [visible(character) for character in characters]
    embedded = "embedding" in times
    rows_are_characters = {"p", "y", "embedding", *([] if embedded else ["x", "w_xh"])}
    columns_are_characters = {"w_hy", "b_y"}
    tensors = []
    for name, shape in _shapes(recording):
        base = parameter_of(name)
        timed = bool(times[name])
        first = min(times[name], default=0)
        rows = math.prod(shape)
        grid = (rows, length - first) if timed else (1, *shape)[-2:] if shape else (1, 1)
        tensors.append(
            {
                "name": name,
                "symbol": symbol_html(name),
                "timed": timed,
                "first": first,
                "shape": grid,
                "vector": len(shape) < 2,
                "label": f"{rows} × time" if timed else " × ".join(map(str, shape)),
                "rowLabels": labels if base in rows_are_characters else None,
                "columnLabels": labels if base in columns_are_characters else None,
            }
        )
    # In the order of the program, so that x stands before h, which is there from the start.
    order = [name for line in recording.lines for name, _ in line.defines]
    shapes = dict(_shapes(recording))
    drawn = [name for name in dict.fromkeys([*shapes, *order]) if shapes[name]]
    drawn.sort(key=lambda name: order.index(name) if times[name] else -1)
    groups: dict[str, list[list[str]]] = {"States over time": [], "Parameters": []}
    for name in drawn:
        base = parameter_of(name)
        if base == name or base not in drawn:
            group = groups["States over time" if times[name] else "Parameters"]
            beside = [prefix + name for prefix in ("", "d_", *MEMORIES)]
            group.append([one for one in beside if one in drawn])
    return {
        "tensors": tensors,
        "groups": [{"title": title, "pairs": pairs} for title, pairs in groups.items()],
    }


def _side(name: str, recording: Recording) -> dict[str, Any]:
    def written(write: Write) -> tuple[str, int | None, Any]:
        return (write.name, write.time, packed(write.value))

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
