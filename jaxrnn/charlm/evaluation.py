"""How well a model predicts a text that it has not seen, in nats per character."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.charlm import model
from jaxrnn.charlm.losses import nats
from jaxrnn.errors import sentence

Array = jax.Array


def evaluate(
    config: model.Config,
    params: model.Params,
    tokens: ArrayLike,
    *,
    batch_size: int = 1,
    length: int = 100,
) -> float:
    """The mean of −ln p over every character of a text but the first.

    The text is read as `batch_size` streams side by side, each from the zero carry, with the
    carry passed on from window to window; no character is left out. One stream is the exact
    figure; more are faster, and the first characters of each stream lack what came before.

    Args:
        config: the model.
        params: its parameters.
        tokens: [N] token ids in [0, V), at least 2.
        batch_size: B, streams.
        length: T, steps in a window; changes speed and memory, not the result.

    Returns:
        Nats per character; exp of it is the perplexity. NaN if any token is an id outside [0, V),
        as it is with the losses.

    Raises:
        ValueError: fewer than 2 tokens.
        TypeError: tokens that are not integers.

    Example: a model that knows nothing, over 65 characters.
        >>> import jax
        >>> config = model.Config(vocab_size=65, cell="elman", hidden_size=4, num_layers=1)
        >>> nothing = jax.tree.map(jnp.zeros_like, model.init(config, jax.random.key(0)))
        >>> round(evaluate(config, nothing, [1, 2, 3, 4, 5, 6], batch_size=2), 4) # ln 65
        4.1744
    """
    ids = np.asarray(tokens)
    predictions = len(ids) - 1
    if predictions < 1:
        raise ValueError(sentence("evaluate", "tokens", "at least 2 tokens", f"{len(ids)}"))
    if ids.dtype.kind not in "iu":
        raise TypeError(sentence("evaluate", "tokens", "integer token ids [N]", ids))
    # Asked here, in the ids' own type: as int32, 2**32 would be 0.
    if not 0 <= ids.min() <= ids.max() < config.vocab_size:
        return math.nan
    batch_size = min(batch_size, predictions)
    span = -(-predictions // batch_size)
    length = min(length, span)
    windows = -(-span // length)
    offset = np.arange(windows * length).reshape(windows, length, 1)
    place = offset + span * np.arange(batch_size)
    counted = (offset < span) & (place < predictions)
    place = np.minimum(place, predictions - 1)
    inputs, targets = ids[place].astype(np.int32), ids[place + 1].astype(np.int32)
    sums = _summed_nats(config, params, inputs, targets, counted)
    return float(np.sum(np.asarray(sums, np.float64)) / predictions)


@jax.jit
def _summed_nats(
    config: model.Config, params: model.Params, inputs: Array, targets: Array, counted: Array
) -> Array:
    """[W, T, B] inputs, targets and which of them count -> [W] summed nats of each window."""

    def one_window(carry: Any, now: tuple[Array, Array, Array]) -> tuple[Any, Array]:
        inputs, targets, counted = now
        carry, logits = model.apply(config, params, carry, inputs)
        value = nats(logits, targets)
        return carry, jnp.sum(jnp.where(counted, value, jnp.zeros_like(value)))

    carry = model.zero_carry(config, params, inputs.shape[2])
    return jax.lax.scan(one_window, carry, (inputs, targets, counted))[1]
