"""A cell or a network over time: `step`, `unroll`, `unroll_autodiff`, `trace`.

What all of them share, and the other ways to run a network, is in `ways`.
"""

from typing import Any

import jax

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import plainly
from jaxrnn.networks.thread import thread
from jaxrnn.networks.values import Network, check_network
from jaxrnn.networks.ways import Way, check_backward, refuse_bidirectional, run
from jaxrnn.recurrence import scan, scan_and_keep, unroll_cell
from jaxrnn.recurrence.checks import (
    check_carry,
    check_inputs,
    check_params,
    check_size,
)
from jaxrnn.recurrence.loops import loop_of
from jaxrnn.recurrence.sequences import Fixed, Timed, run_step


def step(cell: Network, params: Any, carry: Any, x: Array) -> tuple[Any, Array]:
    """One time step.

    Args:
        cell: a cell or a `Stack`.
        params: its parameters.
        carry: its carry, every field [*B, H].
        x: [*B, I], or token ids [*B]; an id outside 0 … I−1 gives NaN.

    Returns:
        (carry, h [*B, H] of the top layer).

    Raises:
        TypeError: a `Bidirectional`, which needs the whole sequence.
        TypeError, ValueError: a shape or dtype that does not fit; the sentence says which.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.GRU, params)
        >>> carry, h = rnn.step(rnn.GRU, params, carry, jnp.ones(3, jnp.float32))
        >>> h.shape
        (4,)
    """
    check_network("step", cell)
    refuse_bidirectional("step", cell)
    with plainly("step"):
        carry, h = _step(cell, params, carry, x)
    return carry, h


@jax.jit
def _step(network: Network, params: Any, carry: Any, x: Array) -> tuple[Any, Array]:
    def at_cell(cell: Cell, x: Array, reverse: bool, params: Any, carry: Any) -> Any:
        check_params("step", cell, params)
        check_carry("step", cell, params, carry, check_inputs("step", params, x, time_axes=0))
        stepped, _ = run_step(cell, params, Fixed(), carry, Timed(x))
        return stepped.after, stepped.after.h

    return thread("step", network, at_cell, {"params": params, "carry": carry}, x)


def unroll(
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    reset_carry: Any = None,
    reverse: bool = False,
    masks: Any = None,
    dropout_key: Array | None = None,
    chunk_length: int | None = None,
    recompute: bool = False,
    backend: str = "scan",
) -> tuple[Any, Array]:
    """Runs a cell or a network over a sequence; its gradient is hand-derived BPTT.

    Reverse mode only, of any order, under `jit`, `vmap`, `shard_map` and `jax.checkpoint`; for
    forward mode (`jax.jvp`) take `unroll_autodiff`. Tried here it is a TypeError that says so;
    where the function was jitted before `jax.jvp`, JAX raises its own. Outside of `jit` it jits
    itself.

    Args:
        cell: a cell, `Stack` or `Bidirectional`.
        params: its parameters; of a network a tree of its structure, and so for `carry`,
            `reset_carry` and `masks`.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I] in the params' dtype, or integer token ids [T, *B]: one-hot rows by index;
            an id outside 0 … I−1 gives NaN, in values and gradients.
        lengths: integers [*B], 0 … T: step t counts for sequence b where t < lengths[b]. Past it
            the carry stays, `hs` is 0, nothing receives a gradient, and whatever stands in the
            padding (NaN, ids outside the vocabulary) reaches neither values nor gradients. Traced
            lengths are not checked: more than T counts as T, less than 0 as 0.
        resets: bool [T, *B]; true: a new sequence begins with step t, and before it the carry
            becomes `reset_carry`.
        reset_carry: a carry whose fields broadcast to [*B, H]; None: zeros. It has a gradient.
        reverse: time runs backwards, from each sequence's own last step; `hs[t]` still belongs to
            `xs[t]`. The boundaries of `resets` are the same: crossed from step t to t − 1.
        masks: `Masks` of `draw_masks`, for dropout of the recurrence and zoneout; constants.
        dropout_key: a `jax.random.key` for the dropout between a stack's layers, or keys [*B], one
            for each sequence, which then keeps its draws whatever else is in the batch; None:
            nothing is dropped.
        chunk_length: time steps per chunk in the backward pass, at least 1; changes speed and
            memory, and values by rounding only. None: chosen from the sizes.
        recompute: keep only the carry at each chunk's start and run each chunk's forward steps
            again in the backward pass: for a third more arithmetic, the memory beyond xs, hs and
            their gradients grows with √T instead of T (Chen et al. 2016).
        backend: experimental. "scan" runs the steps as `lax.scan`s. "kernel" runs each of the two
            loops, forward and backward, as one TPU kernel that keeps the recurrent weights in the
            core's memory; it exists for params in float32 or bfloat16 that fit there, and has been
            interpreted and lowered but never run on a device. "auto" is the kernel on a TPU where
            it exists, and the scan everywhere else.

    Returns:
        (carry after the last step, hs [T, *B, H]); hs is P wide after a projection, 2H of two
        directions. The carry has the gradient of what follows, if any.

    Raises:
        TypeError, ValueError: a shape, dtype or structure that does not fit; the sentence says
            which.
        ValueError: `backend="kernel"` for a platform, dtype or size without one; where something
            else jits, the platform's when that is lowered.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=8)
        >>> carry = rnn.zero_carry(rnn.LSTM, params, batch_shape=(2,))
        >>> tokens = jnp.zeros((10, 2), jnp.int32)
        >>> carry, hs = rnn.unroll(rnn.LSTM, params, carry, tokens, lengths=jnp.array([10, 3]))
        >>> hs.shape, bool(hs[3:, 1].any())
        ((10, 2, 8), False)
    """
    if chunk_length is not None:
        check_size("unroll", "chunk_length", chunk_length)
        chunk_length = int(chunk_length)
    loop = loop_of("unroll", backend)
    options = (("chunk_length", chunk_length), ("recompute", bool(recompute)), ("loop", loop))
    way = Way("unroll", unroll_cell, options)
    check_network("unroll", cell)
    check_backward("unroll", cell)
    return run(
        way, cell, params, carry, xs, lengths=lengths, resets=resets, reset_carry=reset_carry,
        reverse=reverse, masks=masks, dropout_key=dropout_key,
    )  # fmt: skip


def unroll_autodiff(
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    reset_carry: Any = None,
    reverse: bool = False,
    masks: Any = None,
    dropout_key: Array | None = None,
) -> tuple[Any, Array]:
    """Runs a cell or a network as plain `lax.scan`s; the gradient is `jax.grad`'s of the scans.

    Same arguments, values and errors as `unroll`. It projects each input inside its step and knows
    nothing of time chunks or hand-derived transposes, which makes it an independent oracle; it
    also does what `unroll` cannot: forward mode (`jax.jvp`) and cells without `backward`.

    Args:
        cell: a cell, `Stack` or `Bidirectional`.
        params: its parameters.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].
        lengths: as `unroll` has them, and so all that follow.
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.
        dropout_key: for the dropout between a stack's layers.

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError, ValueError: a shape, dtype or structure that does not fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.ELMAN, params)
        >>> xs = jnp.ones((5, 3), jnp.float32)
        >>> along = lambda p: rnn.unroll_autodiff(rnn.ELMAN, p, carry, xs)[1]
        >>> hs, change = jax.jvp(along, (params,), (params,))
        >>> change.shape
        (5, 4)
    """
    check_network("unroll_autodiff", cell)
    return run(
        Way("unroll_autodiff", scan), cell, params, carry, xs, lengths=lengths, resets=resets,
        reset_carry=reset_carry, reverse=reverse, masks=masks, dropout_key=dropout_key,
    )  # fmt: skip


def trace(
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    reset_carry: Any = None,
    reverse: bool = False,
    masks: Any = None,
) -> Any:
    """Runs a cell or a network and keeps all of it: carries, gates, pre-activations.

    Args:
        cell: a cell, `Stack` or `Bidirectional`.
        params: its parameters.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].
        lengths: as `unroll` has them, and so all that follow; what is kept of the padding is 0.
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.

    Returns:
        A `Trace`, whose `carries.h` is `unroll`'s hs; of a network a tree of its structure.

    Raises:
        TypeError, ValueError: a shape, dtype or structure that does not fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.LSTM, params)
        >>> seen = rnn.trace(rnn.LSTM, params, carry, jnp.ones((5, 3), jnp.float32))
        >>> seen.carries.c.shape, sorted(seen.gates)
        ((5, 4), ['f', 'g', 'i', 'o'])
    """
    traces, _ = trace_with_outputs(
        cell, params, carry, xs, lengths=lengths, resets=resets, reset_carry=reset_carry,
        reverse=reverse, masks=masks,
    )  # fmt: skip
    return traces


def trace_with_outputs(
    cell: Network, params: Any, carry: Any, xs: Array, **sequence: Any
) -> tuple[Any, Array]:
    """`trace` and `unroll`'s hs, which of a network are not in its cells' traces alone."""
    check_network("trace", cell)
    return run(
        Way("trace", scan_and_keep, bring_back=jax.tree.map), cell, params, carry, xs, **sequence
    )
