"""A cell's functions as their authors wrote them: parsed, with comments and outer names."""

import ast
import builtins
import inspect
import io
import re
import textwrap
import tokenize
import types
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from jaxrnn.cells import Cell
from jaxrnn.errors import sentence

HELPER_HINT = "put it into a function of its own, which the listing then calls"

_STRAIGHT = "assignments, one after the other, and a return"
_FOR_TOOLS = re.compile(r"noqa|type:|fmt:|pragma|ruff:|mypy:|pylint:|pyright:")


class Step(NamedTuple):
    """One statement `target = value`, and its trailing comment or ""."""

    target: ast.expr
    value: ast.expr
    note: str


class Source(NamedTuple):
    """One of a cell's three functions.

    Attributes:
        cell: whose.
        name: "forward", "backward" or "pairs".
        arguments: the names of its positional arguments.
        steps: its statements.
        returned: the value of its return.
        note: the comment of its return.
        outside: what the names mean that it does not define.
        loads: how often it reads each name.
    """

    cell: Cell
    name: str
    arguments: tuple[str, ...]
    steps: tuple[Step, ...]
    returned: ast.expr
    note: str
    outside: Mapping[str, Any]
    loads: Counter[str]

    def refuse(self, node: ast.AST, rule: str, hint: str = "") -> NoReturn:
        """Says what cannot be shown."""
        code = ast.unparse(node).splitlines()[0]
        raise ValueError(sentence("record", _whose(self.cell, self.name), rule, f"`{code}`", hint))

    def value_of(self, name: str) -> ast.expr | None:
        """What a local that is assigned once is assigned; None for any other name."""
        values = [step.value for step in self.steps if name in names_of(step.target)]
        simple = [step.value for step in self.steps if name == _name(step.target)]
        return simple[0] if len(values) == len(simple) == 1 else None

    def gradients(self) -> list[str]:
        """NAME of each local `d_NAME`, in the order in which they are assigned."""
        assigned = [name for step in self.steps for name in names_of(step.target)]
        return [name.removeprefix("d_") for name in assigned if name.startswith("d_")]

    def products(self) -> dict[str, str]:
        """Parameter -> NAME, where backward has `d_NAME = product_T("parameter", …)`."""
        found: dict[str, str] = {}
        for step in self.steps:
            match step.target, step.value:
                case (
                    ast.Name(id=name),
                    ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(field)), _]),
                ) if function == self.arguments[0] and name.startswith("d_"):
                    found[field] = name.removeprefix("d_")
        return found

    def handed_to(self, node: ast.expr, fields: tuple[str, ...]) -> dict[str, str]:
        """Local -> field, where `node` constructs a NamedTuple with these fields from locals."""
        if isinstance(node, ast.Name):
            node = self.value_of(node.id) or node
        if not isinstance(node, ast.Call):
            return {}
        named = [*zip(fields, node.args, strict=False)]
        named += [(str(keyword.arg), keyword.value) for keyword in node.keywords]
        found: dict[str, str] = {}
        for field, value in named:
            if isinstance(value, ast.Name) and field in fields:
                found.setdefault(value.id, field)
        return found

    def first_returned(self) -> str | None:
        """The name that it returns, or returns first."""
        node = self.returned
        return _name(node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node)


def read(cell: Cell, name: str, count: int) -> Source:
    """Parses one of a cell's functions.

    Args:
        cell: the cell.
        name: which: "forward", "backward" or "pairs".
        count: how many positional arguments it is called with.

    Raises:
        ValueError: a function without source that can be read, or with more in it than
            assignments and one return at the end.
    """
    function, whose = getattr(cell, name), _whose(cell, name)
    if function is None:
        raise ValueError(sentence("record", whose, "a function: the stepper shows it", "None"))
    rule = "a function written with def, so that its lines can be shown"
    plain = isinstance(function, types.FunctionType) and not hasattr(function, "__wrapped__")
    if not plain or function.__name__ == "<lambda>":
        raise ValueError(sentence("record", whose, rule, repr(function)))
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        hint = "define it in a file or a notebook"
        raise ValueError(sentence("record", whose, rule, f"no source ({error})", hint)) from None
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.FunctionDef)
    given = [*definition.args.posonlyargs, *definition.args.args]
    defaults = {
        name: parameter.default
        for name, parameter in list(inspect.signature(function).parameters.items())[count:]
    }
    outside = ChainMap(
        dict(inspect.getclosurevars(function).nonlocals),
        defaults,
        function.__globals__,
        vars(builtins),
    )
    loads = Counter(
        node.id
        for node in ast.walk(definition)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )
    arguments = tuple(argument.arg for argument in given[:count])
    source = Source(cell, name, arguments, (), definition, "", outside, loads)  # type: ignore[arg-type]
    *statements, last = definition.body
    if not isinstance(last, ast.Return) or last.value is None:
        source.refuse(last, _STRAIGHT, HELPER_HINT)
    comments = _comments(text)
    steps = [step for statement in statements for step in _steps(source, statement, comments)]
    note = _comment_of(last, comments)
    return source._replace(steps=tuple(steps), returned=last.value, note=note)


def names_of(target: ast.expr) -> list[str]:
    """The names that a target assigns, from left to right."""
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _steps(source: Source, statement: ast.stmt, comments: Mapping[int, str]) -> Iterator[Step]:
    note = _comment_of(statement, comments)
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return
        case ast.Assign(targets=[target], value=value):
            yield Step(target, value, note)
        case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
            yield Step(target, value, note)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
            before = ast.Name(name, ast.Load())
            yield Step(target, ast.BinOp(before, op, value), note)
        case _:
            source.refuse(statement, _STRAIGHT, HELPER_HINT)


def _comments(text: str) -> dict[int, str]:
    """Line number -> the comment on that line, without those that speak to tools."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    return {line: note for line, note in found.items() if not _FOR_TOOLS.match(note)}


def _comment_of(statement: ast.stmt, comments: Mapping[int, str]) -> str:
    lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    return " ".join(comments[line] for line in lines if line in comments)


def _name(target: ast.expr) -> str | None:
    return target.id if isinstance(target, ast.Name) else None


def _whose(cell: Cell, name: str) -> str:
    return f"{name} of the cell {cell.name!r}"
