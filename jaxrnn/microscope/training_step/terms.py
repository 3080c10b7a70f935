"""Expressions over a listing's tensors, and what the lines so far have computed."""

import ast
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import LETTERS, dimensions, resolve

# Stand-ins for numbers of columns, to see which blocks are equally wide: all divide by the usual
# numbers of gates, and none is a small multiple of another.
_SIZES = dict(zip(LETTERS, (60 * 101, 60 * 10_007, 60 * 1_000_003), strict=True))

SIZES_OF_AN_ARRAY = ("shape", "ndim", "size", "dtype")
_ELEMENTWISE = ("exp", "log", "positive", "relu", "sigmoid", "sqrt", "tanh")


def at(name: str, time: str = "t") -> ast.expr:
    """The tensor `name[time]`.

    >>> code_of(at("h", "t-1"))
    'h[t-1]'
    """
    return ast.parse(f"{name}[{time}]", mode="eval").body


def code_of(expression: ast.expr) -> str:
    """The text that it has in a line."""
    return ast.unparse(expression).replace("[t - 1]", "[t-1]").replace("IN_BRACKETS(", "(")


def call_of(function: str, *arguments: ast.expr) -> ast.Call:
    """`function(arguments)`."""
    return ast.Call(ast.Name(function), list(arguments), [])


def in_brackets(expression: ast.expr) -> ast.expr:
    """The same, in brackets where it is a ⊙ b: before @ Python needs none, readers do."""
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Mult | ast.Div):
        return call_of("IN_BRACKETS", expression)
    return expression


def is_tensor(expression: ast.expr) -> bool:
    """Whether it is `h[t]`, `h[t-1]` or `w_hh`, and nothing more."""
    return re.fullmatch(r"\w+(\[(t|t-1)\])?", code_of(expression)) is not None


def is_size(expression: ast.expr) -> bool:
    """Whether it tells the sizes of arrays alone, like `h[t-1].shape[-1] // 2`."""
    match expression:
        case ast.Attribute(attr=attribute):
            return attribute in SIZES_OF_AN_ARRAY
        case ast.Subscript(value=value):
            return is_size(value)
        case ast.BinOp(left=left, right=right):
            sides = [side for side in (left, right) if not isinstance(side, ast.Constant)]
            return bool(sides) and all(map(is_size, sides))
    return False


def without_first(value: ast.expr, first: str) -> ast.expr | None:
    """What a sum adds to its first term, if that is `first`."""
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return None
    if code_of(value.left) == first:
        return value.right
    rest = without_first(value.left, first)
    return None if rest is None else ast.BinOp(rest, ast.Add(), value.right)


class Computed:
    """What the lines so far have computed, so that no line computes it again.

    Two expressions have the same number if they compute the same, whatever the tensors are called
    in which it was kept on the way: once `m[t] = tanh(c[t])` is there, `o[t] * m[t]` has the
    number of `o[t] * tanh(c[t])`.
    """

    def __init__(self, cell: Cell) -> None:
        self._shapes: dict[str, str] = cell.param_shapes._asdict()
        self._numbers: dict[str, int] = {}  # of what a tensor holds, by the tensor's code
        self._interned: dict[Any, int] = {}
        self._kept: dict[int, Any] = {}  # number -> the tensor, or tensors, that hold it
        self._joined: dict[str, list[ast.expr]] = {}  # tensor -> the blocks that it was joined from
        self._comparisons: set[str] = set()
        self._widths: dict[str, int] = {}  # columns, by the tensor's code
        for name, text in self._shapes.items():
            self._widths[name] = resolve(text, _SIZES)[-1]
        for name, columns in cell.carry_of(_SIZES)._asdict().items():
            for code in (f"{name}[t-1]", f"{name}[t]", f"d_{name}[t]"):
                self._widths[code] = columns
        self._widths["a[t]"] = self._widths["w_xh"]

    def seen(self, expression: ast.expr) -> Any:
        """The tensor, or tuple of tensors, that holds it already; else the expression itself."""
        return self._kept.get(self._number(expression), expression)

    def keep(self, tensor: ast.expr, value: ast.expr) -> None:
        """Notes that a line has written a value into a tensor."""
        code, number, width = code_of(tensor), self._number(value), self.width(value)
        self._kept[number] = tensor
        self._numbers[code] = number
        if width is not None:
            self._widths[code] = width
        if is_call(value, "join") and all(map(is_tensor, value.args)):
            self._joined[code] = value.args
        if isinstance(value, ast.Compare):
            self._comparisons.add(code)

    def keep_all(self, tensors: Sequence[ast.expr], call: ast.expr) -> None:
        """Notes that a line has written what a function returns into several tensors."""
        number = self._number(call)
        self._kept[number] = tuple(tensors)
        for place, tensor in enumerate(tensors):
            self._numbers[code_of(tensor)] = self._intern(number, place)
        match call:
            case ast.Call(args=[whole, ast.Constant(value=int(count))]):
                width = self.width(whole)
                shares = [1] * count if is_call(call, "split") else [count - 1, 1]
                if width and (is_call(call, "split") or is_call(call, "split_off_last")):
                    for tensor, share in zip(tensors, shares, strict=False):
                        self._widths[code_of(tensor)] = width // count * share

    def blocks_of(self, array: ast.expr) -> list[ast.expr]:
        """The tensors that it was joined from, if they are equally wide; else none."""
        blocks = self._joined.get(code_of(array), [])
        if is_call(array, "join"):
            blocks = array.args
        widths = {self.width(block) for block in blocks}
        return blocks if len(widths) == 1 and None not in widths else []

    def is_comparison(self, array: ast.expr) -> bool:
        """Whether it is true or false, and no number."""
        return isinstance(array, ast.Compare) or code_of(array) in self._comparisons

    def width(self, expression: ast.expr) -> int | None:
        """Columns of its last axis, if all sizes were those of `_SIZES`; None: unknown."""
        match expression:
            case ast.Constant():
                return 1
            case ast.UnaryOp(operand=operand):
                return self.width(operand)
            case ast.BinOp(op=ast.MatMult(), right=ast.Attribute(value=ast.Name(id=field))):
                return resolve(self._shapes[field], _SIZES)[0] if field in self._shapes else None
            case ast.BinOp(op=ast.MatMult(), right=right):
                return self.width(right)
            case ast.BinOp(left=left, right=right):
                found = {self.width(left), self.width(right)} - {1}
                wide = found - {None}
                return wide.pop() if len(wide) == 1 else None if found else 1
            case ast.Call(func=ast.Name(id="join"), args=arguments):
                widths = [self.width(argument) for argument in arguments]
                known = [width for width in widths if width is not None]
                return sum(known) if len(known) == len(widths) else None
            case ast.Call(func=ast.Name(id=function), args=[argument]):
                return self.width(argument) if function in _ELEMENTWISE else None
        return self._widths.get(code_of(expression))

    def _number(self, node: Any) -> Any:
        if isinstance(node, list):
            return tuple(map(self._number, node))
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.expr) and is_tensor(node):
            code = code_of(node)
            return self._numbers.get(code, self._intern(code))
        fields = (self._number(value) for name, value in ast.iter_fields(node) if name != "ctx")
        return self._intern(type(node).__name__, *fields)

    def _intern(self, *key: Any) -> int:
        return self._interned.setdefault(key, len(self._interned))


def is_call(expression: ast.expr, function: str) -> TypeGuard[ast.Call]:
    """Whether it is `function(…)`."""
    return isinstance(expression, ast.Call) and code_of(expression.func) == function


def is_matrix(shape: str) -> bool:
    """Whether a parameter's shape in letters is a matrix's; else it is a vector's."""
    return len(dimensions(shape)) == 2
