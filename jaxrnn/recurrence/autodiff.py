"""One cell over a sequence as a plain scan, whose gradient is JAX's own, and its trace."""

from typing import Any, NamedTuple

import jax

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.cells.parts import blocks
from jaxrnn.recurrence.sequences import Fixed, Timed, run_step


class Trace(NamedTuple):
    """What `trace` returns of a cell; every array [T, *B, H].

    Attributes:
        carries: the cell's Carry after each step.
        gates: activations by the gate's name, e.g. `trace.gates["f"]`.
        pre_activations: what went into each gate's nonlinearity, by the same names.
    """

    carries: Any
    gates: dict[str, Array]
    pre_activations: dict[str, Array]


def scan(cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed) -> tuple[Any, Array]:
    """(the carry after the last step, the states h [T, *B, H]).

    It projects each input inside its step and knows nothing of chunks of time or hand-derived
    transposes, which makes its gradient an independent one.
    """

    def one_step(carry: Any, now: Timed) -> tuple[Any, Array]:
        step, _ = run_step(cell, params, fixed, carry, now)
        return step.after, step.after.h

    return jax.lax.scan(one_step, carry, timed)


def scan_carries(
    cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed
) -> tuple[Any, Array]:
    """(the carry after each step, fields [T, *B, H]; the states h)."""

    def one_step(carry: Any, now: Timed) -> tuple[Any, Any]:
        step, _ = run_step(cell, params, fixed, carry, now)
        return step.after, step.after

    _, carries = jax.lax.scan(one_step, carry, timed)
    return carries, carries.h


def scan_and_keep(
    cell: Cell, params: Any, carry: Any, timed: Timed, fixed: Fixed
) -> tuple[Trace, Array]:
    """(everything that the steps made, the states h), in the order in which they ran."""

    def one_step(carry: Any, now: Timed) -> tuple[Any, tuple[Any, Array]]:
        step, pre = run_step(cell, params, fixed, carry, now)
        return step.after, (step.after, pre)

    _, (carries, packed) = jax.lax.scan(one_step, carry, timed)
    pre_activations = dict(zip(cell.gates, blocks(packed, len(cell.gates)), strict=True))
    gates = {
        name: function(pre_activations[name])
        for name, function in zip(cell.gates, cell.nonlinearities, strict=True)
    }
    return Trace(carries, gates, pre_activations), carries.h
