"""Where each tensor of a step stands in the picture, found from the lines alone.

A layer is drawn as its products are: what is multiplied stands left of a matrix, row beside row;
what comes out stands above it, column over column. So x[t] stands left of w_xh, a[t] above it; and
what a layer computes on the way stands above w_hh in the columns that it was computed from: the
gates of an LSTM over their four blocks of weights.
"""

import ast
from typing import Any

from jaxrnn.microscope.pages.selection import Selection
from jaxrnn.microscope.training_step import Recording
from jaxrnn.microscope.training_step.listings import Line, layer_number


def places(recording: Recording, selection: Selection) -> list[dict[str, Any]]:
    """For each layer, bottom first: the names of what stands where.

    Returns:
        Dictionaries: input (left of w_in), embedding or "", w_in, bias or "", a, matrices
        (recurrent, side by side, w_hh first), rows [name, first column, rank], above each other by
        their rank, carries (h first).
    """
    several = len(recording.cells) > 1
    names = {write.name for write in recording.initial}
    given, found = "x", []
    for number, cell in enumerate(recording.cells, 1):
        mark = f"_L{number}" if several else ""
        fields = [field + mark for field in cell.Params._fields]
        shared = {f"w_xh{mark}", f"b_h{mark}"}
        own = [name for name in fields if name not in shared]
        matrices = [name for name in own if len(selection.axes(name)) == 2]
        carries = [field + mark for field in cell.Carry._fields]
        carries.sort(key=lambda name: name != f"h{mark}")
        lines = [
            line
            for line in recording.lines
            if line.phase != "update" and any(_layer(n) == number for n, _ in line.defines)
        ]
        rows = _Rows(selection, f"a{mark}", carries, fields, shared)
        for line in lines:
            rows.read(line)
        found.append(
            {
                "input": given,
                "embedding": "embedding" if number == 1 and "embedding" in names else "",
                "weights": f"w_xh{mark}",
                "bias": f"b_h{mark}" if f"b_h{mark}" in fields else "",
                "a": f"a{mark}",
                "matrices": matrices,
                "rows": rows.placed(),
                "carries": carries,
            }
        )
        given = f"h{mark}"
    return found


def _layer(name: str) -> int | None:
    return None if name in _SHARED else layer_number(name) or 1


_SHARED = {"x", "y", "p", "loss", "d_x", "d_y", "d_w_hy", "d_b_y", "d_embedding", "embedding"}


class _Rows:
    """Walks a layer's lines and gives every vector between a and the carry a place."""

    def __init__(
        self,
        selection: Selection,
        a: str,
        carries: list[str],
        parameters: list[str],
        shared: set[str],
    ) -> None:
        self.selection, self.carries = selection, carries
        vectors = [name for name in parameters if len(selection.axes(name)) == 1]
        self.vectors = [name for name in vectors if name not in shared]
        self.first: dict[str, int] = {a: 0}  # column, by tensor
        self.rank: dict[str, int] = dict.fromkeys([a, *carries, *parameters], 0)
        self.rows: dict[str, None] = {}
        self.parameters = set(parameters)

    def placed(self) -> list[tuple[str, int, int]]:
        return [(name, self.first.get(name, 0), self.rank[name]) for name in self.rows]

    def width(self, name: str) -> int:
        axes = self.selection.axes(name)
        return len(self.selection.numbers(axes[-1])) if axes else 0

    def read(self, line: Line) -> None:
        statement = ast.parse(line.code).body[0]
        assert isinstance(statement, ast.Assign | ast.AugAssign)
        value = statement.value
        names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
        rank = 1 + max((self.rank.get(name, 0) for name in names), default=0)
        first = self.column(value) or 0
        for name in dict.fromkeys(names):
            # Vectors among the parameters stand below the row that they are first used in.
            if name in self.vectors and name not in self.rows:
                self.rows[name] = None
                self.rank[name], self.first[name] = rank - 1, first
        for name, _ in line.defines:
            base = name.removeprefix("d_")
            known = name in self.rank or base in self.rank or base in self.parameters
            if name in self.carries:
                self.rank[name] = rank - 1
            elif not known:
                self.rows[name] = None
                self.rank[name], self.first[name] = rank, self.gate(name, first)
            first += self.width(name) if len(line.defines) > 1 else 0

    def gate(self, name: str, first: int) -> int:
        """The first column of d_a_r is that of the gate r, if there is one."""
        mark = name[name.find("_L") :] if layer_number(name) else ""
        gate = name.removesuffix(mark).rsplit("_", 1)[-1] + mark
        return self.first.get(gate, first) if name.startswith("d_") else first

    def column(self, node: ast.AST) -> int | None:
        """The first column of an expression's entries; None: it says nothing of columns."""
        match node:
            case ast.Name(id=name):
                base = name.removeprefix("d_")
                return self.first.get(name, self.first.get(base))
            case ast.BinOp(left=left, op=ast.MatMult()):
                return None
            case ast.Subscript(value=ast.Call() as call, slice=ast.Constant(value=int(place))):
                return (self.column(call) or 0) if place == 0 else None
            case ast.Subscript(value=whole):
                return self.column(whole)
            case ast.BinOp(left=left, right=right):
                found = self.column(left)
                return self.column(right) if found is None else found
            case ast.Call(args=arguments):
                for argument in arguments:
                    found = self.column(argument)
                    if found is not None:
                        return found
        return None
