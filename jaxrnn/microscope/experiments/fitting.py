"""Training the small models of the experiments, and keeping them at several moments."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.charlm.losses import Loss
from jaxrnn.microscope.experiments.record import Progress
from jaxrnn.networks import Unroll, unroll

DISPATCHES = 20

# The same model trained again, from other parameters, is not compiled again.
_train_windows = functools.lru_cache(maxsize=8)(charlm.make_train_windows)


class Fitted(NamedTuple):
    """A model with its training.

    Attributes:
        config: the model.
        vocab: its vocabulary.
        moments: updates after which the parameters were kept, 0 first and the last one last.
        history: the parameters at each moment.
        losses: [N], what was minimised, before each update.
    """

    config: charlm.Config
    vocab: charlm.Vocab
    moments: tuple[int, ...]
    history: tuple[charlm.Params, ...]
    losses: NDArray[np.float32]

    @property
    def untrained(self) -> charlm.Params:
        """The parameters before the first update."""
        return self.history[0]

    @property
    def params(self) -> charlm.Params:
        """The parameters after the last update."""
        return self.history[-1]


def fit(
    config: charlm.Config,
    vocab: charlm.Vocab,
    params: charlm.Params,
    optimizer: optax.GradientTransformation,
    text: str,
    progress: Progress,
    *,
    what: str,
    updates: int,
    batch_size: int,
    length: int,
    loss: Loss = charlm.cross_entropy,
    keep: Sequence[int] = (),
    unroll: Unroll = unroll,
) -> Fitted:
    """Trains by truncated backpropagation through time over contiguous streams of a text.

    Args:
        config: the model.
        vocab: its vocabulary.
        params: parameters to start from.
        optimizer: any optax transformation.
        text: to train on, as often as it takes.
        progress: is told of the updates.
        what: the name under which it is told.
        updates: N.
        batch_size: B streams.
        length: T steps in a window; the carry passes from window to window, and is zero where
            the text starts over.
        loss: what is minimised.
        keep: moments between the first and the last at which to keep the parameters.
        unroll: how a layer is run over a window.

    Returns:
        The parameters at every moment and the losses.
    """
    capacity = -(-updates // DISPATCHES)
    streams = jnp.asarray(charlm.make_streams(vocab.encode(text), batch_size, length))
    train = _train_windows(config, optimizer, length, capacity, loss, unroll=unroll)
    # The first state is donated to the first dispatch, so what is kept must be a copy.
    state = charlm.initial_state(jax.tree.map(jnp.copy, params), optimizer)
    carry = charlm.zero_carry(config, params, batch_size)
    moments = sorted({0, *(moment for moment in keep if 0 < moment < updates), updates})
    history, losses, done = [params], [], 0
    for moment in moments[1:]:
        while done < moment:
            count = min(capacity, moment - done)
            state, carry, metrics = train(state, carry, streams, jnp.asarray(count, jnp.int32))
            losses.append(np.asarray(metrics["loss"])[:count])
            done += count
            progress(what, done, updates)
        history.append(jax.tree.map(jnp.copy, state.params))
    return Fitted(config, vocab, tuple(moments), tuple(history), np.concatenate(losses))
