"""Where the loss is: by kind of character, by place, and what the model would rather have said.

Everything is a grouping: a label for each predicted character, and the losses under each label.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.errors import sentence


class Group(NamedTuple):
    """The losses of all characters with one label.

    Attributes:
        label: the label.
        characters: how many they are.
        mean_bits: their mean loss, bits a character.
        share: their part of the whole loss, in [0, 1].
    """

    label: object
    characters: int
    mean_bits: float
    share: float


class Alternative(NamedTuple):
    """A character that could have come next, with its probability."""

    character: str
    probability: float


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


def positions_in_word(text: str) -> list[int]:
    """The place of each character in its word, from 1; 0 for what is no letter or digit.

    >>> positions_in_word("to be")
    [1, 2, 0, 1, 2]
    """
    places, place = [], 0
    for character in text:
        place = place + 1 if character.isalnum() else 0
        places.append(place)
    return places


def top_alternatives(
    logits: ArrayLike, vocab: Vocab, count: int = 5
) -> tuple[tuple[Alternative, ...], ...]:
    """The likeliest characters at each step.

    Args:
        logits: [T, V].
        vocab: the model's vocabulary.
        count: at most so many a step.

    Returns:
        T tuples, likeliest first.

    >>> top_alternatives(np.log([[0.2, 0.5, 0.3]]), Vocab("abc"), count=2)[0][0].character
    'b'
    """
    probabilities = softmax(logits)
    order = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
    return tuple(
        tuple(Alternative(vocab.characters[place], float(row[place])) for place in places)
        for row, places in zip(probabilities, order, strict=True)
    )


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities along the last axis, in float64."""
    values = np.asarray(logits, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _character_class(character: str) -> str:
    if character == "\n":
        return "newline"
    if character.isspace():
        return "space"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "upper-case letter" if character.isupper() else "lower-case letter"
    return "punctuation"
