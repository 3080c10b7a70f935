"""How well a model predicts a text that it has not seen, on average and token by token."""

import functools
import math
from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn import tuning
from jaxrnn.charlm import model
from jaxrnn.charlm.losses import nats
from jaxrnn.charlm.placement import STREAMS, Mesh, check_mesh, divide, replicate
from jaxrnn.charlm.streams import document_places, make_resets, token_ids, window, window_resets
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_size

Array = jax.Array


@overload
def evaluate(
    config: model.Config,
    params: model.Params,
    tokens: ArrayLike,
    *,
    batch_size: int = 1,
    length: int = 100,
    documents: ArrayLike | None = None,
    mesh: Mesh | None = None,
    should_stop: None = None,
) -> float: ...


@overload
def evaluate(
    config: model.Config,
    params: model.Params,
    tokens: ArrayLike,
    *,
    batch_size: int = 1,
    length: int = 100,
    documents: ArrayLike | None = None,
    mesh: Mesh | None = None,
    should_stop: Callable[[], bool],
) -> float | None: ...


def evaluate(
    config: model.Config,
    params: model.Params,
    tokens: ArrayLike,
    *,
    batch_size: int = 1,
    length: int = 100,
    documents: ArrayLike | None = None,
    mesh: Mesh | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> float | None:
    """The mean of −ln p over every token of a text but the first.

    The text is read as `batch_size` streams side by side, each from the zero carry, with the
    carry passed on from window to window; no token is left out. One stream is the exact
    figure; more are faster, and the first tokens of each stream lack what came before.

    Args:
        config: the model.
        params: its parameters.
        tokens: [N] token ids in [0, V), at least 2.
        batch_size: B, streams.
        length: T, steps in a window; changes speed and memory, not the result.
        documents: [D] places in order at which a document starts: the carry is zero before each.
        mesh: of `make_mesh`: the streams are divided over its devices; changes the result by
            rounding only. Of several processes all must call it, with the same arguments.
        should_stop: asked between blocks of windows, every 0.2 s or so; of several processes all
            must answer the same.

    Returns:
        Nats a token; exp of it is the perplexity. NaN if any token is an id outside [0, V),
        as it is with the losses. None if it should stop.

    Raises:
        ValueError: fewer than 2 tokens, anything but one axis, documents that are not in order or
            outside the text, or a size that is no integer of at least 1.
        TypeError: tokens or documents that are not integers.

    Example: a model that knows nothing, over 65 characters.
        >>> import jax
        >>> config = model.Config(vocab_size=65, cell="elman", hidden_size=4, num_layers=1)
        >>> nothing = jax.tree.map(jnp.zeros_like, model.init(config, jax.random.key(0)))
        >>> round(evaluate(config, nothing, [1, 2, 3, 4, 5, 6], batch_size=2), 4) # ln 65
        4.1744
    """
    for name, size in (("batch_size", batch_size), ("length", length)):
        check_size("evaluate", name, size)
    check_mesh("evaluate", mesh)
    ids = token_ids("evaluate", tokens)
    predictions = len(ids) - 1
    if predictions < 1:
        raise ValueError(sentence("evaluate", "tokens", "at least 2 tokens", f"{len(ids)}"))
    places = document_places("evaluate", documents, len(ids))
    batch_size = min(batch_size, predictions)
    span = -(-predictions // batch_size)
    length = min(length, span)
    windows = -(-span // length)
    # Streams that count nothing fill up the last device.
    devices = 1 if mesh is None else mesh.size
    rows = devices * -(-batch_size // devices)
    block = _windows_in_a_block(params, windows, length * rows // devices)
    starts = span * np.arange(rows)
    counted = np.clip(predictions - starts, 0, span).astype(np.int32)
    params, counted = replicate(mesh, params), divide(mesh, counted)
    carry = _zero_carry(config, params, mesh, rows)
    total = 0.0
    for first in range(0, windows, block):
        if should_stop is not None and should_stop():
            return None
        # Block by block, since the tokens may be those of a memory map.
        steps = block * length
        place = starts[:, None] + first * length + np.arange(steps + 1)
        now = ids[np.minimum(place, predictions)]
        # Asked here, in the ids' own type: as int32, 2**32 would be 0.
        if not 0 <= now.min() <= now.max() < config.vocab_size:
            return math.nan
        resets = None
        if places is not None:
            resets = divide(mesh, make_resets(places, rows, span, first * length, steps))
        carry, sums = _summed_nats(
            config, params, carry, divide(mesh, now.astype(np.int32)), resets, counted,
            replicate(mesh, np.int32(first)), length=length, block=block, mesh=mesh,
        )  # fmt: skip
        total += float(np.sum(np.asarray(jax.device_get(sums), np.float64)))
    return total / predictions


def surprisals(
    config: model.Config,
    params: model.Params,
    tokens: ArrayLike,
    *,
    batch_size: int = 1,
    length: int = 100,
    documents: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """−ln p of every token of a text but the first; their mean is `evaluate`'s.

    Args:
        config: the model.
        params: its parameters.
        tokens: [N] token ids in [0, V), at least 2.
        batch_size: B, streams that the text is read as; one, with the carry from the first
            token to the last, is the exact figure.
        length: T, steps in a window; changes speed and memory, not the result.
        documents: [D] places in order at which a document starts: the carry is zero before each.

    Returns:
        [N − 1] nats.

    Raises:
        ValueError: fewer than 2 tokens, an id outside [0, V), anything but one axis, documents
            that are not in order or outside the text, or a size that is no integer of at least 1.
        TypeError: tokens or documents that are not integers.

    >>> import jax
    >>> config = model.Config(vocab_size=2, cell="elman", hidden_size=4, num_layers=1)
    >>> nothing = jax.tree.map(jnp.zeros_like, model.init(config, jax.random.key(0)))
    >>> print(surprisals(config, nothing, [1, 0, 1]).round(4))
    [0.6931 0.6931]
    """
    for name, size in (("batch_size", batch_size), ("length", length)):
        check_size("surprisals", name, size)
    ids = token_ids("surprisals", tokens)
    predictions = len(ids) - 1
    if predictions < 1:
        raise ValueError(sentence("surprisals", "tokens", "at least 2 tokens", f"{len(ids)}"))
    places = document_places("surprisals", documents, len(ids))
    if not 0 <= ids.min() <= ids.max() < config.vocab_size:
        rule = f"ids from 0 to {config.vocab_size - 1:,}"
        got = f"ids from {ids.min()} to {ids.max()}"
        raise ValueError(sentence("surprisals", "tokens", rule, got))
    batch_size = min(batch_size, predictions)
    span = -(-predictions // batch_size)
    length = min(length, span)
    starts = span * np.arange(batch_size)
    carry = _zero_carry(config, params, None, batch_size)
    values = []
    for first in range(0, span, length):
        steps = first + np.arange(length + 1)
        now = ids[np.minimum(starts + steps[:, None], predictions)].astype(np.int32)
        resets = None
        if places is not None:
            resets = make_resets(places, batch_size, span, first, length).T
        carry, nats_now = _nats_of_a_window(
            config, params, carry, *jax.device_put((now[:-1], now[1:], resets))
        )
        values.append(jax.device_get(nats_now))
    by_stream = np.concatenate(values)[:span].T
    return by_stream.reshape(-1)[:predictions].astype(np.float64)


@jax.jit
def _nats_of_a_window(
    config: model.Config,
    params: model.Params,
    carry: Any,
    inputs: Array,
    targets: Array,
    resets: Array | None,
) -> tuple[Any, Array]:
    carry, logits = model.apply(config, params, carry, inputs, resets=resets)
    return carry, nats(logits, targets)


def _windows_in_a_block(params: model.Params, windows: int, tokens: int) -> int:
    """How many windows of so many tokens on a device; blocks of about the same size."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    most = max(1, int(tuning.here().block_operations / (2 * weights * tokens)))
    return -(-windows // -(-windows // most))


@functools.partial(jax.jit, static_argnames=("mesh", "rows"))
def _zero_carry(config: model.Config, params: model.Params, mesh: Mesh | None, rows: int) -> Any:
    carry = model.zero_carry(config, params, rows)
    if mesh is None:
        return carry
    divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(STREAMS))
    return jax.lax.with_sharding_constraint(carry, divided)


@functools.partial(jax.jit, static_argnames=("length", "block", "mesh"))
def _summed_nats(
    config: model.Config,
    params: model.Params,
    carry: Any,
    streams: Array,
    resets: Array | None,
    counted: Array,
    first: Array,
    *,
    length: int,
    block: int,
    mesh: Mesh | None,
) -> tuple[Any, Array]:
    """Some windows on.

    Args:
        config: the model.
        params: its parameters.
        carry: of the streams.
        streams: [B, W·T + 1] token ids of these windows.
        resets: bool [B, W·T], or None.
        counted: [B], how many of a stream's predictions count.
        first: the first window's number in the stream.
        length: T.
        block: W, how many windows.
        mesh: or None.

    Returns:
        (carry, the sum over a window's predictions that count, [W]).
    """

    def some_windows(
        params: model.Params,
        carry: Any,
        streams: Array,
        resets: Array | None,
        counted: Array,
        first: Array,
    ) -> tuple[Any, Array]:
        def one_window(carry: Any, index: Array) -> tuple[Any, Array]:
            inputs, targets = window(streams, index, length)
            fresh = window_resets(resets, index, length)
            carry, logits = model.apply(config, params, carry, inputs, resets=fresh)
            value = nats(logits, targets)
            step = (first + index) * length + jnp.arange(length, dtype=jnp.int32)
            counts = step[:, None] < counted[None]
            return carry, jnp.sum(jnp.where(counts, value, jnp.zeros_like(value)))

        indices = jnp.arange(block, dtype=jnp.int32)
        carry, sums = jax.lax.scan(one_window, carry, indices)
        return carry, sums if mesh is None else jax.lax.psum(sums, STREAMS)

    if mesh is not None:
        everywhere, divided = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(STREAMS)
        some_windows = jax.shard_map(
            some_windows,
            mesh=mesh,
            in_specs=(everywhere, divided, divided, divided, divided, everywhere),
            out_specs=(divided, everywhere),
        )
    return some_windows(params, carry, streams, resets, counted, first)
