"""Ways to run a network over time: a sequence led through it, each cell run in the same way.

A verb is a `Way` with its arguments: `run` checks, jits and threads; what happens at a cell is in
`recurrence`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Concatenate, Protocol

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import plainly, sentence
from jaxrnn.networks.thread import thread
from jaxrnn.networks.values import Bidirectional, Network, Stack
from jaxrnn.recurrence.checks import (
    check_carries,
    check_carry,
    check_inputs,
    check_key,
    check_params,
    check_steps,
    is_token_ids,
)
from jaxrnn.recurrence.masks import check_masks
from jaxrnn.recurrence.sequences import Fixed, Timed, bring_back, bring_into_form
from jaxrnn.recurrence.sharding import same_axes


class Unroll(Protocol):
    """`jaxrnn.unroll` and whatever has its arguments and values."""

    def __call__(
        self,
        cell: Any,  # a Network; of `unroll_rtrl` a Cell
        params: Any,
        carry: Any,
        xs: Array,
        /,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        reset_carry: Any = None,
        reverse: bool = False,
        masks: Any = None,
        dropout_key: Array | None = None,
    ) -> tuple[Any, Array]:
        """(carry after the last step, hs [T, *B, H])."""

    def __hash__(self) -> int:
        """It is static under `jit`."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Way:
    """A way to run one cell over a sequence.

    Attributes:
        name: of the public function, for its sentences.
        run: `(cell, params, carry, timed, fixed, **options) -> (result, hs)`.
        options: by name.
        bring_back: `(back, result) -> result`, where a part of the result belongs to the steps as
            hs does: `back` brings an array [T, *B, ·] into the order of the inputs.
    """

    name: str
    run: Callable[Concatenate[Cell, Any, Any, Timed, Fixed, ...], tuple[Any, Array]]
    options: tuple[tuple[str, Any], ...] = ()
    bring_back: Callable[[Callable[[Array], Array], Any], Any] = lambda back, result: result


def run(
    way: Way,
    network: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    reset_carry: Any = None,
    reverse: bool = False,
    masks: Any = None,
    dropout_key: Array | None = None,
    guess: Any = None,
) -> tuple[Any, Array]:
    """Leads a sequence through a network, each cell run this way; jitted where nothing else is.

    Args:
        way: how a cell is run.
        network: a cell or a network.
        params: as the public verbs have it, and so all that follow.
        carry: before the first step.
        xs: the inputs.
        lengths: integers [*B].
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.
        dropout_key: for the dropout between a stack's layers.
        guess: of the carry after each step, fields [T, *B, ·], for a way that takes one.

    Returns:
        (the results of the cells in the network's structure, hs [T, *B, H]).
    """
    if reset_carry is not None and resets is None:
        expected = "None where there are no resets"
        hint = "carry is what the sequence starts from, and has a gradient too"
        raise ValueError(sentence(way.name, "reset_carry", expected, "one", hint))
    if dropout_key is not None:
        _check_dropout_key(way.name, dropout_key, xs)
    if lengths is not None and hasattr(lengths, "shape") and hasattr(xs, "shape") and xs.shape:
        # Here, because inside of jit lengths have no values to look at.
        check_steps(way.name, xs, tuple(lengths.shape), lengths, None)
    sequence = {"lengths": lengths, "resets": resets}
    trees = {"params": params, "carry": carry, "reset_carry": reset_carry, "masks": masks}
    if guess is not None:
        trees["guess"] = guess
    try:
        with plainly(way.name):
            results: Any
            results, hs = _run(way, network, trees, xs, sequence, dropout_key, bool(reverse))
            return results, hs
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        hint = "jaxrnn.unroll_autodiff takes the same (cell, params, carry, xs) and has it"
        raise TypeError(
            sentence(way.name, "differentiation", "reverse mode", "forward mode (jvp)", hint)
        ) from error


def _check_dropout_key(function: str, key: Any, xs: Any) -> None:
    """Raises unless it is one key, or as many as there are sequences."""
    several = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim
    if not several or not hasattr(xs, "dtype"):
        check_key(function, key, "dropout_key")
        return
    batch = xs.shape[1:] if is_token_ids(xs) else xs.shape[1:-1]
    if key.shape != batch:
        expected = f"one jax.random.key, or one for each sequence, here {list(batch)}"
        raise ValueError(sentence(function, "dropout_key", expected, key))


@functools.partial(jax.jit, static_argnums=6)
def _run(
    way: Way,
    network: Network,
    trees: dict[str, Any],
    xs: Array,
    sequence: dict[str, Any],
    dropout_key: Array | None,
    reverse: bool,
) -> tuple[Any, Array]:
    def at_cell(
        cell: Cell, xs: Array, reverse: bool, params: Any, carry: Any, reset_carry: Any, masks: Any,
        guess: Any = None,
    ) -> tuple[Any, Array]:  # fmt: skip
        check_params(way.name, cell, params)
        known = carry.h.shape[:-1] if isinstance(carry, cell.Carry) else None
        batch = check_inputs(way.name, params, xs, time_axes=1, batch=known)
        check_carry(way.name, cell, params, carry, batch)
        check_steps(way.name, xs, batch, **sequence)
        if reset_carry is not None:
            check_carry(way.name, cell, params, reset_carry, batch, "reset_carry", broadcast=True)
        if masks is not None:
            check_masks(way.name, cell, carry, xs.shape[0], masks)
        timed, fixed = bring_into_form(
            carry, xs, **sequence, reset_carry=reset_carry, masks=masks, reverse=reverse
        )
        options = dict(way.options)
        if guess is not None:
            check_carries(way.name, cell, params, guess, (xs.shape[0], *batch), "guess")
            options["guess"] = jax.tree.map(lambda g: jnp.flip(g, 0), guess) if reverse else guess
        result, hs = way.run(cell, *same_axes((params, carry, timed, fixed)), **options)
        back = functools.partial(bring_back, counts=timed.counts, reverse=reverse)
        return way.bring_back(back, result), back(hs)

    return thread(way.name, network, at_cell, trees, xs, reverse=reverse, dropout_key=dropout_key)


def check_backward(function: str, network: Network) -> None:
    """Raises TypeError where a cell has no hand-derived backward step."""
    if isinstance(network, Cell):
        if network.backward is None or network.pairs is None:
            hint = "jaxrnn.unroll_autodiff takes a cell without one"
            expected = "a cell with backward and pairs"
            raise TypeError(sentence(function, "cell", expected, network, hint))
    elif isinstance(network, Stack):
        for layer in network.layers:
            check_backward(function, layer)
    else:
        check_backward(function, network.forward)
        check_backward(function, network.backward)


def refuse_bidirectional(function: str, network: Network) -> None:
    """Raises TypeError where a part of the network reads from the end."""
    if isinstance(network, Bidirectional):
        expected = "a network that runs forwards only: a Bidirectional needs the whole sequence"
        raise TypeError(sentence(function, "cell", expected, network, "jaxrnn.unroll takes it"))
    if isinstance(network, Stack):
        for layer in network.layers:
            refuse_bidirectional(function, layer)
