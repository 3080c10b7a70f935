"""Draws for the regularisation of the recurrence: masks for `unroll`, and weight drop."""

from typing import Any

import jax
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.networks.thread import drop, map_cells
from jaxrnn.networks.values import Network, check_network
from jaxrnn.recurrence.checks import check_batch_shape, check_key, check_params, check_probability
from jaxrnn.recurrence.masks import draw_cell_masks


def draw_masks(
    cell: Network,
    params: Any,
    key: Array,
    length: int,
    batch_shape: tuple[int, ...] = (),
    *,
    recurrent_dropout: float = 0.0,
    zoneout: Any = 0.0,
) -> Any:
    """Draws what `unroll` multiplies into the recurrence, so that it needs no key and no mode.

    Args:
        cell: a cell or a network.
        params: its parameters.
        key: a `jax.random.key`; consumed.
        length: T.
        batch_shape: *B.
        recurrent_dropout: probability p with which a unit of h is dropped, at all steps of a
            sequence together, where it enters a recurrent product; the others are h / (1 − p)
            (variational dropout, Gal and Ghahramani 2016).
        zoneout: probability with which a unit keeps its old value at a step (Krueger et al. 2017);
            one number, or the cell's Carry of numbers, of a network a tree of its structure. In
            use take the probability itself:
            `Masks(keep=Carry(h=0.05, c=0.5))`.

    Returns:
        `Masks`; of a network a tree of its structure, every cell with draws of its own.

    Raises:
        TypeError, ValueError: a probability outside [0, 1), `params` that are not this network's.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> masks = rnn.draw_masks(rnn.LSTM, params, jax.random.key(1), 5, (2,), zoneout=0.1)
        >>> carry, xs = rnn.zero_carry(rnn.LSTM, params, (2,)), jnp.ones((5, 2, 3), jnp.float32)
        >>> rnn.unroll(rnn.LSTM, params, carry, xs, masks=masks)[1].shape
        (5, 2, 4)
    """
    check_network("draw_masks", cell)
    check_key("draw_masks", key)
    check_batch_shape("draw_masks", batch_shape)
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 0:
        raise ValueError(sentence("draw_masks", "length", "an integer of at least 0", length))

    def at_cell(index: int, cell: Cell, params: Any, zoneout: Any) -> Any:
        return draw_cell_masks(
            cell, params, jax.random.fold_in(key, index), int(length), tuple(batch_shape),
            recurrent_dropout=recurrent_dropout, zoneout=zoneout,
        )  # fmt: skip

    if isinstance(zoneout, int | float | np.number):
        share = zoneout

        def the_same(_: int, __: Cell) -> Any:
            return share

        zoneout = map_cells("draw_masks", cell, the_same, {})
    return map_cells("draw_masks", cell, at_cell, {"params": params, "zoneout": zoneout})


def weight_drop(cell: Network, params: Any, key: Array, probability: float) -> Any:
    """The parameters with recurrent weights dropped, for a whole window (AWD-LSTM).

    Args:
        cell: a cell or a network.
        params: its parameters.
        key: a `jax.random.key`; consumed.
        probability: p in [0, 1), with which each entry of the weights that multiply h becomes 0;
            the others are w / (1 − p).

    Returns:
        Parameters of the same structure; the gradient passes through to `params`.

    Raises:
        TypeError, ValueError: a probability outside [0, 1), `params` that are not this network's.

    Source: Wan et al. 2013 (DropConnect); Merity, Keskar and Socher 2018, on w_hh.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> dropped = rnn.weight_drop(rnn.LSTM, params, jax.random.key(1), 0.5)
        >>> bool((dropped.w_hh == 0).any()), bool((dropped.w_xh == params.w_xh).all())
        (True, True)
    """
    check_network("weight_drop", cell)
    check_key("weight_drop", key)
    check_probability("weight_drop", "probability", probability)

    def at_cell(index: int, cell: Cell, params: Any) -> Any:
        check_params("weight_drop", cell, params)
        keys = jax.random.split(jax.random.fold_in(key, index), len(cell.recurrent))
        return params._replace(
            **{
                name: drop(own, getattr(params, name), probability)
                for name, own in zip(cell.recurrent, keys, strict=True)
            }
        )

    return map_cells("weight_drop", cell, at_cell, {"params": params})
