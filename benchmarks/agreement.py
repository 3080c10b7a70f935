"""Do two peers compute the same thing? Asked before anything is timed."""

from typing import Any

import numpy as np

from benchmarks.problems import Arrays

TOLERANCE = {
    "layer": 1e-5,
    "memory": 3e-5,
    "parallel": 1e-5,
    "sequences": 1e-4,
    "train": 5e-5,
    "min-char-rnn": 3e-4,
    "sample": 0.0,
}
"""Largest relative error by kind of problem, on every device, since products of float32 are
compared. On a CPU nobody, of PyTorch, Keras, flax, haiku and equinox either, was further off than
2.4e-6 in a layer (LSTM, T = 1,024; jaxrnn 9.6e-7 of float64, all cells at 8, 1024, 32, 32), 6e-6
over 100,000 steps, 2.6e-5 in the loss of ragged sequences, a sum of terms of either sign (their
gradients 4e-7), 1.1e-5 in parameters that RMSProp trained, and 9.8e-5 in min-char-rnn's, whose
Adagrad makes steps of one size from the smallest gradients too. Drawn characters are the same or
not.
"""


def tolerance(problem: Any) -> float:
    """Of a problem, by its kind, or its recipe where that has its own."""
    recipe = problem.recipe if problem.kind == "train" else None
    return TOLERANCE[recipe if recipe in TOLERANCE else problem.kind]


class Disagreement(Exception):
    """Two peers' outputs or gradients differ."""


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """‖got − expected‖ / ‖expected‖, in float64; infinite where either is not finite.

    >>> round(relative_error(np.array([3.0, 4.4]), np.array([3.0, 4.0])), 6)
    0.08
    """
    difference = got.astype(np.float64) - expected.astype(np.float64)
    scale = np.linalg.norm(expected.astype(np.float64))
    error = float(np.linalg.norm(difference) / scale) if scale else float(np.abs(difference).max())
    return error if np.isfinite(error) else float("inf")


def relative_errors(got: Arrays, expected: Arrays) -> dict[str, float]:
    """By name, of arrays that have the same names and shapes."""
    return {name: relative_error(got[name], value) for name, value in expected.items()}


def compare(got: Arrays, expected: Arrays, tolerance: float) -> dict[str, float]:
    """Compares named arrays.

    Args:
        got: float arrays by name.
        expected: the same from the reference.
        tolerance: largest relative error that passes.

    Returns:
        The relative error by name.

    Raises:
        Disagreement: names or shapes differ, or an error is above the tolerance.
    """
    if got.keys() != expected.keys():
        raise Disagreement(f"returned {sorted(got)}, expected {sorted(expected)}")
    for name, value in expected.items():
        if got[name].shape != value.shape:
            raise Disagreement(f"{name} has shape {got[name].shape}, expected {value.shape}")
    errors = relative_errors(got, expected)
    name, worst = max(errors.items(), key=lambda item: item[1])
    if not worst <= tolerance:
        raise Disagreement(
            f"{name} differs from the reference by {worst:.1e} relative, more than {tolerance:.0e}"
        )
    return errors
