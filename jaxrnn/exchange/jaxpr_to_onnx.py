"""A traced function as nodes of ONNX: each of JAX's primitives is one operator, or a few.

Sizes may be symbolic (`jax.export.symbolic_shape`), as that of the batch is. A primitive that is
not in the table is refused by name; the table has what the cells of this library use, and what one
of your own is likely to.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from jaxrnn.errors import sentence
from jaxrnn.exchange.onnx_package import require_onnx

# Primitives that run another traced function, and where they keep it.
_CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "remat2": "jaxpr",
    "checkpoint": "jaxpr", "remat": "jaxpr",
}  # fmt: skip
_ONE_TO_ONE = {
    "abs": "Abs", "add": "Add", "add_any": "Add", "and": "And", "ceil": "Ceil", "copy": "Identity",
    "copy_p": "Identity", "cos": "Cos", "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp",
    "floor": "Floor", "ge": "GreaterOrEqual", "gt": "Greater", "le": "LessOrEqual", "log": "Log",
    "logistic": "Sigmoid", "lt": "Less", "max": "Max", "min": "Min", "mul": "Mul", "neg": "Neg",
    "not": "Not", "optimization_barrier": "Identity", "or": "Or", "pow": "Pow", "sign": "Sign",
    "sin": "Sin", "sqrt": "Sqrt", "stop_gradient": "Identity", "sub": "Sub", "tanh": "Tanh",
}  # fmt: skip
_REDUCTIONS = {
    "reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
}  # fmt: skip
_BITWISE = ("and", "or", "not")


class OnnxWriter:
    """Nodes and arrays of a graph that is being made.

    Attributes:
        arrays: initializers by name.
    """

    def __init__(self, function: str, batch: Any, batch_source: str) -> None:
        """Begins a graph.

        Args:
            function: for the sentences of errors.
            batch: the symbolic size.
            batch_source: the graph's input whose first axis has that size.
        """
        self.function = function
        self.arrays: dict[str, np.ndarray] = {}
        self._onnx = require_onnx()
        self._nodes: list[Any] = []
        self._batch, self._batch_source = batch, batch_source
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> list[str]:
        """Adds a node; the names of its outputs."""
        outputs = [f"v{len(self._nodes)}_{k}" if count > 1 else f"v{len(self._nodes)}"
                   for k in range(count)]  # fmt: skip
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any) -> str:
        """The name of an array in the file; equal ones are one."""
        array = np.asarray(value, dtype, order="C")
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key], self.arrays[name] = name, array
        return self._constants[key]

    def sizes(self, sizes: Sequence[Any]) -> str:
        """The name of an int64 array of sizes, one of which may be the batch's."""
        if all(isinstance(size, int | np.integer) for size in sizes):
            return self.constant(sizes, np.int64)
        parts = []
        for size in sizes:
            if isinstance(size, int | np.integer):
                parts.append(self.constant([size], np.int64))
            elif size == self._batch:
                parts += self.add("Shape", self._batch_source, start=0, end=1)
            else:
                expected = "sizes that are numbers, or that of the batch"
                raise ValueError(sentence(self.function, "shape", expected, str(size)))
        return self.add("Concat", *parts, axis=0)[0]

    def trace(self, closed: Any, inputs: Sequence[str]) -> list[str]:
        """Adds the nodes of a closed jaxpr; the names of its outputs."""
        arrays = [self.constant(value, value.dtype) for value in map(np.asarray, closed.consts)]
        names = dict(zip(closed.jaxpr.constvars, arrays, strict=True))
        names |= dict(zip(closed.jaxpr.invars, inputs, strict=True))

        def read(variable: Any) -> str:
            if isinstance(variable, Literal):
                shaped: Any = variable.aval
                return self.constant(variable.val, shaped.dtype)
            return names[variable]

        for equation in closed.jaxpr.eqns:
            outputs = self._equation(equation, [read(v) for v in equation.invars])
            names |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(variable) for variable in closed.jaxpr.outvars]

    def named(self, outputs: Sequence[str], names: Sequence[str]) -> list[Any]:
        """The nodes that the outputs need, which get these names; arrays that none reads go."""
        for output, name in zip(outputs, names, strict=True):
            node = self._onnx.helper.make_node("Identity", [output], [name])
            self._nodes.append(node)
        wanted, kept = set(names), []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        self.arrays = {name: array for name, array in self.arrays.items() if name in wanted}
        return kept[::-1]

    def _equation(self, equation: Any, inputs: list[str]) -> list[str]:
        name, params = equation.primitive.name, equation.params
        if name in _CALLS:
            inner = params[_CALLS[name]]
            if not hasattr(inner, "consts"):
                inner = ClosedJaxpr(inner, ())
            return self.trace(inner, inputs)
        operands = [variable.aval for variable in equation.invars]
        if name in _BITWISE and operands[0].dtype != bool:
            raise self.refused(f"{name} of {operands[0].dtype}")
        if name in _ONE_TO_ONE:
            return self.add(_ONE_TO_ONE[name], *inputs)
        if name in _REDUCTIONS:
            axes = self.constant(params["axes"], np.int64)
            return self.add(_REDUCTIONS[name], inputs[0], axes, keepdims=0)
        if name not in _RULES:
            raise self.refused(name)
        return _RULES[name](self, equation, inputs)

    def refused(self, what: str) -> ValueError:
        """The error that names what has no translation."""
        expected = "cells made of primitives of JAX that have a translation to ONNX"
        hint = f"those that have one: {', '.join(sorted({*_ONE_TO_ONE, *_REDUCTIONS, *_RULES}))}"
        return ValueError(sentence(self.function, "config", expected, what, hint))


Rule = Callable[[OnnxWriter, Any, list[str]], list[str]]


def _broadcast(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    before = equation.invars[0].aval.shape
    between = [1] * len(shape)
    for axis, size in zip(axes, before, strict=True):
        between[axis] = size
    name = inputs[0]
    if tuple(between) != tuple(before):
        (name,) = writer.add("Reshape", name, writer.sizes(between))
    if tuple(between) != tuple(shape):
        (name,) = writer.add("Expand", name, writer.sizes(shape))
    return [name]


def _reshape(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    # Squeezing and a new axis of length 1 are reshapes too.
    return writer.add("Reshape", inputs[0], writer.sizes(equation.outvars[0].aval.shape))


def _transpose(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    return writer.add("Transpose", inputs[0], perm=list(equation.params["permutation"]))


def _cast(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    helper = require_onnx().helper
    dtype = np.dtype(equation.params["new_dtype"])
    return writer.add("Cast", inputs[0], to=helper.np_dtype_to_tensor_dtype(dtype))


def _concatenate(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    return writer.add("Concat", *inputs, axis=equation.params["dimension"])


def _split(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    sizes = writer.constant(equation.params["sizes"], np.int64)
    count = len(equation.outvars)
    return writer.add("Split", inputs[0], sizes, count=count, axis=equation.params["axis"])


def _slice(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    params, shape = equation.params, equation.invars[0].aval.shape
    strides = params["strides"] or (1,) * len(shape)
    ends = params["limit_indices"]
    cut = [
        (axis, start, end, stride)
        for axis, (start, end, stride) in enumerate(
            zip(params["start_indices"], ends, strides, strict=True)
        )
        if (start, stride) != (0, 1) or end != shape[axis]
    ]
    if not cut:
        return writer.add("Identity", inputs[0])
    axes, starts, stops, steps = zip(*cut, strict=True)
    stops = tuple(
        end if isinstance(end, int | np.integer) else np.iinfo(np.int64).max for end in stops
    )
    arrays = [writer.constant(part, np.int64) for part in (starts, stops, axes, steps)]
    return writer.add("Slice", inputs[0], *arrays)


def _select(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    which = equation.invars[0].aval
    if which.dtype != bool or len(inputs) != 3:
        raise writer.refused(f"select_n of {len(inputs) - 1} cases")
    return writer.add("Where", inputs[0], inputs[2], inputs[1])


def _clamp(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    least, x, most = inputs
    return writer.add("Max", least, *writer.add("Min", x, most))


def _dot_general(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    (left_axes, right_axes), batch_axes = equation.params["dimension_numbers"]
    left, right = (variable.aval for variable in equation.invars)
    if any(batch_axes) or len(left_axes) != 1 or right.ndim != 2 or left.ndim < 1:
        raise writer.refused(f"dot_general of {left.str_short()} and {right.str_short()}")
    x, w = inputs
    if left_axes[0] != left.ndim - 1:
        rest = [axis for axis in range(left.ndim) if axis != left_axes[0]]
        (x,) = writer.add("Transpose", x, perm=[*rest, left_axes[0]])
    if right_axes[0] != 0:
        (w,) = writer.add("Transpose", w, perm=[1, 0])
    dtype = equation.outvars[0].aval.dtype
    if left.dtype != dtype:  # sums in a wider dtype than that of the factors
        number = require_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        (x,), (w,) = (writer.add("Cast", name, to=number) for name in (x, w))
    return writer.add("MatMul", x, w)


def _gather(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    """What indexing is: entries along one axis, x[:, ids], or a window, x[:, 3:5]."""
    params, (table, ids) = equation.params, (variable.aval for variable in equation.invars)
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    axes, gone = tuple(numbers.start_index_map), tuple(numbers.collapsed_slice_dims)
    whole = all(size == table.shape[k] for k, size in enumerate(sizes) if k not in axes)
    offsets, rank = tuple(numbers.offset_dims), equation.outvars[0].aval.ndim
    filling = params["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP
    plain = whole and not numbers.operand_batching_dims and ids.shape[-1] == len(axes)
    if plain and not gone and ids.ndim == 1 and offsets == tuple(range(rank)) and not filling:
        lengths = writer.constant([sizes[axis] for axis in axes], ids.dtype)
        ends = writer.add("Add", inputs[1], lengths)
        return writer.add("Slice", *inputs, *ends, writer.constant(axes, ids.dtype))
    batch = ids.ndim - 1
    if not plain or gone != axes or len(axes) != 1 or sizes[axes[0]] != 1:
        raise writer.refused("gather of anything but entries along one axis, x[:, ids]")
    (axis,) = axes
    if offsets != (*range(axis), *range(axis + batch, rank)):
        raise writer.refused("gather whose result has its axes in another order")
    (which,) = writer.add("Reshape", inputs[1], writer.sizes(ids.shape[:-1]))
    zero, last = (writer.constant(value, ids.dtype) for value in (0, table.shape[axis] - 1))
    # A runtime refuses an id outside, or counts it from the end.
    (inside,) = writer.add("Max", zero, *writer.add("Min", which, last))
    found = writer.add("Gather", inputs[0], inside, axis=axis)
    if not filling:
        return found
    (known,) = writer.add("Equal", which, inside)
    after = range(batch, rank - axis)  # the axes that follow the ids' own
    if after:
        (known,) = writer.add("Unsqueeze", known, writer.constant(after, np.int64))
    value = params["fill_value"]
    filled = jnp.nan if value is None and jnp.issubdtype(table.dtype, jnp.floating) else value
    return writer.add("Where", known, *found, writer.constant(filled or 0, table.dtype))


def _iota(writer: OnnxWriter, equation: Any, inputs: list[str]) -> list[str]:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    along = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    name = writer.constant(along, equation.params["dtype"])
    return writer.add("Expand", name, writer.sizes(shape))


def _scalar(writer: OnnxWriter, equation: Any, value: float) -> str:
    return writer.constant(value, equation.outvars[0].aval.dtype)


_RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "convert_element_type": _cast,
    "dot_general": _dot_general,
    "exp2": lambda w, e, names: w.add("Pow", _scalar(w, e, 2), names[0]),
    "expand_dims": _reshape,
    # Less exact than JAX's near 0, by the rounding of 1; that is the rounding of what it is added
    # to in a softplus or an elu.
    "expm1": lambda w, e, names: w.add("Sub", *w.add("Exp", names[0]), _scalar(w, e, 1)),
    "gather": _gather,
    "integer_pow": lambda w, e, names: w.add("Pow", names[0], _scalar(w, e, e.params["y"])),
    "iota": _iota,
    "log1p": lambda w, e, names: w.add("Log", *w.add("Add", names[0], _scalar(w, e, 1))),
    "ne": lambda w, e, names: w.add("Not", *w.add("Equal", *names)),
    "reshape": _reshape,
    "rsqrt": lambda w, e, names: w.add("Reciprocal", *w.add("Sqrt", names[0])),
    "select_n": _select,
    "slice": _slice,
    "split": _split,
    "square": lambda w, e, names: w.add("Mul", names[0], names[0]),
    "squeeze": _reshape,
    "transpose": _transpose,
}
