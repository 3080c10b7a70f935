"""A cell or a network over a sequence in parallel over time: `solve_parallel`, `unroll_parallel`.

They check and lead the sequence through the network, layer after layer; Newton's method is in
`recurrence.newton`.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.networks.thread import map_cells
from jaxrnn.networks.values import Network, check_network
from jaxrnn.networks.ways import Way, check_backward, run
from jaxrnn.recurrence.checks import check_size
from jaxrnn.recurrence.jacobians import check_elementwise
from jaxrnn.recurrence.newton import JACOBIANS, Method, Solution, solve_cell


def unroll_parallel(
    cell: Network,
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
    jacobian: str = "full",
    tolerance: float | None = None,
    max_iterations: int | None = None,
    guess: Any = None,
) -> tuple[Any, Array]:
    """Values and gradient as `unroll`, all steps at once: by Newton's method over time.

    Where Newton's method does not converge, the sequence is run step by step: what comes out is
    never an unflagged wrong answer. It is decided for the whole batch: one sequence that does not
    converge, or holds NaN, has all of it run so. `solve_parallel` has the same arguments and says
    how it went. Reverse mode only, as `unroll`.

    Args:
        cell: a cell, `Stack` or `Bidirectional`.
        params: its parameters; of a network a tree of its structure, and so for `carry`,
            `reset_carry`, `masks` and `guess`.
        carry: the carry before the first step, every field [*B, H].
        xs: [T, *B, I], or token ids [T, *B].
        lengths: as `unroll` has them, and so all down to `dropout_key`.
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.
        dropout_key: for the dropout between a stack's layers.
        jacobian: "full" (Newton, DEER), whose iterations take memory T·B·n² and arithmetic T·B·n³
            for n numbers in the carry; or "diagonal" (quasi-DEER), of each unit only what it does
            to itself, of an LSTM's unit 2×2 numbers: T·B·n, for more iterations. Its last one,
            which decides whether it is a solution, is Newton's, and so is the gradient. Of an
            elementwise cell (`INDRNN`) both are the same and exact.
        tolerance: of a solution, for the last step and what it leaves, relative to 1 + |state|;
            None: ε^(2/3) for the rounding ε of the params' dtype, 4e-11 in float64, 2e-5 in
            float32. Where the net forgets the error is far smaller, as each step squares it; where
            it is close to chaos, rounding itself grows to that, here and in `unroll`.
        max_iterations: at least 1; None: T / log₂ T, beyond which the steps one by one are fewer
            than the rounds of the scans, but at least 16.
        guess: the carry after each step, fields [T, *B, H], to start from, such as
            `solution.carries` of the parameters before an update; of a `Stack` a tuple of them, a
            layer each. None: what a few steps make of zeros.

    Returns:
        (carry after the last step, hs [T, *B, H]).

    Raises:
        TypeError, ValueError: whatever `unroll` raises; a cell without `backward`; a `jacobian`
            that does not exist; a tolerance below what the dtype can reach, 8 ε.

    Sources: Lim, Zhu, Selfridge and Kasim 2024 (DEER); Gonzalez, Warrington, Smith and Linderman
    2024 (quasi-DEER, ELK).

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry, xs = rnn.zero_carry(rnn.GRU, params), jnp.ones((100, 3), jnp.float32)
        >>> last, hs = rnn.unroll_parallel(rnn.GRU, params, carry, xs)
        >>> bool(jnp.allclose(hs, rnn.unroll(rnn.GRU, params, carry, xs)[1], atol=1e-6))
        True
    """
    last, hs, _ = _solve(
        "unroll_parallel", cell, params, carry, xs, lengths=lengths, resets=resets,
        reset_carry=reset_carry, reverse=reverse, masks=masks, dropout_key=dropout_key,
        jacobian=jacobian, tolerance=tolerance, max_iterations=max_iterations, guess=guess,
    )  # fmt: skip
    return last, hs


def solve_parallel(
    cell: Network,
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
    jacobian: str = "full",
    tolerance: float | None = None,
    max_iterations: int | None = None,
    guess: Any = None,
) -> tuple[Any, Array, Any]:
    """`unroll_parallel`, and how it went.

    Args:
        cell: as `unroll_parallel` has it, and so all that follow.
        params: its parameters.
        carry: the carry before the first step.
        xs: [T, *B, I], or token ids [T, *B].
        lengths: integers [*B].
        resets: bool [T, *B].
        reset_carry: a carry, or None for zeros.
        reverse: whether time runs backwards.
        masks: of `draw_masks`.
        dropout_key: for the dropout between a stack's layers.
        jacobian: "full" or "diagonal".
        tolerance: of a solution.
        max_iterations: at least 1.
        guess: the carry after each step.

    Returns:
        (carry after the last step, hs [T, *B, H], `Solution(converged, iterations, residual,
        last_step, carries)`); of a network a tree of solutions in its structure.

    Raises:
        TypeError, ValueError: whatever `unroll_parallel` raises.

    Sources: as `unroll_parallel`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry, xs = rnn.zero_carry(rnn.LSTM, params), jnp.ones((100, 3), jnp.float32)
        >>> last, hs, solution = rnn.solve_parallel(rnn.LSTM, params, carry, xs)
        >>> bool(solution.converged), int(solution.iterations) < 10
        (True, True)
        >>> again = rnn.solve_parallel(rnn.LSTM, params, carry, xs, guess=solution.carries)[2]
        >>> int(again.iterations)
        1
    """
    return _solve(
        "solve_parallel", cell, params, carry, xs, lengths=lengths, resets=resets,
        reset_carry=reset_carry, reverse=reverse, masks=masks, dropout_key=dropout_key,
        jacobian=jacobian, tolerance=tolerance, max_iterations=max_iterations, guess=guess,
    )  # fmt: skip


def _solve(
    name: str,
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    jacobian: str,
    tolerance: float | None,
    max_iterations: int | None,
    **sequence: Any,
) -> tuple[Any, Array, Any]:
    def check(_: int, part: Cell) -> None:
        check_elementwise(name, part)

    check_network(name, cell)
    check_backward(name, cell)
    map_cells(name, cell, check, {})
    if jacobian not in JACOBIANS:
        expected = f"one of {', '.join(map(repr, JACOBIANS))}"
        raise ValueError(sentence(name, "jacobian", expected, repr(jacobian)))
    if max_iterations is None:
        length = xs.shape[0] if hasattr(xs, "shape") and xs.shape else 1
        max_iterations = max(16, math.ceil(length / math.log2(max(length, 2))))
    check_size(name, "max_iterations", max_iterations)
    most = min(int(max_iterations), np.iinfo(np.int32).max)
    method = Method(jacobian, _tolerance(name, params, tolerance), most)
    way = Way(name, solve_cell, (("method", method),), bring_back=_bring_back)
    results, hs = run(way, cell, params, carry, xs, **sequence)

    def part(number: int) -> Any:
        def of(_: int, __: Cell, result: Any) -> Any:
            return result[number]

        return map_cells(name, cell, of, {"result": results})

    return part(0), hs, part(1)


def _tolerance(name: str, params: Any, tolerance: Any) -> float:
    dtypes = [w.dtype for w in jax.tree.leaves(params) if hasattr(w, "dtype")]
    floats = [jnp.finfo(dtype) for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    coarsest = max(floats, key=lambda info: float(info.eps), default=jnp.finfo(jnp.float32))
    rounding = float(coarsest.eps)
    if tolerance is None:
        return math.pow(rounding, 2 / 3)
    least = 8 * rounding
    number = isinstance(tolerance, numbers.Real) and not isinstance(tolerance, bool)
    if not number or not least <= tolerance < math.inf:
        expected = f"a finite number of at least {least:.1e}, which {coarsest.dtype} can reach"
        raise ValueError(sentence(name, "tolerance", expected, repr(tolerance)))
    return float(tolerance)


def _bring_back(back: Callable[[Array], Array], result: tuple[Any, Solution]) -> Any:
    last, solution = result
    return last, solution._replace(carries=jax.tree.map(back, solution.carries))
