import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import character_classes, group_losses
from jaxrnn.microscope.measurements.probes import distance_since_newline
from jaxrnn.microscope.measurements.surprise import (
    positions_in_word,
    softmax,
    top_alternatives,
)


def test_groups_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ab C1.\n"), 500))
    losses = rng.random(500)
    for labels in (character_classes(text), positions_in_word(text), distance_since_newline(text)):
        groups = group_losses(losses, list(labels))
        assert sum(group.characters for group in groups) == 500
        assert sum(group.share for group in groups) == pytest.approx(1)
        assert sum(group.characters * group.mean_bits for group in groups) == pytest.approx(
            losses.sum() / np.log(2)
        )
        assert [group.share for group in groups] == sorted(
            (group.share for group in groups), reverse=True
        )
        first = groups[0]
        mine = [loss for loss, label in zip(losses, labels, strict=True) if label == first.label]
        assert first.mean_bits == pytest.approx(np.mean(mine) / np.log(2))


def test_classes_of_any_script():
    assert character_classes("\u00e9\u00c9\u0661\t\u05d0\u2019\r") == [
        "lower-case letter",
        "upper-case letter",
        "digit",
        "space",
        "letter without case",
        "punctuation",
        "newline",
    ]


def test_alternatives_are_the_likeliest_in_order():
    logits = np.random.default_rng(0).normal(size=(7, 6)) + 1000
    found = top_alternatives(logits, charlm.Vocab("abcdef"), count=4)
    for row, alternatives in zip(softmax(logits), found, strict=True):
        assert row.sum() == pytest.approx(1)
        assert [each.probability for each in alternatives] == sorted(row, reverse=True)[:4]
        for each in alternatives:
            assert row["abcdef".index(each.character)] == each.probability
    assert np.log(softmax(logits)[0, 0] / softmax(logits)[0, 1]) == pytest.approx(
        logits[0, 0] - logits[0, 1]
    )


def test_one_loss_a_label():
    with pytest.raises(ValueError, match=r"shape \[3\], one a label, got float64\[2\]"):
        group_losses(np.zeros(2), ["a", "b", "c"])
