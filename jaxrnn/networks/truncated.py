"""Truncated backpropagation through time in one call: windows of steps that overlap."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.networks.unrolling import unroll
from jaxrnn.networks.values import Network, check_network
from jaxrnn.networks.ways import Unroll, Way, refuse_bidirectional, run
from jaxrnn.recurrence import scan_carries
from jaxrnn.recurrence.checks import check_size


def unroll_truncated(
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    forward_steps: int,
    backward_steps: int,
    unroll: Unroll = unroll,
) -> tuple[Any, Array]:
    """Values as `unroll`; the gradient is that of truncated backpropagation through time.

    The losses on each block of k1 outputs send their gradient back through the k2 ≥ k1 steps that
    end with that block, and no further; at the beginning through fewer, down to `carry`. With
    k2 = T it is the whole gradient; with k1 = k2 the one of training window by window.

    The carries are found once, without a gradient; then all windows of k2 steps run side by side
    from there, as so many more sequences of the batch. That is k2/k1 times the arithmetic of
    `unroll`, in k2 steps one after another instead of T.

    Args:
        cell: a cell or a `Stack`.
        params: its parameters.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].
        forward_steps: k1, at least 1; the last block is shorter where k1 does not divide T.
        backward_steps: k2, at least k1.
        unroll: how the windows are run.

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError: a `Bidirectional`, whose steps depend on all others.
        ValueError: k1 below 1 or k2 below k1; a shape that does not fit.

    Source: Williams and Peng 1990, BPTT(h; h'), with h = k2 and h' = k1.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry, xs = rnn.zero_carry(rnn.ELMAN, params), jnp.ones((100, 3), jnp.float32)
        >>> last, hs = rnn.unroll_truncated(
        ...     rnn.ELMAN, params, carry, xs, forward_steps=10, backward_steps=25)
        >>> hs.shape
        (100, 4)
    """
    name = "unroll_truncated"
    check_network(name, cell)
    refuse_bidirectional(name, cell)
    check_size(name, "forward_steps", forward_steps)
    check_size(name, "backward_steps", backward_steps)
    if backward_steps < forward_steps:
        expected = f"at least forward_steps, {forward_steps}"
        raise ValueError(sentence(name, "backward_steps", expected, backward_steps))
    way = Way(name, scan_carries)
    carries, _ = run(way, cell, *jax.lax.stop_gradient((params, carry, xs)))
    length = xs.shape[0]
    if length == 0:
        return unroll(cell, params, carry, xs)

    block_of = np.arange(length) // forward_steps
    ends = np.minimum(np.arange(1, block_of[-1] + 2) * forward_steps, length)
    backward_steps = min(backward_steps, length)
    starts = ends - backward_steps
    steps = starts + np.arange(backward_steps)[:, None]  # [k2, n], below 0 before the sequence

    # Where a window reaches back to the first step, it is reset to `carry` there: what it ran
    # before has no consequence, and the gradient arrives at `carry`.
    batch = jax.tree.leaves(carries)[0].shape[1:-1]
    resets = (steps == 0).reshape(*steps.shape, *(1,) * len(batch))
    after, hs = unroll(
        cell,
        params,
        jax.tree.map(lambda c: c[np.maximum(starts - 1, 0)], carries),
        xs[np.maximum(steps, 0)],
        resets=jnp.broadcast_to(resets, (*steps.shape, *batch)),
        reset_carry=carry,
    )
    return (
        jax.tree.map(lambda a: a[-1], after),
        hs[np.arange(length) - starts[block_of], block_of],
    )
