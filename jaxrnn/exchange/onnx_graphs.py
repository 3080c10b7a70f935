"""ONNX: files with the operators RNN, GRU and LSTM, and what lies between them.

A graph is read value by value, in the order of its nodes: arrays that are in the file, zeros of
any shape, what is only known when it runs, and the sequence, whose axes are followed through
Transpose, Squeeze and Reshape from one operator to the next. Everything else is refused by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import to_array
from jaxrnn.exchange.onnx_operators import GATES, INPUTS, Layer, read_operator, write_operator
from jaxrnn.exchange.onnx_package import array_of, make_model, read_model, require_onnx
from jaxrnn.exchange.structures import directions_of, layers_of, stacked
from jaxrnn.networks import Network

_OLDEST_OPSET = 7
# What may be reckoned out of arrays in the file: it makes none that is much larger.
_FOLDED = (
    "Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose",
    "Unsqueeze",
)  # fmt: skip
_MOVED = ("Identity", "Dropout", "Transpose", "Squeeze", "Reshape")
"""What a sequence may go through."""


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


class _Sequence(NamedTuple):
    """The sequence: after how many layers, and its axes, of T, B, D, H, F = D·H."""

    after: int
    axes: tuple[str, ...]


class _AtRun(NamedTuple):
    """A value that is known when the graph runs: an input, or what is made of one."""

    made_by: str
    of_state: bool = False  # an operator's last state had a part in it


_ZEROS = "zeros of any shape"


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
    reader = _Reader(function, read_model(function, source), inputs or {})
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


class _Reader:
    """Goes through a graph, node by node."""

    def __init__(self, function: str, model: Any, inputs: Mapping[str, Any]) -> None:
        self.function = function
        self.layers: list[Layer] = []
        self.batch_first = False
        self._onnx = require_onnx()
        self._opset = _opset(function, model)
        graph = model.graph
        self._values: dict[str, Any] = {
            tensor.name: array_of(function, tensor) for tensor in graph.initializer
        }
        given = {str(name): to_array(function, str(name), value) for name, value in inputs.items()}
        names = [value.name for value in graph.input]
        unknown = [name for name in given if name not in names]
        if unknown:
            expected = f"inputs of the graph, which are {', '.join(map(repr, names))}"
            raise ValueError(sentence(function, "inputs", expected, ", ".join(map(repr, unknown))))
        self._values |= given
        for name in names:
            self._values.setdefault(name, _AtRun(f"the graph's input {name!r}"))
        self._source: str | None = None
        for index, node in enumerate(graph.node):
            self._visit(index, node)
        if not self.layers:
            got = ", ".join(dict.fromkeys(node.op_type for node in graph.node)) or "no operator"
            expected = "RNN, GRU or LSTM in the graph"
            raise ValueError(sentence(function, "source", expected, got))
        ends = [self._values.get(value.name) for value in graph.output]
        early = [end for end in ends if isinstance(end, _Sequence) and end.after < len(self.layers)]
        if early:
            expected = "one output that is a sequence, that of the last operator"
            got = f"one after {early[0].after} of {len(self.layers)}"
            raise ValueError(sentence(function, "source", expected, got))

    def _visit(self, index: int, node: Any) -> None:
        kind, where = node.op_type, node.name or f"{node.op_type} (node {index})"
        values = [self._values.get(name) if name else None for name in node.input]
        if node.domain not in ("", "ai.onnx"):
            raise self._refused(f"{node.domain}.{kind}", where)
        if kind in GATES:
            self._operator(where, node)
            return
        flows = [v for v in values if isinstance(v, _Sequence)]
        result: Any
        if kind == "Constant":
            result = self._constant(node, where)
        elif kind == "Shape" and len(node.input) == 1:
            result = _AtRun(f"{kind} {where!r}")
        elif flows or self._is_source(node, values):
            result = self._moved(node, where, values)
        elif kind == "ConstantOfShape":
            result = self._filled(node, where)
        elif kind in _FOLDED and all(isinstance(v, np.ndarray | None) for v in values):
            result = self._folded(node, where)
        elif kind in (*_FOLDED, "Expand") and _is_zeros(values, kind):
            result = _ZEROS
        elif kind in (*_FOLDED, "Expand", "Split", "Dropout"):
            of_state = any(isinstance(v, _AtRun) and v.of_state for v in values)
            result = _AtRun(f"{kind} {where!r}", of_state)
        else:
            raise self._refused(kind, where)
        for name in node.output:
            self._values[name] = result

    def _operator(self, where: str, node: Any) -> None:
        attributes = self._attributes(node)
        named = dict(zip(INPUTS, node.input, strict=False))
        inputs = {}
        for key, name in named.items():
            value = self._values.get(name)
            if not name or key == "X" or isinstance(value, str):
                continue  # not there, or zeros
            if not isinstance(value, _AtRun | _Sequence):
                inputs[key] = value
                continue
            got = value.made_by if isinstance(value, _AtRun) else "the sequence"
            if key in ("W", "R", "B", "P"):
                expected = f"weights in the file, or in `inputs`, as {key} of {where!r}"
                raise ValueError(sentence(self.function, "source", expected, got))
            if isinstance(value, _Sequence) or value.of_state:
                expected = f"{key} of {where!r} from the file, or from inputs of the graph"
                raise ValueError(sentence(self.function, "source", expected, got))
        layer = read_operator(self.function, repr(where), node.op_type, inputs, attributes)
        axes = ("B", "T", "F") if layer.batch_first else ("T", "B", "F")
        self._follow(where, named["X"], axes)
        self.layers.append(layer)
        directions = ("B", "T", "D", "H") if layer.batch_first else ("T", "D", "B", "H")
        outputs = [*node.output, "", "", ""][:3]
        self._values[outputs[0]] = _Sequence(len(self.layers), directions)
        for name in outputs[1:]:
            self._values[name] = _AtRun(f"the last state of {where!r}", of_state=True)

    def _follow(self, where: str, name: str, axes: tuple[str, ...]) -> None:
        """Checks that a node reads what the layer before it has made, with these axes."""
        value = self._values.get(name)
        if isinstance(value, _AtRun) and not self.layers and self._source in (None, name):
            self._source = name
            self.batch_first = axes[0] == "B"
            return
        if isinstance(value, _Sequence) and value.after == len(self.layers):
            if value.after == 0 and sorted(value.axes) == ["0", "1", "2"]:
                self.batch_first = axes[value.axes.index("0")] == "B"
                if axes[value.axes.index("2")] == "F":
                    return
            if value.axes == axes:
                return
            got = f"axes {', '.join(value.axes)}"
            expected = f"a sequence with axes {', '.join(axes)} (F = D·H) into {where!r}"
        else:
            expected = f"operators one after the other, so the sequence before it into {where!r}"
            got = "another" if isinstance(value, _Sequence) else f"{name!r}"
        raise ValueError(sentence(self.function, "source", expected, got))

    def _is_source(self, node: Any, values: list[Any]) -> bool:
        """Whether a node moves the axes of the graph's sequence before the first operator."""
        return (
            node.op_type in ("Transpose", "Identity", "Dropout")
            and not self.layers
            and self._source in (None, node.input[0])
            and isinstance(values[0], _AtRun)
            and values[0].made_by.startswith("the graph's input")
        )

    def _moved(self, node: Any, where: str, values: list[Any]) -> Any:
        """A sequence whose axes were moved, put together, or dropped."""
        first, kind = values[0], node.op_type
        if isinstance(first, _AtRun):
            self._source = node.input[0]
            first = _Sequence(0, ("0", "1", "2"))
        if kind not in _MOVED or not isinstance(first, _Sequence):
            raise self._refused(kind, where)
        axes, attributes = first.axes, self._attributes(node)
        if kind == "Transpose":
            axes = tuple(axes[k] for k in attributes.get("perm", range(len(axes))[::-1]))
        elif kind == "Squeeze":
            dropped = self._axes(attributes, values)
            if dropped is None or {axes[k] for k in dropped} != {"D"} or self._directions() != 1:
                expected = "the axis of one direction alone to be squeezed"
                raise ValueError(sentence(self.function, repr(where), expected, "others"))
            axes = tuple("F" if axis == "H" else axis for axis in axes if axis != "D")
        elif kind == "Reshape":
            axes = self._reshaped(where, axes, values[1:])
        return first._replace(axes=axes)

    def _reshaped(self, where: str, axes: tuple[str, ...], shape: list[Any]) -> tuple[str, ...]:
        """Axes D, H side by side as one; and an axis D of one direction that goes."""
        if self._directions() == 1 and axes[-1] == "H":  # then it does not matter where D is
            axes = (*(axis for axis in axes[:-1] if axis != "D"), "D", "H")
        if len(axes) == 4 and axes[2:] == ("D", "H") and shape and isinstance(shape[0], np.ndarray):
            wanted = shape[0].tolist()
            if len(wanted) == 3 and (wanted[2] == -1 or wanted[2] == self._width()):
                return (*axes[:2], "F")
        expected = "a Reshape that puts directions side by side, [T, B, D, H] to [T, B, D·H]"
        got = f"axes {', '.join(axes)}"
        got += f" to {shape[0].tolist()}" if shape and isinstance(shape[0], np.ndarray) else ""
        raise ValueError(sentence(self.function, repr(where), expected, got))

    def _directions(self) -> int:
        if not self.layers:
            return 0
        return len(self.layers[-1].params) if hasattr(self.layers[-1].params, "backward") else 1

    def _width(self) -> int:
        params = self.layers[-1].params
        each = params if hasattr(params, "backward") else [params]
        return sum(part.w_hh.shape[0] for part in each)

    def _axes(self, attributes: Mapping[str, Any], values: list[Any]) -> list[int] | None:
        """Of a Squeeze: an attribute before opset 13, an input since."""
        if "axes" in attributes:
            return list(attributes["axes"])
        return values[1].tolist() if len(values) > 1 and isinstance(values[1], np.ndarray) else None

    def _attributes(self, node: Any) -> dict[str, Any]:
        helper, strings = self._onnx.helper, {}
        for attribute in node.attribute:
            value = helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            elif isinstance(value, list):
                value = [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in value]
            strings[attribute.name] = value
        return strings

    def _constant(self, node: Any, where: str) -> Any:
        found = self._attributes(node)
        if "value" in found:
            return array_of(self.function, found["value"])
        kinds: dict[str, Callable[[Any], Any]] = {
            "value_float": np.float32, "value_int": np.int64, "value_floats": np.float32,
            "value_ints": np.int64,
        }  # fmt: skip
        for name, dtype in kinds.items():
            if name in found:
                return np.asarray(found[name], dtype)  # type: ignore[call-overload]
        raise self._refused(f"Constant with {', '.join(found)}", where)

    def _filled(self, node: Any, where: str) -> Any:
        """Zeros, of whatever shape: no memory is taken for them."""
        value = self._attributes(node).get("value")
        if value is None or not np.any(array_of(self.function, value)):
            return _ZEROS
        return _AtRun(f"ConstantOfShape {where!r}")

    def _folded(self, node: Any, where: str) -> Any:
        """What a node makes of arrays, by the package's own reference."""
        from onnx.reference import ReferenceEvaluator

        helper = self._onnx.helper
        named = {name: self._values[name] for name in node.input if name}
        described = [helper.make_tensor_value_info(name, 0, None) for name in named]
        results = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
        graph = helper.make_graph([node], "one", described, results)
        opsets = [helper.make_opsetid("", self._opset)]
        try:
            evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
            return np.asarray(evaluator.run(None, named)[0])
        except Exception as error:  # of whatever kind a reference operator raises
            expected = "a node that can be computed from the arrays that it reads"
            got = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(sentence(self.function, repr(where), expected, got)) from None

    def _refused(self, kind: str, where: str) -> ValueError:
        expected = "RNN, GRU and LSTM one after the other, and what moves axes between them"
        hint = "onnx.utils.extract_model takes a part out of a model"
        got = f"the operator {kind}" + (f", {where!r}" if not where.startswith(kind) else "")
        return ValueError(sentence(self.function, "source", expected, got, hint))


def _is_zeros(values: list[Any], kind: str) -> bool:
    """Whether what a node of these kinds makes is 0, whatever shape it gets."""

    def zero(value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.dtype.kind == "f" and not value.any()
        return isinstance(value, str)

    return all(map(zero, values)) if kind == "Concat" else bool(values) and zero(values[0])


def _opset(function: str, model: Any) -> int:
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if version < _OLDEST_OPSET:
        expected = f"an opset of {_OLDEST_OPSET} or later, in which the operators are what they are"
        raise ValueError(sentence(function, "source", expected, version))
    return version
