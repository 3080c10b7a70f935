"""Where the loss is: by place in the word, and what the model would rather have said.

A grouping is a label for each predicted character; `charlm.group_losses` has the losses under each
label, `charlm.character_classes` the labels by kind of character.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.tokenizers import Tokenizer


class Alternative(NamedTuple):
    """A token that could have come next, as a person sees it, with its probability."""

    character: str
    probability: float


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
    logits: ArrayLike, vocab: Tokenizer, count: int = 5
) -> tuple[tuple[Alternative, ...], ...]:
    """The likeliest tokens at each step.

    Args:
        logits: [T, V].
        vocab: the model's vocabulary.
        count: at most so many a step.

    Returns:
        T tuples, likeliest first.

    >>> from jaxrnn.charlm import Vocab
    >>> top_alternatives(np.log([[0.2, 0.5, 0.3]]), Vocab("abc"), count=2)[0][0].character
    'b'
    """
    probabilities = softmax(logits)
    order = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
    return tuple(
        tuple(Alternative(vocab.labels[place], float(row[place])) for place in places)
        for row, places in zip(probabilities, order, strict=True)
    )


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities along the last axis, in float64."""
    values = np.asarray(logits, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares
