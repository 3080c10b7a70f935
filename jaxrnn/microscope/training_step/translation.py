"""A cell's three functions as the lines of a listing.

`pre = a + product("w_hh", carry.h)` in a cell's `forward` is `pre[t] = a[t] + h[t-1] @ w_hh` in
its listing: the carry before the step stands at t-1, everything else at t, `d_` marks a gradient,
and locals keep their names. Each statement becomes a line, with its comment, except that

- an alias, what nothing reads, and what a line before has computed already need no line;
- what goes into a nonlinearity stands in place, if it has a name only to be returned as `pre`;
- `sigmoid_or_tanh`, one pass over all gates for speed, becomes a line for each gate;
- what `product` takes is named after its gradient: s, where `d_s = product_T(…)`.
"""

import ast
from collections import Counter
from functools import cache
from typing import Any

from jaxrnn.cells import Cell, parts
from jaxrnn.errors import sentence
from jaxrnn.microscope.training_step.expressions import (
    Expressions,
    Gates,
    Outside,
    Product,
    Record,
)
from jaxrnn.microscope.training_step.functions import FUNCTIONS
from jaxrnn.microscope.training_step.listings import (
    BACKWARD,
    CONSTANTS,
    FORWARD,
    CellListing,
    Line,
    line_of,
)
from jaxrnn.microscope.training_step.sources import Source, Step, names_of, read
from jaxrnn.microscope.training_step.terms import (
    at,
    call_of,
    code_of,
    is_matrix,
    is_size,
    is_tensor,
    without_first,
)

_OF_ALL_CELLS = {"a", "x", "y", "p", "w_hy", "b_y", "embedding"}
_BACK = "back to the step before"
_SHARE = "one step's share of the gradient; the shares add up"


@cache
def cell_listing(cell: Cell) -> CellListing:
    """A cell's lines, from the source of its `forward`, `backward` and `pairs`.

    Args:
        cell: any cell whose three functions are assignments, one after the other, and a return.
            What else they need, a loop for instance, may stand in functions that they call.

    Returns:
        Its lines, and what those name beside tensors.

    Raises:
        ValueError: a function without source that can be read, or with more in it.

    Example:
        >>> import jaxrnn as rnn
        >>> for line in cell_listing(rnn.ELMAN).backward:
        ...     print(line.code)
        d_a[t] = d_h[t] * (1 - h[t] ** 2)
        d_h[t-1] = d_a[t] @ w_hh.T
        d_w_hh += outer(h[t-1], d_a[t])
    """
    own_names: frozenset[str] = frozenset()
    while True:
        try:
            return _Translation(cell, own_names).listing()
        except _NameIsNeeded as found:
            own_names |= {found.name}


class _NameIsNeeded(Exception):
    """A local has been given a name whose other meaning is needed later."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Translation(Expressions):
    """The state of one translation.

    Attributes:
        lines: of the phase that is being written.
        noted: lines before this one have the notes that they get.
        aside: those after it that are not a statement's own.
        read: how often the function's names are still to be read.
        to_assign: how often they are still to be assigned.
        fields: local -> the field of the returned carry that it is.
        arriving: field -> `d_field[t]`, as it comes from the step after.
        replaced: those of them in whose place there is a total by now.
        in_place: code that needs no line: all gates, joined.
    """

    def __init__(self, cell: Cell, own_names: frozenset[str]) -> None:
        fields = [*cell.Params._fields, *cell.Carry._fields]
        taken = _OF_ALL_CELLS | CONSTANTS | set(FUNCTIONS)
        taken |= {f"d_{name}" for name in (*fields, *_OF_ALL_CELLS)}
        for name in fields:
            if name in taken or fields.count(name) > 1:
                rule = "parameters and a carry whose names no other tensor of a listing has"
                raise ValueError(sentence("record", f"the cell {cell.name!r}", rule, name))
        super().__init__(cell, (taken | set(fields)) - {"d_a"} | own_names)
        self.own_names = own_names
        self.forward = read(cell, "forward", 4)
        self.backward = read(cell, "backward", 6)
        self.pairs = read(cell, "pairs", 3)
        self.lines: list[Line] = []
        self.noted = 0
        self.aside: list[int] = []
        self.phase = FORWARD
        self.read: Counter[str] = Counter()
        self.to_assign: Counter[str] = Counter()
        self.fields: dict[str, str] = {}
        self.arriving = Record((name, at(f"d_{name}")) for name in cell.Carry._fields)
        self.replaced: list[ast.expr] = []
        self.in_place: set[str] = set()

    def listing(self) -> CellListing:
        """Translates the three functions, one after the other."""
        before = Record((name, at(name, "t-1")) for name in self.cell.Carry._fields)
        after = Record((name, at(name)) for name in self.cell.Carry._fields)
        params = Record((name, ast.Name(name)) for name in self.cell.Params._fields)
        saved = self._forward(params, before)
        forward, self.lines = self.lines, []
        self.phase, self.noted, self.aside = BACKWARD, 0, []
        left = self._backward(params, before, saved, after)
        self._pairs(before, saved, left)
        return CellListing(tuple(forward), tuple(self.lines), self.outer_names)

    def _enter(self, source: Source, *arguments: Any) -> None:
        self.source = source
        self.local = dict(zip(source.arguments, arguments, strict=True))
        self.read = source.loads.copy()
        self.to_assign = Counter(name for step in source.steps for name in names_of(step.target))
        self.fields = {}

    def _forward(self, params: Record, before: Record) -> Any:
        source = self.forward
        self._enter(source, Product(False), params, before, at("a"))
        self.operands = self.backward.products()
        carry_node, saved_node, pre = self._returned("carry, saved, pre")
        self.fields = source.handed_to(carry_node, self.cell.Carry._fields)
        # `pre` is returned for statistics, and no part of the step. What only it and one
        # nonlinearity read stands in place.
        while True:
            self.read -= Counter(names_of(pre))
            value = source.value_of(pre.id) if isinstance(pre, ast.Name) else None
            if value is None or self.read[pre.id]:  # type: ignore[attr-defined]
                break
            pre = value
        once = [name for name in names_of(pre) if self.read[name] == 1 and source.value_of(name)]
        for step in source.steps:
            if isinstance(step.target, ast.Name) and step.target.id in once:
                self.local[step.target.id] = self.value(step.value)
                self._annotate(step.note)
            else:
                self._step(step)
        self._write_carry(carry_node, {field: at(field) for field in before})
        return self._keep(self.value(saved_node), self.backward.arguments[3])

    def _backward(self, params: Record, before: Record, saved: Any, after: Record) -> Any:
        source = self.backward
        self._enter(source, Product(True), params, before, saved, after, self.arriving)
        carry_node, left_node = self._returned("d_carry, left")
        fields = source.handed_to(carry_node, self.cell.Carry._fields).items()
        self.fields = {name: field for name, field in fields if self.read[name] == 1}
        for step in source.steps:
            self._step(step)
        left, name = self.value(left_node), self.pairs.arguments[2]
        if isinstance(left, ast.expr) and self.pairs.first_returned() == name:
            left = self._d_a(left)
        left = self._keep(left, name)
        self._annotate("")
        self._write_carry(carry_node, {field: at(f"d_{field}", "t-1") for field in before})
        self._note_one("d_h[t-1] = ", _BACK)
        return left

    def _pairs(self, before: Record, saved: Any, left: Any) -> None:
        source = self.pairs
        self._enter(source, before, saved, left)
        for step in source.steps:
            self._step(step)
        d_a_node, pairs_node = self._returned("d_a, {parameter: (operand, cotangent)}")
        pairs = self.value(pairs_node)
        self._d_a(self.array(d_a_node))
        self._annotate("")
        shapes = self.cell.param_shapes._asdict()
        own = [field for field in shapes if field not in ("w_xh", "b_h")]
        if not isinstance(pairs, Record) or set(pairs) != set(own):
            source.refuse(pairs_node, f"an (operand, cotangent) for each of {', '.join(own)}")
        for field, (operand_node, cotangent_node) in pairs.items():
            operand, share = (
                self.as_array(each, pairs_node) for each in (operand_node, cotangent_node)
            )
            if is_matrix(shapes[field]):
                share = call_of("outer", operand, share)
            elif code_of(operand) != "None":
                share = ast.BinOp(operand, ast.Mult(), share)
            self._append(f"d_{field}", "+=", share)
        self._annotate(source.note)
        self._note_one("d_w_hh += ", _SHARE)

    def _d_a(self, value: ast.expr) -> ast.expr:
        """Writes the gradient of a, unless it is there under that name."""
        tensor = at("d_a")
        if code_of(value) != code_of(tensor):
            if "d_a" in self.taken - self.own_names:
                raise _NameIsNeeded("d_a")
            self._write(tensor, value)
        return tensor

    def _returned(self, what: str) -> list[ast.expr]:
        node = self.source.returned
        if not isinstance(node, ast.Tuple) or len(node.elts) != what.split("{")[0].count(",") + 1:
            self.source.refuse(node, f"({what}) written out behind return")
        return node.elts

    def _write_carry(self, node: ast.expr, tensors: dict[str, ast.expr]) -> None:
        carry = self.value(node)
        if not isinstance(carry, Record) or list(carry) != list(tensors):
            self.source.refuse(node, f"a Carry with the fields {', '.join(tensors)}")
        for tensor, value in zip(tensors.values(), carry.values(), strict=True):
            array = self.as_array(value, node)
            if code_of(array) != code_of(tensor):
                self._write(tensor, array)
        self._annotate(self.source.note)

    def _keep(self, value: Any, name: str) -> Any:
        """What is handed on: a line for each array that has none yet, named after its field."""
        if isinstance(value, Record):
            return Record((field, self._keep(item, field)) for field, item in value.items())
        if isinstance(value, tuple):
            return tuple(self._keep(item, f"{name}_{k}") for k, item in enumerate(value))
        if isinstance(value, Outside | Product):
            return value
        array = self.as_array(value, self.source.returned)
        return array if self._needs_no_line(array) else self.emit(name, array)

    def _needs_no_line(self, array: ast.expr) -> bool:
        plain = is_tensor(array) or isinstance(array, ast.Constant) or is_size(array)
        return plain or code_of(array) in self.in_place

    def _step(self, step: Step) -> None:
        needed = any(self.read[name] for name in names_of(step.target))
        if needed and not self._gates(step):
            self._bind(step.target, self.value(step.value), step)
        self._annotate(step.note)
        self.to_assign -= Counter(names_of(step.target))

    def _bind(self, target: ast.expr, value: Any, step: Step) -> None:
        match target, value:
            case ast.Name(id=name), ast.expr():
                alias = self._needs_no_line(value) or not self.read[name]
                self.local[name] = value if alias else self._line(name, value)
            case ast.Name(id=name), _:
                if isinstance(value, Gates):
                    value.name, value.note = name, step.note
                self.local[name] = value
            case ast.Tuple(elts=targets), tuple() | Record():
                values = list(value.values()) if isinstance(value, Record) else value
                if len(values) != len(targets):
                    self.source.refuse(step.value, f"{len(targets)} values")
                for each, item in zip(targets, values, strict=True):
                    self._bind(each, item, step)
            case ast.Tuple(elts=targets), Gates() | ast.expr():
                call = self.as_array(value, step.value)
                names = [each.id for each in targets if isinstance(each, ast.Name)]
                if len(names) < len(targets):
                    self.source.refuse(target, "names to unpack into, without brackets")
                if any(name.startswith("_") for name in names):
                    for place, name in enumerate(names):
                        part = ast.Subscript(call, ast.Constant(place))
                        if not name.startswith("_"):
                            self.local[name] = self._line(name, part)
                else:
                    self.local |= zip(names, self._unpack(names, call), strict=True)
            case _:
                self.source.refuse(target, "names to assign to")

    def _unpack(self, names: list[str], call: ast.expr) -> list[ast.expr]:
        tensors = [self._tensor(name) for name in names]
        self._append(", ".join(map(code_of, tensors)), "=", call)
        self.computed.keep_all(tensors, call)
        return tensors

    def _gates(self, step: Step) -> bool:
        """`i, f, g, o = blocks(sigmoid_or_tanh(…), 4)` as a line for each gate."""
        match step.target, step.value:
            case ast.Tuple(elts=targets), ast.Call(func=callee, args=[gates_node, count]):
                function = self.value(callee)
            case _:
                return False
        if not isinstance(function, Outside) or function.value is not parts.blocks:
            return False
        gates = self.value(gates_node)
        names = [each.id for each in targets if isinstance(each, ast.Name)]
        if not isinstance(gates, Gates) or gates.tensor is not None or gates.is_sigmoid is None:
            return False
        counts = {len(names), len(targets), len(gates.is_sigmoid), getattr(count, "value", None)}
        if len(counts) > 1:
            return False
        befores = self._unpack(self._before(names), call_of("split", gates.argument, count))
        self._annotate(gates.note)
        for name, before, is_sigmoid in zip(names, befores, gates.is_sigmoid, strict=True):
            nonlinearity = "sigmoid" if is_sigmoid else "tanh"
            self.local[name] = self._line(name, call_of(nonlinearity, before))
        gates.tensor = call_of("join", *(self.local[name] for name in names))
        self.in_place.add(code_of(gates.tensor))
        return True

    def _before(self, gates: list[str]) -> list[str]:
        """What goes into the gates i and f: a_i and a_f, where backward has d_a_i and d_a_f."""
        gradients = self.backward.gradients()
        for stem in dict.fromkeys(name.removesuffix(f"_{gates[0]}") for name in gradients):
            names = [f"{stem}_{gate}" for gate in gates]
            if set(names) <= set(gradients) and not self.taken & set(names):
                return names
        return [f"pre_{gate}" for gate in gates]

    def emit(self, name: str, value: ast.expr) -> ast.expr:
        tensor = self._line(name, value)
        self.aside.append(len(self.lines) - 1)
        return tensor

    def _line(self, name: str, value: ast.expr) -> ast.expr:
        tensor = self._tensor(name, value)
        self._write(tensor, value)
        return tensor

    def _tensor(self, name: str, value: ast.expr | None = None) -> ast.expr:
        """The tensor that a local is.

        It is one of the carry's, if it is returned as that; and d_c is `d_c[t]` again, if its
        value is what arrived there and more.
        """
        field = self.fields.get(name)
        if field is not None and self.to_assign[name] == 1:
            return at(field) if self.phase == FORWARD else at(f"d_{field}", "t-1")
        arrived = self.arriving.get(name.removeprefix("d_"))
        nodes = ast.walk(value) if value is not None and name.startswith("d_") else ()
        may_be_total = name not in self.own_names and arrived not in self.replaced
        if may_be_total and any(node is arrived for node in nodes):
            return at(name)
        return at(self.free_name(name))

    def _append(self, left: str, sign: str, value: ast.expr, note: str = "") -> None:
        for node in ast.walk(value):
            for field, arrived in self.arriving.items():
                if node is arrived and arrived in self.replaced:
                    raise _NameIsNeeded(f"d_{field}")
        self.lines.append(line_of(f"{left} {sign} {code_of(value)}", note, self.phase))

    def _write(self, target: ast.expr, value: ast.expr) -> None:
        left = code_of(target)
        came = {code_of(arrived): field for field, arrived in self.arriving.items()}.get(left)
        added = without_first(value, left)
        if came is None or added is None:
            self._append(left, "=", value)
        else:
            self._append(left, "+=", added, f"what came along {came} is already there")
        if came is not None:
            self.replaced.append(self.arriving[came])
        self.computed.keep(target, value)

    def _note_one(self, start: str, note: str) -> None:
        """Explains the line that begins so, unless its author has."""
        for k, line in enumerate(self.lines):
            if line.code.startswith(start) and not line.note:
                self.lines[k] = line._replace(note=note)

    def _annotate(self, note: str) -> None:
        """Gives the lines since the last call a statement's comment.

        If it is as many parts, with semicolons between them, as there are lines, each gets one;
        else the first gets it.
        """
        lines = range(self.noted, len(self.lines))
        new = [k for k in lines if k not in self.aside] or self.aside
        self.noted, self.aside = len(self.lines), []
        pieces = note.split("; ")
        if len(pieces) != len(new):
            pieces = [note]
        for k, piece in zip(new, pieces, strict=False):
            if piece:
                self.lines[k] = self.lines[k]._replace(note=piece)
