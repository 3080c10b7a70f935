"""The gradient, three times: by hand, by `jax.grad`, by central differences; in float64."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.recurrence import init, unroll, unroll_autodiff
from jaxrnn.recurrence.checks import check_key

# Central differences err by about h² from the third derivative and by about 1e-16/h from rounding;
# h = 1e-5 balances the two near 1e-10.
DIFFERENCE_STEP = 1e-5
AUTODIFF_TOLERANCE = 1e-10
DIFFERENCE_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class GradientRow:
    """One array's gradient, hand against both oracles.

    Attributes:
        name: the parameter, `xs`, or `carry.h` and the like.
        shape: of the array.
        size: the gradient's largest entry in absolute value.
        autodiff_error: max |hand − jax.grad| / max |jax.grad| over the array.
        difference_error: max |hand − central differences| / max |central differences|.
    """

    name: str
    shape: tuple[int, ...]
    size: float
    autodiff_error: float
    difference_error: float

    @property
    def ok(self) -> bool:
        """Both errors within tolerance."""
        return (
            self.autodiff_error <= AUTODIFF_TOLERANCE
            and self.difference_error <= DIFFERENCE_TOLERANCE
        )


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """What `gradcheck` found, a row an array; prints as a table."""

    cell: Cell
    inputs: str
    rows: tuple[GradientRow, ...]

    @property
    def ok(self) -> bool:
        """Whether every row is."""
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        lines = [
            f"{self.cell.name}, {self.inputs}",
            f"  {'gradient of':<12}{'shape':<14}{'largest':>10}"
            f"{'vs jax.grad':>14}{'vs differences':>16}",
        ]
        lines += [
            f"  {row.name:<12}{'×'.join(map(str, row.shape)):<14}{row.size:>10.2e}"
            f"{row.autodiff_error:>14.1e}{row.difference_error:>16.1e}"
            f"  {'ok' if row.ok else 'WRONG'}"
            for row in self.rows
        ]
        return "\n".join(lines)


def gradcheck(
    cell: Cell,
    key: Array,
    *,
    input_size: int = 3,
    hidden_size: int = 4,
    batch_size: int = 2,
    length: int = 7,
    token_inputs: bool = False,
    chunk_length: int = 3,
    unroll: Callable[..., tuple[Any, Array]] = unroll,
) -> GradientReport:
    """Checks the hand-derived BPTT of a cell against `jax.grad` and central differences.

    The loss is a random weighted sum of all hs and of the last carry; every parameter is random
    and none is zero. All of it in float64, whatever `jax_enable_x64` says.

    Args:
        cell: one of `CELLS`, or one's own with a `backward`.
        key: a `jax.random.key`; consumed.
        input_size: I, at least 1.
        hidden_size: H, at least 1.
        batch_size: B, at least 1.
        length: T, at least 1.
        token_inputs: random token ids [T, B] instead of numbers [T, B, I].
        chunk_length: handed to `unroll`; the default leaves a rest, so that its seam is checked.
        unroll: the function under test; it is called with `chunk_length`, as `unroll` is.

    Returns:
        A GradientReport: a row for every parameter, every field of the first carry and, unless
        they are token ids, the inputs. `report.ok` wants 1e-10 against `jax.grad` and 1e-6 against
        differences, each relative to the array's largest entry.

    Raises:
        TypeError, ValueError: as `init` and `unroll` do; a size below 1.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> report = rnn.gradcheck(rnn.GRU, jax.random.key(0), length=5)
        >>> report.ok, [row.name for row in report.rows]
        (True, ['w_xh', 'w_hh', 'b_h', 'b_hn', 'carry.h', 'xs'])
    """
    check_key("gradcheck", key)
    for name, size in (("batch_size", batch_size), ("length", length)):
        if size < 1:
            raise ValueError(sentence("gradcheck", name, "at least 1", size))
    with jax.enable_x64(True):
        # NumPy draws, so that nothing is compiled but the gradients.
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())

        def draw(shape: tuple[int, ...], scale: float = 1.0) -> Array:
            return jnp.asarray(scale * random.normal(size=shape), jnp.float64)

        params = jax.eval_shape(lambda key: init(cell, key, input_size, hidden_size), key)
        state = (batch_size, hidden_size)
        arrays = {name: draw(w.shape, 0.5) for name, w in params._asdict().items()}
        arrays |= {f"carry.{name}": draw(state, 0.5) for name in cell.Carry._fields}
        hs_weight = draw((length, *state))
        carry_weight = cell.Carry(*(draw(state) for _ in cell.Carry._fields))
        if token_inputs:
            tokens = jnp.asarray(random.integers(0, input_size, (length, batch_size)), jnp.int32)
        else:
            arrays["xs"] = draw((length, batch_size, input_size))

        def loss(run: Callable[..., tuple[Any, Array]], arrays: dict[str, Array]) -> Array:
            last, hs = run(
                cell,
                cell.Params(*(arrays[name] for name in cell.Params._fields)),
                cell.Carry(*(arrays[f"carry.{name}"] for name in cell.Carry._fields)),
                tokens if token_inputs else arrays["xs"],
            )
            weighted = jax.tree.map(
                lambda a, b: jnp.sum(a * b), (hs, last), (hs_weight, carry_weight)
            )
            return sum(jax.tree.leaves(weighted), jnp.zeros((), jnp.float64))

        def hand(*args: Any) -> tuple[Any, Array]:
            return unroll(*args, chunk_length=chunk_length)

        @jax.jit
        def three_gradients(arrays: dict[str, Array]) -> tuple[dict[str, Array], ...]:
            by_autodiff = functools.partial(loss, unroll_autodiff)
            return (
                jax.grad(functools.partial(loss, hand))(arrays),
                jax.grad(by_autodiff)(arrays),
                central_differences(by_autodiff, arrays),
            )

        by_hand, by_autodiff, by_difference = three_gradients(arrays)
        rows = tuple(
            GradientRow(
                name,
                arrays[name].shape,
                float(np.max(np.abs(np.asarray(by_hand[name])))),
                _relative_error(by_hand[name], by_autodiff[name]),
                _relative_error(by_hand[name], by_difference[name]),
            )
            for name in arrays
        )
    inputs = "token ids" if token_inputs else "inputs of numbers"
    return GradientReport(
        cell, f"{inputs}, T={length} B={batch_size} I={input_size} H={hidden_size}", rows
    )


def central_differences(
    loss: Callable[[dict[str, Array]], Array], arrays: dict[str, Array]
) -> dict[str, Array]:
    """(L(x + h) − L(x − h)) / 2h for every entry x of every array [...], in float64."""

    def slopes(name: str) -> Array:
        x = arrays[name]

        def slope(index: Array) -> Array:
            def at(shift: float) -> Array:
                moved = x.ravel().at[index].add(shift).reshape(x.shape)
                return loss({**arrays, name: moved})

            return (at(DIFFERENCE_STEP) - at(-DIFFERENCE_STEP)) / (2 * DIFFERENCE_STEP)

        return jax.lax.map(slope, jnp.arange(x.size), batch_size=64).reshape(x.shape)

    return {name: slopes(name) for name in arrays}


def _relative_error(a: Array, b: Array) -> float:
    """max |a − b| / max |b|; 0 where both are zero throughout, as of a relu that is off."""
    difference = float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
    return difference and difference / max(float(np.max(np.abs(np.asarray(b)))), 1e-300)
