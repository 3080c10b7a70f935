"""Keras 3: SimpleRNN, LSTM, GRU and their cells, Bidirectional, by the order of `get_weights()`.

    kernel [I, G·H] = w_xh     recurrent_kernel [H, G·H] = w_hh     bias [G·H] = b_h

The GRU's blocks are z, r, n where this library has r, z, n. With `reset_after=True`, Keras's
default, it is `GRU`: its bias is [2, 3H], one beside each product, of which all but the second's
block n are one. With `reset_after=False` it is `GRU_RESET_BEFORE`, whose w_hn is the last block of
the recurrent kernel.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrnn.cells import ELMAN, ELMAN_RELU, GRU, GRU_RESET_BEFORE, LSTM, Cell
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
from jaxrnn.exchange.structures import check_cell, exported, in_two_directions, stacked
from jaxrnn.networks import Network

_CELLS = (ELMAN, ELMAN_RELU, LSTM, GRU, GRU_RESET_BEFORE)
_NONLINEARITIES = {"tanh": ELMAN, "relu": ELMAN_RELU}
_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
_NAMES = ("kernel", "recurrent_kernel", "bias")


def from_keras(
    source: Any, *, reset_after: bool | None = None, nonlinearity: str | None = None
) -> tuple[Network, Any]:
    """The network and the parameters of Keras's recurrent layers.

    Args:
        source: a built SimpleRNN, LSTM or GRU, its cell, or a Bidirectional of one; or the list of
            arrays that its `get_weights()` returns, whose shapes say what it is; or a list of
            layers or of such lists, lowest first, which becomes a `Stack`.
        reset_after: of a GRU from arrays without bias, which do not tell; a layer and a bias do.
        nonlinearity: "tanh" or "relu", of a SimpleRNN from arrays, which do not tell.

    Returns:
        (net, params): a cell, a `Bidirectional` for two directions, a `Stack` for a list of them.
        Biases that are not there are 0.

    Raises:
        TypeError: no layer and no list of arrays.
        ValueError: arrays that are missing, too many or misshapen (all are named); what a cell
            here has not: other activations, `go_backwards`, another `merge_mode` than "concat"; a
            GRU or SimpleRNN of a kind that is not known, or is not the one that was said; float64
            without `jax_enable_x64`.

    Example:
        >>> import numpy as np
        >>> from jaxrnn import exchange
        >>> kernel, recurrent = np.ones((3, 12), np.float32), np.ones((4, 12), np.float32)
        >>> exchange.from_keras([kernel, recurrent, np.zeros((2, 12), np.float32)])[0]
        the cell 'gru'
        >>> exchange.from_keras([kernel, recurrent, np.zeros(12, np.float32)])[0]
        the cell 'gru_reset_before'
    """
    if nonlinearity is not None:
        check_choice("from_keras", "nonlinearity", nonlinearity, [*_NONLINEARITIES])
    options = {"reset_after": reset_after, "nonlinearity": nonlinearity}
    if hasattr(source, "get_weights"):
        return _from_layer(source, options)
    if not isinstance(source, list | tuple):
        expected = "a recurrent layer, what its get_weights() returns, or a list of either"
        raise TypeError(sentence("from_keras", "source", expected, type(source).__name__))
    if source and all(hasattr(x, "get_weights") or isinstance(x, list | tuple) for x in source):
        one = functools.partial(from_keras, reset_after=reset_after, nonlinearity=nonlinearity)
        return stacked([one(layer) for layer in source])
    return _from_weights(source, options)


def to_keras(net: Network, params: Any, *, bias: bool = True) -> list[Any]:
    """The arrays that a Keras layer's `set_weights` takes.

    Args:
        net: a cell that Keras has, a `Bidirectional` of one, or a `Stack` of these.
        params: its parameters.
        bias: whether the layer has `use_bias=True`.

    Returns:
        A cell's kernel, recurrent kernel and bias; of two directions those of the forward layer,
        then those of the backward layer; of a `Stack` a list of these lists. `GRU` is for a layer
        with `reset_after=True`, `GRU_RESET_BEFORE` for one with `reset_after=False`, `ELMAN_RELU`
        for a SimpleRNN with `activation="relu"`.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell or a structure that
            Keras has not; `bias=False` for biases that are not 0.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> [value.shape for value in exchange.to_keras(rnn.GRU, params)]
        [(3, 12), (4, 12), (2, 12)]
    """

    def at_layer(directions: list[tuple[Cell, Any]]) -> list[Any]:
        return [array for cell, params in directions for array in _weights(cell, params, bias)]

    return list(to_numpy(exported("to_keras", "Keras", net, params, at_layer)))


def _weights(cell: Cell, params: Any, bias: bool) -> list[Any]:
    check_cell("to_keras", "Keras", cell, params, _CELLS)
    kernel, recurrent = params.w_xh, params.w_hh
    biases = params.b_h
    if cell is GRU_RESET_BEFORE:
        recurrent = concatenate([recurrent, params.w_hn])
    if cell in (GRU, GRU_RESET_BEFORE):
        kernel, recurrent, biases = (
            reorder(part, "rzn", "zrn") for part in (kernel, recurrent, biases)
        )
    if cell is GRU:
        biases = stack([biases, second_bias(params)])  # r and z of the second are 0
    if not bias:
        why, hint = "bias=False leaves them out", "leave bias=False out"
        check_zero("to_keras", "params' biases", biases, why, hint)
        return [kernel, recurrent]
    return [kernel, recurrent, biases]


def _from_layer(layer: Any, options: Mapping[str, Any]) -> tuple[Network, Any]:
    names = [each.__name__.removesuffix("Cell") for each in type(layer).__mro__]
    if "Bidirectional" in names:
        _check_setting(layer, "merge_mode", layer.merge_mode, ["concat"])
        ahead, back = layer.forward_layer, layer.backward_layer
        return in_two_directions(
            _from_layer_one_way(ahead, False, options), _from_layer_one_way(back, True, options)
        )
    return _from_layer_one_way(layer, False, options)


def _from_layer_one_way(
    layer: Any, backwards: bool, options: Mapping[str, Any]
) -> tuple[Network, Any]:
    names = [each.__name__.removesuffix("Cell") for each in type(layer).__mro__]
    kind = next((name for name in names if name in _GATES), None)
    if kind is None:
        expected = "a SimpleRNN, LSTM, GRU, their cells or a Bidirectional"
        kinds = [each.__name__ for each in type(layer).__mro__]
        parts = {"RNN": ".cell", "StackedRNNCells": ".cells", "Sequential": ".layers"}
        hint = next((f"pass its {part}" for name, part in parts.items() if name in kinds), "")
        got = type(layer).__name__
        raise TypeError(sentence("from_keras", "source", expected, got, hint))
    config = layer.get_config()
    if "go_backwards" in config:
        _check_setting(layer, "go_backwards", config["go_backwards"], [backwards])
    activations = [*_NONLINEARITIES] if kind == "SimpleRNN" else ["tanh"]
    _check_setting(layer, "activation", config["activation"], activations)
    if kind != "SimpleRNN":
        recurrent = config["recurrent_activation"]
        _check_setting(layer, "recurrent_activation", recurrent, ["sigmoid"])
    has = {
        "reset_after": bool(config["reset_after"]) if kind == "GRU" else None,
        "nonlinearity": config["activation"] if kind == "SimpleRNN" else None,
    }
    for name, value in has.items():
        if options[name] not in (None, value):
            expected = f"{value!r}, which the layer has, or None"
            raise ValueError(sentence("from_keras", name, expected, repr(options[name])))
    weights = layer.get_weights()
    if not weights:
        hint = "build it, or call it on an input"
        raise ValueError(sentence("from_keras", "source", "a layer with weights", "none", hint))
    return _from_weights(weights, has)


def _check_setting(layer: Any, name: str, value: Any, known: list[Any]) -> None:
    if value not in known:
        hint = ""
        if name == "go_backwards":
            hint = "pass layer.get_weights(), and run it with unroll(..., reverse=True), whose hs "
            hint += "are in the order of time: hs[::-1] is what Keras returns"
        expected = f"a layer with {name}={' or '.join(map(repr, known))}"
        got = f"{type(layer).__name__} with {name}={value!r}"
        raise ValueError(sentence("from_keras", "source", expected, got, hint))


def _from_weights(weights: Sequence[Any], options: Mapping[str, Any]) -> tuple[Network, Any]:
    arrays = [
        to_array("from_keras", f"source[{index}]", value) for index, value in enumerate(weights)
    ]
    count = len(arrays)
    if count not in (2, 3, 4, 6):
        expected = "2 or 3 arrays, kernel, recurrent_kernel, bias; or 4 or 6 of two directions"
        hint = "two directions of which one alone has a bias are read from the layer"
        got = f"{count} of them"
        raise ValueError(sentence("from_keras", "source", expected, got, hint * (count == 5)))
    if count <= 3:
        return _cell_from_weights("source", arrays, options)
    half = count // 2
    return in_two_directions(
        _cell_from_weights(f"source[:{half}]", arrays[:half], options),
        _cell_from_weights(f"source[{half}:]", arrays[half:], options),
    )


def _cell_from_weights(
    argument: str, arrays: list[Any], options: Mapping[str, Any]
) -> tuple[Cell, Any]:
    named = dict(zip(_NAMES, arrays, strict=False))
    cell, hidden = _kind(argument, named, options)
    columns = len(cell.gates) * hidden
    inputs = named["kernel"].shape[0] if named["kernel"].ndim == 2 else None
    expected: dict[str, Shape] = {
        "kernel": (inputs, columns),
        "recurrent_kernel": (hidden, columns),
    }
    if "bias" in named:
        expected["bias"] = (2, columns) if cell is GRU else (columns,)
    what = f"the layer of {cell!r}, I={inputs}, H={hidden}"
    check_entries("from_keras", argument, what, expected, named)
    kernel, recurrent = named["kernel"], named["recurrent_kernel"]
    bias = named["bias"] if "bias" in named else zeros(kernel, *((2,) * (cell is GRU)), columns)
    if cell in (GRU, GRU_RESET_BEFORE):
        kernel, recurrent, bias = (reorder(x, "zrn", "rzn") for x in (kernel, recurrent, bias))
    fields = {"w_xh": kernel, "w_hh": recurrent}
    if cell is GRU_RESET_BEFORE:
        fields |= {"w_hh": recurrent[:, : 2 * hidden], "w_hn": recurrent[:, 2 * hidden :]}
    fields |= merge_gru_biases(bias[0], bias[1]) if cell is GRU else {"b_h": bias}
    return cell, params_of("from_keras", cell, fields)


def _kind(argument: str, named: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[Cell, int]:
    shape = tuple(named["recurrent_kernel"].shape)
    gates = shape[1] // shape[0] if len(shape) == 2 and shape[0] else 0
    if gates not in (1, 3, 4) or shape[1] % shape[0]:
        expected = "a recurrent_kernel [H, H], [H, 3H] or [H, 4H], of a SimpleRNN, GRU or LSTM"
        raise ValueError(sentence("from_keras", argument, expected, str(list(shape))))
    reset_after, nonlinearity = options["reset_after"], options["nonlinearity"]
    kind = next(name for name, count in _GATES.items() if count == gates)
    for name, value, of in (
        ("reset_after", reset_after, "GRU"),
        ("nonlinearity", nonlinearity, "SimpleRNN"),
    ):
        if value is not None and kind != of:
            expected = f"None: this is the {kind} of a recurrent_kernel {list(shape)}"
            raise ValueError(sentence("from_keras", name, expected, repr(value)))
    if kind == "LSTM":
        return LSTM, shape[0]
    if kind == "SimpleRNN":
        if nonlinearity is None:
            expected = '"tanh" or "relu": this is a SimpleRNN, whose weights do not tell'
            raise ValueError(sentence("from_keras", "nonlinearity", expected, "None"))
        return _NONLINEARITIES[nonlinearity], shape[0]
    seen = named["bias"].ndim == 2 if "bias" in named else None
    if seen is None and reset_after is None:
        expected = "True or False: this is a GRU without bias, whose weights do not tell"
        raise ValueError(sentence("from_keras", "reset_after", expected, "None"))
    if None not in (seen, reset_after) and seen != reset_after:
        expected = f"{seen}: a bias {list(named['bias'].shape)} is that of a GRU with it"
        hint = "it becomes jaxrnn.GRU with True, jaxrnn.GRU_RESET_BEFORE with False"
        raise ValueError(sentence("from_keras", "reset_after", expected, reset_after, hint))
    return (GRU if (reset_after if seen is None else seen) else GRU_RESET_BEFORE), shape[0]
