"""What kind of knowledge would have prevented a model's errors.

A character is an error where the model gives it a probability below ½. Each error goes to the
first of these causes that fits, so that the shares add up:

    n-gram            the last n ≤ 9 characters decide it in the training text (probability ≥ ½)
    memory            the word it belongs to stood in the last 1,000 characters before the word
    rare word         the word stands at most five times in the training text
    start of a word   it follows a space, a newline or a quotation mark
    punctuation       it is no letter, digit or space
    other             none of these

Source: Karpathy, Johnson and Li (2015), section 4.4, which takes the n-gram models one by one.
"""

import re
from collections import Counter

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.charlm.loss_groups import Group, group_losses
from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.copying import SortedSuffixes, occurrences

CAUSES = ("n-gram", "memory", "rare word", "start of a word", "punctuation", "other")


def errors_by_cause(
    text: str,
    losses: ArrayLike,
    training: SortedSuffixes,
    longest_context: int = 9,
    memory: int = 1000,
    rare: int = 5,
) -> tuple[Group, ...]:
    """The errors on a text by their cause.

    Args:
        text: T + 1 characters.
        losses: [T] nats, the losses of the last T characters.
        training: the sorted suffixes of the text that the model was trained on.
        longest_context: the longest n of the n-gram models.
        memory: characters before a word in which it counts as remembered.
        rare: a word is rare that stands at most so often in the training text.

    Returns:
        One Group a cause that occurs, the largest share of the errors' loss first; their counts
        add up to the number of errors.

    Raises:
        ValueError: losses that are not one a character after the first.
    """
    values = np.asarray(losses, np.float64)
    if values.shape != (len(text) - 1,):
        raise ValueError(sentence("errors_by_cause", "losses", f"shape [{len(text) - 1}]", values))
    counts = Counter(re.findall(r"\w+", training.text))
    words = {at: match for match in re.finditer(r"\w+", text) for at in range(*match.span())}

    def cause(at: int) -> str:
        if _an_ngram_knows(text, at, training, longest_context):
            return "n-gram"
        if at in words:
            start, word = words[at].start(), words[at].group()
            # A word is remembered from its second character on: the first names no word yet.
            before = text[max(0, start - memory) : start]
            if at > start and re.search(rf"\b{re.escape(word)}\b", before):
                return "memory"
            if counts[word] <= rare:
                return "rare word"
        if text[at - 1] in " \n\t\"'":
            return "start of a word"
        if not (text[at].isalnum() or text[at].isspace()):
            return "punctuation"
        return "other"

    errors = [at for at in range(1, len(text)) if values[at - 1] > np.log(2)]
    if not errors:
        return ()
    return group_losses(values[[at - 1 for at in errors]], [cause(at) for at in errors])


def _an_ngram_knows(text: str, at: int, training: SortedSuffixes, longest: int) -> bool:
    for size in range(1, min(longest, at) + 1):
        context = text[at - size : at]
        seen = occurrences(training, context)
        if not seen:
            return False
        if occurrences(training, context + text[at]) >= seen / 2:
            return True
    return False
