"""Losses of predicted tokens, in nats: −ln p(target), added up in three ways.

p = softmax(logits)        ℓ_tb = −ln p_tb[target_tb]

cross_entropy              mean of ℓ over steps and batch
summed_cross_entropy       Σ_t of the mean over the batch (min-char-rnn, and char-rnn's gradient)
last_cross_entropy         mean over the batch of ℓ at the last step only: many-to-one

A target outside the vocabulary, below 0 too, has ℓ = NaN and receives no gradient: a loss that
counts it is NaN, and one that masks it, `jnp.where(counted, nats(logits, targets), 0)`, is not.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.errors import sentence

Array = jax.Array
Loss = Callable[[Array, Array], Array]


def nats(logits: Array, targets: Array) -> Array:
    """ℓ = −ln softmax(logits)[target] of every prediction.

    Args:
        logits: [..., V].
        targets: integers [...] in [0, V).

    Returns:
        [...] in nats; NaN where the target is an id outside [0, V).

    Raises:
        TypeError: targets that are not integers.
        ValueError: shapes that do not fit.

    >>> import jax.numpy as jnp
    >>> print(nats(jnp.zeros((2, 4)), jnp.array([0, 3])).round(4))
    [1.3863 1.3863]
    """
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(sentence("cross_entropy", "targets", "integer token ids", targets))
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            sentence(
                "cross_entropy", "targets", f"shape {list(logits.shape[:-1])} of logits", targets
            )
        )
    if isinstance(targets, np.ndarray):
        # Asked in their own type: JAX without 64-bit numbers would take 2³² for 0.
        outside = (targets < 0) | (targets >= logits.shape[-1])
        targets = np.where(outside, -1, targets).astype(np.int32)
    # A vocabulary may be larger than the targets' type: 300 characters and ids in one byte.
    largest = min(logits.shape[-1] - 1, int(jnp.iinfo(targets.dtype).max))
    known = jnp.clip(targets, 0, largest)
    values = optax.softmax_cross_entropy_with_integer_labels(logits, known.astype(jnp.int32))
    return jnp.where(known == targets, values, jnp.nan)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """The mean over all steps and all streams.

    Args:
        logits: [T, *B, V].
        targets: integers [T, *B] in [0, V); any other makes the loss NaN.

    Returns:
        [] in nats a token.

    >>> import jax.numpy as jnp
    >>> print(cross_entropy(jnp.zeros((5, 3, 2)), jnp.zeros((5, 3), int)).round(4))
    0.6931
    """
    return jnp.mean(nats(logits, targets))


def summed_cross_entropy(logits: Array, targets: Array) -> Array:
    """The sum over steps, mean over streams.

    Args:
        logits: [T, *B, V].
        targets: integers [T, *B] in [0, V); any other makes the loss NaN.

    Returns:
        [] in nats per window: T times `cross_entropy`.

    Source: Karpathy, min-char-rnn (2015).
    """
    return jnp.mean(jnp.sum(nats(logits, targets), axis=0))


def last_cross_entropy(logits: Array, targets: Array) -> Array:
    """The mean over streams at the last step only: many-to-one.

    Args:
        logits: [T, *B, V]; all steps but the last are ignored.
        targets: integers [T, *B]; a last one outside [0, V) makes the loss NaN.

    Returns:
        [] in nats a token.
    """
    return jnp.mean(nats(logits[-1], targets[-1]))


LOSSES: dict[str, Loss] = {
    loss.__name__: loss for loss in (cross_entropy, summed_cross_entropy, last_cross_entropy)
}


def bits(value_in_nats: float) -> float:
    """The same in bits: divided by ln 2.

    >>> round(bits(0.6931), 3)
    1.0
    """
    return value_in_nats / math.log(2)
