"""A graph of ONNX, read value by value, in the order of its nodes.

A value is an array that is in the file; zeros of any shape; what is only known when the graph runs;
or the sequence, whose axes are followed through Transpose, Squeeze and Reshape from one recurrent
operator to the next. Everything else is refused by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import to_array
from jaxrnn.exchange.onnx_operators import GATES, INPUTS, Layer, read_operator
from jaxrnn.exchange.onnx_package import array_of, require_onnx
from jaxrnn.exchange.safetensors_files import KEY

_OLDEST_OPSET = 7
_LEEWAY = 2**20
# What is reckoned out of arrays in the file; none of them makes more than it reads.
_FOLDED = (
    "Cast", "Concat", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
_MOVED = ("Identity", "Dropout", "Transpose", "Squeeze", "Reshape")
"""What a sequence may go through."""


class _Sequence(NamedTuple):
    """The sequence: after how many layers, and its axes, of T, B, D, H, F = D·H."""

    after: int
    axes: tuple[str, ...]


class _AtRun(NamedTuple):
    """A value that is known when the graph runs: an input, or what is made of one."""

    made_by: str
    of_state: bool = False  # an operator's last state had a part in it


_ZEROS = "zeros of any shape"


class GraphReader:
    """Goes through a graph, node by node."""

    def __init__(self, function: str, model: Any, inputs: Mapping[str, Any]) -> None:
        self.function = function
        self.layers: list[Layer] = []
        self.batch_first = False
        self._onnx = require_onnx()
        self._opset = _opset(function, model)
        graph = model.graph
        if any(entry.key == KEY for entry in model.metadata_props):
            expected, got = "a network", "a character model's step, which jaxrnn export wrote"
            hint = "jaxrnn export RUN FILE.safetensors writes what jaxrnn import reads"
            raise ValueError(sentence(function, "source", expected, got, hint))
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
        # One node after the other may double an array; weights that are put in order do not.
        known = [value.nbytes for value in self._values.values() if isinstance(value, np.ndarray)]
        self._bytes_left = _LEEWAY + 8 * sum(known)
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
        elif kind in (*_FOLDED, "Dropout", "Expand", "Gather", "Split"):
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
        self._bytes_left -= sum(array.nbytes for array in named.values())
        if self._bytes_left < 0:
            expected = "weights that are in the file, put in order"
            got = "arrays that grow from node to node"
            raise ValueError(sentence(self.function, repr(where), expected, got))
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
