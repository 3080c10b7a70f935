"""Gradients taken apart: by the step that causes them and by the step that they reach.

    state_gradients        ∂L_s/∂carry_t for every pair s ≥ t    (backpropagation through time)
    weight_contributions   ∂L/∂w_t, where step t has its own copy w_t of the weights; Σ_t = ∂L/∂w
    input_gradients        ∂score_s/∂x_t for every pair s ≥ t

No cell has code of its own here: zeros are added to the states, the weights are copied for every
step, and JAX differentiates the plain scan. The streams have no batch axis; `jax.vmap` adds one.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.charlm.losses import Loss, cross_entropy, nats
from jaxrnn.charlm.model import Config, Params, step
from jaxrnn.errors import sentence
from jaxrnn.microscope.traces.interventions import add, run_with_edits, zero_edits

Array = jax.Array
Score = Callable[[Array, Array], Array]

LARGEST = 2**28
"""Numbers that one function of this module may return, 2 GiB in float64."""


def state_gradients(
    config: Config, params: Params, carry: tuple[Any, ...], inputs: Array, targets: Array
) -> tuple[Any, ...]:
    """The gradient of every step's loss with respect to every earlier state, ∂L_s/∂carry_t.

    The fields of a carry count as coordinates of their own: ∂L_s/∂c_t of an LSTM is what reaches
    c_t from later steps along c, and what reaches it through h_t belongs to ∂L_s/∂h_t.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        targets: integers [T]; L_s = −ln p_s(targets[s]), nats.

    Returns:
        One Carry a layer, every field [S = T, T, H]: entry [s, t] is ∂L_s/∂carry_t, 0 for t > s.

    Raises:
        ValueError: a batch axis, or a text with more than `LARGEST` numbers to return.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=5, cell="lstm", hidden_size=8, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> tokens = jnp.array([0, 3, 1, 4])
        >>> carry = charlm.zero_carry(config, params, ())
        >>> (layer,) = state_gradients(config, params, carry, tokens[:-1], tokens[1:])
        >>> layer.h.shape, bool(layer.h[2, 0].any()), bool(layer.h[0, 2].any())
        ((3, 3, 8), True, False)
    """
    _check("state_gradients", inputs, _size(carry), pairs=True)
    return _state_gradients(config, params, carry, inputs, targets)


def weight_contributions(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    targets: Array,
    loss: Loss = cross_entropy,
) -> Params:
    """What each step contributes to the gradient of each weight.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        targets: integers [T].
        loss: `(logits [T, V], targets [T]) -> []`.

    Returns:
        The parameters' structure with an axis T in front of every array; the sum over it is the
        gradient that training uses.

    Raises:
        ValueError: a batch axis, or a text with more than `LARGEST` numbers to return.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=5, cell="gru", hidden_size=8, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> tokens = jnp.array([0, 3, 1, 4])
        >>> carry = charlm.zero_carry(config, params, ())
        >>> parts = weight_contributions(config, params, carry, tokens[:-1], tokens[1:])
        >>> parts.layers[0].w_hh.shape
        (3, 8, 24)
    """
    _check("weight_contributions", inputs, _size(params), pairs=False)
    return _weight_contributions(config, params, carry, inputs, targets, loss)


def input_gradients(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    xs: Array,
    tokens: Array,
    score: Score,
) -> Array:
    """The gradient of one number a step with respect to every earlier input, ∂score_s/∂x_t.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        xs: what layer 0 reads, [T, I]; see `input_vectors`.
        tokens: integers [T] that the scores are of, e.g. the targets.
        score: `charlm.nats` for the losses, `chosen_logits` for the tokens' logits.

    Returns:
        [S = T, T, I], entry [s, t] is ∂score_s/∂x_t, 0 for t > s.

    Raises:
        ValueError: a batch axis, or a text with more than `LARGEST` numbers to return.
    """
    _check("input_gradients", tokens, xs.shape[-1], pairs=True)
    return _input_gradients(config, params, carry, xs, tokens, score)


def chosen_logits(logits: Array, tokens: Array) -> Array:
    """The logit of one token a step: [..., V], integers [...] -> [...].

    >>> print(chosen_logits(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 0])))
    [2. 3.]
    """
    return jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]


@jax.jit
def _state_gradients(
    config: Config, params: Params, carry: tuple[Any, ...], inputs: Array, targets: Array
) -> tuple[Any, ...]:
    def losses(edits: Any) -> Array:
        return nats(run_with_edits(config, params, carry, inputs, add, edits), targets)

    return _rows(losses, zero_edits(carry, len(inputs)))


@functools.partial(jax.jit, static_argnames="loss")
def _weight_contributions(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    targets: Array,
    loss: Loss,
) -> Params:
    def total(copies: Params) -> Array:
        def one_step(carry: Any, now: tuple[Params, Array]) -> tuple[Any, Array]:
            return step(config, now[0], carry, now[1])

        return loss(jax.lax.scan(one_step, carry, (copies, inputs))[1], targets)

    copies = jax.tree.map(lambda w: jnp.broadcast_to(w, (len(inputs), *w.shape)), params)
    return jax.grad(total)(copies)


@functools.partial(jax.jit, static_argnames="score")
def _input_gradients(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    xs: Array,
    tokens: Array,
    score: Score,
) -> Array:
    no_edits = zero_edits(carry, len(tokens))

    def scores(xs: Array) -> Array:
        return score(run_with_edits(config, params, carry, xs, add, no_edits), tokens)

    return _rows(scores, xs)


def _rows(function: Callable[[Any], Array], at: Any) -> Any:
    """The Jacobian of T numbers, row by row: one backward pass, vectorised over the rows."""
    values, pull_back = jax.vjp(function, at)
    return jax.vmap(lambda row: pull_back(row)[0])(jnp.eye(len(values), dtype=values.dtype))


def _size(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _check(function: str, tokens: Array, each: int, *, pairs: bool) -> None:
    """Raises where `each` numbers a step, or a pair of steps, come to more than `LARGEST`."""
    if tokens.ndim != 1:
        raise ValueError(
            sentence(function, "tokens", "one stream [T]", tokens, "jax.vmap over the batch")
        )
    most = LARGEST // each
    most = math.isqrt(most) if pairs else most
    if len(tokens) > most:
        of_what = "pair of steps" if pairs else "step"
        rule = f"at most {most:,} characters, with {each:,} numbers for each {of_what}"
        hint = "choose a shorter stretch of the text for `inputs` and `targets` (--from, --to)"
        raise ValueError(sentence(function, "tokens", rule, f"{len(tokens):,}", hint))
