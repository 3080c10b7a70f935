"""The character model: (embedding →) layers of a cell → readout.

    x_t = one-hot(token_t), or embedding[token_t] where embed_size is set
    h_t = layers(x_t)                                   see jaxrnn.networks
    logits_t = h_t w_hy + b_y                           p_t = softmax(logits_t)

w_hy [H, V], b_y [V], embedding [V, E].
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import initializers

from jaxrnn import networks
from jaxrnn.cells import CELLS, Cell
from jaxrnn.cells.cell import bias, dot
from jaxrnn.errors import sentence
from jaxrnn.recurrence import unroll as bptt_unroll
from jaxrnn.recurrence.checks import check_key

Array = jax.Array


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Config:
    """Which model: a hashable value, so two equal configs are one compiled program.

    Attributes:
        vocab_size: V.
        cell: a key of `jaxrnn.CELLS`.
        hidden_size: H.
        num_layers: L.
        embed_size: E, the columns of the embedding table; None: one-hot inputs.
        dropout: probability with which an output of a layer is dropped in training, in [0, 1).

    Raises:
        ValueError: a size below 1, an unknown cell, a dropout outside [0, 1).

    Example:
        >>> Config(vocab_size=65, cell="gru", hidden_size=128, num_layers=2).dropout
        0.0
    """

    vocab_size: int
    cell: str = "lstm"
    hidden_size: int = 128
    num_layers: int = 2
    embed_size: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(sentence("Config", "cell", f"one of {', '.join(CELLS)}", self.cell))
        for name in ("vocab_size", "hidden_size", "num_layers", "embed_size"):
            size = getattr(self, name)
            if size is None and name == "embed_size":
                continue
            if not isinstance(size, int) or size < 1:
                raise ValueError(sentence("Config", name, "an integer of at least 1", size))
        if not 0 <= self.dropout < 1:
            raise ValueError(
                sentence("Config", "dropout", "a probability from 0 to below 1", self.dropout)
            )

    @property
    def recurrent_cell(self) -> Cell:
        """The cell itself."""
        return CELLS[self.cell]


class Params(NamedTuple):
    """layers: L Params of the cell; w_hy [H, V]; b_y [V]; embedding [V, E] or None."""

    layers: tuple[Any, ...]
    w_hy: Array
    b_y: Array
    embedding: Array | None = None


def init(
    config: Config,
    key: Array,
    *,
    dtype: Any = jnp.float32,
    weights: initializers.Initializer | None = None,
) -> Params:
    """Draws the model's parameters.

    Args:
        config: the model.
        key: a `jax.random.key`; consumed.
        dtype: float32, bfloat16 or float64 (the last needs `jax_enable_x64`).
        weights: an initializer of `jax.nn.initializers` for every weight matrix, e.g.
            `normal(0.01)` for min-char-rnn; biases stay as the cell has them. None: the cell's
            own, readout LeCun normal, embedding N(0, 1).

    Returns:
        Params.

    Raises:
        TypeError: `key` is no key.

    Example:
        >>> import jax
        >>> config = Config(vocab_size=65, cell="gru", hidden_size=128, num_layers=2)
        >>> params = init(config, jax.random.key(0))
        >>> len(params.layers), params.w_hy.shape, params.b_y.shape
        (2, (128, 65), (65,))
    """
    check_key("charlm.init", key)
    layers_key, readout_key, embedding_key, weights_key = jax.random.split(key, 4)
    input_size = config.embed_size or config.vocab_size
    params = Params(
        layers=networks.init_layers(
            config.recurrent_cell,
            layers_key,
            input_size,
            config.hidden_size,
            config.num_layers,
            dtype=dtype,
        ),
        w_hy=initializers.lecun_normal()(
            readout_key, (config.hidden_size, config.vocab_size), dtype
        ),
        b_y=jnp.zeros(config.vocab_size, dtype),
        embedding=None
        if config.embed_size is None
        else initializers.normal(1.0)(embedding_key, (config.vocab_size, config.embed_size), dtype),
    )
    if weights is None:
        return params
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(weights_key, len(leaves))
    return jax.tree.unflatten(
        structure,
        [
            weights(leaf_key, leaf.shape, dtype) if leaf.ndim > 1 else leaf
            for leaf_key, leaf in zip(keys, leaves, strict=True)
        ],
    )


def zero_carry(
    config: Config, params: Params, batch_size: int | tuple[int, ...]
) -> tuple[Any, ...]:
    """The carry before the first character: L Carries of the cell, zeros [*B, H].

    Args:
        config: the model.
        params: its parameters.
        batch_size: B, or a batch shape; `()` for a single stream without a batch axis.
    """
    batch_shape = (batch_size,) if isinstance(batch_size, int) else tuple(batch_size)
    return networks.zero_carries(config.recurrent_cell, params.layers, batch_shape)


def apply(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    tokens: Array,
    *,
    unroll: networks.Unroll = bptt_unroll,
    dropout_key: Array | None = None,
) -> tuple[tuple[Any, ...], Array]:
    """Predicts the next character after each character.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, as `zero_carry` or the last window left them.
        tokens: integers [T, *B] in [0, V).
        unroll: `jaxrnn.unroll` or `jaxrnn.unroll_autodiff`.
        dropout_key: a `jax.random.key`; None, as for evaluation: nothing is dropped.

    Returns:
        (carry, logits [T, *B, V]); logits are float32 for bfloat16 parameters, else in their
        dtype.

    Raises:
        TypeError: tokens that are not integers.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> config = Config(vocab_size=65, cell="gru", hidden_size=128, num_layers=2)
        >>> params = init(config, jax.random.key(0))
        >>> tokens = jnp.zeros((25, 8), jnp.int32)
        >>> carry, logits = apply(config, params, zero_carry(config, params, 8), tokens)
        >>> logits.shape
        (25, 8, 65)
    """
    carry, hs = networks.unroll_layers(
        config.recurrent_cell,
        params.layers,
        carry,
        _inputs("apply", config, params, tokens),
        unroll=unroll,
        dropout=config.dropout,
        dropout_key=dropout_key,
    )
    return carry, read_out(params, hs)


def step(
    config: Config, params: Params, carry: tuple[Any, ...], tokens: Array
) -> tuple[tuple[Any, ...], Array]:
    """One character on: tokens [*B] -> (carry, logits [*B, V])."""
    carry, h = networks.step_layers(
        config.recurrent_cell,
        params.layers,
        carry,
        _inputs("step", config, params, tokens),
    )
    return carry, read_out(params, h)


def read_out(params: Params, hs: Array) -> Array:
    """Logits = h w_hy + b_y: [..., H] -> [..., V], in float32 or wider."""
    logits = dot(hs, params.w_hy)
    return logits + bias(params.b_y, logits)


def _inputs(function: str, config: Config, params: Params, tokens: Array) -> Array:
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(sentence(function, "tokens", "integer token ids [T, *B]", tokens))
    if config.embed_size is None:
        return tokens
    if params.embedding is None:
        raise ValueError(
            sentence(function, "params.embedding", f"[V, {config.embed_size}]", "None")
        )
    # An id outside the vocabulary gives NaN, as it does without an embedding.
    return jnp.take(params.embedding, tokens, axis=0, mode="fill", fill_value=jnp.nan)
