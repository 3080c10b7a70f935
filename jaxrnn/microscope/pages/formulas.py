"""Lines of a listing as trees, from which a page works out single entries in numbers.

A tree is a list: what it is, then its parts. `h[t-1] @ w_hh` is
`["@", ["tensor", "h", "t-1"], ["tensor", "w_hh", ""]]`.
"""

import ast
from collections.abc import Collection, Mapping
from typing import Any

from jaxrnn.microscope.training_step.listings import reference

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.MatMult: "@",
    ast.Pow: "**",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
}
Tree = list[Any]


def formula(code: str, tensors: Collection[str], constants: Mapping[str, float]) -> dict[str, Any]:
    """What a line assigns to and from what.

    Args:
        code: one line.
        tensors: names that count as tensors.
        constants: numbers that a line may name.

    Returns:
        targets: [name, time] of each, and "inputs" behind it where only that token's row is
            written; sign: "=", "+=" or "-="; value: the tree; reads: [name, time] of each tensor
            that is read.

    Example:
        >>> formula("b_h -= 0.1 * d_b_h", {"b_h", "d_b_h"}, {})["value"]
        ['*', ['number', 0.1], ['tensor', 'd_b_h', '']]
    """
    statement = ast.parse(code).body[0]
    assert isinstance(statement, ast.Assign | ast.AugAssign)
    nodes: list[ast.expr]
    if isinstance(statement, ast.AugAssign):
        nodes, sign = [statement.target], f"{_OPERATORS[type(statement.op)]}="
    else:
        first = statement.targets[0]
        nodes, sign = list(first.elts) if isinstance(first, ast.Tuple) else [first], "="
    read = [statement.value, *(nodes if sign != "=" else [])]
    reads: dict[tuple[str, str], None] = {}
    for node in read:
        _collect(node, tensors, reads)
    return {
        "targets": [_target(node) for node in nodes],
        "sign": sign,
        "value": _tree(statement.value, tensors, constants),
        "reads": [list(each) for each in reads],
    }


def _target(node: ast.expr) -> list[str]:
    row = "inputs" if "inputs" in ast.unparse(node) else ""
    return [*reference(node), row]


def _collect(node: ast.AST, tensors: Collection[str], found: dict[tuple[str, str], None]) -> None:
    if isinstance(node, ast.Name | ast.Subscript):
        try:
            name, time = reference(node)
        except ValueError:
            pass
        else:
            if name in tensors:
                found[name, time] = None
                return
    for child in ast.iter_child_nodes(node):
        _collect(child, tensors, found)


def _tree(node: ast.expr, tensors: Collection[str], constants: Mapping[str, float]) -> Tree:
    def inside(child: ast.expr) -> Tree:
        return _tree(child, tensors, constants)

    match node:
        case ast.Constant(value=int() | float() as number):
            return ["number", float(number)]
        case ast.Name(id=name) if name in constants:
            return ["number", constants[name]]
        case ast.Name(id=name) if name in tensors:
            return ["tensor", name, ""]
        case ast.Subscript(value=ast.Name(id="inputs" | "targets" as ids)):
            return ["token", ids]
        case ast.Subscript(value=whole, slice=ast.Subscript(value=ast.Name(id=ids))):
            return ["row", inside(whole), ids]
        case ast.Subscript(value=ast.Name(id=name), slice=index) if name in tensors:
            time = ast.unparse(index).replace(" ", "")
            if time in ("t", "t-1", "T-1"):
                return ["tensor", name, time]
        case ast.Subscript(value=ast.Call() as call, slice=ast.Constant(value=int(place))):
            return ["part", inside(call), place]
        case ast.Attribute(value=whole, attr="T"):
            return ["T", inside(whole)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ["minus", inside(operand)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return [_OPERATORS[type(op)], inside(left), inside(right)]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return [_OPERATORS[type(op)], inside(left), inside(right)]
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            return ["call", function, *map(inside, arguments)]
    # A cell may have whatever Python has; its tensors are lit, its numbers are not worked out.
    found: dict[tuple[str, str], None] = {}
    _collect(node, tensors, found)
    return ["other", ast.unparse(node), *(["tensor", *each] for each in found)]
