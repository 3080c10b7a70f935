"""Lines of a listing as HTML: as code and as an equation, both parsed from the same text.

Every symbol becomes `<span class="symbol" data-name="h" data-index="t-1">`, so that a page can
light the tensor it stands for.
"""

import ast
import html
from collections.abc import Collection

from jaxrnn.microscope.training_step.listings import layer_number, reference

_CONSTANTS = {
    "learning_rate": "<i>η</i>",
    "decay_rate": "<i>ρ</i>",
    "weight_decay": "<i>λ</i>",
    "limit": "limit",
    "norm_limit": "limit<sub>norm</sub>",
    "k": "<i>k</i>",
}
_SCALARS = {*_CONSTANTS, "norm", "shrink"}
_GREEK = {"tanh": "tanh", "sigmoid": "σ", "softmax": "softmax", "log": "ln"} | {
    "relu": "relu",
    "maximum": "max",
}
_COMPARED = {
    ast.Gt: "&gt;",
    ast.GtE: "≥",
    ast.Lt: "&lt;",
    ast.LtE: "≤",
    ast.Eq: "=",
    ast.NotEq: "≠",
}
_TIMES = {"t": "t", "t-1": "t−1", "T-1": "T−1"}
_LOOSE, _SUM, _PRODUCT, _UNARY, _TIGHT = range(5)


def code_html(code: str, tensors: Collection[str]) -> str:
    """A line of Python with its tensors marked.

    Args:
        code: one line.
        tensors: names that count as tensors.

    Returns:
        HTML.
    """
    spots = []
    for node in ast.walk(ast.parse(code)):
        named = _tensor(node, tensors)
        if named is not None:
            assert isinstance(node, ast.expr)
            spots.append((node.col_offset, node.end_col_offset or len(code), *named))
    # `h[t]` holds the node `h`: the longer of two that start together is the symbol.
    spots.sort(key=lambda spot: (spot[0], -spot[1]))
    pieces, end = [], 0
    for start, stop, name, index in spots:
        if start < end:
            continue
        pieces += [html.escape(code[end:start]), _span(name, index, html.escape(code[start:stop]))]
        end = stop
    return "".join([*pieces, html.escape(code[end:])])


def equation_html(code: str, tensors: Collection[str]) -> str:
    """The same line as an equation: `d_a[t] @ w_hh.T` becomes ∂a_t w_hhᵀ."""
    return _Equation(tensors).statement(ast.parse(code).body[0])


def symbol_html(name: str, index: str = "") -> str:
    """A tensor's name as it is typeset: `d_h_L2`, "t" becomes ∂h with a subscript t and a (2)."""
    layer = layer_number(name)
    name = name.removesuffix(f"_L{layer}")
    gradient = name.startswith("d_")
    base, _, subscript = name.removeprefix("d_").partition("_")
    if subscript == "hat":
        base, subscript = base + "\u0302", ""
    if name == "loss":
        base, subscript = "L", ""
    for prefix, letter in (("memory_", "s"), ("mean_", "m")):
        if name.startswith(prefix):
            base, subscript = letter, name.removeprefix(prefix).replace("_", " ")
    subscript = ", ".join(part for part in (subscript, _TIMES.get(index, index)) if part)
    low = f"<sub>{html.escape(subscript)}</sub>" if subscript else ""
    high = f"<sup>({layer})</sup>" if layer else ""
    return f"{'∂' if gradient else ''}<i>{html.escape(base)}</i>{low}{high}"


def _span(name: str, index: str, inside: str) -> str:
    return f'<span class="symbol" data-name="{name}" data-index="{index}">{inside}</span>'


def _tensor(node: ast.AST, tensors: Collection[str]) -> tuple[str, str] | None:
    whole = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    if not whole and not isinstance(node, ast.Name):
        return None
    assert isinstance(node, ast.expr)
    name, index = reference(node)
    return (name, index) if name in tensors else None


def _is_scalar(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name():
            return node.id in _SCALARS
        case ast.BinOp():
            return _is_scalar(node.left) and _is_scalar(node.right)
    return False


def _is_elementwise(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


class _Equation:
    """Typesets Python's expressions; brackets only where the order needs them."""

    def __init__(self, tensors: Collection[str]) -> None:
        self.tensors = tensors

    def statement(self, node: ast.stmt) -> str:
        if isinstance(node, ast.AugAssign):
            sign = {ast.Add: "+=", ast.Sub: "−="}[type(node.op)]
            return f"{self.show(node.target)} {sign} {self.show(node.value)}"
        assert isinstance(node, ast.Assign)
        return f"{self.show(node.targets[0])} = {self.show(node.value)}"

    def show(self, node: ast.expr, around: int = _LOOSE) -> str:
        text, level = self.typeset(node)
        return f"({text})" if level < around else text

    def typeset(self, node: ast.expr) -> tuple[str, int]:
        named = _tensor(node, self.tensors)
        if named is not None:
            return _span(*named, symbol_html(*named)), _TIGHT
        match node:
            case ast.Constant():
                text = html.escape(str(node.value))
                return text.replace("1e-08", "10<sup>−8</sup>"), _TIGHT
            case ast.Name():
                return _CONSTANTS.get(node.id) or html.escape(node.id), _TIGHT
            case ast.Tuple():
                return ", ".join(self.show(item) for item in node.elts), _TIGHT
            case ast.UnaryOp(op=ast.USub()):
                return "−" + self.show(node.operand, _UNARY), _UNARY
            case ast.Attribute(attr="T"):
                return f"{self.show(node.value, _TIGHT)}<sup>⊤</sup>", _TIGHT
            case ast.Subscript(value=ast.Name(id="inputs" | "targets" as tokens)):
                index = html.escape(ast.unparse(node.slice))
                return f"<i>{tokens.removesuffix('s')}</i><sub>{index}</sub>", _TIGHT
            case ast.Subscript(slice=ast.Subscript()):
                return (
                    f"{self.show(node.value, _TIGHT)}<sub>[{self.show(node.slice)}]</sub>",
                    _TIGHT,
                )
            case ast.Subscript():
                index = html.escape(ast.unparse(node.slice))
                return f"{self.show(node.value, _TIGHT)}<sub>[{index}]</sub>", _TIGHT
            case ast.BinOp():
                return self.binary(node)
            case ast.Call(func=ast.Name(id=function)):
                return self.call(function, node)
            case ast.Compare(ops=[op], left=left, comparators=[right]) if type(op) in _COMPARED:
                sign = _COMPARED[type(op)]
                return f"{self.show(left, _SUM)} {sign} {self.show(right, _SUM)}", _LOOSE
        # A cell may have whatever Python has; what has no notation here stands as it is written.
        return code_html(ast.unparse(node).replace("[t - 1]", "[t-1]"), self.tensors), _LOOSE

    def binary(self, node: ast.BinOp) -> tuple[str, int]:
        match node.op:
            case ast.Add():
                return f"{self.show(node.left, _SUM)} + {self.show(node.right, _SUM)}", _SUM
            case ast.Sub():
                return f"{self.show(node.left, _SUM)} − {self.show(node.right, _PRODUCT)}", _SUM
            case ast.MatMult():
                whole = _is_elementwise(node.left)
                left = self.show(node.left, _TIGHT if whole else _PRODUCT)
                return f"{left} {self.show(node.right, _TIGHT)}", _PRODUCT
            case ast.Mult():
                left, right = self.show(node.left, _PRODUCT), self.show(node.right, _PRODUCT)
                return f"{left}{' ' if _is_scalar(node.left) else ' ⊙ '}{right}", _PRODUCT
            case ast.Div():
                left, right = self.show(node.left, _PRODUCT), self.show(node.right, _TIGHT)
                return f"{left} / {right}", _PRODUCT
            case ast.Pow():
                return f"{self.show(node.left, _TIGHT)}<sup>{self.show(node.right)}</sup>", _TIGHT
        return code_html(ast.unparse(node).replace("[t - 1]", "[t-1]"), self.tensors), _LOOSE

    def call(self, function: str, node: ast.Call) -> tuple[str, int]:
        arguments = node.args
        shown = [self.show(argument) for argument in arguments]
        if function == "outer":
            left, right = (self.show(argument, _TIGHT) for argument in arguments)
            return f"{left}<sup>⊤</sup> {right}", _PRODUCT
        if function == "join":
            return f"[{', '.join(shown)}]", _TIGHT
        if function in ("split", "split_off_last"):
            return shown[0], _LOOSE
        if function == "zeros_like":
            return "0", _TIGHT
        if function == "one_hot":
            return f"<b>1</b><sub>{shown[0]}</sub>", _TIGHT
        if function == "positive":
            return f"[{shown[0]} &gt; 0]", _TIGHT
        if function == "clip":
            return f"clip<sub>±{shown[2]}</sub>({shown[0]})", _TIGHT
        if function == "sqrt":
            return f"√({shown[0]})", _TIGHT
        if function == "length":
            return f"‖{', '.join(shown)}‖", _TIGHT
        # A cell's helper; `_T` is the library's mark of a transpose.
        name = _GREEK.get(function) or html.escape(function.removesuffix("_T"))
        name += "<sup>⊤</sup>" if function.endswith("_T") else ""
        named = [f"{keyword.arg} = {self.show(keyword.value)}" for keyword in node.keywords]
        return f"{name}({', '.join([*shown, *named])})", _TIGHT
