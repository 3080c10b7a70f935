"""Drawings of an unrolled network: inputs below, states in the middle, outputs above."""

import html
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jaxrnn.microscope.experiments.five_shapes.task import Run

_TOP, _BOX, _RISE = 34, 28, 30
"""Pixels above the outputs, of a box's height, and from a row to the next."""

_OUTPUT = _TOP
_STATE = _OUTPUT + _BOX + _RISE
_HEAD = 4.5
_SCALE = 1.3
"""Where there is room, the drawing is larger than on a phone."""

_LABELS = {"given": "given", "fed back": "fed back", "taught": "right letters"}


def unrolled_svg(run: Run, name: str) -> str:
    """A run as a drawing: what was read, the states, what was said, and what was fed back.

    Args:
        run: of T steps; its states have any number of units.
        name: what is read, for those who cannot see the drawing.

    Returns:
        An SVG element; every step is a `<g class="step" data-t="…">`.
    """
    texts = [*run.inputs, *run.outputs, *run.wanted]
    pitch = max(38, 9 * max(map(len, texts)) + 22)
    width = pitch - 10
    size = min(width, 34)
    # Room for the zeros before the first state, and between encoder and decoder.
    lefts = [24 + t * pitch + (16 if run.encoded and t >= run.encoded else 0) for t in _steps(run)]
    middles = [left + width / 2 for left in lefts]
    low = _STATE + size + _RISE
    height = low + _BOX + 28
    total = lefts[-1] + width + 12
    parts = [*_panels(run, lefts, width, height), *_zeros(run, middles[0], size)]
    for t in _steps(run):
        x = middles[t]
        drawn = [
            _box("input", x, low, width, run.inputs[t], run.origins[t]),
            _up(x, low, _STATE + size),
            _state(x, size, run.hs[t]),
        ]
        if t:
            handed = "handed" if t == run.encoded else ""
            drawn.append(_right(middles[t - 1] + size / 2, x - size / 2, _STATE + size / 2, handed))
        if run.outputs[t]:
            drawn += [_up(x, _STATE, _OUTPUT + _BOX), *_output(run, t, x, width)]
        if run.origins[t] == "fed back":
            drawn.append(_feedback(middles[t - 1] + width / 2, lefts[t], low))
        parts.append(
            f'<g class="step" data-t="{t}"><title>{html.escape(_told(run, t))}</title>'
            f"{''.join(drawn)}</g>"
        )
    parts += _origins(run, lefts, width, low + _BOX)
    answer = " ".join(filter(None, run.outputs))
    return (
        f'<svg class="unrolled" role="img" viewBox="0 0 {total:g} {height:g}" '
        f'width="{_SCALE * total:g}" '
        f'aria-label="{html.escape(f"{name}: {answer}")}">{"".join(parts)}</svg>'
    )


def sketch_svg(
    states: int, inputs: Sequence[int], outputs: Sequence[int], *, feeds_back: bool = False
) -> str:
    """A shape without data, small.

    Args:
        states: how many steps.
        inputs: at which something is read from outside.
        outputs: at which something is said.
        feeds_back: whether what is said is read at the next step.
    """
    pitch, box = 19, 11
    parts = []
    for t in range(states):
        x = 8 + t * pitch
        parts.append(_rect("state", x, 24, box, box))
        if t:
            parts.append(_line(x - pitch + box, 29.5, x, 29.5))
        if t in inputs:
            parts += [_rect("input", x, 45, box, box), _line(x + 5.5, 45, x + 5.5, 35)]
        if t in outputs:
            parts += [_rect("output", x, 3, box, box), _line(x + 5.5, 24, x + 5.5, 14)]
        if feeds_back and t - 1 in outputs:
            start, gap = x - pitch + box, x - (pitch - box) / 2
            path = f"M{start} 8.5H{gap}V50.5H{x + 5.5}V35"
            parts.append(f'<path class="feedback" d="{path}"/>')
    total = 16 + states * pitch - (pitch - box)
    return (
        f'<svg class="sketch" aria-hidden="true" viewBox="0 0 {total} 59" width="{total}" '
        f'height="59">{"".join(parts)}</svg>'
    )


def _steps(run: Run) -> range:
    return range(len(run.inputs))


def _told(run: Run, t: int) -> str:
    text = f"step {t + 1}: reads {run.inputs[t]}"
    if run.origins[t] != "given":
        text += f" ({_LABELS[run.origins[t]]})"
    if not run.outputs[t]:
        return text
    text += f", says {run.outputs[t]} with p = {run.chances[t]:.3f}"
    if run.outputs[t] == run.wanted[t]:
        return text
    return f"{text}; right: {run.wanted[t] or 'nothing, it has ended'}"


def _panels(run: Run, lefts: Sequence[float], width: float, height: float) -> Iterator[str]:
    """Behind encoder and decoder, where there are the two."""
    if not run.encoded:
        return
    ends = ((0, run.encoded - 1, "encoder"), (run.encoded, len(lefts) - 1, "decoder"))
    for first, last, name in ends:
        left, right = lefts[first] - 6, lefts[last] + width + 6
        yield (
            f'<rect class="panel" x="{left:g}" y="0" width="{right - left:g}" '
            f'height="{height:g}" rx="8"/>'
            f'<text class="small name" x="{left + 8:g}" y="14">{name}</text>'
        )


def _zeros(run: Run, first: float, size: float) -> Iterator[str]:
    y = _STATE + size / 2
    yield f'<text class="small" x="8" y="{y + 4:g}">0</text>'
    yield _right(14, first - size / 2, y)


def _box(kind: str, x: float, y: float, width: float, text: str, more: str = "") -> str:
    return (
        _rect(f"{kind} {more.replace(' ', '-')}".strip(), x - width / 2, y, width, _BOX)
        + f'<text x="{x:g}" y="{y + _BOX / 2 + 5:g}">{html.escape(text)}</text>'
    )


def _output(run: Run, t: int, x: float, width: float) -> Iterator[str]:
    said, wanted = run.outputs[t], run.wanted[t]
    if said == wanted:
        yield _box("output", x, _OUTPUT, width, said)
        yield f'<text class="small" x="{x:g}" y="{_OUTPUT - 5}">{run.chances[t]:.2f}</text>'
        return
    yield _box("output", x, _OUTPUT, width, said, "wrong")
    left, right = x - width / 2 + 3, x + width / 2 - 3
    yield _line(left, _OUTPUT + _BOX - 4, right, _OUTPUT + 4, "strike")
    yield f'<text class="right" x="{x:g}" y="{_OUTPUT - 5}">{html.escape(wanted)}</text>'


def _state(x: float, size: float, h: NDArray[np.float32]) -> str:
    """The units as small squares, row by row."""
    side = math.ceil(math.sqrt(len(h)))
    squares = "".join(
        f'<rect class="{"positive" if value > 0 else "negative"}" x="{k % side}" y="{k // side}" '
        f'width="1" height="1" fill-opacity="{min(1, abs(value)):.2f}"/>'
        for k, value in enumerate(map(float, h))
    )
    placed = f"translate({x - size / 2 + 2:g} {_STATE + 2}) scale({(size - 4) / side:.4g})"
    return (
        f'{_rect("state", x - size / 2, _STATE, size, size)}<g transform="{placed}">{squares}</g>'
    )


def _origins(run: Run, lefts: Sequence[float], width: float, y: float) -> Iterator[str]:
    """Below the inputs, where they come from."""

    def origin(t: int) -> str:
        if run.encoded and t == run.encoded:
            return "start"
        return _LABELS[run.origins[t]]

    for label, group in itertools.groupby(_steps(run), origin):
        steps = list(group)
        left, right = lefts[steps[0]], lefts[steps[-1]] + width
        yield (
            f'<path class="brace" d="M{left:g} {y + 6:g}v3H{right:g}v-3"/>'
            f'<text class="small" x="{(left + right) / 2:g}" y="{y + 22:g}">{label}</text>'
        )


def _feedback(start: float, end: float, low: float) -> str:
    """From the output at the left, down between the columns, into the input at the right."""
    high, deep, gap = _OUTPUT + _BOX / 2, low + _BOX / 2, (start + end) / 2
    path = (
        f"M{start:g} {high:g}H{gap - 3:g}Q{gap:g} {high:g} {gap:g} {high + 3:g}"
        f"V{deep - 3:g}Q{gap:g} {deep:g} {gap + 3:g} {deep:g}H{end - 1:g}"
    )
    return f'<path class="feedback" d="{path}"/>' + _tip(end, deep, -_HEAD, 0, "tip feedback-tip")


def _up(x: float, start: float, end: float) -> str:
    return _line(x, start, x, end + _HEAD) + _tip(x, end, 0, _HEAD)


def _right(start: float, end: float, y: float, kind: str = "") -> str:
    return _line(start, y, end - _HEAD, y, kind) + _tip(end, y, -_HEAD, 0, f"tip {kind}".strip())


def _tip(x: float, y: float, back: float, down: float, kind: str = "tip") -> str:
    """An arrow's head whose point is at (x, y)."""
    wide, tall = abs(down) * 0.7, abs(back) * 0.7
    corners = ((x, y), (x + back - wide, y + down - tall), (x + back + wide, y + down + tall))
    points = " ".join(f"{right:g},{low:g}" for right, low in corners)
    return f'<polygon class="{kind}" points="{points}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'
    )
