"""Gradients while reading: `unroll_rtrl`, and `rtrl_init`, `rtrl_step`, `rtrl_gradient`.

They check; the influences are in `recurrence.influence`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import plainly, sentence
from jaxrnn.networks.values import check_network
from jaxrnn.networks.ways import Way, check_backward, run
from jaxrnn.recurrence.checks import check_carry, check_inputs, check_params
from jaxrnn.recurrence.influence import (
    Derivative,
    carried_on,
    check_fits,
    derivative,
    gathered,
    layout_of,
    no_influence,
    rows_of,
    unroll_cell_online,
)
from jaxrnn.recurrence.jacobians import (
    Layout,
    OwnParts,
    Whole,
    check_elementwise,
    has_own_parts,
    is_elementwise,
    run_moment,
)
from jaxrnn.recurrence.products import working_dtype
from jaxrnn.recurrence.sequences import Fixed, Timed

APPROXIMATIONS = ("snap1",)


class RTRLState(NamedTuple):
    """What `rtrl_step` hands on.

    Attributes:
        carry: the cell's Carry, fields [*B, H].
        influence: ∂carry/∂θ, Params of [*B, rows, …] in float32 or wider: a row for each of the
            carry's n numbers, or, of "snap1" and of elementwise cells, for each of its m fields.
    """

    carry: Any
    influence: Any


def unroll_rtrl(
    cell: Cell,
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
) -> tuple[Any, Array]:
    """Values as `unroll`; the same gradient by real-time recurrent learning, forwards in time.

    What the gradient needs beside the inputs and the outputs does not grow with T: the influence of
    every parameter on the carry, B·n·|θ| numbers for n numbers in the carry, B·m·|θ| for an
    elementwise cell with m fields (`INDRNN`). For that it takes about n times the arithmetic of
    `unroll`: it is for long sequences and small cells, and to check what is learned online.

    Args:
        cell: a cell; what is below it in a network would need the inputs' gradient.
        params: its Params.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B]. It has no gradient: to ask for it is a TypeError.
        lengths: as `unroll` has them, and so all that follow.
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.
        dropout_key: as `unroll` has it; between the layers of a cell there is nothing to drop.

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError: a network, a cell without `backward`, the gradient of the inputs.
        ValueError: a shape that does not fit; where a gradient is asked for, an influence that does
            not fit the memory.

    Source: Williams and Zipser 1989; Irie, Gopalakrishnan and Schmidhuber 2023 (elementwise cells).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry, xs = rnn.zero_carry(rnn.GRU, params), jnp.ones((100, 3), jnp.float32)
        >>> def loss(params, unroll):
        ...     return jnp.sum(unroll(rnn.GRU, params, carry, xs)[1][-1])
        >>> online, offline = (jax.grad(loss)(params, f) for f in (rnn.unroll_rtrl, rnn.unroll))
        >>> bool(jnp.allclose(online.w_hh, offline.w_hh, atol=1e-6))
        True
    """
    name = "unroll_rtrl"
    _check_cell(name, cell)
    return run(
        Way(name, unroll_cell_online), cell, params, carry, _without_gradient(xs), lengths=lengths,
        resets=resets, reset_carry=reset_carry, reverse=reverse, masks=masks,
        dropout_key=dropout_key,
    )  # fmt: skip


@jax.custom_vjp
def _without_gradient(xs: Array) -> Array:
    return xs


def _refuse_gradient(_: None, __: Array) -> tuple[Array]:
    expected = "no gradient to be asked for: it would reach back through all of time"
    hint = "jaxrnn.unroll has it; or jax.lax.stop_gradient(xs)"
    raise TypeError(sentence("unroll_rtrl", "xs", expected, "one that is", hint))


_without_gradient.defvjp(lambda xs: (xs, None), _refuse_gradient)


def rtrl_init(
    cell: Cell, params: Any, carry: Any, *, approximation: str | None = None
) -> RTRLState:
    """The state before the first step: the carry, and an influence of zero.

    Args:
        cell: a cell.
        params: its Params.
        carry: the carry before the first step, every field [*B, H].
        approximation: None: exact, B·n·|θ| numbers for n numbers in the carry (an elementwise
            cell: B·m·|θ| for its m fields). "snap1": what a parameter does to its own unit, and no
            further, B·|θ|·n/H numbers (Menick et al. 2021, SnAp with one step).

    Returns:
        `RTRLState(carry, influence)`.

    Raises:
        TypeError: a network, a cell without `backward`.
        ValueError: an approximation that does not exist, or whose pattern the cell does not have;
            an influence that would not fit the memory: how many bytes, and what would fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> state = rnn.rtrl_init(rnn.GRU, params, rnn.zero_carry(rnn.GRU, params))
        >>> state.influence.w_hh.shape
        (4, 4, 12)
        >>> for x in jnp.ones((100, 3), jnp.float32):
        ...     state, h = rnn.rtrl_step(rnn.GRU, params, state, x)
        >>> d_params = rnn.rtrl_gradient(rnn.GRU, state, jnp.ones(4, jnp.float32))
        >>> d_params.w_hh.shape
        (4, 12)
    """
    name = "rtrl_init"
    _check_cell(name, cell)
    if approximation is not None and approximation not in APPROXIMATIONS:
        expected = f"None or one of {', '.join(map(repr, APPROXIMATIONS))}"
        raise ValueError(sentence(name, "approximation", expected, repr(approximation)))
    check_params(name, cell, params)
    batch = carry.h.shape[:-1] if isinstance(carry, cell.Carry) else ()
    check_carry(name, cell, params, carry, batch)
    if approximation == "snap1" and not has_own_parts(cell):
        expected = f"None for {cell!r}, where a parameter moves all units in a single step"
        hint = "a layer norm or a projection mixes the units at once"
        raise ValueError(sentence(name, "approximation", expected, repr(approximation), hint))
    layout = layout_of(cell, approximation)
    check_fits(name, cell, params, batch, layout)
    return RTRLState(carry, no_influence(cell, params, batch, layout))


def rtrl_step(cell: Cell, params: Any, state: RTRLState, x: Array) -> tuple[RTRLState, Array]:
    """One time step, with the influence of the parameters carried on.

    The parameters may change between steps, as when they learn from each: the influence is then
    that of a trajectory of parameters, which is near the gradient as long as the changes are small
    (Williams and Zipser 1989). A new episode begins with the state of `rtrl_init`.

    Args:
        cell: a cell.
        params: its Params.
        state: of `rtrl_init` or the step before.
        x: [*B, I], or token ids [*B].

    Returns:
        (state, h [*B, H]); the influence in float32 or wider.

    Raises:
        TypeError, ValueError: a shape, dtype or state that does not fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.INDRNN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> state = rnn.rtrl_init(rnn.INDRNN, params, rnn.zero_carry(rnn.INDRNN, params))
        >>> state, h = rnn.rtrl_step(rnn.INDRNN, params, state, jnp.ones(3, jnp.float32))
        >>> h.shape, state.influence.w_xh.shape
        ((4,), (1, 3, 4))
    """
    _check_cell("rtrl_step", cell)
    _check_state("rtrl_step", cell, params, state)
    batch = check_inputs("rtrl_step", params, x, time_axes=0)
    check_carry("rtrl_step", cell, params, state.carry, batch, "state.carry")
    with plainly("rtrl_step"):
        state, h = _step(cell, params, state, x)
    return state, h


@jax.jit
def _step(cell: Cell, params: Any, state: RTRLState, x: Array) -> tuple[RTRLState, Array]:
    layout = _layout(cell, params, state)
    at = run_moment(cell, params, Fixed(), state.carry, Timed(x))
    carry = at.step.after
    before = Derivative(None, None, state.influence)
    influence = carried_on(cell, derivative(cell, params, at, layout), before, layout)
    return RTRLState(carry, influence.params), carry.h


def rtrl_gradient(cell: Cell, state: RTRLState, d_h: Array) -> Any:
    """The gradient of a loss on the last h with respect to the parameters, Σ ∂L/∂h · ∂h/∂θ.

    Args:
        cell: a cell.
        state: of the last step.
        d_h: ∂L/∂h [*B, H].

    Returns:
        Params in the dtype of the carry, summed over the batch. The gradient of a sum of losses
        over time is the sum of the gradients at their steps.

    Raises:
        TypeError, ValueError: a shape, dtype or state that does not fit.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> state = rnn.rtrl_init(rnn.ELMAN, params, rnn.zero_carry(rnn.ELMAN, params))
        >>> state, h = rnn.rtrl_step(rnn.ELMAN, params, state, jnp.ones(3, jnp.float32))
        >>> rtrl = rnn.rtrl_gradient(rnn.ELMAN, state, 2 * h)  # of the loss Σ h²
        >>> rtrl.b_h.shape
        (4,)
    """
    _check_cell("rtrl_gradient", cell)
    if not _is_state_of(cell, state):
        raise _no_state("rtrl_gradient", cell, state)
    h = state.carry.h
    if not hasattr(d_h, "shape") or d_h.shape != h.shape or d_h.dtype != h.dtype:
        expected = f"{h.dtype}{list(h.shape)}, as state.carry.h"
        raise ValueError(sentence("rtrl_gradient", "d_h", expected, d_h))
    return _gradient(cell, state, d_h)


@jax.jit
def _gradient(cell: Cell, state: RTRLState, d_h: Array) -> Any:
    params = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape[d_h.ndim :], p.dtype), state.influence
    )
    layout, wide = _layout(cell, params, state), working_dtype(params)
    d = jax.tree.map(lambda c: jnp.zeros(c.shape, wide), state.carry)._replace(h=d_h.astype(wide))
    gradient = gathered(cell, d, Derivative(None, None, state.influence), layout)
    return jax.tree.map(lambda g: g.astype(d_h.dtype), gradient.params)


def _layout(cell: Cell, params: Any, state: RTRLState) -> Layout:
    """What the influence's rows are; where there is one of each kind, H = 1, they are the same."""
    rows = state.influence.w_xh.shape[state.carry.h.ndim - 1]
    own = is_elementwise(cell) or rows != rows_of(cell, params, Whole)
    return OwnParts if own else Whole


def _check_cell(function: str, cell: Any) -> None:
    check_network(function, cell)
    if not isinstance(cell, Cell):
        expected = "one cell: below another its inputs' gradient would reach back through all time"
        raise TypeError(sentence(function, "cell", expected, cell, "jaxrnn.unroll takes networks"))
    check_backward(function, cell)
    check_elementwise(function, cell)


def _check_state(function: str, cell: Cell, params: Any, state: Any) -> None:
    if not _is_state_of(cell, state):
        raise _no_state(function, cell, state)
    check_params(function, cell, params)
    batch = state.carry.h.shape[:-1]
    rows = rows_of(cell, params, _layout(cell, params, state))
    for field, p, w in zip(cell.Params._fields, state.influence, params, strict=True):
        if p.shape != (*batch, rows, *w.shape):
            expected = f"{[*batch, rows, *w.shape]}, as carry and params have it"
            raise ValueError(sentence(function, f"state.influence.{field}", expected, p))


def _is_state_of(cell: Cell, state: Any) -> bool:
    return (
        isinstance(state, RTRLState)
        and isinstance(state.carry, cell.Carry)
        and isinstance(state.influence, cell.Params)
    )


def _no_state(function: str, cell: Cell, state: Any) -> TypeError:
    got = type(state).__name__
    if isinstance(state, RTRLState):
        got = "that of another cell"
    hint = "jaxrnn.rtrl_init(cell, params, carry) makes the first"
    return TypeError(sentence(function, "state", f"the RTRLState of {cell!r}", got, hint))
