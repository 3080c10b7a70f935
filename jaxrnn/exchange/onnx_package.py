"""The package onnx: there or asked for in a sentence; models read, checked, and made."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxrnn.charlm import files
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError
from jaxrnn.errors import sentence

OPSET = 18
# The oldest that knows opset 18; a runtime refuses what is newer than itself.
IR_VERSION = 8
# Of protobuf 2 GiB, of which nodes and names take some.
_LARGEST = 2**31 - 2**24


def require_onnx() -> Any:
    """The package.

    Raises:
        ImportError: it is missing; the sentence says what to install.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            'This needs the package onnx; pip install "jaxrnn[exchange]" brings it.'
        ) from error
    return onnx


def read_model(function: str, source: Any) -> Any:
    """A ModelProto that the package's own checker finds right.

    Args:
        function: for the sentences of errors.
        source: a path, bytes, or a ModelProto.

    Raises:
        TypeError: anything else.
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX model.
    """
    onnx = require_onnx()
    if isinstance(source, onnx.ModelProto):
        model, name = source, "The model"
    elif isinstance(source, bytes):
        model, name = _parsed(source, "The bytes"), "The bytes"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = str(path)
        if not path.exists():
            raise FileNotFoundError(f"There is no file {path}.")
        if not path.is_file():
            raise BrokenFileError(f"{path} is a folder or a device, not a file.")
        try:
            files.check_memory(path, os.stat(path).st_size)
            model = _parsed(path.read_bytes(), name)
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, MemoryError, onnx.checker.ValidationError) as error:
            raise UnreadableFileError(f"{path} cannot be read: {_first_line(error)}.") from error
    else:
        expected = "the path of an .onnx file, its bytes, a ModelProto, or an operator as a mapping"
        raise TypeError(sentence(function, "source", expected, type(source).__name__))
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        raise BrokenFileError(f"{name} is no valid ONNX model: {_first_line(error)}.") from None
    return model


def array_of(function: str, tensor: Any) -> Any:
    """The NumPy array of a TensorProto.

    Raises:
        ValueError: it is not whole, or in a file that was not given.
    """
    onnx = require_onnx()
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OSError) as error:
        expected = "a tensor with its values in it"
        got = _first_line(error)
        hint = "of a model whose weights are in files beside it pass the path"
        raise ValueError(sentence(function, repr(tensor.name), expected, got, hint)) from None


def make_model(
    function: str,
    name: str,
    nodes: Iterable[Any],
    inputs: Iterable[Any],
    outputs: Iterable[Any],
    arrays: dict[str, Any],
) -> Any:
    """A ModelProto of one graph, checked.

    Args:
        function: for the sentence.
        name: of the graph.
        nodes: in the order in which they run.
        inputs: each (name, dtype, shape); a string in a shape is a size that is not fixed.
        outputs: likewise.
        arrays: the initializers.

    Raises:
        ValueError: more than a file of ONNX holds.
    """
    onnx = require_onnx()
    helper = onnx.helper
    size = sum(array.nbytes for array in arrays.values())
    if size >= _LARGEST:
        expected = f"arrays of less than {_LARGEST:,} bytes, since a file of ONNX holds no more"
        raise ValueError(sentence(function, "params", expected, f"{size:,}"))

    def described(values: Iterable[Any]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
            for name, dtype, shape in values
        ]

    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(
        list(nodes), name, described(inputs), described(outputs), initializers
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="jaxrnn",
    )
    onnx.checker.check_model(model)
    return model


def _parsed(data: bytes, name: str) -> Any:
    onnx = require_onnx()
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise BrokenFileError(f"{name} is no ONNX model, or was cut short.") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
