"""How a cost grows: the exponent of a power law fitted on logarithms."""

from collections.abc import Sequence

import numpy as np


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of log cost against log value, by least squares.

    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    return float(
        np.polyfit(np.log(np.asarray(values, float)), np.log(np.asarray(costs, float)), 1)[0]
    )
