"""Running a network while its state is changed after every step.

    carry_t = edit(step(carry_{t−1}, x_t), e_t)        logits_t = h_t w_hy + b_y

One mechanism for two purposes: with edit = addition and e = 0, the gradient with respect to e_t is
the gradient with respect to the state at t; with edit = overwriting, units are clamped. It needs
nothing but the cell's step, so it holds for every cell and any number of layers.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.charlm.model import Config, Params, embed, read_out
from jaxrnn.networks import step, thread

Array = jax.Array
Edit = Callable[[Any, Any], Any]


def input_vectors(config: Config, params: Params, tokens: Array) -> Array:
    """What layer 0 reads: one-hot rows, or rows of the embedding table.

    Args:
        config: the model.
        params: its parameters.
        tokens: integers [T, *B] in [0, V); any other id is a row of zeros, or of NaN with an
            embedding.

    Returns:
        [T, *B, V], or [T, *B, E] with an embedding.
    """
    if params.embedding is None:
        return jax.nn.one_hot(tokens, config.vocab_size, dtype=params.w_hy.dtype)
    return embed(params.embedding, tokens)


def step_with_edits(
    config: Config, params: Params, carries: tuple[Any, ...], x: Array, edit: Edit, edits: Any
) -> tuple[tuple[Any, ...], Array]:
    """One step of all layers, each layer's carry changed before the next layer reads its h.

    Args:
        config: the model.
        params: its parameters.
        carries: one Carry a layer.
        x: [*B, I], or token ids [*B].
        edit: `(carry, edits of this layer) -> carry`.
        edits: one value a layer, of whatever kind `edit` takes.

    Returns:
        (carries, logits [*B, V]).
    """

    def at_cell(
        cell: Cell, x: Array, reverse: bool, params: Any, carry: Any, edits: Any
    ) -> tuple[Any, Array]:
        carry, _ = step(cell, params, carry, x)
        carry = edit(carry, edits)
        return carry, carry.h

    trees = {"params": params.layers, "carry": carries, "edits": edits}
    stepped, h = thread("step_with_edits", config.network, at_cell, trees, x)
    return stepped, read_out(params, h)


def run_with_edits(
    config: Config, params: Params, carries: tuple[Any, ...], xs: Array, edit: Edit, edits: Any
) -> Array:
    """`step_with_edits` over a sequence.

    Args:
        config: the model.
        params: its parameters.
        carries: one Carry a layer, before the first step.
        xs: [T, *B, I], or token ids [T, *B].
        edit: `(carry, edits of this layer at this step) -> carry`.
        edits: one value a layer, every array with a leading axis T.

    Returns:
        logits [T, *B, V].
    """

    def one_step(carries: Any, now: tuple[Array, Any]) -> tuple[Any, Array]:
        return step_with_edits(config, params, carries, now[0], edit, now[1])

    return jax.lax.scan(one_step, carries, (xs, edits))[1]


def add(carry: Any, change: Any) -> Any:
    """The edit `carry + change`, field by field."""
    return jax.tree.map(jnp.add, carry, change)


def zero_edits(carries: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """Nothing to add, at each of T = `length` steps: the carries' shapes behind an axis T."""
    return jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype), carries)
