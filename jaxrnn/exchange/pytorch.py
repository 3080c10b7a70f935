"""PyTorch: `nn.RNN`, `nn.LSTM`, `nn.GRU` and their cells, by the names of a state_dict.

    weight_ih_l0 [G·H, I] = w_xhᵀ      weight_hh_l0 [G·H, H] = w_hhᵀ     weight_hr_l0 [P, H] = w_hrᵀ
    bias_ih_l0 + bias_hh_l0 [G·H] = b_h, but in a GRU's block n bias_hh is b_hn

with `_l1`, `_l2`, … of further layers, `_reverse` of the second direction, and no `_l0` in a cell.
Gates are in the same order.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxrnn.cells import ELMAN, ELMAN_RELU, GRU, LSTM, LSTM_PROJECTED, Cell
from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import (
    Shape,
    check_choice,
    check_entries,
    check_zero,
    merge_gru_biases,
    most_common,
    params_of,
    second_bias,
    to_array,
    to_numpy,
    zeros,
)
from jaxrnn.exchange.pickles import refuse_programs
from jaxrnn.exchange.structures import (
    check_cell,
    directions_of,
    in_two_directions,
    layers_of,
    stacked,
)
from jaxrnn.networks import Network

_NAME = re.compile(
    r"(?:(?P<prefix>.+)\.)?(?:weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?P<end>_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)
_CELLS = (ELMAN, ELMAN_RELU, LSTM, LSTM_PROJECTED, GRU)
_NONLINEARITIES = {"tanh": ELMAN, "relu": ELMAN_RELU}
_MOST_LAYERS = 1000


def from_torch(
    source: Any, prefix: str | None = None, *, nonlinearity: str | None = None
) -> tuple[Network, Any]:
    """The network and the parameters of an `nn.RNN`, `nn.LSTM`, `nn.GRU`, or of one of their cells.

    What it is is read off the shapes: weight_hh has H, 3H or 4H rows. PyTorch itself is not needed,
    but to have made the tensors.

    Args:
        source: a state_dict, as tensors or other arrays; or a module; or the path of a
            `.safetensors` file. A file that `torch.save` wrote is a pickle, which can run any
            program when it is opened, and is not opened here: `torch.load(path,
            weights_only=True)` reads it safely.
        prefix: where the layer is in a larger state_dict, "encoder.lstm" for
            "encoder.lstm.weight_ih_l0"; None: the only one there is, wherever it is.
        nonlinearity: "tanh" or "relu", of an `nn.RNN`; weights do not tell, a module does.

    Returns:
        (net, params): a cell; a `Bidirectional` for two directions; a `Stack` of these for two or
        more layers, with the dropout of a module. Biases that are not there are 0.

    Raises:
        TypeError: no state_dict, module or path; entries that are no floating arrays.
        ValueError: no layer there, or several (all are named); entries that are missing, unexpected
            or misshapen (all are named); a nonlinearity that is not known, or is given where there
            is none to choose; float64 without `jax_enable_x64`.

    PyTorch's `nn.LSTM` on a batch-first input is `unroll` on `xs.swapaxes(0, 1)`.

    Example:
        >>> import jax, numpy as np, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> state_dict = {
        ...     "lstm.weight_ih_l0": np.ones((16, 3), np.float32),
        ...     "lstm.weight_hh_l0": np.ones((16, 4), np.float32),
        ...     "readout.weight": np.ones((2, 4), np.float32),
        ... }
        >>> net, params = exchange.from_torch(state_dict)
        >>> net, params.w_xh.shape
        (the cell 'lstm', (3, 16))
    """
    if nonlinearity is not None:
        check_choice("from_torch", "nonlinearity", nonlinearity, [*_NONLINEARITIES])
    state, module = _state_dict(source)
    prefix = _choose(state, prefix)
    start = f"{prefix}." if prefix else ""
    own = {
        name: to_array("from_torch", name, value)
        for name, value in state.items()
        if name.startswith(start) and "." not in name[len(start) :]
    }
    dropout = 0.0
    if module is not None:
        part = module.get_submodule(prefix)
        nonlinearity = _agreed(nonlinearity, getattr(part, "nonlinearity", None))
        dropout = float(getattr(part, "dropout", 0.0))
    matches = [match for name in own if (match := _NAME.fullmatch(name))]
    as_cell = all(match["end"] is None for match in matches)
    layers = 1 + max(int(match["layer"] or 0) for match in matches)
    two = any(match["reverse"] for match in matches)
    if layers > _MOST_LAYERS:
        raise ValueError(
            sentence("from_torch", "source", f"at most {_MOST_LAYERS} layers", str(layers))
        )
    ends = [[""]] if as_cell else [[f"_l{k}", f"_l{k}_reverse"][: 1 + two] for k in range(layers)]
    cell, hidden, fed_back = _kind(own, start, nonlinearity)
    with_bias = any("bias_" in name[len(start) :] for name in own)
    _check(own, start, ends, cell, hidden, fed_back, with_bias)

    def read(end: str) -> tuple[Network, Any]:
        return cell, params_of("from_torch", cell, _fields(own, start, end, cell))

    made = [read(es[0]) if len(es) == 1 else in_two_directions(*map(read, es)) for es in ends]
    return made[0] if len(made) == 1 else stacked(made, dropout)


def to_torch(
    net: Network, params: Any, prefix: str = "", *, bias: bool = True, as_cell: bool = False
) -> dict[str, Any]:
    """A state_dict of PyTorch's: what `load_state_dict` takes, but in NumPy arrays.

    Args:
        net: a cell that PyTorch has, a `Bidirectional` of one, or a `Stack` of these, all alike.
        params: its parameters.
        prefix: goes before every name, and a dot after it.
        bias: whether the module has biases. Of its two the second is 0 (but for the part of a
            GRU's that is inside the reset).
        as_cell: names as in `nn.LSTMCell`, without "_l0".

    Returns:
        Arrays by name, in the order of the module's own state_dict. `{name: torch.tensor(value) …}`
        makes them tensors; the module has `input_size=I`, `hidden_size=H`, `num_layers`,
        `bidirectional`, `proj_size=P` and, for ELMAN_RELU, `nonlinearity="relu"`.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell or a structure that
            PyTorch has not; `bias=False` for biases that are not 0.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> state_dict = exchange.to_torch(rnn.GRU, params)
        >>> {name: value.shape for name, value in state_dict.items()}
        {'weight_ih_l0': (12, 3), 'weight_hh_l0': (12, 4), 'bias_ih_l0': (12,), 'bias_hh_l0': (12,)}
    """
    layers = [
        directions_of("to_torch", "PyTorch", *layer)
        for layer in layers_of("to_torch", "PyTorch", net, params)
    ]
    kinds = []
    for directions in layers:
        for cell, part in directions:
            hint = "jaxrnn.exchange.to_keras and to_haiku take it" * ("before" in cell.name)
            check_cell("to_torch", "PyTorch", cell, part, _CELLS, hint)
            sizes = cell.sizes_of(part)
            kinds.append((cell.name, len(directions), sizes["H"], sizes.get("P")))
    if len({*kinds}) > 1:
        expected = "layers of one cell, one size H, all in one direction or all in two"
        hint = "export layer by layer"
        got = f"{net!r} with H = {', '.join(str(kind[2]) for kind in kinds)}"
        raise ValueError(sentence("to_torch", "net", expected, got, hint))
    if as_cell and len(kinds) > 1:
        expected = "one cell with as_cell=True"
        raise ValueError(sentence("to_torch", "net", expected, repr(net)))
    state: dict[str, Any] = {}
    start = f"{prefix.removesuffix('.')}." if prefix else ""
    for index, directions in enumerate(layers):
        for (_, part), reverse in zip(directions, ("", "_reverse"), strict=False):
            end = "" if as_cell else f"_l{index}{reverse}"
            fields = _entries(part, bias)
            state |= {f"{start}{name}{end}": to_numpy(value) for name, value in fields.items()}
    return state


def _entries(params: Any, bias: bool) -> dict[str, Any]:
    entries = {"weight_ih": params.w_xh.T, "weight_hh": params.w_hh.T}
    if bias:
        entries |= {"bias_ih": params.b_h, "bias_hh": second_bias(params)}
    else:
        for name in ("b_h", "b_hn"):
            if hasattr(params, name):
                why, hint = "bias=False leaves them out", "leave bias=False out"
                check_zero("to_torch", f"params.{name}", getattr(params, name), why, hint)
    if hasattr(params, "w_hr"):
        entries["weight_hr"] = params.w_hr.T
    return entries


def _fields(own: Mapping[str, Any], start: str, end: str, cell: Cell) -> dict[str, Any]:
    """A cell's parameters from the entries, which have been checked."""

    def entry(name: str) -> Any:
        return own[f"{start}{name}{end}"]

    fields = {"w_xh": entry("weight_ih").T, "w_hh": entry("weight_hh").T}
    if cell is LSTM_PROJECTED:
        fields["w_hr"] = entry("weight_hr").T
    if f"{start}bias_ih{end}" not in own:
        size = fields["w_hh"].shape[1]
        one = other = zeros(fields["w_hh"], size)
    else:
        one, other = entry("bias_ih"), entry("bias_hh")
    return fields | (merge_gru_biases(one, other) if cell is GRU else {"b_h": one + other})


def _state_dict(source: Any) -> tuple[Mapping[str, Any], Any]:
    """Entries by name, and the module that they are of, if any."""
    if isinstance(source, str | Path):
        return _read(Path(source)), None
    if hasattr(source, "state_dict") and hasattr(source, "get_submodule"):
        return source.state_dict(), source
    if not isinstance(source, Mapping):
        expected = "a state_dict, a module, or the path of a .safetensors file"
        raise TypeError(sentence("from_torch", "source", expected, type(source).__name__))
    return {str(name): value for name, value in source.items()}, None


def _read(path: Path) -> Mapping[str, Any]:
    refuse_programs("from_torch", "source", path)
    if path.suffix != ".safetensors":
        hint = "arrays of another file can be passed themselves, by PyTorch's names"
        raise ValueError(
            sentence("from_torch", "source", "a path that ends .safetensors", str(path), hint)
        )
    from jaxrnn.exchange.safetensors_files import read_arrays

    return read_arrays(path)


def _choose(state: Mapping[str, Any], prefix: str | None) -> str:
    """The prefix of a layer's names."""
    found = {match["prefix"] or "": None for name in state if (match := _NAME.fullmatch(name))}
    if prefix is not None:
        prefix = prefix.removesuffix(".")
        if prefix in found:
            return prefix
    elif len(found) == 1:
        return next(iter(found))
    names = ", ".join(map(repr, found)) if found else "none"
    if prefix is not None:
        expected = "the prefix of a recurrent layer's entries"
        hint = f"those that are there: {names}"
        raise ValueError(sentence("from_torch", "prefix", expected, repr(prefix), hint))
    if found:
        hint = f"say which: prefix={next(iter(found))!r}"
        raise ValueError(sentence("from_torch", "source", "one recurrent layer", names, hint))
    expected = "entries like 'weight_ih_l0' or 'weight_ih', with or without a prefix"
    inside = [name for name, value in state.items() if isinstance(value, Mapping)]
    hint = f"pass what is at {inside[0]!r}" if inside else ""
    got = ", ".join(map(repr, [*state][:10])) + ", …" * (len(state) > 10) or "nothing"
    raise ValueError(sentence("from_torch", "source", expected, got, hint))


def _agreed(asked: str | None, module_has: Any) -> str | None:
    if asked is not None and module_has is not None and asked != module_has:
        expected = f"{module_has!r}, which the module has"
        raise ValueError(sentence("from_torch", "nonlinearity", expected, repr(asked)))
    return asked if module_has is None else module_has


def _kind(own: Mapping[str, Any], start: str, nonlinearity: str | None) -> tuple[Cell, int, int]:
    """The cell, its H, and the width of what comes back in: H, or P after a projection."""
    named = {name[len(start) :]: tuple(array.shape) for name, array in own.items()}
    recurrent = {name: shape for name, shape in named.items() if name.startswith("weight_hh")}
    matrices = [shape for shape in recurrent.values() if len(shape) == 2 and all(shape)]
    cell, hidden, fed_back = None, 0, 0
    if any(name.startswith("weight_hr") for name in named):
        rows, fed_back = most_common(matrices) or (0, 0)
        hidden = rows // 4
        cell = LSTM_PROJECTED if rows and rows % 4 == 0 else None
    else:
        by_gates = {1: ELMAN, 3: GRU, 4: LSTM}
        fitting = [(r // c, c) for r, c in matrices if r % c == 0 and r // c in by_gates]
        if fitting:
            gates, hidden = most_common(fitting)
            cell, fed_back = by_gates[gates], hidden
    if cell is None:
        expected = (
            "'weight_hh' with 1, 3 or 4 times as many rows as columns (an RNN, GRU, LSTM), or 4H "
            "rows beside a 'weight_hr'"
        )
        got = ", ".join(f"{name!r} as {list(shape)}" for name, shape in recurrent.items())
        hint = "parametrized weights first need torch.nn.utils.parametrize.remove_parametrizations"
        got = got or "no 'weight_hh'"
        raise ValueError(sentence("from_torch", "source", expected, got, hint * (not recurrent)))
    if cell is not ELMAN:
        if nonlinearity is not None:
            expected = f"None for {_called(cell)}"
            raise ValueError(sentence("from_torch", "nonlinearity", expected, repr(nonlinearity)))
        return cell, hidden, fed_back
    if nonlinearity is None:
        expected = '"tanh" or "relu": this is an nn.RNN, whose weights do not tell'
        raise ValueError(sentence("from_torch", "nonlinearity", expected, "None"))
    return _NONLINEARITIES[nonlinearity], hidden, fed_back


def _check(
    own: Mapping[str, Any],
    start: str,
    ends: list[list[str]],
    cell: Cell,
    hidden: int,
    fed_back: int,
    with_bias: bool,
) -> None:
    rows = len(cell.gates) * hidden
    expected: dict[str, Shape] = {}
    inputs = most_common(
        array.shape[1]
        for end in ends[0]
        if (array := own.get(f"{start}weight_ih{end}")) is not None and array.ndim == 2
    )
    first = inputs
    for directions in ends:
        for end in directions:
            expected[f"{start}weight_ih{end}"] = (rows, inputs)
            expected[f"{start}weight_hh{end}"] = (rows, fed_back)
            if with_bias:
                expected[f"{start}bias_ih{end}"] = expected[f"{start}bias_hh{end}"] = (rows,)
            if cell is LSTM_PROJECTED:
                expected[f"{start}weight_hr{end}"] = (fed_back, hidden)
        inputs = fed_back * len(directions)
    layers = "" if len(ends) == 1 else f" of {len(ends)} layers"
    two = " in two directions" if len(ends[0]) == 2 else ""
    sizes = f"I={'any' if first is None else first}, H={hidden}"
    sizes += f", P={fed_back}" if cell is LSTM_PROJECTED else ""
    what = f"{_called(cell)}{layers}{two}, {sizes}{'' if with_bias else ', without biases'}"
    hint = "torch.nn.utils.remove_weight_norm makes one weight of two"
    reparametrized = any(name.endswith(("_g", "_v")) for name in own)
    check_entries("from_torch", "source", what, expected, own, hint * reparametrized)


def _called(cell: Cell) -> str:
    names = {LSTM: "an nn.LSTM", LSTM_PROJECTED: "an nn.LSTM with proj_size", GRU: "an nn.GRU"}
    return names.get(cell, "an nn.RNN")
