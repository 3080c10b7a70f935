"""What a run remembers of its losses, and when they say that it must stop."""

import json

import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.journal import DivergedError, Journal
from jaxrnn.charlm.runs import Run
from jaxrnn.charlm.settings import Settings

SETTINGS = Settings(seq_length=50, batch_size=20, learning_rate=0.5, grad_clip_norm=0.0)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, SETTINGS, charlm.Vocab.from_text("abcdefgh"), ("",), "")


def test_one_unlucky_window_is_not_divergence(run):
    losses = np.array([3.0, 3.0, 14.0, 3.0])
    journal = Journal().after(run, losses, losses / 2)
    keep = 0.999**40  # 1,000 characters a window; 0.999 for every 25
    smoothed = 3.0
    for loss in losses[1:]:
        smoothed = keep * smoothed + (1 - keep) * loss
    np.testing.assert_allclose(journal.smoothed_loss, smoothed, rtol=1e-12)
    assert (journal.step, journal.first_loss, journal.unrecorded) == (4, 3.0, 4)
    assert (journal.loss_sum, journal.norm_sum) == (23.0, 11.5)


def test_how_steps_are_divided_changes_no_bit_also_through_json(run):
    rng = np.random.default_rng(0)
    losses, norms = rng.uniform(1, 3, 30), rng.uniform(0, 9, 30)
    whole = Journal().after(run, losses, norms)
    parts = Journal()
    for begin, end in ((0, 1), (1, 8), (8, 30)):
        parts = parts.after(run, losses[begin:end], norms[begin:end])
        parts = Journal(**json.loads(json.dumps(parts._asdict())))
    assert parts == whole


@pytest.mark.parametrize(
    ("losses", "norms", "expected"),
    [
        ([2.0, np.nan], [1.0, 1.0], r"the loss of step 2 is not finite"),
        ([2.0, 2.0], [1.0, np.inf], r"the gradient of step 2 is not finite"),
        ([2.0] + [30.0] * 20, [1.0] * 21, r"risen to .* over three times the 2\.000 at first"),
    ],
)
def test_divergence_is_said_with_advice(run, losses, norms, expected):
    with pytest.raises(DivergedError, match=expected) as caught:
        Journal().after(run, losses, norms)
    assert "a lower --learning-rate than 0.5" in str(caught.value)
    assert "--grad-clip-norm 1" in str(caught.value)
