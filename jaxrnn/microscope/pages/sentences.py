"""Short sentences beside each other: the state after every word and the answer, by moment."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.html import page, visible
from jaxrnn.microscope.pages.shell import Story, closing, colour_key, opening

MOST_UNITS = 16


class Reading(NamedTuple):
    """What a network made of one sentence.

    Attributes:
        words: T of them.
        states: [T, H] from −1 to 1 by moment, e.g. "before training", "after".
        answers: [K] probabilities by the same moments.
    """

    words: Sequence[str]
    states: Mapping[str, ArrayLike]
    answers: Mapping[str, ArrayLike]


def sentences_page(readings: Sequence[Reading], answers: Sequence[str], story: Story) -> str:
    """A page of sentences that a network read, at several moments, a column each.

    Args:
        readings: of the same moments.
        answers: names of the K answers; the right one of the k-th sentence is the k-th.
        story: the words of the page.

    Returns:
        HTML without a script.

    Raises:
        ValueError: no readings, more than there are answers, or too many units to draw.
    """
    if not 1 <= len(readings) <= len(answers):
        rule = f"1 to {len(answers)} sentences, one an answer"
        raise ValueError(sentence("sentences_page", "readings", rule, len(readings)))
    rows = []
    for moment in readings[0].states:
        columns = "".join(
            _column(reading, moment, answers, right) for right, reading in enumerate(readings)
        )
        heading = html.escape(moment[:1].upper() + moment[1:])
        rows.append(f'<h2>{heading}</h2><div class="columns">{columns}</div>')
    body = (
        f'{opening(story)}<main class="story">'
        + colour_key("A unit’s state after the word", "−1", "1")
        + "".join(rows)
        + f"{closing(story)}</main>"
    )
    return page(story.title, body, assets=("sentences.css",))


def _column(reading: Reading, moment: str, answers: Sequence[str], right: int) -> str:
    states = np.asarray(reading.states[moment], np.float64)
    if states.ndim != 2 or len(states) != len(reading.words) or states.shape[1] > MOST_UNITS:
        rule = f"[{len(reading.words)}, H ≤ {MOST_UNITS}]"
        raise ValueError(sentence("sentences_page", f"states[{moment!r}]", rule, states))
    steps = "".join(
        f'<li><span class="word">{html.escape(visible(word))}</span>{_units(state)}</li>'
        for word, state in zip(reading.words, states, strict=True)
    )
    bars = "".join(
        f'<tr{" class=right" if at == right else ""}><th scope="row">{html.escape(name)}</th>'
        f'<td class="bar"><span style="width:{100 * p:.1f}%"></span></td>'
        f'<td class="number">{p:.2f}</td></tr>'
        for at, (name, p) in enumerate(
            zip(answers, np.asarray(reading.answers[moment], np.float64), strict=True)
        )
    )
    return (
        f'<section class="column"><ol class="words">{steps}</ol>'
        f'<table class="answers"><tbody>{bars}</tbody></table></section>'
    )


def _units(state: NDArray[np.float64]) -> str:
    cells = "".join(
        f'<span style="background:rgb(var(--{"negative" if value < 0 else "positive"})'
        f' / {0.75 * min(1, abs(value)):.2f})">{_number(value)}</span>'
        for value in state
    )
    return f'<span class="units">{cells}</span>'


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
