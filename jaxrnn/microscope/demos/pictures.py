"""Small pictures of the experiments for the index: SVG that takes its colours from the page."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.microscope.experiments import EXPERIMENTS, Experiment
from jaxrnn.microscope.experiments.binary import BinaryData
from jaxrnn.microscope.experiments.embedding_or_one_hot import EmbeddingData
from jaxrnn.microscope.experiments.generation import Kind
from jaxrnn.microscope.experiments.gradients import GradientsData
from jaxrnn.microscope.experiments.how_far_back import ConnectivityData
from jaxrnn.microscope.experiments.last_or_every_step import LossData
from jaxrnn.microscope.experiments.lstm import LstmData
from jaxrnn.microscope.experiments.online import OnlineData
from jaxrnn.microscope.experiments.order import OrderData
from jaxrnn.microscope.experiments.parallel import ParallelData
from jaxrnn.microscope.experiments.parentheses import ParenthesesData
from jaxrnn.microscope.pages.html import visible

WIDTH, HEIGHT = 320, 136
SERIES = ("#3b7dd8", "#e4572e", "#2a9d6f", "#8e5bd0")
MARGIN = 10


def picture_of(experiment: Experiment) -> str:
    """The experiment's picture, as its row in `EXPERIMENTS` names it."""
    return EXPERIMENTS[experiment.name].load_picture()(experiment.data)


def states(data: BinaryData) -> str:
    """The trained network's states on its window."""
    return cells(np.asarray(data.after.layers[0].carries.h).T)


def answers(data: OrderData) -> str:
    """What is answered to each of the three sentences."""
    return cells(data.answers)


def units(data: ParenthesesData) -> str:
    """The first characters of the map of units."""
    return cells(np.asarray(data.trace.layers[0].carries.h)[:64].T)


def memory(data: LstmData) -> str:
    """The memory of the units that keep the letter, on two lines of text."""
    length = 2 * len(data.text) // 4
    kept = np.stack([data.fields["c"][:length, unit] for unit in data.memory[:6]], axis=1)
    return cells(kept.T / max(float(np.abs(kept).max()), 1e-9))


def flows(data: GradientsData) -> str:
    """The trained networks' gradients on their way back."""
    means = {name: flow.flows[-1].by_distance for name, flow in data.flows.items()}
    return lines(means, log=True)


def connected(data: ConnectivityData) -> str:
    """The text before one prediction, coloured by what mattered for it."""
    matrix = np.asarray(data.after["LSTM"].matrices["logit_gradient_norm"])
    at = int(np.argmax((matrix[40:] / matrix[40:].max(axis=1, keepdims=True)).sum(axis=1))) + 40
    text = data.text[: at + 1]
    return coloured(text[-96:], matrix[at, : at + 1][-96:])


def contenders(data: EmbeddingData) -> str:
    """Training losses of all contenders."""
    return lines({each.name: _smooth(each.losses.mean(axis=0)) for each in data.contenders})


def two_losses(data: LossData) -> str:
    """What both models minimise."""
    return lines({name: _smooth(fitted.losses) for name, fitted in data.fitted.items()})


def readers(data: OnlineData) -> str:
    """Right answers as learning goes on."""
    return lines({each.name: _smooth(each.right) for each in data.readers})


def newton(data: ParallelData) -> str:
    """The errors of Newton's iterates of the first network: a row an iterate, time across."""
    errors = data.settlings[0].errors
    columns = np.linspace(0, errors.shape[1] - 1, min(64, errors.shape[1])).astype(int)
    powers = np.log10(np.maximum(errors[:, columns], 1e-16))
    return cells((powers + 16) / 16)


def loops(data: Sequence[Kind]) -> str:
    """The end of a greedy text, every second turn of its loop coloured."""
    kind = data[-1]
    text, loop = kind.written[0.0], kind.loops[0.0]
    turn = np.zeros(len(text))
    if loop is not None:
        at = np.arange(len(text))
        turn = ((at >= loop.start) & ((at - loop.start) // loop.period % 2 == 0)).astype(float)
    return coloured(text[-96:], turn[-96:])


def shapes(data: object) -> str:
    """The five shapes, the same in every run: which steps read and which answer."""
    patterns = ("1|1", "100|111", "111|001", "1100|0011", "111|111")
    parts, x = [], 12.0
    for pattern in patterns:
        reads, says = pattern.split("|")
        for read, said in zip(reads, says, strict=True):
            parts += [
                _dot(x, 106, read == "1", 1),
                _dot(x, 68, True, 0),
                _dot(x, 30, said == "1", 2),
            ]
            x += 17
        x += 13
    return _svg("".join(parts))


def cells(values: ArrayLike) -> str:
    """Numbers from −1 to 1, [rows, columns], as coloured cells.

    >>> cells([[0.5, -1.0]]).count("<rect")
    2
    """
    matrix = np.clip(np.asarray(values, np.float64), -1, 1)
    rows, columns = matrix.shape
    width, height = (WIDTH - 2 * MARGIN) / columns, (HEIGHT - 2 * MARGIN) / rows
    drawn = "".join(
        f'<rect x="{MARGIN + width * c:.1f}" y="{MARGIN + height * r:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" '
        f'class="{"negative" if matrix[r, c] < 0 else "positive"}" '
        f'fill-opacity="{0.05 + 0.85 * abs(matrix[r, c]):.2f}"/>'
        for r in range(rows)
        for c in range(columns)
    )
    return _svg(drawn)


def lines(curves: Mapping[str, ArrayLike], *, log: bool = False) -> str:
    """Curves on common axes.

    >>> lines({"one": [1, 2, 3], "other": [3, 2, 1]}).count("<polyline")
    2
    """
    arrays = [np.asarray(values, np.float64) for values in curves.values()]
    if log:
        top = max(float(array.max()) for array in arrays)
        # A gradient that does not reach the first step begins where it does.
        arrays = [array[int(np.argmax(array > 0)) :] for array in arrays]
        arrays = [np.log10(np.maximum(array, top * 1e-9)) for array in arrays]
    low = min(float(array.min()) for array in arrays)
    span = max(float(array.max()) for array in arrays) - low or 1.0
    drawn = []
    for number, array in enumerate(arrays):
        at = np.linspace(0, len(array) - 1, min(len(array), 80)).astype(int)
        x = MARGIN + (WIDTH - 2 * MARGIN) * at / max(1, len(array) - 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (array[at] - low) / span
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        colour = SERIES[number % len(SERIES)]
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    return _svg("".join(drawn))


def coloured(text: Sequence[str], values: ArrayLike) -> str:
    """Characters on coloured ground, in lines of 32.

    >>> coloured("ab", [0.0, 1.0]).count("<rect")
    1
    """
    sizes = np.abs(np.asarray(values, np.float64))
    sizes = sizes / (sizes.max() or 1.0)
    across, step, high = 32, (WIDTH - 2 * MARGIN) / 32, 30
    rows = math.ceil(len(text) / across)
    top = (HEIGHT - rows * high) / 2
    drawn = []
    for at, character in enumerate(text):
        x, y = MARGIN + step * (at % across), top + high * (at // across)
        if sizes[at] > 0.01:
            drawn.append(
                f'<rect x="{x:.1f}" y="{y + 3:.1f}" width="{step:.1f}" height="{high - 6}" rx="2" '
                f'class="positive" fill-opacity="{0.6 * sizes[at]:.2f}"/>'
            )
        drawn.append(
            f'<text class="mono" x="{x + step / 2:.1f}" y="{y + high / 2 + 5:.1f}" '
            f'text-anchor="middle">{html.escape(visible(character) if character != " " else " ")}'
            "</text>"
        )
    return _svg("".join(drawn))


def _smooth(values: ArrayLike, width: int = 15) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    return np.convolve(array, np.ones(width) / width, mode="valid") if len(array) > width else array


def _dot(x: float, y: float, full: bool, colour: int) -> str:
    fill = SERIES[colour] if full else "none"
    return (
        f'<circle cx="{x:.0f}" cy="{y}" r="6" fill="{fill}" stroke="{SERIES[colour]}" '
        f'stroke-opacity="{1 if full else 0.3}"/>'
    )


def _svg(inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMid meet" '
        f'focusable="false">{inside}</svg>'
    )
