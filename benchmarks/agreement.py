"""Do two peers compute the same thing? Asked before anything is timed."""

import numpy as np

from benchmarks.problems import Arrays

TOLERANCE = {"cpu": 1e-4, "gpu": 2e-2, "tpu": 5e-2}
"""Largest relative error by device: float32 on a CPU; accelerators multiply float32 matrices in
TensorFloat-32 or bfloat16 passes unless told otherwise, and they are measured as people run them.
"""


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
    errors = {name: relative_error(got[name], value) for name, value in expected.items()}
    name, worst = max(errors.items(), key=lambda item: item[1])
    if not worst <= tolerance:
        raise Disagreement(
            f"{name} differs from the reference by {worst:.1e} relative, more than {tolerance:.0e}"
        )
    return errors
