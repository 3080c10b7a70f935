"""How gates and units spend their time: open, closed, dead, saturated."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.cells import Cell
from jaxrnn.recurrence import Trace

Shares = NDArray[np.float64]


class GateStatistics(NamedTuple):
    """One gate of one layer, unit by unit.

    Attributes:
        gate: its name, e.g. `f`.
        left_saturated: [H], share of the time below 0.1.
        right_saturated: [H], share of the time above 0.9.
    """

    gate: str
    left_saturated: Shares
    right_saturated: Shares


class UnitActivity(NamedTuple):
    """What the units of a layer do over a text.

    Attributes:
        mean: [H].
        deviation: [H], standard deviation.
        saturated_share: [H], share of the time with |h| above 0.9.
        dead: [H], whether the unit hardly ever moves.
        saturated: [H], whether it moves but sits at its ends most of the time.
    """

    mean: Shares
    deviation: Shares
    saturated_share: Shares
    dead: NDArray[np.bool_]
    saturated: NDArray[np.bool_]


def saturated_gates(cell: Cell, layer: Trace) -> tuple[GateStatistics, ...]:
    """The share of the time that each sigmoid gate is nearly closed and nearly open.

    Args:
        cell: the layer's cell.
        layer: its trace, gates [T, *B, H].

    Returns:
        One record a gate with values in (0, 1), in the cell's order; tanh gates are left out.

    >>> from jaxrnn import GRU
    >>> gates = {"r": np.array([[0.05], [0.5]]), "z": np.array([[0.95], [0.99]]), "n": None}
    >>> for found in saturated_gates(GRU, Trace(None, gates, {})):
    ...     print(found.gate, found.left_saturated, found.right_saturated)
    r [0.5] [0.]
    z [0.] [1.]

    Source: Karpathy, Johnson and Li (2015), section 4.2.
    """
    found = []
    for gate, nonlinearity in zip(cell.gates, cell.nonlinearities, strict=True):
        if _is_sigmoid(nonlinearity):
            values = _by_unit(layer.gates[gate])
            found.append(
                GateStatistics(gate, (values < 0.1).mean(axis=0), (values > 0.9).mean(axis=0))
            )
    return tuple(found)


def unit_activity(
    states: ArrayLike, *, still: float = 1e-3, saturated_share: float = 0.9
) -> UnitActivity:
    """Which units are dead and which are saturated.

    Args:
        states: [T, *B, H], e.g. `trace.layers[0].carries.h`.
        still: a unit whose standard deviation is below this is dead.
        saturated_share: a living unit that spends at least this share of the time beyond ±0.9 is
            saturated.

    Returns:
        A UnitActivity.

    >>> unit_activity([[0.0, 0.95, 0.1], [0.0, -0.99, 0.5]]).saturated
    array([False,  True, False])
    """
    values = _by_unit(states)
    deviation = values.std(axis=0)
    share = (np.abs(values) > 0.9).mean(axis=0)
    dead = deviation < still
    return UnitActivity(
        values.mean(axis=0), deviation, share, dead, ~dead & (share >= saturated_share)
    )


def _is_sigmoid(nonlinearity: Callable[[jax.Array], jax.Array]) -> bool:
    """By its values, since a cell may bring its own: 0 far below 0, 1 far above it."""
    ends = np.asarray(nonlinearity(jnp.array([-40.0, 40.0], jnp.float32)))
    return bool(np.allclose(ends, [0, 1]))


def _by_unit(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    return array.reshape(-1, array.shape[-1])
