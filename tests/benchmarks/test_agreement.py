import numpy as np
import pytest

from benchmarks.agreement import TOLERANCE, Disagreement, compare, tolerance
from benchmarks.problems import LayerProblem, Size, TrainProblem
from benchmarks.suites import SUITES


def test_errors_are_relative_norms():
    expected = {"hs": np.array([3.0, 4.0])}
    errors = compare({"hs": np.array([3.0, 4.05])}, expected, tolerance=0.02)
    assert errors == {"hs": pytest.approx(0.01)}


@pytest.mark.parametrize(
    ("got", "sentence"),
    [
        ({"hs": np.array([3.0, 4.5])}, "hs differs from the reference by 1.0e-01"),
        ({"hs": np.array([3.0, np.nan])}, "hs differs from the reference by inf"),
        ({"hs": np.array([[3.0, 4.0]])}, r"hs has shape \(1, 2\), expected \(2,\)"),
        ({"h": np.array([3.0, 4.0])}, "returned"),
    ],
)
def test_disagreement(got, sentence):
    with pytest.raises(Disagreement, match=sentence):
        compare(got, {"hs": np.array([3.0, 4.0])}, tolerance=1e-2)


def test_zero_gradients_are_compared_absolutely():
    zero = {"hs": np.zeros(2)}
    assert compare(zero, zero, tolerance=1e-6) == {"hs": 0.0}
    with pytest.raises(Disagreement):
        compare({"hs": np.ones(2)}, zero, tolerance=1e-2)


def test_every_compared_problem_has_a_tolerance():
    suites = SUITES.values()
    problems = [p for suite in suites for p in suite.problems(suite.cells, None, True)]
    assert {p.kind for p in problems if p.compared} <= TOLERANCE.keys()
    size = Size(1, 2, 3, 4)
    assert tolerance(LayerProblem("lstm", size)) == 1e-5
    assert tolerance(TrainProblem("elman", size)) == TOLERANCE["train"]
    assert tolerance(TrainProblem("elman", size, 1, "min-char-rnn")) == TOLERANCE["min-char-rnn"]
