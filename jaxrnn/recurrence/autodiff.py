"""The twin of `unroll` whose gradient is JAX's own: oracle, baseline, forward mode, own cells."""

from typing import Any

import jax

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.recurrence.checks import check_carry, check_inputs, check_params
from jaxrnn.recurrence.steps import project


def unroll_autodiff(cell: Cell, params: Any, carry: Any, xs: Array) -> tuple[Any, Array]:
    """Runs a cell over a sequence as a plain `lax.scan`; the gradient is `jax.grad`'s of the scan.

    Same arguments, values and errors as `unroll`. It projects each input inside its step and knows
    nothing of time chunks or hand-derived transposes, which makes it an independent oracle; it
    also does what `unroll` cannot: forward mode (`jax.jvp`) and cells without `backward`.

    Args:
        cell: one of `CELLS`, or one's own.
        params: its Params.
        carry: its Carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError, ValueError: a shape or dtype that does not fit; the sentence says which.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.ELMAN, params)
        >>> xs = jnp.ones((5, 3), jnp.float32)
        >>> run = lambda p: rnn.unroll_autodiff(rnn.ELMAN, p, carry, xs)[1]
        >>> hs, change = jax.jvp(run, (params,), (params,))
        >>> change.shape
        (5, 4)
    """
    check_params("unroll_autodiff", cell, params)
    batch = check_inputs("unroll_autodiff", params, xs, time_axes=1)
    check_carry("unroll_autodiff", cell, params, carry, batch)

    def one_step(carry: Any, x: Array) -> tuple[Any, Array]:
        carry, _ = cell.forward(params, carry, project(params, x))
        return carry, carry.h

    return jax.lax.scan(one_step, carry, xs)
