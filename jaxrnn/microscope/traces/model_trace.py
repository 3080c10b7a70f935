"""Everything that happens inside a character model as it reads a text."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.charlm.losses import nats
from jaxrnn.charlm.model import Config, Params, read_out, zero_carry
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.errors import sentence
from jaxrnn.microscope.traces.gradient_traces import (
    chosen_logits,
    input_gradients,
    state_gradients,
    weight_contributions,
)
from jaxrnn.microscope.traces.interventions import input_vectors
from jaxrnn.networks import thread, trace_with_outputs, unroll
from jaxrnn.recurrence import Trace as LayerTrace

Array = jax.Array


class ModelGradients(NamedTuple):
    """How every step's loss and logit depend on what came before.

    Attributes:
        states: one Carry a layer, fields [S = T, T, H]: ∂L_s/∂carry_t, 0 for t > s.
        weights: the parameters' structure with an axis T in front: what each step contributes to
            the gradient of the mean loss; the sum over it is that gradient.
        inputs: [S = T, T, I], ∂(logit of the target at s)/∂x_t, 0 for t > s.
    """

    states: tuple[Any, ...]
    weights: Params
    inputs: Array


class ModelTrace(NamedTuple):
    """What a model did with a text; every view is drawn from it.

    Attributes:
        inputs: token ids [T, *B] that were read.
        targets: token ids [T, *B] that came next.
        layers: one `jaxrnn.recurrence.Trace` a layer: `carries`, and `gates` and
            `pre_activations` by the gate's name, arrays [T, *B, H].
        logits: [T, *B, V].
        losses: [T, *B], −ln p(target), nats.
        gradients: those that were asked for, else None.
    """

    inputs: Array
    targets: Array
    layers: tuple[LayerTrace, ...]
    logits: Array
    losses: Array
    gradients: ModelGradients | None = None


def trace_model(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    targets: Array,
    *,
    gradients: bool = False,
) -> ModelTrace:
    """Runs a character model over a text and keeps everything.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step.
        inputs: integers [T, *B].
        targets: integers [T, *B], usually the inputs one token on.
        gradients: whether to take the gradients along, for one stream [T] without a batch axis;
            they grow with T². Each is also had alone, see `gradient_traces`.

    Returns:
        A ModelTrace. Its states are those of `unroll`, its logits those of `charlm.apply`.

    Raises:
        ValueError: gradients of a batch, or of more steps than `gradient_traces` takes.

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
    seen = _trace(config, params, carry, inputs, targets)
    if not gradients:
        return seen
    xs = input_vectors(config, params, inputs)
    return seen._replace(
        gradients=ModelGradients(
            state_gradients(config, params, carry, inputs, targets),
            weight_contributions(config, params, carry, inputs, targets),
            input_gradients(config, params, carry, xs, targets, chosen_logits),
        )
    )


@jax.jit
def _trace(
    config: Config, params: Params, carry: tuple[Any, ...], inputs: Array, targets: Array
) -> ModelTrace:
    xs = inputs if params.embedding is None else input_vectors(config, params, inputs)
    layers, hs = trace_with_outputs(config.network, params.layers, carry, xs)
    logits = read_out(params, hs)
    return ModelTrace(inputs, targets, layers, logits, nats(logits, targets))


def layer_inputs(
    config: Config, params: Params, carry: tuple[Any, ...], tokens: Array
) -> tuple[Array, ...]:
    """What each layer reads.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step.
        tokens: integers [T, *B].

    Returns:
        An array [T, *B, I] for each layer, I being V or E for the first.
    """

    def at_cell(cell: Cell, xs: Array, reverse: bool, params: Any, carry: Any) -> Any:
        return xs, unroll(cell, params, carry, xs)[1]

    trees = {"params": params.layers, "carry": carry}
    xs = input_vectors(config, params, tokens)
    return thread("layer_inputs", config.network, at_cell, trees, xs)[0]


def encode_text(vocab: Tokenizer, text: str) -> tuple[Array, Array]:
    """A text as inputs and the targets one token on.

    Args:
        vocab: the model's vocabulary.
        text: T + 1 tokens, at least two.

    Returns:
        inputs and targets, int32 [T].

    Raises:
        ValueError: fewer than two tokens, or a character that the vocabulary does not have.
    """
    tokens = jnp.asarray(vocab.encode(text))
    if len(tokens) < 2:
        raise ValueError(
            sentence(
                "encode_text", "text", f"at least two {vocab.kind}, one to read and one to predict",
                repr(text),
            )
        )  # fmt: skip
    return tokens[:-1], tokens[1:]


def trace_text(
    config: Config, params: Params, vocab: Tokenizer, text: str, *, gradients: bool = False
) -> ModelTrace:
    """`trace_model` of a text from the zero carry, without a batch axis.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        text: T + 1 characters; the model reads the first T and predicts the last T.
        gradients: whether to take the gradients along.

    Returns:
        A ModelTrace with arrays [T, …].

    Raises:
        ValueError: fewer than two characters, one that the model does not know, or too many for
            the gradients.

    Example:
        >>> import jax
        >>> from jaxrnn import charlm
        >>> vocab = charlm.Vocab.from_text("abc")
        >>> config = charlm.Config(len(vocab), cell="gru", hidden_size=4, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> seen = trace_text(config, params, vocab, "abacab", gradients=True)
        >>> seen.layers[0].gates["z"].shape, seen.gradients.states[0].h.shape
        ((5, 4), (5, 5, 4))
    """
    inputs, targets = encode_text(vocab, text)
    carry = zero_carry(config, params, ())
    return trace_model(config, params, carry, inputs, targets, gradients=gradients)
