"""The gradient, three times: by hand, by `jax.grad`, by central differences; in float64."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxrnn.cells import Cell, check_contract
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.networks import (
    Network,
    Unroll,
    check_network,
    draw_masks,
    init,
    map_cells,
    unroll_autodiff,
    zero_carry,
)
from jaxrnn.networks import unroll as backpropagation
from jaxrnn.recurrence.checks import check_key, check_size

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
    """What `gradcheck` found, a row per array; prints as a table."""

    network: Network
    setting: str
    rows: tuple[GradientRow, ...]

    @property
    def ok(self) -> bool:
        """Whether every row is."""
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        name = self.network.name if isinstance(self.network, Cell) else repr(self.network)
        width = max([12, *(len(row.name) + 2 for row in self.rows)])
        lines = [
            f"{name}, {self.setting}",
            f"  {'gradient of':<{width}}{'shape':<14}{'largest':>10}"
            f"{'vs jax.grad':>14}{'vs differences':>16}",
        ]
        lines += [
            f"  {row.name:<{width}}{'×'.join(map(str, row.shape)):<14}{row.size:>10.2e}"
            f"{row.autodiff_error:>14.1e}{row.difference_error:>16.1e}"
            f"  {'ok' if row.ok else 'WRONG'}"
            for row in self.rows
        ]
        return "\n".join(lines)


SEQUENCE_OPTIONS = ("lengths", "resets", "reverse", "masks")


def gradcheck(
    cell: Network,
    key: Array,
    *,
    input_size: int = 3,
    hidden_size: int | Sequence[Any] = 4,
    batch_size: int = 2,
    length: int = 7,
    token_inputs: bool = False,
    options: Sequence[str] = (),
    chunk_length: int = 3,
    recompute: bool = False,
    unroll: Unroll | None = None,
) -> GradientReport:
    """Checks the hand-derived gradient of a cell or a network against `jax.grad` and differences.

    It is computed on the CPU, wherever it is called and whatever device `key` is on: a TPU has no
    float64 of its own.

    Of every cell it first looks whether its functions take and give what `Cell` says. The loss is a
    random weighted sum of all hs and of the last carry; every parameter is random and none is zero.
    All of it in float64, whatever `jax_enable_x64` says.

    Args:
        cell: one of `CELLS`, a custom one with a `backward`, or a network.
        key: a `jax.random.key`; consumed.
        input_size: I, at least 1.
        hidden_size: H, at least 1; for a `Stack` also one per layer.
        batch_size: B, at least 1.
        length: T, at least 1.
        token_inputs: random token ids [T, B] instead of dense inputs [T, B, I].
        options: which of `lengths`, `resets` (with a `reset_carry`), `reverse` and `masks` (of
            recurrent dropout and zoneout) are drawn and handed to `unroll`.
        chunk_length: of `jaxrnn.unroll`; the default leaves a rest, so that its seam is checked.
        recompute: of `jaxrnn.unroll`.
        unroll: another function under test, such as `jaxrnn.unroll_parallel`, or, with
            `token_inputs`, `jaxrnn.unroll_rtrl`, which has no gradient for dense ones; None:
            `jaxrnn.unroll`.

    Returns:
        A GradientReport: a row for every parameter, every field of the first carry and of
        `reset_carry`, and the inputs unless they are token ids. `report.ok` wants 1e-10 against
        `jax.grad` and 1e-6 against differences, each relative to the array's largest entry.

    Raises:
        TypeError, ValueError: a cell whose functions break the contract: which returned what
            instead of what; whatever `init` and `unroll` raise; a size below 1; an unknown option;
            a JAX that was told to leave the CPU out.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> report = rnn.gradcheck(rnn.GRU, jax.random.key(0), length=5)
        >>> report.ok, [row.name for row in report.rows]
        (True, ['w_xh', 'w_hh', 'b_h', 'b_hn', 'carry.h', 'xs'])
    """
    check_network("gradcheck", cell)
    check_key("gradcheck", key)
    for name, size in (("batch_size", batch_size), ("length", length)):
        check_size("gradcheck", name, size)
    for option in [options] if isinstance(options, str) else options:
        if option not in SEQUENCE_OPTIONS:
            expected = f"a sequence of some of {', '.join(SEQUENCE_OPTIONS)}"
            raise ValueError(sentence("gradcheck", "options", expected, repr(option)))
    options = (options,) if isinstance(options, str) else tuple(options)
    shapes = jax.eval_shape(lambda key: init(cell, key, input_size, hidden_size), key)

    def check(_: int, part: Cell) -> None:
        check_contract("gradcheck", part)

    map_cells("gradcheck", cell, check, {})
    cpu = _cpu()
    key = jax.device_put(key, cpu)
    with jax.default_device(cpu), jax.enable_x64(True):
        # NumPy draws and `device_put` brings it in: `jnp.asarray` compiles a program a shape.
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())

        def draw(like: Any, scale: float = 1.0) -> Any:
            return jax.tree.map(lambda x: jax.device_put(scale * random.normal(size=x.shape)), like)

        carry = jax.eval_shape(lambda params: zero_carry(cell, params, (batch_size,)), shapes)
        arrays = {"params": draw(shapes, 0.5), "carry": draw(carry, 0.5)}
        given: dict[str, Any] = {}
        if "lengths" in options:
            # One sequence is whole, so that whatever else is drawn has something to act on.
            drawn = random.integers(0, length + 1, batch_size)
            given["lengths"] = jax.device_put(np.where(np.arange(batch_size) == 0, length, drawn))
        if "resets" in options:
            resets = random.random((length, batch_size)) < 0.4
            resets[length // 2, 0] = True
            given["resets"] = jax.device_put(resets)
            arrays["reset_carry"] = draw(carry, 0.5)
        if "reverse" in options:
            given["reverse"] = True
        if "masks" in options:
            shares = {"recurrent_dropout": 0.4, "zoneout": 0.3}
            given["masks"] = draw_masks(
                cell, arrays["params"], jax.random.fold_in(key, 1), length, (batch_size,), **shares
            )
        if token_inputs:
            tokens = jax.device_put(
                random.integers(0, input_size, (length, batch_size)).astype(np.int32)
            )
        else:
            arrays["xs"] = draw(jax.ShapeDtypeStruct((length, batch_size, input_size), float))

        def outputs(run: Unroll, arrays: dict[str, Any]) -> tuple[Any, Array]:
            more = {name: arrays[name] for name in ("reset_carry",) if name in arrays}
            xs = tokens if token_inputs else arrays["xs"]
            return run(cell, arrays["params"], arrays["carry"], xs, **given, **more)

        weights = draw(jax.eval_shape(functools.partial(outputs, unroll_autodiff), arrays))

        def loss(run: Unroll, arrays: dict[str, Any]) -> Array:
            weighted = jax.tree.map(lambda a, b: jnp.sum(a * b), outputs(run, arrays), weights)
            return sum(jax.tree.leaves(weighted), jnp.zeros((), jnp.float64))

        hand = unroll or functools.partial(
            backpropagation, chunk_length=chunk_length, recompute=recompute
        )

        @jax.jit
        def three_gradients(arrays: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            by_autodiff = functools.partial(loss, unroll_autodiff)
            return (
                jax.grad(functools.partial(loss, hand))(arrays),
                jax.grad(by_autodiff)(arrays),
                central_differences(by_autodiff, arrays),
            )

        by_hand, by_autodiff, by_difference = map(_by_name, three_gradients(arrays))
        rows = tuple(
            GradientRow(
                name,
                gradient.shape,
                float(np.max(np.abs(gradient), initial=0.0)),
                _relative_error(gradient, by_autodiff[name]),
                _relative_error(gradient, by_difference[name]),
            )
            for name, gradient in by_hand.items()
        )
    setting = "token ids" if token_inputs else "dense inputs"
    setting += f", T={length} B={batch_size} I={input_size} H={hidden_size}"
    return GradientReport(cell, ", ".join([setting, *options]), rows)


def _cpu() -> jax.Device:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        expected = "cpu among the platforms, where gradients are checked"
        got = f"{jax.default_backend()} alone"
        hint = "such as JAX_PLATFORMS=cuda,cpu"
        raise ValueError(sentence("gradcheck", "JAX_PLATFORMS", expected, got, hint)) from None


def _by_name(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Its arrays by names like "w_xh", "carry.h", or "1.forward.w_hh" of a network."""
    named = {}
    for argument in ("params", "carry", "reset_carry", "xs"):
        if argument in arrays:
            for path, value in jax.tree_util.tree_leaves_with_path(arrays[argument]):
                inside = jax.tree_util.keystr(path, simple=True, separator=".")
                name = inside if argument == "params" else f"{argument}.{inside}".rstrip(".")
                named[name] = np.asarray(value)
    return named


def central_differences(loss: Callable[[Any], Array], arrays: Any) -> Any:
    """(L(x + h) − L(x − h)) / 2h for every entry x of every array [...], in float64.

    Args:
        loss: from a tree of arrays to a number.
        arrays: the tree.

    Returns:
        The slopes, a tree of the same structure.
    """
    # As one vector, so that there is one loop to compile, however many arrays there are.
    flat, unravel = ravel_pytree(arrays)

    def slope(index: Array) -> Array:
        def at(shift: float) -> Array:
            return loss(unravel(flat.at[index].add(shift)))

        return (at(DIFFERENCE_STEP) - at(-DIFFERENCE_STEP)) / (2 * DIFFERENCE_STEP)

    return unravel(jax.lax.map(slope, jnp.arange(flat.size), batch_size=64))


def _relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """max |a − b| / max |b|; 0 where both are zero throughout, as of a relu that is off."""
    difference = float(np.max(np.abs(a - b), initial=0.0))
    return difference and difference / max(float(np.max(np.abs(b), initial=0.0)), 1e-300)
