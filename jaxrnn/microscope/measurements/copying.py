"""How much of a sample stands in the training text word for word.

Everything follows from one array: at each position of the sample, the length of the longest
stretch from there that also stands in the training text (its matching statistics). A passage is a
stretch that cannot be made longer; an n-gram is novel where that length is below n.

The lengths come from the sorted suffixes of the training text (Manber and Myers 1993): the suffix
with the longest common beginning stands next to where the sample's rest would be sorted in.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrnn.errors import sentence


class SortedSuffixes(NamedTuple):
    """A text with its suffixes in order.

    Attributes:
        text: N characters.
        order: [N] integers; `text[order[k]:]` is the k-th suffix in sorted order.
    """

    text: str
    order: NDArray[np.int64]


class Passage(NamedTuple):
    """A stretch of a sample that stands in the training text and cannot be made longer.

    Attributes:
        start: its first position in the sample.
        text: its characters.
        source: a position at which it stands in the training text.
        occurrences: how often it stands there.
    """

    start: int
    text: str
    source: int
    occurrences: int


def sort_suffixes(text: str) -> SortedSuffixes:
    """Sorts all suffixes of a text by doubling the sorted prefix, O(N log² N).

    Args:
        text: N characters, at least one.

    Returns:
        The text and the order of its suffixes; one million characters take a few seconds.

    Raises:
        ValueError: an empty text.

    >>> sort_suffixes("banana").order  # a, ana, anana, banana, na, nana
    array([5, 3, 1, 0, 4, 2])
    """
    if not text:
        raise ValueError(sentence("sort_suffixes", "text", "at least one character", "none"))
    _, rank = np.unique(_code_points(text), return_inverse=True)
    size, length = len(text), 1
    while True:
        # Rank 0 is the end of the text, which sorts before every character.
        follow = np.zeros(size, np.int64)
        if length < size:
            follow[:-length] = rank[length:] + 1
        pair = rank.astype(np.int64) * (size + 1) + follow
        order = np.argsort(pair, kind="stable")
        steps = np.concatenate([[0], np.cumsum(np.diff(pair[order]) != 0)])
        rank = np.empty(size, np.int64)
        rank[order] = steps
        length *= 2
        if steps[-1] == size - 1:
            return SortedSuffixes(text, order)


def match_lengths(training: SortedSuffixes, sample: str) -> NDArray[np.int64]:
    """At each position of a sample, the longest stretch from there that training text contains.

    Args:
        training: the training text's sorted suffixes.
        sample: L characters.

    Returns:
        [L] numbers of characters.

    >>> match_lengths(sort_suffixes("the cat sat"), "a cat ran")
    array([1, 5, 4, 3, 2, 1, 0, 1, 0])
    """
    return np.array([length for length, _ in _longest_matches(training, sample)], np.int64)


def longest_passages(
    training: SortedSuffixes, sample: str, count: int = 10, shortest: int = 1
) -> tuple[Passage, ...]:
    """The longest passages of a sample that stand in the training text, none overlapping another.

    Args:
        training: the training text's sorted suffixes.
        sample: L characters.
        count: at most so many.
        shortest: at least so many characters each.

    Returns:
        Passages, longest first; of two equally long the earlier one first.

    >>> longest_passages(sort_suffixes("the cat sat"), "a cat ran", count=1)
    (Passage(start=1, text=' cat ', source=3, occurrences=1),)
    """
    matches = _longest_matches(training, sample)
    taken = np.zeros(len(sample), bool)
    passages: list[Passage] = []
    for start in sorted(range(len(sample)), key=lambda at: (-matches[at][0], at)):
        length, source = matches[start]
        if length < shortest or len(passages) == count:
            break
        if taken[start : start + length].any():
            continue
        taken[start : start + length] = True
        text = sample[start : start + length]
        passages.append(Passage(start, text, source, occurrences(training, text)))
    return tuple(passages)


def novel_share(training: SortedSuffixes, sample: str, n: int) -> float:
    """The share of a sample's n-grams that never occur in the training text.

    To be read beside the same share of a held-out part of the text: a writer who copies nothing
    still repeats some n-grams.

    Args:
        training: the training text's sorted suffixes.
        sample: at least n characters.
        n: characters, at least 1.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: n below 1 or a sample shorter than n.

    >>> novel_share(sort_suffixes("the cat sat"), "a cat ran", n=3)  # 4 of 7
    0.5714285714285714
    """
    if n < 1:
        raise ValueError(sentence("novel_share", "n", "at least 1", n))
    if len(sample) < n:
        raise ValueError(
            sentence("novel_share", "sample", f"at least {n} characters", str(len(sample)))
        )
    return novel_share_of(match_lengths(training, sample), n)


def novel_share_of(lengths: NDArray[np.int64], n: int) -> float:
    """`novel_share` from the sample's `match_lengths`, for one n after another.

    >>> novel_share_of(match_lengths(sort_suffixes("the cat sat"), "a cat ran"), n=3)
    0.5714285714285714
    """
    return float((lengths[: len(lengths) - n + 1] < n).mean())


def occurrences(training: SortedSuffixes, passage: str) -> int:
    """How often a passage stands in the training text.

    >>> occurrences(sort_suffixes("banana"), "ana")
    2
    """

    def beginning(at: int) -> str:
        return training.text[at : at + len(passage)]

    first = bisect_left(training.order, passage, key=beginning)
    return bisect_right(training.order, passage, key=beginning) - first


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _longest_matches(training: SortedSuffixes, sample: str) -> list[tuple[int, int]]:
    """(length, position in the training text) of the longest match at each position."""
    text, order = training
    matches = []
    for start in range(len(sample)):
        rest = sample[start:]

        def beginning(at: int, rest: str = rest) -> str:
            return text[at : at + len(rest)]

        # A suffix cut to the rest's length sorts among the rest as the whole suffix does.
        place = bisect_left(order, rest, key=beginning)
        neighbours = order[max(place - 1, 0) : place + 1]
        length, place = max((_common_beginning(rest, text, int(at)), -int(at)) for at in neighbours)
        matches.append((length, -place))
    return matches


def _common_beginning(rest: str, text: str, at: int) -> int:
    low, high = 0, min(len(rest), len(text) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(rest[:middle], at):
            low = middle
        else:
            high = middle - 1
    return low
