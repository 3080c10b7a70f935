import jax
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.experiments import EXPERIMENTS, online, parallel, report

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's Adam mixes a Python float with an int32 array, which strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_an_episode_marks_one_letter_and_asks_for_it():
    xs, answer = online.episode(jax.random.key(0))
    a, b, marked, asked = np.moveaxis(np.asarray(xs), -1, 0)
    assert (marked.sum(0) == 1).all()
    assert (marked[: online.PLACES].sum(0) == 1).all()
    np.testing.assert_array_equal((a * marked).sum(0), answer)
    assert asked[-1].all()
    assert asked.sum() == online.STREAMS
    np.testing.assert_array_equal(a + b, 1 - asked)
    assert 0 < answer.mean() < 1


def test_online_and_through_all_steps_the_gradient_is_one():
    """From an influence of zero, RTRL's and the whole one's; a short window's is another."""
    weights = online._first_weights(jax.random.key(0))
    params = weights.cell
    carry = rnn.zero_carry(rnn.GRU, params, (online.STREAMS,))
    text = online.episode(jax.random.key(2))
    forwards, state, right = online._online(weights, rnn.rtrl_init(rnn.GRU, params, carry), *text)
    whole, last, same = online._truncated(online.LENGTH)(weights, carry, *text)
    cut = online._truncated(8)(weights, carry, *text)[0]
    for got, want in zip(jax.tree.leaves(forwards), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
    np.testing.assert_allclose(state.carry.h, last.h, atol=1e-6)
    np.testing.assert_array_equal(right, same)
    marks = (np.asarray(each.cell.w_xh[2]) for each in (whole, cut))  # row 2 reads the mark
    assert [bool(row.any()) for row in marks] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_online(seed):
    found = EXPERIMENTS["online"](jax.random.key(seed))
    assert found.name == "online"
    assert found.verdict in report(found)
    assert found.holds
    exact, snap1, cut, whole = found.data.readers
    assert exact.right[-100:].mean() > 0.99
    assert snap1.right[-100:].mean() > 0.9
    assert abs(cut.right[-100:].mean() - 0.5) < 0.08
    assert whole.right[-100:].mean() > 0.99
    assert snap1.memory < cut.memory <= exact.memory < whole.memory
    assert found.data.window < online.LENGTH - online.PLACES


def test_parallel_in_small(monkeypatch):
    for name, value in {
        "LENGTH": 64,
        "LIMIT": 11,
        "UPDATES": 40,
        "UNTRAINED": ("elman",),
        "FACTORS": (0.5, 3.0),
        "TRAINED_FACTORS": (1.0, 2.0),
    }.items():
        monkeypatch.setattr(parallel, name, value)
    found = EXPERIMENTS["parallel"](jax.random.key(0))
    assert found.verdict in report(found)
    trials = {trial.name: trial for trial in found.data.trials}
    assert [*trials] == [
        "trained GRU", "trained GRU with w_hh × 2",
        "untrained ELMAN with w_hh × 0.5", "untrained ELMAN with w_hh × 3",
    ]  # fmt: skip
    calm, chaotic = (trials[f"untrained ELMAN with w_hh × {factor}"] for factor in (0.5, 3))
    assert calm.exponent < calm.at_guess + 0.1 < 0
    assert calm.settled
    assert calm.iterations < 8
    assert chaotic.at_guess == pytest.approx(np.log(3), abs=0.15)
    assert (chaotic.settled, chaotic.iterations) == (False, 11)
    assert max(trial.difference for trial in found.data.trials) < 1e-9
    trained, _, last = found.data.settlings
    assert trained.errors.shape == (trained.trial.iterations + 1, 64)
    assert trained.trial.settled
    assert trained.errors[-1].max() < 1e-9
    # The residual of causal equations vanishes from the left, one more step with each iteration.
    for iteration, row in enumerate(last.errors):
        assert row[:iteration].max(initial=0) < 1e-9
    assert last.errors[-1].max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parallel(seed):
    found = EXPERIMENTS["parallel"](jax.random.key(seed))
    trained, _, chaotic = (settling.trial for settling in found.data.settlings)
    assert trained.settled
    assert trained.exponent < -0.1
    assert trained.iterations <= 20
    assert not chaotic.settled
    assert chaotic.exponent > 0.1
    for trial in found.data.trials:
        if trial.exponent > 0.02:
            assert not trial.settled
        if max(trial.exponent, trial.at_guess) < 0:
            assert trial.settled
            assert trial.iterations <= 20
    # The claim's counterexample: below 0, and not settled.
    assert not found.holds
