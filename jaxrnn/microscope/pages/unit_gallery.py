"""Which units a page shows first, and what it says of them."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrnn.microscope.measurements.unit_search import Finding

CARDS = 8
SNIPPET = 150
"""Characters of a card's text."""

LONGEST_STRETCH = 12
ON = 0.5
"""Of the largest value: beyond it a unit is on, where the page opens."""

LISTED = 12
"""Units of one meaning that are listed by their numbers."""


class Meaning(NamedTuple):
    """What a unit encodes.

    Attributes:
        unit: its number in the model.
        meaning: in words, e.g. "depth".
        kind: of what it is a variant, e.g. the probe without its lag.
        correlation: with it, on text that did not choose it.
        untrained: the largest |correlation| of untrained units; NaN where there are none.
    """

    unit: int
    meaning: str
    kind: str
    correlation: float
    untrained: float

    @property
    def words(self) -> str:
        """Meaning and numbers in a line."""
        text = f"{upper_meaning(self.meaning)} (correlation {self.correlation:+.2f}"
        if not np.isnan(self.untrained):
            text += f"; the best untrained unit {self.untrained:.2f}"
        return text.replace("-", "−") + ")"


def upper_meaning(meaning: str) -> str:
    """As a label: with a capital letter, and characters that can be seen.

    >>> upper_meaning("last character is ' '"), upper_meaning("depth")
    ('Last character is a space', 'Depth')
    """
    for written, said in (("' '", "a space"), (r"'\n'", "a line break"), (r"'\t'", "a tab")):
        meaning = meaning.replace(written, said)
    return meaning[:1].upper() + meaning[1:]


def named_meanings(findings: Sequence[Finding]) -> list[Meaning]:
    """What a unit search named, strongest first."""
    return [
        Meaning(each.unit, each.meaning, each.probe, each.confirmation, each.untrained)
        for each in findings
        if each.named
    ]


def movement(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H] how much each unit moves: between its 10th and 90th percentile, of all there is.

    A unit that is one flat colour has 0, and cannot be seen whatever it correlates with.
    """
    most = 2 * (float(np.abs(values).max(initial=0.0)) or 1.0)
    low, high = np.percentile(values, (10, 90), axis=0)
    return np.asarray((high - low) / most)


def ranked(
    values: NDArray[np.float64], labels: Sequence[int], meanings: Sequence[Meaning]
) -> list[int]:
    """Columns of [T, H] values: units with a meaning first, by correlation times movement.

    Of the units without one, those that move most come first. A unit with a meaning that hardly
    moves stands among these.
    """
    moves = movement(values)
    strength = np.zeros(len(labels))
    for meaning in meanings:
        column = labels.index(meaning.unit)
        strength[column] = max(strength[column], abs(meaning.correlation) * moves[column])
    visible = strength >= 0.25 * strength.max(initial=0.0)
    return sorted(
        range(len(labels)),
        key=lambda k: (not (strength[k] and visible[k]), -strength[k], -moves[k]),
    )


def opening_stretch(values: NDArray[np.float64], most: float, wanted: int = 0) -> tuple[int, int]:
    """The longest stretch, up to `LONGEST_STRETCH`, over which a unit [T] is on; start and end.

    Args:
        values: [T], of the unit.
        most: the largest value of any unit.
        wanted: 1 or −1 where the stretch should be above 0 or below it, if there is any; else 0.

    >>> opening_stretch(np.array([0.1, 0.9, 0.8, -0.9, 0.9]), 1.0)
    (1, 3)
    >>> opening_stretch(np.array([0.1, 0.9, 0.8, -0.9, 0.9]), 1.0, -1)
    (3, 4)
    """
    if wanted and (wanted * values >= ON * most).any():
        values = np.where(wanted * values > 0, values, 0.0)
    sign = np.where(values >= ON * most, 1, np.where(values <= -ON * most, -1, 0))
    best, start = (0, min(5, len(values))), 0
    longest = 0
    for t in range(1, len(values) + 1):
        if t < len(values) and sign[t] == sign[start]:
            continue
        length = min(t - start, LONGEST_STRETCH)
        if sign[start] and length > longest:
            best, longest = (start, start + length), length
        start = t
    return best


def cards(
    values: NDArray[np.float64],
    labels: Sequence[int],
    meanings: Sequence[Meaning],
    order: Sequence[int],
    most: float,
) -> list[dict[str, Any]]:
    """The gallery: one unit of each kind of meaning, then units that merely move.

    Returns:
        For each card its column, what it is, and the stretch of text to show: the one in which
        the unit changes most.
    """
    by_unit = {labels.index(each.unit): each for each in meanings}
    seen: dict[str, int] = {}
    for column in order:
        if column in by_unit:
            seen.setdefault(by_unit[column].kind, column)
    chosen = [*seen.values()][:CARDS]
    others = [column for column in order if column not in by_unit]
    chosen += others[: max(0, min(CARDS, 6) - len(chosen))]
    made = []
    for column in chosen:
        unit = by_unit.get(column)
        start = _liveliest(values[:, column])
        alike = 0
        if unit is not None:
            alike = sum(each.kind == unit.kind for each in meanings) - 1
        made.append(
            {
                "column": column,
                "meaning": upper_meaning(unit.meaning) if unit else "No name found for it",
                "correlation": round(unit.correlation, 2) if unit else None,
                "alike": alike,
                "start": start,
                "end": min(len(values), start + SNIPPET),
            }
        )
    return made


def _liveliest(values: NDArray[np.float64]) -> int:
    """Where the `SNIPPET` characters begin whose values have the largest spread."""
    starts = range(0, max(1, len(values) - SNIPPET + 1), 20)
    return max(starts, key=lambda start: float(values[start : start + SNIPPET].std()))


def in_groups(meanings: Sequence[Meaning]) -> str:
    """A table of what units encode, one row a meaning, the strongest first."""
    if not meanings:
        return ""
    groups: dict[str, list[Meaning]] = {}
    for each in sorted(meanings, key=lambda each: -abs(each.correlation)):
        groups.setdefault(each.meaning, []).append(each)
    rows = []
    for meaning, units in groups.items():
        numbers = ", ".join(str(each.unit) for each in units[:LISTED])
        more = f" and {len(units) - LISTED} more" if len(units) > LISTED else ""
        untrained = "" if np.isnan(units[0].untrained) else f"{units[0].untrained:.2f}"
        correlation = f"{units[0].correlation:+.2f}".replace("-", "−")
        rows.append(
            f'<tr><th scope="row">{html.escape(upper_meaning(meaning))}</th>'
            f'<td>{numbers}{more}</td><td class="number">{correlation}</td>'
            f'<td class="number">{untrained}</td></tr>'
        )
    return (
        "<h2>What the units encode</h2>"
        '<div class="wide" tabindex="0" role="region" aria-label="What the units encode">'
        '<table class="list"><thead><tr><th scope="col">Meaning</th><th scope="col">Units</th>'
        '<th scope="col" class="number">Strongest correlation</th>'
        '<th scope="col" class="number">Best untrained unit</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="quiet">Found on one half of the text and confirmed on the other. A unit is '
        "named only where it goes beyond what the units of untrained networks reach.</p>"
    )
