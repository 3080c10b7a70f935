"""The language model: (embedding →) layers of cells → readout.

    x_t = one-hot(token_t), or embedding[token_t] where embed_size is set
    h_t = layers(x_t)                                   a jaxrnn.Stack
    logits_t = h_t w_hy + b_y                           p_t = softmax(logits_t)

w_hy [H, V], b_y [V], embedding [V, E], with the H of the top layer. A token id outside 0 … V−1, a
negative one too, gives NaN with an embedding and without.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import initializers
from jax.typing import DTypeLike

from jaxrnn import networks
from jaxrnn.cells import CELLS, Cell
from jaxrnn.errors import sentence
from jaxrnn.networks import Stack, Unroll, drop, fold_in
from jaxrnn.precision import dot, widen
from jaxrnn.recurrence.checks import check_key, check_probability, check_size

Array = jax.Array

DEFAULT_LAYERS = 2


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Config:
    """Which model: a hashable value, so two equal configs are one compiled program.

    Attributes:
        vocab_size: V.
        cell: a key of `jaxrnn.CELLS`, a cell, or a `jaxrnn.Stack` of cells, which then says how
            many layers there are, of what, and with which dropout.
        hidden_size: H, or a tuple of them, one per layer, bottom first.
        num_layers: L; None: as many as `cell` or `hidden_size` has, else 2.
        embed_size: E, the columns of the embedding table; None: one-hot inputs.
        dropout: probability with which an output of a layer is dropped in training, in [0, 1);
            also what leaves the top, as in char-rnn.
        proj_size: P of cells with a projection; None: half of H.

    Raises:
        TypeError: a `cell` that is none.
        ValueError: a size below 1 or the wrong number of sizes, an unknown cell, a dropout outside
            [0, 1), a `Bidirectional`: it would see the characters that it predicts.

    Example:
        >>> Config(vocab_size=65, cell="gru", hidden_size=128, num_layers=2).network
        Stack(gru, gru)
        >>> import jaxrnn as rnn
        >>> Config(65, rnn.Stack([rnn.LSTM, rnn.GRU], dropout=0.2), hidden_size=(128, 64)).dropout
        0.2
    """

    vocab_size: int
    cell: str | Cell | Stack = "lstm"
    hidden_size: int | tuple[int, ...] = 128
    num_layers: int | None = None
    embed_size: int | None = None
    dropout: float = 0.0
    proj_size: int | None = None

    def __post_init__(self) -> None:
        check_probability("Config", "dropout", self.dropout)
        self._check_cell()
        sizes = self.hidden_size
        several = isinstance(sizes, tuple | list)
        for size in sizes if several else [sizes]:  # type: ignore[union-attr]
            check_size("Config", "hidden_size", size)
        if isinstance(self.cell, Stack):
            found: int | None = len(self.cell.layers)
        else:
            found = len(sizes) if several else None  # type: ignore[arg-type]
        layers = self.num_layers if self.num_layers is not None else found or DEFAULT_LAYERS
        check_size("Config", "num_layers", layers)
        if found is not None and found != layers:
            expected = f"{found}, as many layers as the cell or hidden_size has"
            raise ValueError(sentence("Config", "num_layers", expected, layers))
        if several and len(sizes) != layers:  # type: ignore[arg-type]
            expected = f"one size, or one for each of {layers} layers"
            raise ValueError(sentence("Config", "hidden_size", expected, sizes))
        object.__setattr__(self, "num_layers", layers)
        if several:
            object.__setattr__(self, "hidden_size", tuple(sizes))  # type: ignore[arg-type]
        for name in ("vocab_size", "embed_size", "proj_size"):
            if name == "vocab_size" or getattr(self, name) is not None:
                check_size("Config", name, getattr(self, name))

    def _check_cell(self) -> None:
        cell = self.cell
        if isinstance(cell, str):
            known_cell(cell)
            return
        if isinstance(cell, Cell):
            return
        networks.check_network("Config", cell)
        if not isinstance(cell, Stack) or not all(isinstance(c, Cell) for c in cell.layers):
            expected = "a cell or a Stack of cells"
            hint = "" if "Bidirectional" not in repr(cell) else (
                "a Bidirectional would see the characters that it predicts"
            )  # fmt: skip
            raise ValueError(sentence("Config", "cell", expected, cell, hint))
        if self.dropout not in (0, cell.dropout):
            expected = f"{cell.dropout}, as the Stack has it"
            raise ValueError(sentence("Config", "dropout", expected, self.dropout))
        object.__setattr__(self, "dropout", cell.dropout)

    @property
    def network(self) -> Stack:
        """The layers, as a value."""
        if isinstance(self.cell, Stack):
            return self.cell
        cell = CELLS[self.cell] if isinstance(self.cell, str) else self.cell
        assert self.num_layers is not None
        return Stack((cell,) * self.num_layers, dropout=self.dropout)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The layers' cells, bottom first."""
        return self.network.layers  # type: ignore[return-value]


def known_cell(name: str) -> Cell:
    """The cell of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in CELLS:
        expected = f"one of {', '.join(CELLS)}"
        hint = "jaxrnn.register(cell) makes a custom one known, --import FILE on the command line"
        raise ValueError(sentence("Config", "cell", expected, name, hint))
    return CELLS[name]


class Params(NamedTuple):
    """layers: Params of each layer's cell; w_hy [H, V]; b_y [V]; embedding [V, E] or None."""

    layers: tuple[Any, ...]
    w_hy: Array
    b_y: Array
    embedding: Array | None = None


def init(
    config: Config,
    key: Array,
    *,
    dtype: DTypeLike = jnp.float32,
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
    network, vocab_size = config.network, config.vocab_size
    layers = networks.init(
        network,
        layers_key,
        config.embed_size or vocab_size,
        config.hidden_size,
        proj_size=config.proj_size,
        dtype=dtype,
    )
    width = networks.output_size(network, layers)
    params = Params(
        layers=layers,
        w_hy=initializers.lecun_normal()(readout_key, (width, vocab_size), dtype),
        b_y=jnp.zeros(vocab_size, dtype),
        embedding=None
        if config.embed_size is None
        else initializers.normal(1.0)(embedding_key, (vocab_size, config.embed_size), dtype),
    )
    if weights is None:
        return params
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(weights_key, len(leaves))
    redrawn: Params = jax.tree.unflatten(
        structure,
        [
            weights(leaf_key, leaf.shape, dtype) if leaf.ndim > 1 else leaf
            for leaf_key, leaf in zip(keys, leaves, strict=True)
        ],
    )
    return redrawn


def zero_carry(
    config: Config,
    params: Params,
    batch_size: int | tuple[int, ...],
    *,
    dtype: DTypeLike | None = None,
) -> tuple[Any, ...]:
    """The carry before the first token: L Carries of the cell, zeros [*B, H].

    Args:
        config: the model.
        params: its parameters.
        batch_size: B, or a batch shape; `()` for a single stream without a batch axis.
        dtype: the `compute_dtype` of training in mixed precision; None: the parameters'.
    """
    batch_shape = tuple(batch_size) if isinstance(batch_size, tuple | list) else (int(batch_size),)
    carry: tuple[Any, ...] = networks.zero_carry(config.network, params.layers, batch_shape)
    return carry if dtype is None else jax.tree.map(lambda leaf: leaf.astype(dtype), carry)


@functools.partial(jax.jit, static_argnames="dtype")
def first_stream(carry: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    """The carry of the first of several streams: fields [B, H] -> [H], in a dtype."""
    first: tuple[Any, ...] = jax.tree.map(lambda leaf: leaf[0].astype(dtype), carry)
    return first


def apply(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    tokens: Array,
    *,
    unroll: Unroll = networks.unroll,
    dropout_key: Array | None = None,
    resets: Array | None = None,
) -> tuple[tuple[Any, ...], Array]:
    """Predicts the next token after each token.

    Args:
        config: the model.
        params: its parameters.
        carry: the layers' carries before the first step, as `zero_carry` or the last window left
            them.
        tokens: integers [T, *B] in [0, V); any other id gives NaN.
        unroll: `jaxrnn.unroll`, or whatever has its arguments and values.
        dropout_key: a `jax.random.key`, or keys [*B], one a stream, which then keeps its draws
            whatever else is in the batch; None, as for evaluation: nothing is dropped.
        resets: bool [T, *B], true where a new document starts: the carry is zero before that
            character.

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
    inputs = _inputs("apply", config, params, tokens)
    carry, hs = unroll(
        config.network, params.layers, carry, inputs, resets=resets, dropout_key=dropout_key
    )
    if dropout_key is not None:
        top = fold_in(dropout_key, len(params.layers) - 1)
        hs = drop(top, hs, config.dropout)
    return carry, read_out(params, hs)


def step(
    config: Config, params: Params, carry: tuple[Any, ...], tokens: Array
) -> tuple[tuple[Any, ...], Array]:
    """One token on: tokens [*B] -> (carry, logits [*B, V])."""
    inputs = _inputs("step", config, params, tokens)
    carry, h = networks.step(config.network, params.layers, carry, inputs)
    return carry, read_out(params, h)


def read_out(params: Params, hs: Array) -> Array:
    """Logits = h w_hy + b_y: [..., H] -> [..., V], in float32 or wider."""
    logits = dot(hs, params.w_hy)
    return logits + widen(params.b_y, logits)


def _inputs(function: str, config: Config, params: Params, tokens: Array) -> Array:
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(sentence(function, "tokens", "integer token ids [T, *B]", tokens))
    if config.embed_size is None:
        return tokens
    if params.embedding is None:
        raise ValueError(
            sentence(function, "params.embedding", f"[V, {config.embed_size}]", "None")
        )
    return embed(params.embedding, tokens)


def embed(table: Array, tokens: Array) -> Array:
    """Rows of a table [V, E] for token ids [...]: [..., E]; NaN for an id outside 0 … V−1."""
    rows = table.at[tokens]
    return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
