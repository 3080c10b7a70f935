"""Everything that happens inside a character model as it reads a text."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.charlm.losses import nats
from jaxrnn.charlm.model import Config, Params, read_out, zero_carry
from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.errors import sentence
from jaxrnn.microscope.interventions import input_vectors
from jaxrnn.recurrence import Trace as LayerTrace
from jaxrnn.recurrence import trace as trace_layer

Array = jax.Array


class ModelTrace(NamedTuple):
    """What a model did with a text; every view is drawn from it.

    Attributes:
        inputs: token ids [T, *B] that were read.
        targets: token ids [T, *B] that came next.
        layers: one `jaxrnn.recurrence.Trace` a layer: `carries`, and `gates` and
            `pre_activations` by the gate's name, arrays [T, *B, H].
        logits: [T, *B, V].
        losses: [T, *B], −ln p(target), nats.
    """

    inputs: Array
    targets: Array
    layers: tuple[LayerTrace, ...]
    logits: Array
    losses: Array


@jax.jit
def trace_model(
    config: Config, params: Params, carry: tuple[Any, ...], inputs: Array, targets: Array
) -> ModelTrace:
    """Runs a character model over a text and keeps everything.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step.
        inputs: integers [T, *B].
        targets: integers [T, *B], usually the inputs one character on.

    Returns:
        A ModelTrace. Its states are those of `unroll`, its logits those of `charlm.apply`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=5, cell="lstm", hidden_size=8, num_layers=2)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> tokens = jnp.array([0, 3, 1, 4])
        >>> seen = trace_model(
        ...     config, params, charlm.zero_carry(config, params, ()), tokens[:-1], tokens[1:])
        >>> seen.layers[1].gates["f"].shape, seen.layers[0].carries.c.shape, seen.losses.shape
        ((3, 8), (3, 8), (3,))
    """
    xs = inputs if params.embedding is None else input_vectors(config, params, inputs)
    layers = []
    for layer, layer_carry in zip(params.layers, carry, strict=True):
        layers.append(trace_layer(config.recurrent_cell, layer, layer_carry, xs))
        xs = layers[-1].carries.h
    logits = read_out(params, xs)
    return ModelTrace(inputs, targets, tuple(layers), logits, nats(logits, targets))


def encode_text(vocab: Vocab, text: str) -> tuple[Array, Array]:
    """A text as inputs and the targets one character on.

    Args:
        vocab: the model's vocabulary.
        text: T + 1 characters, at least two.

    Returns:
        inputs and targets, int32 [T].

    Raises:
        ValueError: fewer than two characters, or one that the vocabulary does not have.
    """
    if len(text) < 2:
        raise ValueError(
            sentence(
                "encode_text", "text", "at least two characters, one to read and one to predict",
                repr(text),
            )
        )  # fmt: skip
    tokens = jnp.asarray(vocab.encode(text))
    return tokens[:-1], tokens[1:]


def trace_text(config: Config, params: Params, vocab: Vocab, text: str) -> ModelTrace:
    """`trace_model` of a text from the zero carry, without a batch axis.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        text: T + 1 characters; the model reads the first T and predicts the last T.

    Returns:
        A ModelTrace with arrays [T, …].

    Raises:
        ValueError: fewer than two characters, or one that the model does not know.
    """
    inputs, targets = encode_text(vocab, text)
    return trace_model(config, params, zero_carry(config, params, ()), inputs, targets)
