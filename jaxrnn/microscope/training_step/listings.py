"""One training step as a program of lines, the same text for reading and for running.

A listing is Python source in the equations' names. A tensor that lives at each step is indexed by
`t` (`h[t]`, and `h[-1]` before the first); `d_` marks the gradient of the loss with respect to what
follows. What a line defines and what it reads is parsed from the line, so nothing is said twice.
A trailing comment is the sentence that a view shows beside the line.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jaxrnn.errors import sentence

FORWARD, BACKWARD, UPDATE = PHASES = ("forward", "backward", "update")


class CellListing(NamedTuple):
    """A cell's own lines; `assemble` adds those that all cells share.

    Attributes:
        forward: from x[t] and the carry at t-1 to the carry at t.
        backward: from the gradient of the carry at t to that at t-1, and `d_a[t]`, the gradient of
            `x[t] @ w_xh + b_h`.
        before: what is set up once, before the first step.
    """

    forward: str
    backward: str
    before: str = ""


_ELMAN = """
a[t] = x[t] @ w_xh + h[t-1] @ w_hh + b_h
h[t] = {phi}(a[t])
"""
_ELMAN_BACKWARD = """
d_a[t] = d_h[t] * {slope}  # through the nonlinearity
d_w_hh += outer(h[t-1], d_a[t])  # one step's share of the gradient; the shares add up
d_h[t-1] = d_a[t] @ w_hh.T  # back to the step before
"""

CELL_LISTINGS = {
    "elman": CellListing(
        _ELMAN.format(phi="tanh"), _ELMAN_BACKWARD.format(slope="(1 - h[t] ** 2)")
    ),
    "elman_relu": CellListing(
        _ELMAN.format(phi="relu"), _ELMAN_BACKWARD.format(slope="positive(h[t])")
    ),
    "lstm": CellListing(
        """
a_i[t], a_f[t], a_g[t], a_o[t] = split(x[t] @ w_xh + h[t-1] @ w_hh + b_h, 4)
i[t] = sigmoid(a_i[t])  # the input gate: how much is written
f[t] = sigmoid(a_f[t])  # the forget gate: how much is kept
g[t] = tanh(a_g[t])  # what is written
o[t] = sigmoid(a_o[t])  # the output gate: how much is shown
c[t] = f[t] * c[t-1] + i[t] * g[t]  # the memory
h[t] = o[t] * tanh(c[t])
""",
        """
d_c[t] += d_h[t] * o[t] * (1 - tanh(c[t]) ** 2)  # what came along c is already there
d_a_i[t] = d_c[t] * g[t] * i[t] * (1 - i[t])
d_a_f[t] = d_c[t] * c[t-1] * f[t] * (1 - f[t])
d_a_g[t] = d_c[t] * i[t] * (1 - g[t] ** 2)
d_a_o[t] = d_h[t] * tanh(c[t]) * o[t] * (1 - o[t])
d_a[t] = join(d_a_i[t], d_a_f[t], d_a_g[t], d_a_o[t])
d_w_hh += outer(h[t-1], d_a[t])  # one step's share of the gradient; the shares add up
d_h[t-1] = d_a[t] @ w_hh.T  # back to the step before
d_c[t-1] = d_c[t] * f[t]  # along the memory: no matrix, only the forget gate
""",
    ),
    "gru": CellListing(
        """
a_r[t], a_z[t], a_n[t] = split(x[t] @ w_xh + b_h, 3)
u_r[t], u_z[t], u_n[t] = split(h[t-1] @ w_hh, 3)
r[t] = sigmoid(a_r[t] + u_r[t])  # the reset gate
z[t] = sigmoid(a_z[t] + u_z[t])  # the update gate: how much of the old state stays
m[t] = u_n[t] + b_hn
n[t] = tanh(a_n[t] + r[t] * m[t])  # the new state that is proposed; reset after the product
h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]
""",
        """
d_a_n[t] = d_h[t] * (1 - z[t]) * (1 - n[t] ** 2)
d_m[t] = d_a_n[t] * r[t]
d_a_r[t] = d_a_n[t] * m[t] * r[t] * (1 - r[t])
d_a_z[t] = d_h[t] * (h[t-1] - n[t]) * z[t] * (1 - z[t])
d_a[t] = join(d_a_r[t], d_a_z[t], d_a_n[t])
d_u[t] = join(d_a_r[t], d_a_z[t], d_m[t])
d_b_hn += d_m[t]
d_w_hh += outer(h[t-1], d_u[t])  # one step's share of the gradient; the shares add up
d_h[t-1] = d_h[t] * z[t] + d_u[t] @ w_hh.T  # straight through z, and through the matrix
""",
    ),
    "gru_reset_before": CellListing(
        """
a_r[t], a_z[t], a_n[t] = split(x[t] @ w_xh + b_h, 3)
r[t] = sigmoid(a_r[t] + h[t-1] @ w_r)  # the reset gate
z[t] = sigmoid(a_z[t] + h[t-1] @ w_z)  # the update gate: how much of the old state stays
s[t] = r[t] * h[t-1]
n[t] = tanh(a_n[t] + s[t] @ w_n)  # the new state that is proposed; reset before the product
h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]
""",
        """
d_a_n[t] = d_h[t] * (1 - z[t]) * (1 - n[t] ** 2)
d_s[t] = d_a_n[t] @ w_n.T
d_a_r[t] = d_s[t] * h[t-1] * r[t] * (1 - r[t])
d_a_z[t] = d_h[t] * (h[t-1] - n[t]) * z[t] * (1 - z[t])
d_a[t] = join(d_a_r[t], d_a_z[t], d_a_n[t])
d_w_hh += join(outer(h[t-1], d_a_r[t]), outer(h[t-1], d_a_z[t]), outer(s[t], d_a_n[t]))
d_h[t-1] = d_h[t] * z[t] + d_s[t] * r[t] + d_a_r[t] @ w_r.T + d_a_z[t] @ w_z.T
""",
        before="w_r, w_z, w_n = split(w_hh, 3)  # views of one matrix",
    ),
}

_READOUT = """
y[t] = h[t] @ w_hy + b_y
p[t] = softmax(y[t])  # what the network expects next
loss += -log(p[t][targets[t]]){share}  # in nats
"""
_READOUT_BACKWARD = """
d_y[t] = {error}
d_w_hy += outer(h[t], d_y[t])
d_b_y += d_y[t]
d_h[t] += d_y[t] @ w_hy.T  # what came back from step t+1 is already there
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


class Block(NamedTuple):
    """Lines under one head: run once (`times` "once"), or for t "up" 0..T-1 or "down" T-1..0."""

    head: str
    times: str
    lines: tuple[Line, ...]


def assemble(
    cell_name: str,
    parameters: tuple[str, ...],
    carries: tuple[str, ...],
    *,
    embedded: bool = False,
    loss: str = "summed_cross_entropy",
    update: str = "sgd",
    clipped: bool = False,
    norm_clipped: bool = False,
) -> tuple[Block, ...]:
    """The program of one training step: forward, backward through time, update.

    Args:
        cell_name: a key of `CELL_LISTINGS`.
        parameters: names of all parameters, in the order of the update.
        carries: names of the carry's fields.
        embedded: the input is a row of `embedding`, not a one-hot row.
        loss: a key of `jaxrnn.charlm.LOSSES`; of "last_cross_entropy" the readout's lines stand
            after the loop.
        update: a key of `UPDATES`.
        clipped: every entry of the gradient is clipped before the update.
        norm_clipped: the gradient's norm is clipped, after its entries.

    Returns:
        Blocks in the order of execution.
    """
    cell = CELL_LISTINGS[cell_name]
    read = "x[t] = embedding[inputs[t]]" if embedded else "x[t] = one_hot(inputs[t], V)"
    share = "d_w_xh += outer(x[t], d_a[t])\nd_b_h += d_a[t]"
    if embedded:
        share += "\nd_x[t] = d_a[t] @ w_xh.T\nd_embedding[inputs[t]] += d_x[t]"
    zeros = "\n".join(f"d_{name} = zeros_like({name})" for name in parameters)
    zeros += "".join(f"\nd_{name}[T-1] = zeros_like({name}[T-1])" for name in carries)
    readout, readout_backward = _READOUT.format(share=""), _READOUT_BACKWARD.format(error=_ERROR)
    if loss == "cross_entropy":
        readout = _READOUT.format(share=" / T")
        readout_backward = _READOUT_BACKWARD.format(error=f"({_ERROR}) / T")
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
            _block("", cell.before, FORWARD),
            _block(up, read + cell.forward + readout, FORWARD),
            _block("", zeros, BACKWARD),
            _block(down, readout_backward + cell.backward + share, BACKWARD),
        ]
    else:
        blocks = [
            _block("", cell.before, FORWARD),
            _block(up, read + cell.forward, FORWARD),
            _block("", readout, FORWARD),
            _block("", zeros + readout_backward, BACKWARD),
            _block(down, cell.backward + share, BACKWARD),
        ]
    blocks.append(_block("", "\n".join(updates), UPDATE))
    return tuple(block for block in blocks if block.lines)


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


def _block(head: str, source: str, phase: str) -> Block:
    times = "down" if "reversed" in head else "up" if head else "once"
    return Block(head, times, tuple(_lines(source, phase)))


def _lines(source: str, phase: str) -> Iterator[Line]:
    for text in source.splitlines():
        code, _, note = text.partition("#")
        if code.strip():
            yield Line(code.strip(), note.strip(), phase, _defines(code.strip()))


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
