"""Haiku: VanillaRNN, LSTM, GRU, by the names of its parameters.

`VanillaRNN` is `ELMAN_RELU`, in two linear layers. `LSTM` is one linear layer over [x, h] with the
gates in the order i, g, f, o; it adds 1 to its forget gate's bias, which is part of b_h here. `GRU`
resets before the product, as `GRU_RESET_BEFORE`, in the order z, r, n, and its z is our 1 − z, so
that these blocks are negated (σ(−a) = 1 − σ(a)).
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.cells import ELMAN_RELU, GRU, GRU_RESET_BEFORE, LSTM, Cell
from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import (
    Shape,
    blocks,
    check_entries,
    concatenate,
    kind_of,
    params_of,
    reorder,
    to_array,
    to_numpy,
    zeros,
)
from jaxrnn.exchange.structures import check_cell, exported, one_direction, stacked
from jaxrnn.networks import Network

_CELLS = (ELMAN_RELU, LSTM, GRU_RESET_BEFORE)
_NAMES = {ELMAN_RELU: "vanilla_rnn", LSTM: "lstm", GRU_RESET_BEFORE: "gru"}


def from_haiku(source: Any, prefix: str | None = None) -> tuple[Network, Any]:
    """The network and the parameters of a haiku core: VanillaRNN, LSTM or GRU.

    Args:
        source: the parameters of a transformed function, {module: {name: array}}. A list of these,
            lowest first, becomes a `Stack`.
        prefix: the core's module, "encoder/~/lstm"; None: the only one there is, with a name that
            haiku gives, or with one of its own. An LSTM is a linear layer; of another name it is
            told from other linear layers by its shape alone, [I + H, 4H].

    Returns:
        (net, params): `ELMAN_RELU`, `LSTM` or `GRU_RESET_BEFORE`, or a `Stack`. The LSTM's forget
        bias is the one there plus 1, rounded as all numbers are.

    Raises:
        TypeError: no mapping.
        ValueError: no core there, or several (all are named); entries that are missing, unexpected
            or misshapen (all are named); float64 without `jax_enable_x64`.

    Example:
        >>> import numpy as np
        >>> from jaxrnn import exchange
        >>> weights = {"w": np.zeros((7, 16), np.float32), "b": np.zeros(16, np.float32)}
        >>> net, params = exchange.from_haiku({"lstm/linear": weights})
        >>> net, params.b_h.tolist()
        (the cell 'lstm', [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, ...])
    """
    if isinstance(source, list | tuple) and source:
        return stacked([from_haiku(each, prefix) for each in source])
    if not isinstance(source, Mapping):
        expected = "parameters by module and name, {module: {name: array}}"
        raise TypeError(sentence("from_haiku", "source", expected, kind_of(source)))
    found: dict[str, Cell] = {}
    modules = {str(name): each for name, each in source.items() if isinstance(each, Mapping)}
    for module, entries in modules.items():
        if {"w_i", "w_h"} & {*entries}:
            found[module] = GRU_RESET_BEFORE
        elif module.endswith("/linear"):
            core = module.removesuffix("/linear")
            second = modules.get(f"{core}/linear_1")
            if second is not None:
                found |= {core: ELMAN_RELU} if _is_square(second) else {}
            elif _own_name(core) or _may_be_lstm(entries):
                found[core] = LSTM
    if prefix is not None:
        prefix = prefix.strip("/")
        if prefix not in found:
            expected = "a recurrent core's module"
            hint = f"those that are there: {', '.join(map(repr, found)) or 'none'}"
            raise ValueError(sentence("from_haiku", "prefix", expected, repr(prefix), hint))
        return _from_core(modules, prefix, found[prefix])
    # Another linear layer may have an LSTM's shape; what has a core's own name is rather meant.
    found = {core: found[core] for core in filter(_own_name, found)} or found
    if len(found) != 1:
        got = ", ".join(map(repr, found or source)) or "none"
        hint = f"say which: prefix={next(iter(found))!r}" if found else ""
        raise ValueError(sentence("from_haiku", "source", "one recurrent core", got, hint))
    return _from_core(modules, *next(iter(found.items())))


def _own_name(module: str) -> bool:
    """Whether it is called as haiku calls a core, `lstm` or `lstm_1`."""
    kinds = "|".join(_NAMES.values())
    return re.fullmatch(rf"(.*/)?({kinds})(_\d+)?", module) is not None


def _is_square(entries: Mapping[str, Any]) -> bool:
    """Whether it may be a VanillaRNN's second layer."""
    shape = np.shape(entries.get("w", ()))
    return len(shape) == 2 and shape[0] == shape[1]


def _may_be_lstm(entries: Mapping[str, Any]) -> bool:
    """Whether it may be an LSTM's layer, w [I + H, 4H] and b."""
    shape = np.shape(entries.get("w", ()))
    return len(shape) == 2 and shape[1] % 4 == 0 and 0 < shape[1] // 4 < shape[0]


def to_haiku(
    net: Network, params: Any, name: str | None = None, *, double_bias: bool = True
) -> Any:
    """The parameters of haiku's core.

    Args:
        net: a cell that haiku has, `ELMAN_RELU`, `LSTM` or `GRU_RESET_BEFORE`, or a `Stack`.
        params: its parameters.
        name: of the module; None: haiku's own, "vanilla_rnn", "lstm" or "gru".
        double_bias: whether a VanillaRNN has two biases, as it has unless told otherwise; the
            second is 0.

    Returns:
        {module: {name: array}}; of a `Stack` a list of these.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell or a structure that
            haiku has not.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> jax.tree.map(lambda leaf: leaf.shape, exchange.to_haiku(rnn.LSTM, params))
        {'lstm/linear': {'b': (16,), 'w': (7, 16)}}
    """

    def at_layer(directions: list[tuple[Cell, Any]]) -> dict[str, dict[str, Any]]:
        cell, part = one_direction("to_haiku", "haiku", directions)
        hint = "haiku's GRU resets before the product; jaxrnn.exchange.to_torch takes this one"
        check_cell("to_haiku", "haiku", cell, part, _CELLS, hint * (cell is GRU))
        return _core(cell, part, _NAMES[cell] if name is None else name, double_bias)

    return to_numpy(exported("to_haiku", "haiku", net, params, at_layer))


def _core(cell: Cell, params: Any, name: str, double_bias: bool) -> dict[str, dict[str, Any]]:
    if cell is ELMAN_RELU:
        second = {"b": zeros(params.b_h, *params.b_h.shape)} if double_bias else {}
        return {
            f"{name}/linear": {"w": params.w_xh, "b": params.b_h},
            f"{name}/linear_1": {"w": params.w_hh, **second},
        }
    if cell is LSTM:
        i, f, g, o = blocks(params.b_h, 4)
        weights = reorder(concatenate([params.w_xh, params.w_hh], axis=0), "ifgo", "igfo")
        return {f"{name}/linear": {"w": weights, "b": concatenate([i, g, f - 1, o])}}
    recurrent = concatenate([params.w_hh, params.w_hn])
    parts = {"w_i": params.w_xh, "w_h": recurrent, "b": params.b_h}
    return {name: {key: _negate_z(reorder(x, "rzn", "zrn")) for key, x in parts.items()}}


def _negate_z(array: Any) -> Any:
    z, r, n = blocks(array, 3)
    return concatenate([-z, r, n])


def _from_core(source: Mapping[str, Any], prefix: str, cell: Cell) -> tuple[Cell, Any]:
    modules = {
        ELMAN_RELU: (f"{prefix}/linear", f"{prefix}/linear_1"),
        LSTM: (f"{prefix}/linear",),
        GRU_RESET_BEFORE: (prefix,),
    }[cell]
    flat = {
        f"{module}/{name}": to_array("from_haiku", f"{module}/{name}", value)
        for module in modules
        for name, value in source[module].items()
    }
    recurrent = {ELMAN_RELU: f"{modules[-1]}/w", LSTM: f"{prefix}/linear/w"}
    matrix = flat.get(recurrent.get(cell, f"{prefix}/w_h"))
    hidden = None
    if matrix is not None and matrix.ndim == 2:
        hidden = matrix.shape[1] // 4 if cell is LSTM else matrix.shape[0]
    width = None if hidden is None else hidden * len(cell.gates)
    expected: dict[str, Shape]
    if cell is ELMAN_RELU:
        expected = {f"{modules[0]}/w": (None, width), f"{modules[0]}/b": (width,)}
        expected[f"{modules[1]}/w"] = (hidden, width)
        if f"{modules[1]}/b" in flat:
            expected[f"{modules[1]}/b"] = (width,)
    elif cell is LSTM:
        expected = {f"{prefix}/linear/w": (None, width), f"{prefix}/linear/b": (width,)}
    else:
        expected = {f"{prefix}/w_i": (None, width), f"{prefix}/w_h": (hidden, width)}
        expected[f"{prefix}/b"] = (width,)
    check_entries("from_haiku", "source", f"haiku's core of {cell!r}, H={hidden}", expected, flat)
    assert hidden is not None
    if cell is ELMAN_RELU:
        bias = flat[f"{modules[0]}/b"]
        if f"{modules[1]}/b" in flat:
            bias = bias + flat[f"{modules[1]}/b"]
        fields = {"w_xh": flat[f"{modules[0]}/w"], "w_hh": matrix, "b_h": bias}
    elif cell is LSTM:
        weights = reorder(flat[f"{prefix}/linear/w"], "igfo", "ifgo")
        inputs = weights.shape[0] - hidden
        if inputs < 1:
            expected_shape = f"'{prefix}/linear/w' [I + {hidden}, 4·{hidden}], over [x, h]"
            raise ValueError(sentence("from_haiku", "source", expected_shape, weights))
        i, g, f, o = blocks(flat[f"{prefix}/linear/b"], 4)
        fields = {"w_xh": weights[:inputs], "w_hh": weights[inputs:]}
        fields["b_h"] = concatenate([i, f + 1, g, o])
    else:
        w_xh, both, b_h = (
            reorder(_negate_z(flat[f"{prefix}/{name}"]), "zrn", "rzn")
            for name in ("w_i", "w_h", "b")
        )
        fields = {"w_xh": w_xh, "b_h": b_h}
        fields |= {"w_hh": both[:, : 2 * hidden], "w_hn": both[:, 2 * hidden :]}
    return cell, params_of("from_haiku", cell, fields)
