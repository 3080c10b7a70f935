"""ONNX: files with the operators RNN, GRU and LSTM, one after the other."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.exchange.onnx_operators import INPUTS, Layer, read_operator, write_operator
from jaxrnn.exchange.onnx_package import make_model, read_model, require_onnx
from jaxrnn.exchange.onnx_reader import GraphReader
from jaxrnn.exchange.structures import directions_of, layers_of, stacked
from jaxrnn.networks import Network


class OnnxNetwork(NamedTuple):
    """What a graph says, beside net and parameters: how it is run.

    Attributes:
        net: a cell, a `Bidirectional` or a `Stack`.
        params: its parameters.
        carry: before the first step, where the graph has it; None: zeros, or given when it runs.
        lengths: int32 [B], where the graph has them; None: all of T, or given when it runs.
        reverse: whether time runs backwards, in all layers.
        batch_first: whether the graph's sequence is [B, T, I].
    """

    net: Network
    params: Any
    carry: Any
    lengths: Any
    reverse: bool
    batch_first: bool


def from_onnx(source: Any, *, inputs: Mapping[str, Any] | None = None) -> tuple[Network, Any]:
    """The network and the parameters of ONNX's operators RNN, GRU and LSTM.

    Args:
        source: the path of an `.onnx` file, its bytes, a ModelProto; or, without the package onnx,
            an operator as a mapping with its inputs and attributes by ONNX's names,
            `{"operator": "LSTM", "W": …, "R": …, "B": …, "clip": 3.0}`, or a list of these, lowest
            first. A graph is one operator, or several one after the other, with Transpose, Squeeze
            and Reshape between them as PyTorch and `to_onnx` write them.
        inputs: arrays for inputs of the graph that are weights and not in the file, by name.

    Returns:
        (net, params): a cell, a `Bidirectional`, a `Stack` of several operators. With other
        activations than the default ones, `clip` or `input_forget` a cell is built, whose gradient
        is derived by hand like every other's; `jaxrnn.register` makes it known by name.

    Raises:
        TypeError: nothing that can be read.
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX model; an operator or attribute that is not known here (it is
            named); operators that are no chain; arrays that are missing, unexpected or misshapen
            (all are named); operators that run backwards, which `read_onnx` reads; float64 without
            `jax_enable_x64`.
        ImportError: a file, and the package onnx is missing.

    Initial states, lengths and the order of axes say how a graph is run, not what it is: they are
    in `read_onnx`.

    Example:
        >>> import numpy as np
        >>> from jaxrnn import exchange
        >>> weights = {"W": np.ones((1, 16, 3), np.float32), "R": np.ones((1, 16, 4), np.float32)}
        >>> net, params = exchange.from_onnx({"operator": "LSTM", **weights})
        >>> net, params.w_xh.shape
        (the cell 'lstm', (3, 16))
    """
    read = _read("from_onnx", source, inputs)
    if read.reverse:
        expected = "operators that run forward, or in both directions"
        hint = "read_onnx says reverse=True beside net and params: unroll(..., reverse=True)"
        got = 'direction="reverse"'
        raise ValueError(sentence("from_onnx", "source", expected, got, hint))
    return read.net, read.params


def read_onnx(source: Any, *, inputs: Mapping[str, Any] | None = None) -> OnnxNetwork:
    """What `from_onnx` reads, and how the graph runs it.

    Args:
        source: as `from_onnx` takes it.
        inputs: likewise; `sequence_lens`, `initial_h` and `initial_c` may be among them.

    Returns:
        OnnxNetwork(net, params, carry, lengths, reverse, batch_first). The graph's Y is
        `unroll(net, params, carry, xs, lengths=lengths, reverse=reverse)[1]`, with its axes in
        another order.

    Raises:
        As `from_onnx`, but for operators that run backwards, as long as all of them do.

    Example:
        >>> import numpy as np, jax.numpy as jnp, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> weights = {"W": np.ones((1, 12, 3), np.float32), "R": np.ones((1, 12, 4), np.float32)}
        >>> read = exchange.read_onnx({"operator": "GRU", **weights, "direction": "reverse"})
        >>> carry, xs = rnn.zero_carry(read.net, read.params), jnp.ones((5, 3), jnp.float32)
        >>> rnn.unroll(read.net, read.params, carry, xs, reverse=read.reverse)[1].shape
        (5, 4)
    """
    return _read("read_onnx", source, inputs)


def to_onnx(
    net: Network,
    params: Any,
    *,
    bias: bool = True,
    lengths: bool = False,
    carry: bool = False,
    reverse: bool = False,
) -> Any:
    """A network as a graph of ONNX's operators RNN, GRU and LSTM.

    Args:
        net: a cell that ONNX has as an operator, a `Bidirectional` of one, or a `Stack` of these.
        params: its parameters.
        bias: whether the operators have B. Of its two biases the second is 0 (but for the part of
            a GRU's that is inside the reset).
        lengths: whether the graph has an input `sequence_lens`, int32 [B].
        carry: whether the first carry is an input, `initial_h_0`, `initial_c_0`, … [D, B, H] of
            each layer; else it is 0.
        reverse: whether time runs backwards, as `unroll` has it.

    Returns:
        A ModelProto (`onnx.save` writes it, `.SerializeToString()` is what onnxruntime takes) with
        the input `X` [T, B, I] and the outputs `Y`, `unroll`'s hs [T, B, D·H], and `Y_h_0`,
        `Y_c_0`, … [D, B, H] of each layer. Dropout is not in it.

    Raises:
        TypeError, ValueError: parameters that are not the network's, or bfloat16; a cell or a
            structure that ONNX has not; `bias=False` for biases that are not 0.
        ImportError: the package onnx is missing.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> net = rnn.Stack([rnn.Bidirectional(rnn.LSTM), rnn.LSTM_PEEPHOLE])
        >>> params = rnn.init(net, jax.random.key(0), input_size=3, hidden_size=4)
        >>> model = exchange.to_onnx(net, params)
        >>> [node.op_type for node in model.graph.node]
        ['LSTM', 'Transpose', 'Reshape', 'LSTM', 'Squeeze']
        >>> exchange.from_onnx(model)[0]
        Stack(Bidirectional(lstm), lstm_peephole)
    """
    helper = require_onnx().helper
    layers = [
        directions_of("to_onnx", "ONNX", *layer)
        for layer in layers_of("to_onnx", "ONNX", net, params)
    ]
    if reverse and any(len(directions) == 2 for directions in layers):
        expected = "False where there are two directions"
        raise ValueError(sentence("to_onnx", "reverse", expected, "True"))
    dtype = layers[0][0][1].w_xh.dtype
    if str(dtype) not in ("float32", "float64"):
        expected = "float32 or float64, which runtimes have"
        raise ValueError(sentence("to_onnx", "params", expected, str(dtype)))
    nodes: list[Any] = []
    arrays: dict[str, Any] = {}
    graph_inputs = [("X", dtype, ["T", "B", layers[0][0][1].w_xh.shape[0]])]
    graph_inputs += [("sequence_lens", np.dtype(np.int32), ["B"])] if lengths else []
    graph_outputs: list[Any] = []
    flowing, width = "X", 0
    for index, directions in enumerate(layers):
        operator = write_operator("to_onnx", directions, bias=bias, reverse=reverse)
        count, hidden = len(directions), operator.attributes["hidden_size"]
        names = {key: f"{key}_{index}" for key in operator.inputs}
        arrays |= {names[key]: array for key, array in operator.inputs.items()}
        states = ("h", "c") if operator.name == "LSTM" else ("h",)
        shape = [count, "B", hidden]
        if carry:
            for state in states:
                names[f"initial_{state}"] = f"initial_{state}_{index}"
                graph_inputs.append((f"initial_{state}_{index}", dtype, shape))
        names |= {"X": flowing} | ({"sequence_lens": "sequence_lens"} if lengths else {})
        read = [names.get(key, "") for key in INPUTS]
        while not read[-1]:
            read.pop()
        results = [f"Y_{state}_{index}" for state in states]
        graph_outputs += [(name, dtype, shape) for name in results]
        raw = f"Y_raw_{index}"
        nodes.append(helper.make_node(operator.name, read, [raw, *results], **operator.attributes))
        flowing = f"hs_{index}" if index + 1 < len(layers) else "Y"
        width = count * hidden
        if count == 1:
            arrays["axis_of_directions"] = np.array([1], np.int64)
            nodes.append(helper.make_node("Squeeze", [raw, "axis_of_directions"], [flowing]))
        else:
            arrays["side_by_side"] = np.array([0, 0, -1], np.int64)
            nodes.append(
                helper.make_node("Transpose", [raw], [f"{raw}_ordered"], perm=[0, 2, 1, 3])
            )
            nodes.append(helper.make_node("Reshape", [f"{raw}_ordered", "side_by_side"], [flowing]))
    graph_outputs.insert(0, ("Y", dtype, ["T", "B", width]))
    return make_model("to_onnx", "jaxrnn", nodes, graph_inputs, graph_outputs, arrays)


def _read(function: str, source: Any, inputs: Mapping[str, Any] | None) -> OnnxNetwork:
    plain = isinstance(source, Mapping) or (isinstance(source, list | tuple) and bool(source))
    if plain:
        if inputs:
            expected = "None beside an operator as a mapping, which has its inputs"
            raise ValueError(sentence(function, "inputs", expected, ", ".join(map(repr, inputs))))
        several = [source] if isinstance(source, Mapping) else list(source)
        layers = [_plain(function, index, each) for index, each in enumerate(several)]
        first = layers[0].batch_first
        return _joined(function, layers, first, stack=not isinstance(source, Mapping))
    reader = GraphReader(function, read_model(function, source), inputs or {})
    return _joined(function, reader.layers, reader.batch_first, stack=len(reader.layers) > 1)


def _plain(function: str, index: int, operator: Any) -> Layer:
    where = f"source[{index}]"
    if not isinstance(operator, Mapping) or "operator" not in operator:
        expected = 'an operator as a mapping, {"operator": "LSTM", "W": …, "R": …}'
        got = "no 'operator'" if isinstance(operator, Mapping) else type(operator).__name__
        raise TypeError(sentence(function, where, expected, got))
    inputs = {key: operator[key] for key in operator if key in INPUTS and key != "X"}
    rest = {key: operator[key] for key in operator if key not in INPUTS and key != "operator"}
    return read_operator(function, where, operator["operator"], inputs, rest)


def _joined(function: str, layers: list[Layer], batch_first: bool, *, stack: bool) -> OnnxNetwork:
    ways = {layer.reverse for layer in layers}
    if len(ways) > 1:
        expected = "operators that all run forward (or in both directions), or all backward"
        hint = "onnx.utils.extract_model takes them out one by one"
        raise ValueError(sentence(function, "source", expected, "some of each", hint))
    carries = [layer.carry for layer in layers]
    known = all(carry is not None for carry in carries)
    if not known and any(carry is not None for carry in carries):
        expected = "initial states in the graph for every operator, or for none"
        raise ValueError(sentence(function, "source", expected, "for some"))
    lengths = layers[0].lengths
    if any((layer.lengths is None) != (lengths is None) for layer in layers) or (
        lengths is not None and any((layer.lengths != lengths).any() for layer in layers)
    ):
        expected = "the same sequence_lens for every operator"
        raise ValueError(sentence(function, "source", expected, "others"))
    pairs = [(layer.net, layer.params) for layer in layers]
    net, params = stacked(pairs) if stack else pairs[0]
    carry = (tuple(carries) if stack else carries[0]) if known else None
    return OnnxNetwork(net, params, carry, lengths, layers[0].reverse, batch_first)
