"""Reading the expressions of a cell's functions: `product("w_hh", carry.h)` is `h[t-1] @ w_hh`.

They are run symbolically. A name stands for an expression over the listing's tensors (`ast.expr`),
for a NamedTuple, dictionary or tuple of such, or for something from outside of the function.
"""

import ast
import dataclasses
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import numpy as np

from jaxrnn.cells import Cell, parts
from jaxrnn.microscope.training_step.functions import in_float64, name_in_a_line
from jaxrnn.microscope.training_step.listings import parameter_of
from jaxrnn.microscope.training_step.sources import HELPER_HINT, Source
from jaxrnn.microscope.training_step.terms import (
    SIZES_OF_AN_ARRAY,
    Computed,
    call_of,
    code_of,
    in_brackets,
    is_matrix,
    is_tensor,
)

_METHODS = ("sum", "mean", "max", "min", "prod", "var", "std", "reshape", "squeeze")


class Record(dict[str, Any]):
    """A NamedTuple or a dictionary: field -> value."""


@dataclasses.dataclass(frozen=True)
class Outside:
    """What a function takes from its module, by the name that it has there."""

    name: str
    value: Any


@dataclasses.dataclass(frozen=True)
class Product:
    """The driver's product with a parameter, or with its transpose."""

    transposed: bool


@dataclasses.dataclass
class Gates:
    """`sigmoid_or_tanh` of all gates, until it is known what they are called."""

    argument: ast.expr
    others: list[ast.expr]
    is_sigmoid: tuple[bool, ...] | None
    name: str = "gates"
    note: str = ""
    tensor: ast.expr | None = None


class Expressions:
    """Reads expressions; `emit`, of the class that derives, writes a line where one is needed.

    Attributes:
        source: the function that is read now.
        local: what its names stand for.
        outer_names: helpers and constants, by the names that they have in the lines.
        taken: names that no new tensor may have.
        computed: what the lines so far have computed.
        operands: parameter -> what the operand of its product is called.
    """

    def __init__(self, cell: Cell, taken: set[str]) -> None:
        self.cell = cell
        self.source: Source
        self.local: dict[str, Any] = {}
        self.outer_names: dict[str, Any] = {}
        self.taken = taken
        self.computed = Computed(cell)
        self.operands: dict[str, str] = {}
        self._of_all_cells = frozenset(taken)
        self._registered: dict[int, tuple[str, Any]] = {}

    def emit(self, name: str, value: ast.expr) -> ast.expr:
        """Writes a line of its own and returns its tensor."""
        raise NotImplementedError

    def free_name(self, name: str) -> str:
        """The name; where all cells have one like it, the name and `_cell`; or a numbered one."""
        name = f"{name}_cell" if name in self._of_all_cells else name
        if parameter_of(name) != name.removeprefix("d_"):  # It reads as an optimizer's memory.
            name = f"d_cell_{name[2:]}" if name.startswith("d_") else f"cell_{name}"
        free, number = name, 2
        while free in self.taken:
            free, number = f"{name}_{number}", number + 1
        self.taken.add(free)
        return free

    def value(self, node: ast.expr) -> Any:
        """What an expression of the cell's stands for."""
        match node:
            case ast.Constant():
                return node
            case ast.Name(id=name):
                if name in self.local:
                    return self.local[name]
                if name not in self.source.outside:
                    self._refuse(node, "names that are defined before they are read")
                return Outside(name, self.source.outside[name])
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self._items(items))
            case ast.Dict(keys=keys, values=values):
                names = [key.value for key in keys if isinstance(key, ast.Constant)]
                if len(names) < len(keys):
                    self._refuse(node, "names in quotes as keys")
                return Record(zip(map(str, names), map(self.value, values), strict=True))
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Call():
                return self._call(node)
            case ast.UnaryOp(op=op, operand=operand):
                return self.computed.seen(ast.UnaryOp(op, self.array(operand)))
            case ast.BinOp():
                return self._binary(node)
            case ast.Compare(ops=[op], left=left, comparators=[right]):
                compared = ast.Compare(self.array(left), [op], [self.array(right)])
                return self.computed.seen(compared)
        self._refuse(node, "arithmetic and calls", HELPER_HINT)

    def array(self, node: ast.expr) -> ast.expr:
        """An expression of the cell's that stands for an array or a number."""
        return self.as_array(self.value(node), node)

    def as_array(self, value: Any, node: ast.expr) -> ast.expr:
        """The same of what `value` has returned for it."""
        match value:
            case ast.expr():
                return value
            case Gates():
                if value.tensor is None:
                    function = parts.sigmoid_or_tanh
                    name = self._register("sigmoid_or_tanh", function, in_float64(function))
                    call = call_of(name, value.argument, *value.others)
                    value.tensor = self.emit(value.name, call)
                return value.tensor
            case Outside(name=name, value=outer):
                return ast.Name(self._register(name, outer, _constant(outer)))
            case tuple():
                return ast.Tuple([self.as_array(item, node) for item in value])
        self._refuse(
            node,
            "arrays and numbers in arithmetic and as arguments",
            "hand on the arrays of a NamedTuple one by one",
        )

    def _refuse(self, node: ast.AST, rule: str, hint: str = "") -> NoReturn:
        self.source.refuse(node, rule, hint)

    def _items(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if not isinstance(node, ast.Starred):
                yield self.value(node)
                continue
            several = self.value(node.value)
            if not isinstance(several, tuple | Record):
                self._refuse(node, "a tuple behind a star")
            yield from several.values() if isinstance(several, Record) else several

    def _attribute(self, node: ast.Attribute) -> Any:
        match self.value(node.value):
            case Record() as record:
                if node.attr not in record:
                    self._refuse(node, f"one of the fields {', '.join(record) or '(none)'}")
                return record[node.attr]
            case Outside(value=outer) if hasattr(outer, node.attr):
                return Outside(node.attr, getattr(outer, node.attr))
            case ast.expr() as array if node.attr in ("T", "mT", *SIZES_OF_AN_ARRAY):
                return ast.Attribute(array, node.attr)
        self._refuse(node, "fields, shapes and transposes behind a dot", HELPER_HINT)

    def _subscript(self, node: ast.Subscript) -> Any:
        whole: Any = self.value(node.value)
        if not isinstance(whole, tuple | Record | Outside):
            array = self.as_array(whole, node)
            return self.computed.seen(ast.Subscript(array, self._index(node.slice)))
        try:
            place = ast.literal_eval(node.slice)
            if isinstance(whole, Outside):
                return Outside(whole.name, whole.value[place])
            if isinstance(whole, Record) and isinstance(place, int):
                return list(whole.values())[place]
            return whole[place]
        except (ValueError, LookupError, TypeError):
            self._refuse(node, "in brackets a number, or a name in quotes, that is there")

    def _index(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=step):
                return ast.Slice(*(each and self.array(each) for each in (lower, upper, step)))
            case ast.Tuple(elts=items):
                return ast.Tuple([self._index(item) for item in items])
        return self.array(node)

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.array(node.left), self.array(node.right)
        if isinstance(node.op, ast.MatMult):
            left = in_brackets(left)
        same = is_tensor(left) and code_of(left) == code_of(right)
        if isinstance(node.op, ast.Mult) and same:
            return self.computed.seen(ast.BinOp(left, ast.Pow(), ast.Constant(2)))
        return self.computed.seen(ast.BinOp(left, node.op, right))

    def _call(self, node: ast.Call) -> Any:
        arguments = list(self._items(node.args))
        if not all(keyword.arg for keyword in node.keywords):
            self._refuse(node, "keywords one by one")
        keywords = {str(keyword.arg): self.value(keyword.value) for keyword in node.keywords}
        if isinstance(node.func, ast.Attribute):
            match self.value(node.func.value), node.func.attr:
                case Record() as record, "_replace":
                    return Record({**record, **keywords})
                case Record() as record, "_asdict":
                    return record
                case (ast.expr() | Gates()) as value, method:
                    array = self.as_array(value, node)
                    return self._method(node, array, method, arguments, keywords)
        callee = self.value(node.func)
        if isinstance(callee, Product):
            return self._product(node, arguments, callee.transposed)
        if not isinstance(callee, Outside):
            self._refuse(node, "functions to be called")
        function: Any = callee.value
        if isinstance(function, type) and (issubclass(function, tuple | list | dict)):
            return self._container(node, function, arguments, keywords)
        of_type = arguments[0] if function is type and arguments else None
        if isinstance(of_type, Record) and tuple(of_type) == self.cell.Carry._fields:
            return Outside("Carry", self.cell.Carry)
        if function is parts.blocks and len(arguments) == 2 and isinstance(arguments[0], ast.expr):
            blocks = self.computed.blocks_of(arguments[0])
            if len(blocks) == getattr(arguments[1], "value", None):
                return tuple(blocks)
        shown = [self.as_array(argument, node) for argument in arguments]
        if function is parts.sigmoid_or_tanh and len(node.args) == 2 and not keywords:
            return Gates(shown[0], shown[1:], self._truths(node.args[1]))
        named = [ast.keyword(key, self.as_array(value, node)) for key, value in keywords.items()]
        known = None if named else name_in_a_line(function)
        name = known or self._register(callee.name, function, in_float64(function))
        return self.computed.seen(ast.Call(ast.Name(name), shown, named))

    def _container(
        self, node: ast.Call, kind: Any, arguments: list[Any], keywords: dict[str, Any]
    ) -> Any:
        if kind is dict and not arguments:
            return Record(keywords)
        if kind in (tuple, list) and len(arguments) == 1 and isinstance(arguments[0], tuple):
            return arguments[0]
        if not hasattr(kind, "_fields"):
            self._refuse(node, "NamedTuples, tuples and dictionaries")
        given = {name: Outside(name, value) for name, value in kind._field_defaults.items()}
        given |= dict(zip(kind._fields, arguments, strict=False)) | keywords
        if len(arguments) > len(kind._fields) or set(given) != set(kind._fields):
            self._refuse(node, f"the fields {', '.join(kind._fields)}")
        return Record((name, given[name]) for name in kind._fields)

    def _truths(self, node: ast.expr) -> tuple[bool, ...] | None:
        """Which gates are sigmoids, where the source says it outright."""
        try:
            known = isinstance(node, ast.Name)
            value = self.source.outside.get(node.id) if known else ast.literal_eval(node)  # type: ignore[attr-defined]
        except ValueError:
            return None
        return tuple(map(bool, value)) if isinstance(value, tuple | list) else None

    def _product(self, node: ast.Call, arguments: list[Any], transposed: bool) -> Any:
        shapes = self.cell.param_shapes._asdict()
        match arguments:
            case [ast.Constant(value=str(field)) | Outside(value=str(field)), operand] if (
                field in shapes
            ):
                array = self.as_array(operand, node)
            case _:
                rule = f"one of the fields {', '.join(shapes)} by its name, and one array"
                self._refuse(node, rule)
        if not transposed and not is_tensor(array) and field in self.operands:
            array = self.emit(self.operands[field], array)
        weight: ast.expr = ast.Name(field)
        if not is_matrix(shapes[field]):
            return self.computed.seen(ast.BinOp(array, ast.Mult(), weight))
        weight = ast.Attribute(weight, "T") if transposed else weight
        return self.computed.seen(ast.BinOp(in_brackets(array), ast.MatMult(), weight))

    def _method(
        self,
        node: ast.Call,
        array: ast.expr,
        method: str,
        arguments: list[Any],
        keywords: dict[str, Any],
    ) -> Any:
        if method == "astype" and len(arguments) == 1:
            # All numbers of a listing are float64; only true and false are made numbers.
            match array:
                case ast.Compare(ops=[ast.Gt()], left=left, comparators=[ast.Constant(value=0)]):
                    return self.computed.seen(call_of("positive", left))
            if not self.computed.is_comparison(array):
                return array
            numbers = ast.Constant(1.0), ast.Constant(0.0)
            return self.computed.seen(call_of("where", array, *numbers))
        if method not in _METHODS:
            self._refuse(node, f"of methods only {', '.join(_METHODS)}, astype", HELPER_HINT)
        shown = [self.as_array(argument, node) for argument in arguments]
        named = [ast.keyword(key, self.as_array(value, node)) for key, value in keywords.items()]
        return self.computed.seen(ast.Call(ast.Attribute(array, method), shown, named))

    def _register(self, name: str, original: Any, value: Any) -> str:
        # The original is kept too, so that its id stays its own.
        if id(original) not in self._registered:
            free = self.free_name(name)
            self._registered[id(original)] = (free, original)
            self.outer_names[free] = value
        return self._registered[id(original)][0]


def _constant(value: Any) -> Any:
    return np.asarray(value, np.float64) if isinstance(value, jax.Array | np.ndarray) else value
