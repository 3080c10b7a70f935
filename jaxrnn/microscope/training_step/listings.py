"""One training step as a program of lines, the same text for reading and for running.

A listing is Python source in the equations' names. A tensor that lives at each step is indexed by
`t` (`h[t]`, and `h[-1]` before the first); `d_` marks the gradient of the loss with respect to what
follows. What a line defines and what it reads is parsed from the line, so nothing is said twice.
A trailing comment is the sentence that a view shows beside the line.

In a model of several layers every tensor of a layer's own bears its number: `h_L2[t]`.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxrnn.errors import sentence

FORWARD, BACKWARD, UPDATE = PHASES = ("forward", "backward", "update")


_READOUT = """
y[t] = {h}[t] @ w_hy + b_y
p[t] = softmax(y[t])  # what the network expects next
loss += -log(p[t][targets[t]]){share}  # in nats
"""
_READOUT_BACKWARD = """
d_y[t] = {error}
d_w_hy += outer({h}[t], d_y[t])
d_b_y += d_y[t]
d_{h}[t] += d_y[t] @ w_hy.T  # what came back from step t+1 is already there
"""

_ERROR = "p[t] - one_hot(targets[t], V)"

_MEMORY = """
memory_{w} = decay_rate * memory_{w} + (1 - decay_rate) * d_{w} ** 2  # a running mean of squares
"""
_MEAN = """
mean_{w} = 0.9 * mean_{w} + (1 - 0.9) * d_{w}  # a running mean of gradients
"""
_ADAM_STEP = (
    "{w} -= learning_rate * (mean_{w} / (1 - 0.9 ** k))"
    " / (sqrt(memory_{w} / (1 - decay_rate ** k)) + 1e-8)"
    "  # what starts at 0 is too small at first: at update k by these factors"
)
_ADAMW_DECAY = """
{w} -= learning_rate * weight_decay * {w}  # AdamW pulls at the weight itself, not at its gradient
"""

UPDATES = {
    "sgd": "{w} -= learning_rate * d_{w}",
    "adagrad": """
memory_{w} += d_{w} ** 2  # the squares of all gradients so far
{w} -= learning_rate * d_{w} / sqrt(memory_{w} + 1e-8)
""",
    "rmsprop": _MEMORY + "{w} -= learning_rate * d_{w} / (sqrt(memory_{w}) + 1e-8)",
    "adam": _MEAN + _MEMORY + _ADAM_STEP,
    "adamw": _MEAN + _MEMORY + _ADAMW_DECAY + _ADAM_STEP,
}
"""The optimizers of `jaxrnn.optimizers`, for one parameter `{w}`, after clipping."""

CONSTANTS = {"learning_rate", "decay_rate", "weight_decay", "limit", "norm_limit", "k"}
CONSTANTS |= {"inputs", "targets", "loss", "norm", "shrink", "t", "T", "V"}
"""What the lines of all cells name beside tensors of each step and parameters."""

MEMORIES = ("memory_", "mean_")
"""Prefixes of what an optimizer keeps of a parameter's gradients; all of it starts at 0."""

_CLIP = "d_{w} = clip(d_{w}, -limit, limit)  # each entry by itself"
_CLIP_NORM = """
norm = length({gradients})  # of the whole gradient, as one vector
shrink = norm_limit / maximum(norm, norm_limit)  # 1 for a gradient that is short enough
"""
_SHRINK = "d_{w} = shrink * d_{w}"


def parameter_of(name: str) -> str:
    """The tensor that a gradient or a memory belongs to: "w_hh" for "d_w_hh" and "mean_w_hh"."""
    for prefix in ("d_", *MEMORIES):
        name = name.removeprefix(prefix)
    return name


class Reference(NamedTuple):
    """A tensor named in a line: `h[t-1]` is name "h", time "t-1"; `w_hh` has time ""."""

    name: str
    time: str


class Line(NamedTuple):
    """One line of the program.

    Attributes:
        code: Python source without indent or comment.
        note: the comment, or "".
        phase: one of `PHASES`.
        defines: the tensors that it assigns, in order.
    """

    code: str
    note: str
    phase: str
    defines: tuple[Reference, ...]


class CellListing(NamedTuple):
    """A cell's own lines; `assemble` adds those that all cells share.

    Attributes:
        forward: from a[t], the input's share, and the carry at t-1 to the carry at t.
        backward: from the gradient of the carry at t to that at t-1, `d_a[t]`, and the gradients
            of all parameters but w_xh and b_h.
        outer_names: what these lines name beside tensors and `functions.FUNCTIONS`: the cell's own
            helpers and constants.
    """

    forward: tuple[Line, ...]
    backward: tuple[Line, ...]
    outer_names: dict[str, Any]


class Layer(NamedTuple):
    """A layer's lines and tensors, by the names that they have in a model's listing.

    Attributes:
        mark: behind each of its names: "_L2", or "" where there is one layer.
        listing: its cell's lines.
        parameters: names of its parameters.
        carries: names of its carry's fields.
    """

    mark: str
    listing: CellListing
    parameters: tuple[str, ...]
    carries: tuple[str, ...]


def layers_of(cells: Sequence[tuple[CellListing, tuple[str, ...], tuple[str, ...]]]) -> list[Layer]:
    """The layers of a model: of one layer as it is, of several every name with its layer's number.

    Args:
        cells: `cell_listing`, names of the parameters and of the carry, of each layer, bottom
            first.
    """
    if len(cells) == 1:
        return [Layer("", *cells[0])]
    layers: list[Layer] = []
    outer_names: dict[str, Any] = {}
    for number, (listing, parameters, carries) in enumerate(cells, 1):
        mark = f"_L{number}"
        lines = (*listing.forward, *listing.backward)
        own = {*parameters, *carries, "a", "w_xh", "b_h"}
        own |= {name.removeprefix("d_") for line in lines for name, _ in line.defines}
        # A helper that another cell has under the same name is another helper.
        own |= {n for n, v in listing.outer_names.items() if outer_names.setdefault(n, v) is not v}
        pattern = re.compile(rf"(?<![.\w])((?:d_)?(?:{'|'.join(map(re.escape, own))}))(?!\w)")

        def marked(line: Line, pattern: re.Pattern[str] = pattern, mark: str = mark) -> Line:
            return line_of(pattern.sub(rf"\1{mark}", line.code), line.note, line.phase)

        names = {n + mark if n in own else n: v for n, v in listing.outer_names.items()}
        named = CellListing(
            tuple(map(marked, listing.forward)), tuple(map(marked, listing.backward)), names
        )
        marks = (tuple(name + mark for name in each) for each in (parameters, carries))
        layers.append(Layer(mark, named, *marks))
    return layers


def layer_number(name: str) -> int | None:
    """Which layer a tensor is of, counted from 1: 2 for "d_h_L2"; None: it is of no one layer."""
    found = re.search(r"_L(\d+)$", name)
    return int(found[1]) if found else None


class Block(NamedTuple):
    """Lines under one head: run once (`times` "once"), or for t "up" 0..T-1 or "down" T-1..0."""

    head: str
    times: str
    lines: tuple[Line, ...]


def assemble(
    layers: Sequence[Layer],
    parameters: Sequence[str],
    *,
    embedded: bool = False,
    loss: str = "summed_cross_entropy",
    update: str = "sgd",
    clipped: bool = False,
    norm_clipped: bool = False,
) -> tuple[Block, ...]:
    """The program of one training step: forward, backward through time, update.

    Args:
        layers: of `layers_of`, bottom first.
        parameters: names of all parameters, in the order of the update.
        embedded: the input is a row of `embedding`, not a one-hot row.
        loss: a key of `jaxrnn.charlm.LOSSES`; of "last_cross_entropy" the readout's lines stand
            after the loop.
        update: a key of `UPDATES`.
        clipped: every entry of the gradient is clipped before the update.
        norm_clipped: the gradient's norm is clipped, after its entries.

    Returns:
        Blocks in the order of execution.
    """
    read = "x[t] = embedding[inputs[t]]" if embedded else "x[t] = one_hot(inputs[t], V)"
    zeros = "\n".join(f"d_{name} = zeros_like({name})" for name in parameters)
    forward = _lines(read, FORWARD)
    backward: list[Line] = []
    given = "x"
    for layer in layers:
        mark = layer.mark
        bias = f" + b_h{mark}" if f"b_h{mark}" in layer.parameters else ""
        brought = "what the layer below brings" if given != "x" else "what the input brings"
        share = f"a{mark}[t] = {given}[t] @ w_xh{mark}{bias}  # {brought}"
        forward += [*_lines(share, FORWARD), *layer.listing.forward]
        back = f"d_w_xh{mark} += outer({given}[t], d_a{mark}[t])"
        if bias:
            back += f"\nd_b_h{mark} += d_a{mark}[t]"
        if given != "x":
            back += f"\nd_{given}[t] += d_a{mark}[t] @ w_xh{mark}.T  # to the layer below"
        elif embedded:
            back += f"\nd_x[t] = d_a{mark}[t] @ w_xh{mark}.T\nd_embedding[inputs[t]] += d_x[t]"
        backward[:0] = [*layer.listing.backward, *_lines(back, BACKWARD)]
        zeros += "".join(f"\nd_{name}[T-1] = zeros_like({name}[T-1])" for name in layer.carries)
        given = f"h{mark}"
    share, error = ("", _ERROR) if loss != "cross_entropy" else (" / T", f"({_ERROR}) / T")
    out = _lines(_READOUT.format(h=given, share=share), FORWARD)
    out_back = _lines(_READOUT_BACKWARD.format(h=given, error=error), BACKWARD)
    zero = _lines(zeros, BACKWARD)
    updates = []
    if clipped:
        updates += [_CLIP.format(w=name) for name in parameters]
    if norm_clipped:
        updates.append(_CLIP_NORM.format(gradients=", ".join(f"d_{name}" for name in parameters)))
        updates += [_SHRINK.format(w=name) for name in parameters]
    updates += [UPDATES[update].format(w=name) for name in parameters]
    up, down = "for t in range(T):", "for t in reversed(range(T)):"
    if loss != "last_cross_entropy":
        blocks = [
            Block(up, "up", (*forward, *out)),
            Block("", "once", tuple(zero)),
            Block(down, "down", (*out_back, *backward)),
        ]
    else:
        blocks = [
            Block(up, "up", tuple(forward)),
            Block("", "once", tuple(out)),
            Block("", "once", (*zero, *out_back)),
            Block(down, "down", tuple(backward)),
        ]
    return (*blocks, Block("", "once", tuple(_lines("\n".join(updates), UPDATE))))


def change_lines(blocks: tuple[Block, ...], changes: Mapping[str, str]) -> tuple[Block, ...]:
    """The same program with some lines in place of others.

    Args:
        blocks: of `assemble`.
        changes: new code by the code it takes the place of.

    Raises:
        ValueError: a line that the program does not have.
    """
    known = {line.code for block in blocks for line in block.lines}
    for code in changes:
        if code not in known:
            rule = "a line of this program"
            raise ValueError(sentence("change_lines", "changes", rule, repr(code)))

    def changed(line: Line) -> Line:
        code = changes.get(line.code, line.code)
        return line._replace(code=code, defines=_defines(code))

    return tuple(block._replace(lines=tuple(map(changed, block.lines))) for block in blocks)


def line_of(code: str, note: str, phase: str) -> Line:
    """A line, with what it defines."""
    return Line(code, note, phase, _defines(code))


def _lines(source: str, phase: str) -> list[Line]:
    parted = (text.partition("#") for text in source.splitlines())
    return [line_of(c.strip(), note.strip(), phase) for c, _, note in parted if c.strip()]


def _defines(code: str) -> tuple[Reference, ...]:
    statement = ast.parse(code).body[0]
    if isinstance(statement, ast.AugAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        first = statement.targets[0]
        targets = list(first.elts) if isinstance(first, ast.Tuple) else [first]
    else:
        raise ValueError(f"a line of a listing assigns; this one does not: {code}")
    return tuple(reference(target) for target in targets)


def reference(node: ast.expr) -> Reference:
    """The tensor that an expression names; an index that is not a time is a row of a whole one."""
    if isinstance(node, ast.Name):
        return Reference(node.id, "")
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        index = ast.unparse(node.slice).replace(" ", "")
        is_time = index in ("t", "t-1", "T-1")
        return Reference(node.value.id, index if is_time else "")
    raise ValueError(f"no tensor of a listing: {ast.unparse(node)}")
