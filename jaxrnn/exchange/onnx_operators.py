"""ONNX's operators RNN, GRU and LSTM on plain arrays: a node's inputs and attributes, and back.

With D directions along the first axis, and everything transposed against this library:

    W [D, G·H, I] = w_xhᵀ     R [D, G·H, H] = w_hhᵀ     B [D, 2·G·H]: one bias, then the other
    P [D, 3H] = p_i, p_o, p_f         initial_h, initial_c [D, B, H]         sequence_lens [B]

The LSTM's blocks are i, o, f, c where this library has i, f, g, o; the GRU's are z, r, h where it
has r, z, n. With `linear_before_reset` a GRU is `GRU`, without it is `GRU_RESET_BEFORE`, whose w_hn
is the last block of R. With `layout=1` the batch comes first in what is not a weight.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import (
    Shape,
    check_choice,
    check_entries,
    check_zero,
    concatenate,
    merge_gru_biases,
    params_of,
    reorder,
    second_bias,
    stack,
    to_array,
    to_numpy,
    zeros,
)
from jaxrnn.exchange.onnx_cells import DEFAULTS, FUNCTIONS, Activation, Kind, cell_of, kind_of
from jaxrnn.exchange.structures import in_two_directions
from jaxrnn.networks import Directions, Network
from jaxrnn.recurrence.checks import check_params, is_token_ids

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_ATTRIBUTES = {
    "activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size",
    "layout",
}  # fmt: skip
_OWN_ATTRIBUTES: dict[str, set[str]] = {
    "RNN": set(),
    "GRU": {"linear_before_reset"},
    "LSTM": {"input_forget"},
}
_DIRECTIONS = ("forward", "reverse", "bidirectional")
_ORDER = {"RNN": ("h", "h"), "GRU": ("rzn", "zrn"), "LSTM": ("ifgo", "iofg")}
"""Of the blocks here and there."""


class Layer(NamedTuple):
    """A node in this library's terms.

    Attributes:
        net: a cell, or a `Bidirectional`.
        params: its parameters.
        carry: before the first step, of its structure; None: not said.
        lengths: int32 [B]; None: all of T.
        reverse: whether it runs backwards.
        batch_first: whether its sequences are [B, T, ·].
    """

    net: Network
    params: Any
    carry: Any = None
    lengths: Any = None
    reverse: bool = False
    batch_first: bool = False


class Operator(NamedTuple):
    """A node in ONNX's terms: "LSTM", arrays by input, and the attributes that are not default."""

    name: str
    inputs: dict[str, Any]
    attributes: dict[str, Any]


def read_operator(
    function: str, where: str, name: str, inputs: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Layer:
    """The layer that a node is.

    Args:
        function: for the sentences of errors.
        where: likewise, which node.
        name: "RNN", "GRU" or "LSTM".
        inputs: arrays by ONNX's names; X is not among them.
        attributes: likewise.

    Raises:
        TypeError, ValueError: an attribute that is not known, or has a value that no cell has;
            inputs that are missing, unexpected or misshapen (all are named).
    """
    check_choice(function, f"{where}: operator", name, [*GATES])
    unknown = [key for key in attributes if key not in _ATTRIBUTES | _OWN_ATTRIBUTES[name]]
    if unknown:
        expected = f"attributes of {name} that are known"
        got = ", ".join(map(repr, unknown))
        raise ValueError(sentence(function, where, expected, got))
    settings = {"direction": "forward", "layout": 0, **attributes}
    check_choice(function, f"{where}: direction", settings["direction"], _DIRECTIONS)
    for flag in {"layout", *_OWN_ATTRIBUTES[name]} & {*settings}:
        check_choice(function, f"{where}: {flag}", settings[flag], [0, 1])
    count = 2 if settings["direction"] == "bidirectional" else 1
    arrays = {key: to_array(function, f"{where}: {key}", value) for key, value in inputs.items()}
    lengths = arrays.pop("sequence_lens", None)
    batch_first = bool(settings["layout"])
    _check(function, where, name, arrays, settings, count)
    made = []
    for direction, kind in enumerate(_kinds(function, where, name, settings, "P" in arrays, count)):
        own = {key: array[direction] for key, array in arrays.items() if key in "WRBP"}
        cell = cell_of(kind)
        made.append((cell, params_of(function, cell, _fields(own, kind))))
    net, params = made[0] if count == 1 else in_two_directions(*made)
    return Layer(
        net,
        params,
        _carry([cell for cell, _ in made], arrays, batch_first),
        _lengths(function, where, lengths, arrays, batch_first),
        settings["direction"] == "reverse",
        batch_first,
    )


def write_operator(
    function: str, directions: list[tuple[Cell, Any]], *, bias: bool = True, reverse: bool = False
) -> Operator:
    """The node that a layer is.

    Args:
        function: for the sentences of errors.
        directions: the cell and params of one direction or of two.
        bias: whether it has B.
        reverse: whether a single direction runs backwards.

    Raises:
        TypeError, ValueError: a cell that no operator is; two directions that are not of one
            operator; `bias=False` for biases that are not 0.
    """
    kinds = []
    for cell, params in directions:
        kind = kind_of(cell)
        if kind is None:
            names = "ELMAN, ELMAN_RELU, LSTM, LSTM_PEEPHOLE, GRU, GRU_RESET_BEFORE"
            expected = f"a cell that ONNX has as an operator: {names}, or one that came from ONNX"
            hint = "exchange.charlm_to_onnx writes any cell's step, as jaxrnn export does"
            raise ValueError(sentence(function, "net", expected, repr(cell), hint))
        check_params(function, cell, params)
        kinds.append(kind)
    first = kinds[0]
    alike = {kind._replace(activations=()) for kind in kinds}
    sizes = [(cell.sizes_of(params), params.w_xh.dtype) for cell, params in directions]
    if len(alike) > 1 or sizes.count(sizes[0]) < len(sizes):
        expected = "two directions that are one operator of ONNX's, of one size and dtype"
        got = " and ".join(repr(cell) for cell, _ in directions)
        hint = "export net.forward and net.backward one by one"
        raise ValueError(sentence(function, "net", expected, got, hint))
    each = [
        _inputs(function, params, kind, bias)
        for (_, params), kind in zip(directions, kinds, strict=True)
    ]
    inputs = {key: stack([one[key] for one in each]) for key in each[0]}
    attributes: dict[str, Any] = {"hidden_size": sizes[0][0]["H"]}
    if len(directions) == 2 or reverse:
        attributes["direction"] = "bidirectional" if len(directions) == 2 else "reverse"
    activations = [activation for kind in kinds for activation in kind.activations]
    if any(kind.activations != DEFAULTS[first.operator] for kind in kinds):
        attributes["activations"] = [activation.name for activation in activations]
        for index, key in enumerate(("activation_alpha", "activation_beta"), 1):
            constants = [one[index] for one in activations if one[index] is not None]
            attributes |= {key: constants} if constants else {}
    attributes |= {} if first.clip is None else {"clip": first.clip}
    attributes |= {"linear_before_reset": 1} if first.reset_after else {}
    attributes |= {"input_forget": 1} if first.coupled else {}
    return Operator(first.operator, to_numpy(inputs), attributes)


def _kinds(
    function: str,
    where: str,
    name: str,
    settings: Mapping[str, Any],
    peepholes: bool,
    count: int,
) -> list[Kind]:
    """What each direction computes."""
    size = len(DEFAULTS[name])
    default = [activation.name for activation in DEFAULTS[name]] * count
    names = [*settings.get("activations", default)]
    known = {known.lower(): known for known in FUNCTIONS}  # the operators' text says any case
    if len(names) != len(default) or not all(str(one).lower() in known for one in names):
        expected = f"{len(default)} activations of {', '.join(FUNCTIONS)}"
        got = ", ".join(map(str, names)) or "none"
        raise ValueError(sentence(function, f"{where}: activations", expected, got))
    given = {key: list(settings.get(f"activation_{key}", ())) for key in ("alpha", "beta")}
    activations = []
    for each in (known[str(one).lower()] for one in names):
        constants = {}
        for key, default_value in FUNCTIONS[each].defaults.items():
            value = given[key].pop(0) if given[key] else default_value
            if value is None:
                expected = f"a value for each of {', '.join(names)} that has one"
                got = f"none for {each}"
                raise ValueError(sentence(function, f"{where}: activation_{key}", expected, got))
            constants[key] = _decimal(value)
        activations.append(Activation(each, **constants))
    for key, left in given.items():
        if left:
            expected = f"no more values than {', '.join(names)} have"
            got = f"{len(left)} too many"
            raise ValueError(sentence(function, f"{where}: activation_{key}", expected, got))
    clip = settings.get("clip")
    if clip is not None and not clip > 0:
        raise ValueError(sentence(function, f"{where}: clip", "a number above 0", clip))
    return [
        Kind(
            name,
            tuple(activations[size * direction : size * (direction + 1)]),
            None if clip is None else _decimal(clip),
            bool(settings.get("linear_before_reset", 0)),
            bool(settings.get("input_forget", 0)),
            peepholes,
        )
        for direction in range(count)
    ]


def _decimal(value: Any) -> float:
    """What was meant: 0.2 for the float32 nearest to it, which is what a file holds."""
    return float(str(np.float32(value)))


def _check(
    function: str,
    where: str,
    name: str,
    arrays: Mapping[str, Any],
    settings: Mapping[str, Any],
    count: int,
) -> None:
    """The shapes of everything but `sequence_lens`."""
    shape = tuple(arrays["R"].shape) if "R" in arrays else ()
    hidden = settings.get("hidden_size") or (shape[2] if len(shape) == 3 else None)
    if hidden is None or hidden < 1:
        expected = f"R [{count}, {GATES[name]}H, H] or a hidden_size"
        got = str(list(shape)) if shape else "neither"
        raise ValueError(sentence(function, where, expected, got))
    rows = GATES[name] * hidden
    batch = None
    if "initial_h" in arrays and arrays["initial_h"].ndim == 3:
        batch = arrays["initial_h"].shape[0 if settings["layout"] else 1]
    inputs = tuple(arrays["W"].shape)[2:] if "W" in arrays else ()
    state: Shape = (batch, count, hidden) if settings["layout"] else (count, batch, hidden)
    expected_shapes: dict[str, Shape] = {
        "W": (count, rows, inputs[0] if len(inputs) == 1 else None),
        "R": (count, rows, hidden),
        "B": (count, 2 * rows),
        "initial_h": state,
    }
    if name == "LSTM":
        expected_shapes |= {"P": (count, 3 * hidden), "initial_c": state}
    wanted = {k: v for k, v in expected_shapes.items() if k in arrays or k in ("W", "R")}
    what = f"an {name}" if name != "GRU" else "a GRU"
    two = " in two directions" if count == 2 else ""
    check_entries(function, where, f"{what}{two}, H={hidden}", wanted, arrays)


def _fields(own: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """A cell's parameters from one direction's inputs, which have been checked."""
    here, there = _ORDER[kind.operator]
    w_xh, w_hh = reorder(own["W"].T, there, here), reorder(own["R"].T, there, here)
    hidden, columns = w_hh.shape
    both = own["B"] if "B" in own else zeros(w_hh, 2 * columns)
    one, other = (reorder(part, there, here) for part in (both[:columns], both[columns:]))
    fields = {"w_xh": w_xh, "w_hh": w_hh}
    if kind.operator == "GRU" and not kind.reset_after:
        fields |= {"w_hh": w_hh[:, : 2 * hidden], "w_hn": w_hh[:, 2 * hidden :]}
    fields |= merge_gru_biases(one, other) if kind.reset_after else {"b_h": one + other}
    if kind.peepholes:
        names = ("p_i", "p_o", "p_f")
        parts = [own["P"][hidden * k : hidden * (k + 1)] for k in range(3)]
        fields |= dict(zip(names, parts, strict=True))
    return fields


def _inputs(function: str, params: Any, kind: Kind, bias: bool) -> dict[str, Any]:
    """One direction's inputs from a cell's parameters."""
    order = _ORDER[kind.operator]
    w_hh = params.w_hh if not hasattr(params, "w_hn") else concatenate([params.w_hh, params.w_hn])
    inputs = {"W": reorder(params.w_xh, *order).T, "R": reorder(w_hh, *order).T}
    if bias:
        both = (params.b_h, second_bias(params))
        inputs["B"] = concatenate([reorder(part, *order) for part in both])
    else:
        for name in ("b_h", "b_hn"):
            if hasattr(params, name):
                why, hint = "bias=False leaves them out", "leave bias=False out"
                check_zero(function, f"params.{name}", getattr(params, name), why, hint)
    if kind.peepholes:
        inputs["P"] = concatenate([params.p_i, params.p_o, params.p_f])
    return inputs


def _carry(cells: list[Cell], arrays: Mapping[str, Any], batch_first: bool) -> Any:
    """The carry of initial_h and initial_c, of which one that is missing is 0; None of neither."""
    given = {key: arrays[f"initial_{key}"] for key in "hc" if f"initial_{key}" in arrays}
    if not given:
        return None
    if batch_first:
        given = {key: array.swapaxes(0, 1) for key, array in given.items()}
    like = next(iter(given.values()))
    carries = []
    for direction, cell in enumerate(cells):
        fields = {
            key: jnp.array(given[key][direction] if key in given else zeros(like, *like.shape[1:]))
            for key in cell.Carry._fields
        }
        carries.append(cell.Carry(**fields))
    return carries[0] if len(carries) == 1 else Directions(*carries)


def _lengths(
    function: str, where: str, lengths: Any, arrays: Mapping[str, Any], batch_first: bool
) -> Any:
    if lengths is None:
        return None
    where = f"{where}: sequence_lens"
    batch = None
    if "initial_h" in arrays:
        batch = arrays["initial_h"].shape[0 if batch_first else 1]
    if lengths.ndim != 1 or not is_token_ids(lengths) or batch not in (None, len(lengths)):
        expected = f"integers [{'B' if batch is None else batch}], one a sequence"
        raise ValueError(sentence(function, where, expected, lengths))
    if not isinstance(lengths, jax.core.Tracer) and np.any(np.asarray(lengths) < 0):
        raise ValueError(sentence(function, where, "lengths of at least 0", str(lengths)))
    return jnp.array(lengths, jnp.int32)
