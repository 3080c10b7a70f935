"""Losses by kind of character: a label for each predicted character, and the losses under each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.errors import sentence


class Group(NamedTuple):
    """The losses of all characters with one label.

    Attributes:
        label: the label.
        characters: how many they are.
        mean_bits: their mean loss, bits per character.
        share: their part of the whole loss, in [0, 1].
    """

    label: object
    characters: int
    mean_bits: float
    share: float


def group_losses(losses: ArrayLike, labels: Sequence[object]) -> tuple[Group, ...]:
    """The losses under each label.

    Args:
        losses: [T] nats, one a predicted character.
        labels: T labels, e.g. `character_classes(targets)` or positions in the line.

    Returns:
        One Group a label, the largest share first.

    Raises:
        ValueError: lengths that differ, or no characters.

    >>> for group in group_losses(np.log([2.0, 2.0, 4.0]), ["a", "a", "b"]):
    ...     print(group.label, group.characters, round(group.mean_bits, 6), group.share)
    a 2 1.0 0.5
    b 1 2.0 0.5
    """
    values = np.asarray(losses, np.float64)
    if values.ndim != 1 or len(values) != len(labels) or not len(values):
        raise ValueError(
            sentence("group_losses", "losses", f"shape [{len(labels)}], one a label", values)
        )
    places: dict[object, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    whole = values.sum()
    groups = [
        Group(
            label,
            len(mine),
            float(values[mine].mean() / np.log(2)),
            float(values[mine].sum() / whole) if whole else 0.0,
        )
        for label, mine in places.items()
    ]
    return tuple(sorted(groups, key=lambda group: -group.share))


def character_classes(text: str) -> list[str]:
    """The class of each character.

    >>> character_classes("aB 1.\\n")
    ['lower-case letter', 'upper-case letter', 'space', 'digit', 'punctuation', 'newline']
    """
    return [_character_class(character) for character in text]


def _character_class(character: str) -> str:
    if character == "\n":
        return "newline"
    if character.isspace():
        return "space"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        if character.isupper() or character.istitle():
            return "upper-case letter"
        return "lower-case letter" if character.islower() else "letter without case"
    return "punctuation"
