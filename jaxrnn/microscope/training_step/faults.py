"""Faults of a backward pass, and the gradient check that finds them.

A write-up on word order ("Understanding hidden states") prints an Elman network with eight faults.
Five make a gradient wrong, and a check against central differences finds each: they stand in
`GRADIENT_FAULTS` as changes of the listing's lines. Three it cannot find, since the gradient is
right with them: Adagrad's memory overwritten instead of added to (every step is then η · sign(g)),
a state that is never kept for the next call, and a function that returns nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.charlm import Config, Params
from jaxrnn.gradient_check import DIFFERENCE_STEP
from jaxrnn.microscope.training_step.recording import Recording, record

GRADIENT_FAULTS = {
    "∂h goes back through w_hh untransposed": {
        "d_h[t-1] = d_a[t] @ w_hh.T": "d_h[t-1] = d_a[t] @ w_hh",
    },
    "∂w_xh is not added up over the steps": {
        "d_w_xh += outer(x[t], d_a[t])": "d_w_xh = outer(x[t], d_a[t])",
    },
    "∂w_hh is one number, a dot product": {
        "d_w_hh += outer(h[t-1], d_a[t])": "d_w_hh += h[t-1] @ d_a[t]",
    },
    "rows and columns are mixed: ∂w_hh is transposed": {
        "d_w_hh += outer(h[t-1], d_a[t])": "d_w_hh += outer(d_a[t], h[t-1])",
    },
    "the error enters at every step, though the loss is at the last": {
        "d_a[t] = d_h[t] * (1 - h[t] ** 2)": (
            "d_a[t] = (d_h[t] + (t < T - 1) * d_y[T-1] @ w_hy.T) * (1 - h[t] ** 2)"
        ),
    },
}
"""Changes for `record` of an Elman cell whose loss is at the last step, by what is wrong."""

ADAGRAD_OVERWRITTEN = {
    f"memory_{name} += d_{name} ** 2": f"memory_{name} = d_{name} ** 2"
    for name in ("w_xh", "w_hh", "b_h", "w_hy", "b_y")
}
"""The fault of the update: changes for `record` with `update="adagrad"`."""


def gradient_error(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: ArrayLike,
    targets: ArrayLike,
    changes: Mapping[str, str] | None = None,
    loss: str = "last_cross_entropy",
) -> float:
    """A gradient check of a listing: its gradients against central differences of its loss.

    Args:
        config: a model with one layer.
        params: its parameters.
        carry: one Carry before the first step, fields [H].
        inputs: T token ids.
        targets: T token ids.
        changes: lines of the listing, by what to run in their place.
        loss: a key of `jaxrnn.charlm.LOSSES`.

    Returns:
        The largest |listing − differences| of any entry of any parameter, relative to the largest
        entry of its array.

    Example:
        >>> import jax
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=4, cell="elman", hidden_size=3, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> given = config, params, charlm.zero_carry(config, params, ()), [0, 1, 2], [3, 3, 3]
        >>> gradient_error(*given) < 1e-6
        True
        >>> fault = GRADIENT_FAULTS["∂w_xh is not added up over the steps"]
        >>> gradient_error(*given, fault) > 0.1
        True
    """

    def run(layer: Any, w_hy: Any, b_y: Any) -> Recording:
        model = params._replace(layers=(layer,), w_hy=w_hy, b_y=b_y)
        return record(config, model, carry, inputs, targets, limit=None, loss=loss, changes=changes)

    layer = type(params.layers[0])(*(np.array(part, np.float64) for part in params.layers[0]))
    readout = np.array(params.w_hy, np.float64), np.array(params.b_y, np.float64)
    whole = run(layer, *readout)
    worst = 0.0
    named = {**layer._asdict(), "w_hy": readout[0], "b_y": readout[1]}
    for name, array in named.items():
        differences = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            there = array[place]
            losses = []
            for nudge in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
                array[place] = there + nudge
                losses.append(run(layer, *readout).loss)
            array[place] = there
            differences[place] = (losses[0] - losses[1]) / (2 * DIFFERENCE_STEP)
        error = np.abs(whole.final(f"d_{name}") - differences).max()
        worst = max(worst, float(error / (np.abs(differences).max() or 1.0)))
    return worst
