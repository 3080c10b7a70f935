"""The experiments: each trains what it needs and says what was claimed, measured and found."""

from collections.abc import Callable

from jaxrnn.microscope.experiments import (
    binary,
    connectivity,
    embedding_or_one_hot,
    five_shapes,
    gradients,
    last_or_every_step,
    online,
    order,
    parallel,
    parentheses,
)
from jaxrnn.microscope.experiments.record import (
    Experiment,
    Measurement,
    Progress,
    report,
    silent,
)

EXPERIMENTS: dict[str, Callable[..., Experiment]] = {
    "alternating": binary.run_alternating,
    "counting": binary.run_counting,
    "order": order.run,
    "five-shapes": five_shapes.run,
    "parentheses": parentheses.run,
    "gradients": gradients.run,
    "connectivity": connectivity.run,
    "embedding-or-one-hot": embedding_or_one_hot.run,
    "last-or-every-step": last_or_every_step.run,
    "parallel": parallel.run,
    "online": online.run,
}
"""Every experiment by name: `EXPERIMENTS[name](key, progress)` returns an Experiment."""

__all__ = ["EXPERIMENTS", "Experiment", "Measurement", "Progress", "report", "silent"]
