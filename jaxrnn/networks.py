"""Layers of one cell stacked on top of each other, with dropout between them.

    xs → layer 0 → dropout → layer 1 → dropout → … → layer L−1 → dropout → hs

The states of a layer are the inputs of the next (Hermans and Schrauwen 2013). Dropout acts on
what goes up, never on the recurrence (Zaremba, Sutskever and Vinyals 2014), and also on what
leaves the top, as in char-rnn.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn import recurrence
from jaxrnn.cells import Cell
from jaxrnn.errors import sentence

Array = jax.Array
Unroll = Callable[[Cell, Any, Any, Array], tuple[Any, Array]]


def init_layers(
    cell: Cell,
    key: Array,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    *,
    dtype: Any = jnp.float32,
) -> tuple[Any, ...]:
    """Draws the parameters of a stack: layer 0 reads I inputs, every other one H.

    Args:
        cell: one of `CELLS`.
        key: a `jax.random.key`; consumed.
        input_size: I.
        hidden_size: H, the same in every layer.
        num_layers: L, at least 1.
        dtype: floating dtype.

    Returns:
        L Params of the cell.

    Raises:
        ValueError: a size below 1.
    """
    if num_layers < 1:
        raise ValueError(sentence("init_layers", "num_layers", "at least 1", num_layers))
    sizes = [input_size, *[hidden_size] * (num_layers - 1)]
    return tuple(
        recurrence.init(cell, layer_key, size, hidden_size, dtype=dtype)
        for layer_key, size in zip(jax.random.split(key, num_layers), sizes, strict=True)
    )


def zero_carries(
    cell: Cell, layers: tuple[Any, ...], batch_shape: tuple[int, ...] = ()
) -> tuple[Any, ...]:
    """The carries before the first step: L Carries of the cell, zeros [*B, H]."""
    return tuple(recurrence.zero_carry(cell, params, batch_shape) for params in layers)


def step_layers(
    cell: Cell, layers: tuple[Any, ...], carries: tuple[Any, ...], x: Array
) -> tuple[tuple[Any, ...], Array]:
    """One time step of the stack, without dropout.

    Args:
        cell: one of `CELLS`.
        layers: L Params.
        carries: L Carries.
        x: [*B, I], or token ids [*B].

    Returns:
        (carries, h [*B, H] of the top layer).
    """
    stepped = []
    for params, carry in zip(layers, carries, strict=True):
        carry, x = recurrence.step(cell, params, carry, x)
        stepped.append(carry)
    return tuple(stepped), x


def unroll_layers(
    cell: Cell,
    layers: tuple[Any, ...],
    carries: tuple[Any, ...],
    xs: Array,
    *,
    unroll: Unroll = recurrence.unroll,
    dropout: float = 0.0,
    dropout_key: Array | None = None,
) -> tuple[tuple[Any, ...], Array]:
    """Runs the stack over a sequence.

    Args:
        cell: one of `CELLS`.
        layers: L Params.
        carries: L Carries before the first step.
        xs: [T, *B, I], or token ids [T, *B].
        unroll: `jaxrnn.unroll` or `jaxrnn.unroll_autodiff`.
        dropout: probability with which an entry is dropped.
        dropout_key: a `jax.random.key` to draw the masks from; None: nothing is dropped.

    Returns:
        (carries after the last step, hs [T, *B, H] of the top layer).
    """
    unrolled = []
    for index, (params, carry) in enumerate(zip(layers, carries, strict=True)):
        carry, xs = unroll(cell, params, carry, xs)
        unrolled.append(carry)
        if dropout_key is not None:
            xs = drop(jax.random.fold_in(dropout_key, index), xs, dropout)
    return tuple(unrolled), xs


def drop(key: Array, xs: Array, probability: float) -> Array:
    """Sets each entry to 0 with a probability p, the others to x / (1 − p).

    Args:
        key: a `jax.random.key`; consumed.
        xs: any shape.
        probability: p in [0, 1); with 0 nothing is drawn.

    Returns:
        The same shape and dtype; its mean over masks is xs.

    Source: Srivastava et al. 2014, scaled in training instead of in use.
    """
    if probability == 0:
        return xs
    keep = jax.random.bernoulli(key, 1.0 - probability, xs.shape)
    scale = jnp.asarray(1.0 / (1.0 - probability), xs.dtype)
    return jnp.where(keep, xs * scale, jnp.zeros_like(xs))
