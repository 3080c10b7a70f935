"""n-gram baselines against a loop over strings."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from jaxrnn import charlm

V = 5


def by_hand(training, tokens, order):
    """−ln p by Witten and Bell's formula, context by context, as it is printed."""
    follows = defaultdict(Counter)
    for end in range(len(training)):
        for size in range(min(order - 1, end) + 1):
            follows[tuple(training[end - size : end])][training[end]] += 1

    def probability(token, context):
        shorter = probability(token, context[1:]) if context else 1 / V
        seen = follows[context]
        if not seen:
            return shorter
        return (seen[token] + len(seen) * shorter) / (sum(seen.values()) + len(seen))

    at = range(1, len(tokens))
    return [
        -np.log(probability(tokens[end], tuple(tokens[max(0, end - order + 1) : end])))
        for end in at
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 200])
def test_every_order_is_the_formula(size):
    random = np.random.default_rng(size)
    training = random.integers(0, V - 1, size=size).tolist()  # one id never stands in it
    tokens = random.integers(0, V, size=80).tolist()
    found = charlm.ngram_surprisals(charlm.count_ngrams(training, V, order=4), tokens)
    assert found.shape == (4, 79)
    for order in range(1, 5):
        np.testing.assert_allclose(found[order - 1], by_hand(training, tokens, order), rtol=1e-12)


def test_the_probabilities_of_all_next_tokens_add_up_to_one():
    ngrams = charlm.count_ngrams(np.random.default_rng(0).integers(0, V - 1, size=60), V, order=3)
    for context in ([0, 1], [4, 4], [3, 2]):
        last = [charlm.ngram_surprisals(ngrams, [*context, token])[:, -1] for token in range(V)]
        np.testing.assert_allclose(np.exp(-np.array(last)).sum(axis=0), 1, rtol=1e-12)


def test_a_vocabulary_of_all_of_unicode_does_not_overflow():
    vocab_size = 1_114_112
    tokens = np.random.default_rng(0).integers(vocab_size - 3, vocab_size, size=500)
    wide = charlm.ngram_surprisals(charlm.count_ngrams(tokens, vocab_size, order=8), tokens)
    assert np.all(np.isfinite(wide))
    assert wide[-1].mean() < wide[0].mean()


def test_what_cannot_be_counted_is_said():
    with pytest.raises(ValueError, match="count_ngrams: tokens: expected at least 1 token, got 0"):
        charlm.count_ngrams([], V, order=1)
    with pytest.raises(ValueError, match="count_ngrams: order: expected an integer of at least 1"):
        charlm.count_ngrams([1], V, order=0)
    with pytest.raises(
        ValueError, match=r"count_ngrams: tokens: expected ids from 0 to 4, got .*5"
    ):
        charlm.count_ngrams([1, 5], V, order=2)
    with pytest.raises(TypeError, match="ngram_surprisals: tokens: expected integer"):
        charlm.ngram_surprisals(charlm.count_ngrams([1], V, order=1), "text")
    with pytest.raises(ValueError, match="ngram_surprisals: tokens: expected at least 2 tokens"):
        charlm.ngram_surprisals(charlm.count_ngrams([1], V, order=1), [1])
