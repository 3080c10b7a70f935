"""Losses by kind of character: a label for each predicted character, and the losses under each.

Other tokens than characters have other labels, or their losses are added up to those of characters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.word_vocabulary import UNKNOWN
from jaxrnn.errors import sentence


class Group(NamedTuple):
    """The losses of all characters, or other tokens, with one label.

    Attributes:
        label: the label.
        characters: how many they are.
        mean_bits: their mean loss, bits each.
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


def word_classes(labels: Sequence[str]) -> list[str]:
    """The class of each token where tokens are words, by what a person sees of it.

    >>> word_classes([" the", "The", "1987", ",", "\\n", " <unk>"])
    ['word', 'capitalised word', 'number', 'punctuation', 'newline', 'unknown word']
    """
    return [_word_class(label) for label in labels]


def _word_class(label: str) -> str:
    if label in UNKNOWN:
        return "unknown word"
    kind = _character_class(label[-1:] if len(label) == 1 else label.lstrip(" ")[:1])
    if kind == "punctuation" and len(label) > 1:  # a word may begin with an underscore
        return "word"
    return _WORD_CLASSES.get(kind, kind)


_WORD_CLASSES = {
    "lower-case letter": "word",
    "letter without case": "word",
    "upper-case letter": "capitalised word",
    "digit": "number",
}


def character_losses(losses: ArrayLike, lengths: ArrayLike) -> NDArray[np.float64]:
    """The losses of characters from those of their bytes, added up.

    Args:
        losses: [N − 1] nats, of all tokens but the first; each at most a character.
        lengths: [N], how many characters end with each token (`Tokenizer.lengths`).

    Returns:
        [C − 1] nats, of all characters but the first.

    >>> character_losses([1.0, 2.0, 3.0], [1, 0, 1, 1])  # the second character has two bytes
    array([3., 3.])
    """
    ends = np.cumsum(lengths)
    places = (ends - (np.asarray(lengths) > 0))[1:]
    size = int(ends[-1])
    sums = np.bincount(places, np.asarray(losses, np.float64), minlength=size)
    return sums[1:size].astype(np.float64)


def _character_class(character: str) -> str:
    if character in ("\n", "\r"):
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
