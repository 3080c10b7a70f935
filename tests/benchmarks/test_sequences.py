"""The suite of ragged sequences: what its quantities are, and how they are shown."""

import numpy as np

from benchmarks import contest
from benchmarks.peers import PEERS
from benchmarks.problems import LayerProblem, SequenceProblem, Size
from benchmarks.suites import SUITES

PROBLEM = SequenceProblem("elman", Size(3, 40, 3, 4))


def test_half_of_a_row_at_least_counts_and_boundaries_are_about_20_steps_apart():
    large = SequenceProblem("elman", Size(200, 100, 3, 4)).sequences()
    assert large.lengths.min() == 50
    assert large.lengths.max() == 100
    assert 1 / 21 < large.resets.mean() < 1 / 19
    _, _, xs, _ = PROBLEM.arrays()
    np.testing.assert_array_equal(xs, LayerProblem("elman", PROBLEM.size).arrays()[2])


def test_each_quantity_is_what_its_name_says():
    lengths, resets, _ = PROBLEM.sequences()
    prepared = PEERS["jaxrnn"].prepare["sequences"](PROBLEM, "cpu")
    assert tuple(prepared.quantities) == SUITES["sequences"].quantities
    got = prepared.results()
    padding = np.arange(40)[:, None] >= lengths
    assert padding.any()
    for quantity in prepared.quantities:
        d_xs = np.abs(got[f"{quantity}: gradient of xs"]).max(-1)
        assert (d_xs[padding] == 0).all() == ("lengths" in quantity)
        assert (d_xs[~padding] > 0).all()
        assert (f"{quantity}: gradient of reset h" in got) == ("resets" in quantity)
    reset_rows = np.abs(got["resets: gradient of reset h"]).max(-1) > 1e-3
    np.testing.assert_array_equal(reset_rows, resets.any(0))
    counted = (resets & ~padding).any(0)
    reset_rows = np.abs(got["lengths_resets: gradient of reset h"]).max(-1) > 1e-3
    np.testing.assert_array_equal(reset_rows, counted)
    losses = {float(got[f"{quantity}: loss"]) for quantity in prepared.quantities}
    assert len(losses) == 4


def test_quantities_are_timed_in_turn_where_they_are_compared(monkeypatch):
    taken = []

    class Worker:
        def __init__(self, name):
            self.name = name

        def sampler(self, quantity):
            return lambda calls: taken.append((self.name, quantity)) or 1.0

    running = contest.Contest("cpu", ["jaxrnn", "autodiff"], repeats=2)
    monkeypatch.setattr(running, "worker", Worker)
    monkeypatch.setattr(running, "_prepare", lambda *_: {})
    quantities = SUITES["sequences"].quantities
    both = [(name, quantity) for name in running.peers for quantity in quantities]
    records = running.run(PROBLEM, quantities, together=SUITES["sequences"].together)
    assert taken[-16:] == both * 2
    assert [(record["peer"], record["quantity"]) for record in records] == both
    running.run(PROBLEM, quantities)
    last = [(name, quantities[-1]) for name in running.peers]
    assert taken[-4:] == last * 2


def test_shown_is_the_ratio_to_the_clean_batch():
    def record(problem, quantity, seconds):
        return {
            "problem": problem,
            "peer": "jaxrnn",
            "quantity": quantity,
            "seconds": {"median": seconds},
        }

    records = [
        record("lstm 1,2,3,4", "clean", 0.010),
        record("lstm 1,2,3,4", "lengths", 0.011),
        record("gru 1,2,3,4", "clean", 0.002),
        record("gru 1,2,3,4", "lengths", 0.008),
    ]
    lines = SUITES["sequences"].show(records).splitlines()
    assert lines[2].split() == ["lstm", "1,2,3,4", "10", "11", "(1.10×)", "–", "–"]
    assert lines[-1].split() == ["geometric", "mean", "2.10×"]
