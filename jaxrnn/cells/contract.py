"""Whether a cell's functions take and give what `Cell` says; run on shapes alone.

Sizes that differ (B = 2, I = 3, H = 4, P = 5, K = 6) tell the axes apart.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells.cell import Array, Cell, Product
from jaxrnn.errors import describe, sentence
from jaxrnn.precision import widen

SIZES = {"I": 3, "H": 4, "P": 5}
BATCH, STEPS = 2, 6


class OutOfReach:
    """Stands in a cell's params where a matrix is: whatever is done with it is a sentence."""

    # NumPy and JAX arrays then leave the operation to the methods below.
    __array_ufunc__ = None

    def __init__(self, cell: str, name: str) -> None:
        self.__dict__.update(cell=cell, name=name)

    def __repr__(self) -> str:
        return f"OutOfReach(name={self.__dict__['name']!r})"

    def _refuse(self, *_: object) -> NoReturn:
        where = f"{self.__dict__['cell']}: params.{self.__dict__['name']}"
        raise TypeError(f"{where}: is not for a cell's functions to read. Hint: {self.hint}")

    @property
    def hint(self) -> str:
        """What to do instead."""
        name = self.__dict__["name"]
        if name in ("w_xh", "b_h"):
            return "`a` is x w_xh + b_h already"
        return f'product("{name}", q), which knows the dtype and the mask of dropout'

    def __getattr__(self, _: str) -> NoReturn:
        self._refuse()

    __matmul__ = __rmatmul__ = __mul__ = __rmul__ = __add__ = __radd__ = _refuse
    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __neg__ = __getitem__ = __iter__ = _refuse


def vectors(cell: Cell, params: Any, like: Array) -> Any:
    """What a cell may read of its parameters: the vectors, in the dtype and rank of `like`."""
    return cell.Params(
        *(
            OutOfReach(cell.name, name) if w.ndim == 2 or name == "b_h" else widen(w, like)
            for name, w in zip(cell.Params._fields, params, strict=True)
        )
    )


def check_contract(function: str, cell: Cell) -> None:
    """Runs forward, backward and pairs on shapes and says what does not fit.

    Args:
        function: for the sentence.
        cell: the cell; without `backward` only `forward` is looked at.

    Raises:
        TypeError, ValueError: which of the cell's functions returned what instead of what.
    """
    params, carry = cell.params_of(SIZES), cell.carry_of(SIZES)
    rows = {"K": (STEPS, BATCH), "": (BATCH,)}

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def state(lead: str) -> Any:
        return cell.Carry(*(array(*rows[lead], width) for width in carry))

    def widths(lead: str, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: array(*rows[lead], *leaf.shape[1:]), tree)

    columns = params.w_xh[1]
    # By `device_put`, for which nothing compiles.
    ones = cell.Params(*(jax.device_put(np.ones(shape, np.float32)) for shape in params))
    view = vectors(cell, ones, jax.device_put(np.ones((BATCH, 1), np.float32)))

    def run(part: str, call: Callable[..., Any], *arguments: Any) -> Any:
        # The functions are called, not handed over: what they return may be no array at all.
        returned: list[Any] = []

        def kept(*arguments: Any) -> Any:
            returned.append(call(*arguments))
            return jax.tree.map(jnp.asarray, _arrays(returned[-1]))

        try:
            jax.eval_shape(kept, *arguments)
        except TypeError as error:
            if "OutOfReach" not in str(error) and "is not for a cell's" not in str(error):
                raise
            found = re.search(r"params\.(\w+)|name='(\w+)'", str(error))
            name = next(filter(None, found.groups())) if found else "…"
            expected = "vectors alone to be read of params"
            got = f"params.{name}"
            hint = OutOfReach(cell.name, name).hint
            raise TypeError(
                sentence(function, f"{cell.name}: {part}", expected, got, hint)
            ) from error
        return jax.tree.map(_shape_of, returned[-1], is_leaf=lambda x: x is None)

    def same(part: str, what: str, got: Any, expected: Any) -> None:
        if describe(got) != describe(expected):
            where = f"{cell.name}: {part}"
            raise _error(function, f"{where} returned {what}", describe(expected), got)

    def same_carry(part: str, what: str, got: Any) -> None:
        if not isinstance(got, cell.Carry):
            expected = f"its Carry({', '.join(cell.Carry._fields)})"
            raise _error(function, f"{cell.name}: {part} returned {what}", expected, got, TypeError)
        for name, value, width in zip(cell.Carry._fields, got, carry, strict=True):
            same(part, f"{what}.{name}", value, array(BATCH, width))

    product = _checked_product(function, cell, "product", (0, 1))
    forward = run(
        "forward",
        lambda carry, a: cell.forward(product, view, carry, a),
        state(""),
        array(BATCH, columns),
    )
    if not isinstance(forward, tuple) or len(forward) != 3:
        where = f"{cell.name}: forward returned"
        raise _error(function, where, "(carry, saved, pre)", _kind(forward), TypeError)
    new, saved, pre = forward
    same_carry("forward", "carry", new)
    gates = len(cell.gates)
    wide = array(BATCH, gates * SIZES["H"])
    same("forward", f"pre, a block [*B, H] for each of the {gates} gates", pre, wide)
    if cell.backward is None or cell.pairs is None:
        return

    backward_step, pairs_of = cell.backward, cell.pairs
    transposed = _checked_product(function, cell, "product_T", (1, 0))
    backward = run(
        "backward",
        lambda *now: backward_step(transposed, view, *now),
        state(""),
        saved,
        state(""),
        state(""),
    )
    if not isinstance(backward, tuple) or len(backward) != 2:
        where = f"{cell.name}: backward returned"
        raise _error(function, where, "(d_carry, left)", _kind(backward), TypeError)
    d_carry, left = backward
    same_carry("backward", "d_carry", d_carry)

    pairs = run("pairs", pairs_of, state("K"), widths("K", saved), widths("K", left))
    if not (isinstance(pairs, tuple) and len(pairs) == 2 and isinstance(pairs[1], dict)):
        where = f"{cell.name}: pairs returned"
        expected = "(d_a, {field: (operand, cotangent)})"
        raise _error(function, where, expected, _kind(pairs), TypeError)
    d_a, declared = pairs
    same("pairs", "d_a", d_a, array(STEPS, BATCH, columns))
    wanted = {*cell.Params._fields} - {"w_xh", "b_h"}
    if missing := wanted - {*declared}:
        where = f"{cell.name}: pairs returned"
        expected = f"a gradient for each of {', '.join(sorted(wanted))}"
        raise _error(function, where, expected, f"none for {', '.join(sorted(missing))}")
    if extra := {*declared} - wanted:
        where = f"{cell.name}: pairs returned"
        expected = f"gradients for {', '.join(sorted(wanted)) or 'nothing'} only"
        raise _error(function, where, expected, f"also {', '.join(sorted(extra))}")
    for name, pair in declared.items():
        shape = getattr(params, name)
        what = f"the pair of {name}, (operand, cotangent)"
        if not isinstance(pair, tuple) or len(pair) != 2:
            where = f"{cell.name}: pairs returned {what}"
            raise _error(function, where, "two arrays", _kind(pair), TypeError)
        operand, cotangent = pair
        same("pairs", f"the cotangent of {name}", cotangent, array(STEPS, BATCH, shape[-1]))
        if operand is not None:
            same("pairs", f"the operand of {name}", operand, array(STEPS, BATCH, shape[0]))
        elif len(shape) == 2:
            where = f"{cell.name}: pairs returned the operand of {name}"
            raise _error(function, where, f"{shape[0]} columns, as of a matrix", "None")
    check_unitwise(function, cell)


def check_unitwise(function: str, cell: Cell) -> None:
    """Raises ValueError where a cell is said to be unitwise and a unit of it sees another.

    Forward is run with products of 0 and one unit's numbers NaN, which must not reach the others.
    """
    if cell.unitwise and not _is_unitwise(cell):
        expected = "a forward whose units are apart but for the products"
        hint = "unitwise=False in its Cell, as of a layer norm"
        got = "unitwise=True and units that see each other"
        raise ValueError(sentence(function, f"{cell.name}: forward", expected, got, hint))


@functools.lru_cache(maxsize=128)
def _is_unitwise(cell: Cell) -> bool:
    sizes = {**SIZES, "P": SIZES["H"]}
    params, widths, units = cell.params_of(sizes), cell.carry_of(sizes), sizes["H"]
    ones = cell.Params(*(np.ones(shape, np.float32) for shape in params))
    view = vectors(cell, ones, jnp.zeros((units, 1), jnp.float32))

    def product(name: str, q: Array) -> Array:
        shape = getattr(params, name)
        zero = jnp.zeros((*q.shape[:-1], shape[-1]), q.dtype)
        return zero if len(shape) == 2 else q * getattr(view, name)

    @jax.jit
    def run(carry: list[Array], a: Array) -> list[Array]:
        new, _, _ = cell.forward(product, view, cell.Carry(*carry), a)
        return list(new)

    def one_is_nan(width: int) -> np.ndarray:
        """Row u: NaN at every place of unit u."""
        places = np.tile(np.eye(units, dtype=bool), width // units)
        return np.where(places, np.float32(np.nan), np.float32(0.5))

    with jax.ensure_compile_time_eval():
        made = run([one_is_nan(width) for width in widths], one_is_nan(params.w_xh[1]))
        return not any(
            np.isnan(np.asarray(field)[~np.isnan(one_is_nan(field.shape[-1]))]).any()
            for field in made
        )


def _checked_product(function: str, cell: Cell, kind: str, sides: tuple[int, int]) -> Product:
    """A product on shapes, with a sentence for a name or a width that does not fit."""
    params = cell.params_of(SIZES)

    def make(name: str, q: Array) -> Array:
        where = f"{cell.name}: {kind}({name!r}, …)"
        names = [field for field in cell.Params._fields if field not in ("w_xh", "b_h")]
        if name not in names:
            raise _error(function, where, f"one of {', '.join(names) or 'no names'}", repr(name))
        shape = getattr(params, name)
        taken, given = (shape[0], shape[-1]) if len(shape) == 1 else (shape[s] for s in sides)
        if q.shape[-1] != taken:
            text = getattr(cell.param_shapes, name)
            expected = f"{taken} columns, as {name} is [{', '.join(text.split())}]"
            raise _error(function, where, expected, q)
        return jnp.zeros((*q.shape[:-1], given), q.dtype)

    return make


def _arrays(tree: Any) -> Any:
    """Its leaves that can be arrays; what cannot is said by the checks."""
    return [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape")]


def _shape_of(leaf: Any) -> Any:
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return leaf


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return describe(value) if hasattr(value, "shape") else type(value).__name__


def _error(
    function: str, where: str, expected: str, got: Any, kind: type[Exception] = ValueError
) -> Exception:
    text = got if isinstance(got, str) else describe(got) if hasattr(got, "shape") else _kind(got)
    hint = "sizes here: " + ", ".join(
        f"{letter} = {size}" for letter, size in {"B": BATCH, "K": STEPS, **SIZES}.items()
    )
    return kind(sentence(function, where, expected, text, hint))
