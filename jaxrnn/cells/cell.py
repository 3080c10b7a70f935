"""What a recurrent cell is: three functions, and the sizes of what they work on.

Letters of sizes: I inputs, H hidden units, P outputs after a projection. Array shapes: T time
steps, K some of them, B batch (any number of axes, also none), G gates.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import jax

from jaxrnn.errors import sentence

Array = jax.Array
Sizes = dict[str, int]
LETTERS = ("I", "H", "P")

Pairs = dict[str, tuple[Array | None, Array]]
"""Of each parameter, operand and cotangent of its gradient, [K, *B, ·]."""


class Product(Protocol):
    """A product by the field's name: `product("w_hh", h)` is h w_hh, its transpose d w_hhᵀ."""

    def __call__(self, name: str, operand: Array, /) -> Array:
        """[*B, M] to [*B, N]."""


class Forward(Protocol):
    """One step of a cell; see `Cell.forward`."""

    def __call__(
        self, product: Product, params: Any, carry: Any, a: Array, /
    ) -> tuple[Any, Any, Array]:
        """(carry after the step, what is saved for `backward` and `pairs`, pre-activations)."""


class Backward(Protocol):
    """The transpose of that step; see `Cell.backward`."""

    def __call__(
        self, product_T: Product, params: Any, carry: Any, saved: Any, new: Any, d: Any, /
    ) -> tuple[Any, Any]:
        """(gradient of the carry before the step, what is left for `pairs`)."""


class PairsOfStep(Protocol):
    """The gradient as factors; see `Cell.pairs`."""

    def __call__(self, carry: Any, saved: Any, left: Any, /) -> tuple[Array, Pairs]:
        """(gradient of `a`, operand and cotangent of each parameter)."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Cell:
    """A recurrent cell as a value: a record of pure functions at module level.

    Two equal cells are one cell to `jax.jit`: a cell is hashable and registered static, so it is
    passed like any argument and needs no `static_argnames`.

    The recurrent product is handed to the cell: `product("w_hh", h)` is h w_hh, or h ⊙ u where the
    field is a vector. The cell says which product; the driver says how: in which precision, with
    which mask on h, from which memory. The driver also owns the inputs' share of the
    pre-activations, `a = x w_xh + b_h` [*B, G·H] (without b_h where the cell has none), every cast,
    and every sum over time. So a cell's functions are its equations and nothing else, in float32 or
    wider; of `params` they read vectors, [1, …, N], and never a matrix.

    Attributes:
        name: how the command line and saved runs call it.
        gates: the gates' names, in the order of the blocks of `w_xh`.
        nonlinearities: each gate's function of its pre-activation, in the same order.
        param_shapes: a NamedTuple of the parameters' shapes in letters, e.g.
            `Params(w_xh="I 4H", w_hh="H 4H", b_h="4H")`; `w_xh` must be there.
        carry_sizes: a NamedTuple of the carry's sizes, whose first field is `h`, e.g.
            `Carry(h="H", c="H")`.
        forward: `(product, params, carry, a) -> (carry, saved, pre)`, one step. `saved` is any tree
            of arrays [*B, ·] that `backward` and `pairs` need beside the carries, `pre` [*B, G·H]
            what goes into the nonlinearities.
        backward: `(product_T, params, carry, saved, new, d) -> (d_carry, left)`, the transpose of
            that step: from d, the gradient of the carry `new` after it, to that of `carry` before
            it. `product_T("w_hh", d_a)` is d_a w_hhᵀ; `left` is any tree of arrays [*B, ·] that
            `pairs` wants. None for a cell that has only `unroll_autodiff`.
        pairs: `(carry, saved, left) -> (d_a, {field: (operand, cotangent)})`, for K steps at once,
            arrays [K, *B, ·]: the gradient of `a`, and of every parameter but `w_xh` and `b_h` the
            two factors that the driver sums over steps and batch: Σ operandᵀ cotangent for a
            matrix, Σ operand ⊙ cotangent for a vector, Σ cotangent where the operand is None.
        recurrent: the fields that multiply h through `product`; recurrent dropout and weight drop
            act there, and nowhere else.
        unitwise: whether every unit of the step works by itself, but for the products: true where
            the functions do nothing but pointwise arithmetic on the blocks, false with a layer
            norm. It decides what may be reckoned unit by unit (`recurrence.jacobians`).
        init: `(key, params) -> params`, changes the usual draw; None: the usual draw, which is
            w_xh Glorot uniform, every other matrix orthogonal, block by block, a vector 1 where its
            name begins with `gain`, every other vector 0.

    What a cell cannot have: inputs other than through `a`, so that x itself wants a block of w_xh;
    parameters in `pairs`, to which `left` brings what depends on them. `pre` has a block for each
    gate, which may be fewer than the blocks of `a`.
    """

    name: str
    gates: tuple[str, ...]
    nonlinearities: tuple[Callable[[Array], Array], ...]
    param_shapes: Any
    carry_sizes: Any
    forward: Forward
    backward: Backward | None = None
    pairs: PairsOfStep | None = None
    recurrent: tuple[str, ...] = ("w_hh",)
    unitwise: bool = True
    init: Callable[[Array, Any], Any] | None = None

    def __post_init__(self) -> None:
        where = f"Cell({self.name!r})"
        for name in ("param_shapes", "carry_sizes"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not hasattr(value, "_fields"):
                expected = 'a NamedTuple of sizes, such as Params(w_xh="I 4H", …)'
                raise TypeError(sentence(where, name, expected, value))
            for field, text in zip(value._fields, value, strict=True):
                _check_shape(where, f"{name}.{field}", text)
        if "w_xh" not in self.param_shapes._fields:
            raise ValueError(sentence(where, "param_shapes", "a field w_xh", self.param_shapes))
        if self.carry_sizes._fields[:1] != ("h",):
            raise ValueError(sentence(where, "carry_sizes", "h as first field", self.carry_sizes))
        if not isinstance(self.name, str) or not self.name.isidentifier():
            expected = "a name of letters, digits and _, for the command line and saved runs"
            raise ValueError(sentence(where, "name", expected, repr(self.name)))
        for name in ("gates", "nonlinearities", "recurrent"):
            if not isinstance(getattr(self, name), tuple):
                got = repr(getattr(self, name))
                raise TypeError(sentence(where, name, "a tuple", got))
        if len(self.gates) != len(self.nonlinearities) or not self.gates:
            expected = f"one for each of the gates {', '.join(self.gates)}"
            got = f"{len(self.nonlinearities)} functions"
            raise ValueError(sentence(where, "nonlinearities", expected, got))
        h = self.carry_sizes.h
        for name in self.recurrent:
            shape = getattr(self.param_shapes, name, None)
            if shape is None or shape.split()[0] != h:
                expected = f"fields of its Params with {h}, the size of h, in front"
                got = f"{name}, which is " + (f"[{shape}]" if shape else "no field")
                hint = 'recurrent=("w_hh",) unless said; name what multiplies h, or nothing: ()'
                raise ValueError(sentence(where, "recurrent", expected, got, hint))

    def __repr__(self) -> str:
        return f"the cell {self.name!r}"

    @property
    def Params(self) -> Any:
        """The NamedTuple type of the parameters."""
        return type(self.param_shapes)

    @property
    def Carry(self) -> Any:
        """The NamedTuple type of the carry."""
        return type(self.carry_sizes)

    @property
    def has_projection(self) -> bool:
        """Whether a size P is among its shapes, so that `init` takes `proj_size`."""
        return any("P" in text for text in (*self.param_shapes, *self.carry_sizes))

    def params_of(self, sizes: Sizes) -> Any:
        """Its Params with the shape, a tuple of numbers, in each field."""
        return self.Params(*(resolve(text, sizes) for text in self.param_shapes))

    def carry_of(self, sizes: Sizes) -> Any:
        """Its Carry with the number of columns in each field."""
        return self.Carry(*(resolve(text, sizes)[0] for text in self.carry_sizes))

    def sizes_of(self, params: Any) -> Sizes:
        """I, H and P, as most of the parameters' shapes have them.

        Each shape that fits the letters says what they are; the majority decides, so that a single
        wrong array is the one that is found wrong.
        """
        votes: dict[str, Counter[int]] = {}
        for text, value in zip(self.param_shapes, params, strict=True):
            for (factor, letter), size in zip(dimensions(text), value.shape, strict=False):
                if size % factor == 0:
                    votes.setdefault(letter, Counter())[size // factor] += 1
        return {letter: counts.most_common(1)[0][0] for letter, counts in votes.items()}


def dimensions(text: str) -> tuple[tuple[int, str], ...]:
    """A shape in letters, axis by axis.

    >>> dimensions("P 4H")
    ((1, 'P'), (4, 'H'))
    """
    return tuple((int(axis[:-1] or 1), axis[-1]) for axis in text.split())


def resolve(text: str, sizes: Sizes) -> tuple[int, ...]:
    """A shape in numbers.

    >>> resolve("P 4H", {"H": 5, "P": 2})
    (2, 20)
    """
    return tuple(factor * sizes[letter] for factor, letter in dimensions(text))


def _check_shape(where: str, name: str, text: Any) -> None:
    most = 2 if name.startswith("param_shapes") else 1
    axes = text.split() if isinstance(text, str) else []
    good = 1 <= len(axes) <= most and all(
        axis[-1] in LETTERS and (axis[:-1] or "1").isdecimal() for axis in axes
    )
    if not good:
        example = '"I 4H" or "4H"' if most == 2 else '"H"'
        expected = f"{'one or two' if most == 2 else 'one'} of the sizes I, H, P, like {example}"
        raise ValueError(sentence(where, name, expected, repr(text)))
