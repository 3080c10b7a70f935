import numpy as np
import pytest

from jaxrnn.microscope.measurements.copying import sort_suffixes
from jaxrnn.microscope.measurements.error_breakdown import CAUSES, errors_by_cause

TRAINING = sort_suffixes(
    "the cat sat. the dog ran. the cow ate! " + "zig zag zog " * 6 + "rarely; then there"
)
WRONG, RIGHT = np.log(4.0), np.log(1.5)


def causes(text, *places):
    losses = np.full(len(text) - 1, RIGHT)
    losses[[at - 1 for at in places]] = WRONG
    return {group.label: group.characters for group in errors_by_cause(text, losses, TRAINING)}


def test_each_cause_by_hand():
    # `q` never occurs, so contexts that end in it know nothing.
    assert causes("the", 2) == {"n-gram": 1}  # `th` is always followed by e
    assert causes("qword qword", 7) == {"memory": 1}
    assert causes("qword", 1) == {"rare word": 1}
    assert causes("q\tzag", 2) == {"start of a word": 1}
    assert causes("q!", 1) == {"punctuation": 1}
    assert causes("q ", 1) == {"other": 1}
    assert causes("zag", 1) in ({"n-gram": 1}, {"other": 1})


def test_only_errors_count_and_all_of_them():
    rng = np.random.default_rng(0)
    text = TRAINING.text
    losses = rng.exponential(0.7, len(text) - 1)
    groups = errors_by_cause(text, losses, TRAINING)
    assert sum(group.characters for group in groups) == (losses > np.log(2)).sum()
    assert sum(group.share for group in groups) == pytest.approx(1)
    assert {group.label for group in groups} <= set(CAUSES)
    assert errors_by_cause(text, np.zeros(len(text) - 1), TRAINING) == ()


def test_ngrams_against_counting():
    text = TRAINING.text
    found = causes(text, *range(1, len(text))).get("n-gram", 0)
    known = 0
    for at in range(1, len(text)):
        for n in range(1, min(9, at) + 1):
            context = text[at - n : at]
            follow = [
                text[i + n] if i + n < len(text) else ""
                for i in range(len(text) - n + 1)
                if text[i : i + n] == context
            ]
            if follow.count(text[at]) >= len(follow) / 2:
                known += 1
                break
    assert found == known


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"losses: expected shape \[2\], got float64\[3\]"):
        errors_by_cause("abc", np.zeros(3), TRAINING)
