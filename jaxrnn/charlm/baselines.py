"""What a model has to beat: n-grams of the training text, with interpolated Witten–Bell smoothing.

    p_k(c | h) = (count(hc) + distinct(h) · p_{k−1}(c | h')) / (count(h) + distinct(h))

h is the k − 1 tokens before c, h' is h without the first of them, count(h) how often h is
followed by anything, distinct(h) by how many different tokens. p_0 is 1/V. Of a context that
the training text does not have, the next shorter one says everything, so nothing has probability 0
and there is no constant to choose.

Source: Witten and Bell (1991), method C; Chen and Goodman (1999), section 2.5.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.streams import token_ids
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_size


class Counts(NamedTuple):
    """What a text has of the n-grams of one length.

    Attributes:
        keys: [G] the n-grams in order: V times the number of its first n − 1 ids among the
            (n − 1)-grams, plus its last id.
        counts: [G], how often each stands in the text.
        followers: [C], for each (n − 1)-gram, how often anything follows it.
        distinct: [C], how many different ids follow it.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    followers: NDArray[np.int64]
    distinct: NDArray[np.int64]


class NGrams(NamedTuple):
    """The n-grams of a text; `count_ngrams` makes them.

    Attributes:
        vocab_size: V.
        lengths: `Counts` of the 1-grams, the 2-grams, and so on.
    """

    vocab_size: int
    lengths: tuple[Counts, ...]


def count_ngrams(tokens: ArrayLike, vocab_size: int, order: int) -> NGrams:
    """Counts the n-grams of a text, of every length up to `order`.

    Args:
        tokens: [N] ids in [0, V), at least one.
        vocab_size: V.
        order: the largest n; 1 counts single ids.

    Raises:
        ValueError: no tokens, ids outside [0, V), or a size that is no integer of at least 1.
        TypeError: tokens that are not integers.

    >>> [len(counts.keys) for counts in count_ngrams([0, 1, 0, 1, 1], 2, order=3).lengths]
    [2, 3, 3]
    """
    for name, size in (("vocab_size", vocab_size), ("order", order)):
        check_size("count_ngrams", name, size)
    ids = _checked("count_ngrams", tokens, vocab_size, least=1)
    before = np.zeros(len(ids), np.int64)
    contexts, lengths = 1, []
    for _ in range(order):
        whole = before >= 0
        keys, places, counts = np.unique(
            before[whole] * vocab_size + ids[whole], return_inverse=True, return_counts=True
        )
        context = keys // vocab_size
        followers = np.bincount(context, counts, contexts).astype(np.int64)
        distinct = np.bincount(context, minlength=contexts)
        lengths.append(Counts(keys, counts, followers, distinct))
        before = _shifted(whole, places)
        contexts = len(keys)
    return NGrams(vocab_size, tuple(lengths))


def ngram_surprisals(ngrams: NGrams, tokens: ArrayLike) -> NDArray[np.float64]:
    """−ln p of every token of a text but the first, for each n.

    Args:
        ngrams: of the training text.
        tokens: [N] ids in [0, V), at least 2.

    Returns:
        [order, N − 1] nats: row n − 1 is that of n-grams, the first row that of single tokens.
        Near the start of the text, where there are fewer tokens before, shorter ones are used.

    Raises:
        ValueError: fewer than 2 tokens, or ids outside [0, V).
        TypeError: tokens that are not integers.

    Example: after two a's and a b, with 3 followers of nothing, of which 2 are distinct, the
    probability of an a is (2 + 2/2) / (3 + 2).
        >>> print(np.exp(-ngram_surprisals(count_ngrams([0, 0, 1], 2, order=1), [1, 0])))
        [[0.6]]
    """
    ids = _checked("ngram_surprisals", tokens, ngrams.vocab_size, least=2)
    before = np.zeros(len(ids), np.int64)
    probability = np.full(len(ids), 1 / ngrams.vocab_size)
    rows: list[NDArray[np.float64]] = []
    for keys, counts, followers, distinct in ngrams.lengths:
        if not len(keys):  # the training text is shorter than this
            rows.append(rows[-1])
            continue
        known = before >= 0
        wanted = before * ngrams.vocab_size + ids
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = known & (keys[places] == wanted)
        new, total = (np.where(known, of[before], 0) for of in (distinct, followers))
        here = np.where(found, counts[places], 0)
        followed = total > 0
        shares = (here + new * probability) / np.where(followed, total + new, 1)
        probability = np.where(followed, shares, probability)
        rows.append(-np.log(probability[1:]))
        before = _shifted(found, places[found])
    return np.stack(rows)


def _shifted(known: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """At each token, the number of the n-gram that ends before it; −1 where there is none."""
    ending = np.full(len(known), -1, np.int64)
    ending[known] = places
    return np.concatenate([np.full(1, -1, np.int64), ending[:-1]])


def _checked(function: str, tokens: ArrayLike, vocab_size: int, least: int) -> NDArray[np.int64]:
    ids = token_ids(function, tokens)
    if len(ids) < least:
        expected = "at least 1 token" if least == 1 else f"at least {least} tokens"
        raise ValueError(sentence(function, "tokens", expected, f"{len(ids)}"))
    if not 0 <= ids.min() <= ids.max() < vocab_size:
        rule, got = f"ids from 0 to {vocab_size - 1:,}", f"ids from {ids.min()} to {ids.max()}"
        raise ValueError(sentence(function, "tokens", rule, got))
    return ids.astype(np.int64)
