"""How much each earlier character mattered for a prediction, by five definitions.

With x_t what layer 0 reads at t (a one-hot row or an embedding), k_s the token asked about at s
and y_s its logit there:

    loss_gradient_squared         Σ_i (∂L_s/∂x_t,i)²
    logit_gradient_norm           ‖∂y_s/∂x_t‖₂                        Madsen (2019), the article
    logit_gradient_norm_squared   ‖∂y_s/∂x_t‖₂²                       Madsen (2019), its code
    integrated_gradients          Σ_i x_t,i ∫₀¹ ∂y_s/∂x_t,i (α x) dα  Sundararajan et al. (2017)
    occlusion                     y_s(x) − y_s(x with x_t = 0)        Zeiler and Fergus (2014)

The first three are sizes; the last two have a sign, positive where the character spoke for the
token. Integrated gradients are complete: Σ_t is y_s(x) − y_s(0).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.losses import nats
from jaxrnn.charlm.model import Config, Params
from jaxrnn.errors import sentence
from jaxrnn.microscope.gradient_traces import chosen_logits, input_gradients
from jaxrnn.microscope.interventions import add, input_vectors, run_with_edits, zero_edits

Array = jax.Array
Matrix = NDArray[np.float64]

FEWEST_NODES, MOST_NODES = 32, 512
"""Points of Gauss and Legendre's on the path of integrated gradients. They are doubled until the
sum is complete to 0.5 %; a chaotic network can need more than the most."""


class RankAgreement(NamedTuple):
    """How far definitions order the characters alike.

    Attributes:
        definitions: their names, D of them.
        correlations: [D, D], Spearman's rank correlation of |connectivity| over t ≤ s, mean over s.
    """

    definitions: tuple[str, ...]
    correlations: Matrix


def connectivity(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    tokens: Array,
    definition: str = "logit_gradient_norm",
) -> Array:
    """How much the character at t mattered for the prediction at s, for every pair.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        tokens: integers [T], the tokens asked about: the targets, or the model's own predictions.
        definition: one of `DEFINITIONS`.

    Returns:
        [S = T, T], 0 for t > s.

    Raises:
        ValueError: an unknown definition, a batch axis, or a text too long for all pairs.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=5, cell="gru", hidden_size=8, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> tokens = jnp.array([0, 3, 1, 4])
        >>> carry = charlm.zero_carry(config, params, ())
        >>> connectivity(config, params, carry, tokens[:-1], tokens[1:], "occlusion").shape
        (3, 3)
    """
    if definition not in DEFINITIONS:
        raise ValueError(
            sentence(
                "connectivity", "definition", f"one of {', '.join(DEFINITIONS)}", repr(definition)
            )
        )
    return DEFINITIONS[definition](config, params, carry, inputs, tokens)


def loss_gradient_squared(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array
) -> Array:
    """Σ_i (∂L_s/∂x_t,i)², L_s = −ln p_s(token)."""
    xs = input_vectors(config, params, inputs)
    return jnp.sum(input_gradients(config, params, carry, xs, tokens, nats) ** 2, axis=-1)


def logit_gradient_norm(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array
) -> Array:
    """‖∂y_s/∂x_t‖₂."""
    return jnp.sqrt(logit_gradient_norm_squared(config, params, carry, inputs, tokens))


def logit_gradient_norm_squared(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array
) -> Array:
    """‖∂y_s/∂x_t‖₂²."""
    xs = input_vectors(config, params, inputs)
    return jnp.sum(input_gradients(config, params, carry, xs, tokens, chosen_logits) ** 2, axis=-1)


def integrated_gradients(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array
) -> Array:
    """Σ_i x_t,i ∫₀¹ ∂y_s/∂x_t,i (α x) dα, from no input at all to the text.

    The number of points on the path is doubled until `completeness_error` is below 0.5 %.
    """
    count = FEWEST_NODES
    while True:
        parts = _integrate(config, params, carry, inputs, tokens, count)
        error = completeness_error(config, params, carry, inputs, tokens, parts)
        if count >= MOST_NODES or float(jnp.max(error)) < 0.005:
            return parts
        count *= 2


def completeness_error(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array, parts: Array
) -> Array:
    """How far integrated gradients are from adding up to y_s(x) − y_s(0).

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        tokens: integers [T].
        parts: [T, T] from `integrated_gradients`.

    Returns:
        [T], the absolute difference over Σ_t |part|.
    """
    xs = input_vectors(config, params, inputs)
    change = _logits(config, params, carry, xs, tokens) - _logits(
        config, params, carry, jnp.zeros_like(xs), tokens
    )
    return jnp.abs(jnp.sum(parts, axis=1) - change) / jnp.sum(jnp.abs(parts), axis=1)


def occlusion(config: Config, params: Params, carry: Any, inputs: Array, tokens: Array) -> Array:
    """y_s(x) − y_s(x with x_t = 0)."""
    xs = input_vectors(config, params, inputs)
    return _occlusion(config, params, carry, xs, tokens)


DEFINITIONS: dict[str, Callable[[Config, Params, Any, Array, Array], Array]] = {
    definition.__name__: definition
    for definition in (
        loss_gradient_squared,
        logit_gradient_norm,
        logit_gradient_norm_squared,
        integrated_gradients,
        occlusion,
    )
}
"""Every definition by name."""


def rank_agreement(matrices: Mapping[str, ArrayLike], earliest: int = 4) -> RankAgreement:
    """Spearman's rank correlation between definitions, over the characters before a prediction.

    Args:
        matrices: connectivity [T, T] by definition; signs are dropped.
        earliest: the first s that counts, at least 2: a ranking of few characters says little.

    Returns:
        The mean over s of the correlation over t ≤ s.

    Raises:
        ValueError: no s left.

    >>> first = np.tril(np.random.default_rng(0).random((9, 9)))
    >>> rank_agreement({"size": first, "square": first**2}).correlations.round(6)
    array([[1., 1.],
           [1., 1.]])
    """
    names = tuple(matrices)
    sizes = [np.abs(np.asarray(matrices[name], np.float64)) for name in names]
    length = len(sizes[0])
    if not 2 <= earliest < length:
        raise ValueError(
            sentence(
                "rank_agreement", "earliest", f"2 to {length - 1}, a step of the text", earliest
            )
        )
    ranks = [[_ranks(size[s, : s + 1]) for s in range(earliest, length)] for size in sizes]
    correlations = [
        [np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]) for y in ranks]
        for x in ranks
    ]
    return RankAgreement(names, np.array(correlations))


def reach(matrix: ArrayLike, share: float = 0.9) -> NDArray[np.int64]:
    """For each prediction the distance that holds 90 % of its connectivity.

    Args:
        matrix: [T, T] connectivity; signs are dropped.
        share: in (0, 1].

    Returns:
        [T], the least d with Σ_{t ≥ s − d} |m[s, t]| ≥ share · Σ_{t ≤ s} |m[s, t]|.

    >>> reach([[1, 0, 0], [0, 1, 0], [5, 2, 3]], share=0.5).tolist()
    [0, 0, 1]
    """
    sizes = np.abs(np.asarray(matrix, np.float64))
    distances = []
    for s, row in enumerate(sizes):
        back = np.cumsum(row[s::-1])
        # A whole of rounding errors must not push the distance to the text's beginning.
        distances.append(int(np.argmax(back >= share * back[-1] * (1 - 1e-12))))
    return np.array(distances, np.int64)


def _integrate(
    config: Config, params: Params, carry: Any, inputs: Array, tokens: Array, count: int
) -> Array:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    xs = input_vectors(config, params, inputs)
    total = jnp.zeros((len(inputs), len(inputs)), xs.dtype)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        gradients = input_gradients(
            config, params, carry, jnp.asarray(node, xs.dtype) * xs, tokens, chosen_logits
        )
        total += jnp.asarray(weight, xs.dtype) * jnp.einsum("sti,ti->st", gradients, xs)
    return total


@jax.jit
def _occlusion(config: Config, params: Params, carry: Any, xs: Array, tokens: Array) -> Array:
    def without(t: Array) -> Array:
        return _logits(config, params, carry, xs.at[t].set(0), tokens)

    every = jax.vmap(without)(jnp.arange(len(tokens)))
    return jnp.tril(_logits(config, params, carry, xs, tokens)[:, None] - every.T)


@jax.jit
def _logits(config: Config, params: Params, carry: Any, xs: Array, tokens: Array) -> Array:
    no_edits = zero_edits(carry, len(tokens))
    return chosen_logits(run_with_edits(config, params, carry, xs, add, no_edits), tokens)


def _ranks(values: Matrix) -> Matrix:
    """1 … N, equal values sharing the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Matrix = (last - (counts - 1) / 2)[place]
    return means
