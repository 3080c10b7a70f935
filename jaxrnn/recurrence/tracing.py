"""Everything that happens inside a cell over a sequence, for looking at."""

from typing import Any, NamedTuple

import jax

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, blocks
from jaxrnn.recurrence.checks import check_carry, check_inputs, check_params
from jaxrnn.recurrence.steps import project


class Trace(NamedTuple):
    """What `trace` returns; every array [T, *B, H].

    Attributes:
        carries: the cell's Carry after each step.
        gates: activations by the gate's name, e.g. `trace.gates["f"]`.
        pre_activations: what went into each gate's nonlinearity, by the same names.
    """

    carries: Any
    gates: dict[str, Array]
    pre_activations: dict[str, Array]


def trace(cell: Cell, params: Any, carry: Any, xs: Array) -> Trace:
    """Runs a cell over a sequence and keeps all of it: carries, gates, pre-activations.

    Args:
        cell: one of `CELLS`.
        params: its Params.
        carry: its Carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].

    Returns:
        A Trace; its `carries.h` is `unroll`'s hs.

    Raises:
        TypeError, ValueError: a shape or dtype that does not fit; the sentence says which.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.LSTM, params)
        >>> seen = rnn.trace(rnn.LSTM, params, carry, jnp.ones((5, 3), jnp.float32))
        >>> seen.carries.c.shape, sorted(seen.gates)
        ((5, 4), ['f', 'g', 'i', 'o'])
    """
    check_params("trace", cell, params)
    check_carry("trace", cell, params, carry, check_inputs("trace", params, xs, time_axes=1))

    def one_step(carry: Any, x_gates: Array) -> tuple[Any, tuple[Any, Array]]:
        pre_activations = cell.pre_activations(params, carry, x_gates)
        carry, _ = cell.forward(params, carry, x_gates)
        return carry, (carry, pre_activations)

    _, (carries, packed) = jax.lax.scan(one_step, carry, project(params, xs))
    pre_activations = dict(zip(cell.gates, blocks(packed, len(cell.gates)), strict=True))
    gates = {
        name: function(pre_activations[name])
        for name, function in zip(cell.gates, cell.nonlinearities, strict=True)
    }
    return Trace(carries, gates, pre_activations)
