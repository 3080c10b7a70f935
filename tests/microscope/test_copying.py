import numpy as np
import pytest

from jaxrnn.microscope.measurements.copying import (
    longest_passages,
    match_lengths,
    novel_share,
    sort_suffixes,
)


def random_texts():
    rng = np.random.default_rng(0)
    for alphabet in ("ab", "abc", "a", "x\n\u00e9\U0001f600\u05d0"):
        for size in (1, 2, 3, 17, 60):
            yield "".join(rng.choice(list(alphabet), size)), "".join(rng.choice(list(alphabet), 25))


@pytest.mark.parametrize(("text", "sample"), list(random_texts()))
def test_against_brute_force(text, sample):
    training = sort_suffixes(text)
    assert [text[at:] for at in training.order] == sorted(text[at:] for at in range(len(text)))
    longest = [
        max(n for n in range(len(sample) - at + 1) if sample[at : at + n] in text)
        for at in range(len(sample))
    ]
    assert match_lengths(training, sample).tolist() == longest
    for n in (1, 2, 5):
        grams = [sample[at : at + n] for at in range(len(sample) - n + 1)]
        assert novel_share(training, sample, n) == np.mean([gram not in text for gram in grams])
    passages = longest_passages(training, sample, count=4)
    if passages:
        assert len(passages[0].text) == max(longest)
    for passage in passages:
        assert sample[passage.start :].startswith(passage.text)
        assert text[passage.source :].startswith(passage.text)
        starts = [at for at in range(len(text)) if text[at:].startswith(passage.text)]
        assert passage.occurrences == len(starts)
        assert len(passage.text) == longest[passage.start]
    covered = [at for each in passages for at in range(each.start, each.start + len(each.text))]
    assert len(covered) == len(set(covered))


def test_a_planted_passage_is_found():
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list("abcdefghij "), 20_000))
    sample = "".join(rng.choice(list("klmnop"), 300))
    sample = sample[:100] + text[777:850] + sample[100:]
    passage = longest_passages(sort_suffixes(text), sample, count=3, shortest=10)
    assert [(each.start, each.text, each.source) for each in passage] == [(100, text[777:850], 777)]


def test_repetitive_text_and_long_sample():
    training = sort_suffixes("10" * 5000)
    assert match_lengths(training, "10" * 20 + "0").tolist() == [*range(40, 0, -1), 1]


def test_bad_input():
    with pytest.raises(ValueError, match="at least one character"):
        sort_suffixes("")
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        novel_share(sort_suffixes("abc"), "ab", 0)
    with pytest.raises(ValueError, match="at least 3 characters, got 2"):
        novel_share(sort_suffixes("abc"), "ab", 3)
