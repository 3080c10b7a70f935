"""Saturation of gates: one dot a unit."""

from collections.abc import Sequence
from typing import Any

from jaxrnn.microscope.figures.curves import COLOURS
from jaxrnn.microscope.measurements.gate_statistics import GateStatistics


def draw_saturation(axes: Any, gates: Sequence[GateStatistics]) -> None:
    """How much of the time each unit's gates are nearly open and nearly closed.

    Args:
        axes: a Matplotlib axes.
        gates: of one layer, from `saturated_gates`; one colour a gate.

    Source: Karpathy, Johnson and Li (2015), figure 2.
    """
    axes.plot([0, 1], [1, 0], color="#888888", linestyle="--", linewidth=1)
    for number, gate in enumerate(gates):
        axes.scatter(
            gate.right_saturated, gate.left_saturated, s=12, alpha=0.6, label=f"gate {gate.gate}",
            color=COLOURS[number % len(COLOURS)],
        )  # fmt: skip
    axes.set_xlabel("share of the time above 0.9")
    axes.set_ylabel("share of the time below 0.1")
    axes.set_aspect("equal")
    axes.legend()
