"""Curves: training, losses of several seeds, what is left of the gradient; and histograms."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.microscope.measurements.gradient_flow import GradientFlow, Histograms

COLOURS = ("#3b7dd8", "#e4572e", "#2a9d6f", "#8e5bd0", "#c08a00", "#d1488f")


def draw_training(
    axes: Any,
    records: Sequence[Mapping[str, Any]],
    *,
    bits: bool = False,
    token: str = "character",
) -> None:
    """Training and validation loss of a run.

    Args:
        axes: a Matplotlib axes.
        records: of metrics.jsonl.
        bits: bits instead of nats.
        token: what one token is called.
    """
    scale = math.log(2) if bits else 1.0
    fields: dict[str, tuple[str, dict[str, Any]]] = {
        "loss": ("training", {"alpha": 0.4, "linewidth": 0.8}),
        "smoothed_loss": ("training, smoothed", {}),
        "validation_loss": ("validation", {"marker": "o", "markersize": 3}),
    }
    for colour, (field, (label, style)) in zip(COLOURS, fields.items(), strict=False):
        kept = [record for record in records if record.get(field) is not None]
        if kept:
            steps = [record["step"] for record in kept]
            values = [record[field] / scale for record in kept]
            # A line through one point is nothing to see.
            style |= {"marker": "o"} if len(kept) == 1 else {}
            axes.plot(steps, values, label=label, color=colour, **style)
    axes.set_xlabel("step")
    axes.set_ylabel(f"{'bits' if bits else 'nats'} a {token}")
    axes.legend()


def draw_curves(
    axes: Any,
    curves: Mapping[str, Sequence[ArrayLike]],
    *,
    x: ArrayLike | None = None,
    levels: Mapping[str, float] | None = None,
) -> None:
    """One colour a variant, one line a seed.

    Args:
        axes: a Matplotlib axes.
        curves: by variant, one array [N] a seed.
        x: [N]; None: 1 … N of each curve.
        levels: values to mark with a dashed line, by what they mean.
    """
    for number, (name, seeds) in enumerate(curves.items()):
        for seed, values in enumerate(seeds):
            places = np.arange(1, len(np.asarray(values)) + 1) if x is None else x
            colour = COLOURS[number % len(COLOURS)]
            label = name if seed == 0 else None
            axes.plot(places, values, color=colour, label=label, linewidth=1, alpha=0.8)
    for name, level in (levels or {}).items():
        axes.axhline(level, color="#888888", linestyle="--", linewidth=1, label=name)
    axes.legend()


def draw_gradient_norms(axes: Any, flows: Mapping[str, GradientFlow]) -> None:
    """The mean norm of the gradient by how far back, for several models.

    Args:
        axes: a Matplotlib axes.
        flows: by the model's name.
    """
    for colour, (name, flow) in zip(COLOURS, flows.items(), strict=False):
        means = np.where(flow.by_distance > 0, flow.by_distance, np.nan)
        axes.semilogy(np.arange(len(means)), means, color=colour, label=name)
    axes.set_xlabel("steps back from the loss")
    axes.set_ylabel("mean ‖∂L/∂h‖")
    axes.legend()


def draw_gradient_histogram(axes: Any, histograms: Histograms, *at: int) -> None:
    """The sizes of the gradient's entries at one step.

    Args:
        axes: a Matplotlib axes.
        histograms: counts [..., T, bins].
        at: which of the leading axes, e.g. the moment and t.
    """
    axes.stairs(histograms.counts[at], histograms.edges, fill=True, color=COLOURS[0])
    axes.set_xlabel("log₁₀ of the size of an entry of ∂L/∂h")
    axes.set_ylabel("entries")
