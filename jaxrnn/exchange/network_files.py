"""A network and its parameters in one `.safetensors` file, which describes itself.

Arrays are named by their place in the tree, `w_xh`, `0.w_xh` of a stack's lowest layer,
`0.forward.w_xh`. The file's metadata has, under `jaxrnn`, JSON that says what the network is made
of, with the sizes of every cell, so that names, shapes and dtypes are known, and compared, before
an array is read.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import CELLS, Cell
from jaxrnn.charlm import files, strict_json
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError
from jaxrnn.errors import sentence
from jaxrnn.networks import Bidirectional, Directions, Network, Stack, check_network, map_cells
from jaxrnn.recurrence.checks import check_dtype, check_params

KEY = "jaxrnn"
FORMAT = 1
# Of the format itself; what is longer is not read.
_LARGEST_HEADER = 100_000_000
_LARGEST_DESCRIPTION = 2**20
_DTYPES = {"BF16": "bfloat16", "F32": "float32", "F64": "float64", "F16": "float16"}


def save_safetensors(path: str | os.PathLike[str], net: Network, params: Any) -> None:
    """Writes a network and its parameters, all of the file or nothing.

    Args:
        path: the file; one that is there is replaced.
        net: a cell, `Stack` or `Bidirectional`; a custom cell has to be registered.
        params: its parameters.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell that is not known by
            name; arrays of several dtypes.
        ImportError: the package safetensors is missing.
        OSError: the file cannot be written; an old one is as it was.

    Example:
        >>> import pathlib, tempfile, jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> net = rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM])
        >>> params = rnn.init(net, jax.random.key(0), input_size=3, hidden_size=4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "net.safetensors"
        ...     exchange.save_safetensors(path, net, params)
        ...     same, params = exchange.load_safetensors(path)
        >>> same == net
        True
    """
    _require_safetensors()
    from safetensors.numpy import save

    check_network("save_safetensors", net, "net")
    described = _describe(net, params)
    leaves = dict(_named(jax.device_get(params)))
    dtypes = sorted({str(leaf.dtype) for leaf in leaves.values()})
    if len(dtypes) > 1:
        expected = "one dtype throughout"
        raise ValueError(sentence("save_safetensors", "params", expected, ", ".join(dtypes)))
    description = {"format": FORMAT, "dtype": dtypes[0], "network": described}
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in leaves.items()}
    data = save(arrays, metadata={KEY: json.dumps(description)})
    files.write_atomically(Path(path), data)


def load_safetensors(path: str | os.PathLike[str]) -> tuple[Network, Any]:
    """Reads what `save_safetensors` wrote.

    Args:
        path: the file, which may be a stranger's: no program in it is run, and what it says of
            itself is checked before memory is taken for it.

    Returns:
        (net, params), to the bit as they were.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no such file, or was cut short; it describes no network or a cell that is
            not known here; arrays that are missing, misshapen or too many (all are named); float64
            without `jax_enable_x64`. The sentence names the file.
        ImportError: the package safetensors is missing.

    A file with PyTorch's names and without that description is read by `from_torch(path)`.

    Example: see `save_safetensors`.
    """
    _require_safetensors()
    path = Path(path)
    header = _header(path)
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise BrokenFileError(
            f"{path} does not say which network it holds: save_safetensors did not write it. "
            "One with PyTorch's names is read by jaxrnn.exchange.from_torch."
        )
    net, template = _network(path, text)
    expected = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in _named(template)}
    _compare(path, expected, header)
    dtype = jnp.dtype(next(iter(expected.values()))[1])
    check_dtype("load_safetensors", dtype)
    arrays = _arrays(path, list(expected))
    leaves = [jnp.array(arrays[name]) for name in expected]
    return net, jax.tree.unflatten(jax.tree.structure(template), leaves)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of any `.safetensors` file by name.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: it is no such file, or needs more memory than there is.
        ImportError: the package safetensors is missing.
    """
    _require_safetensors()
    return _arrays(path, [name for name in _header(path) if name != "__metadata__"])


def _require_safetensors() -> None:
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'This needs the package safetensors; pip install "jaxrnn[app]" brings it.'
        ) from error


def _describe(net: Network, params: Any) -> Any:
    """What a network is made of, for JSON; checks the parameters on the way."""
    sizes = []

    def at_cell(index: int, cell: Cell, params: Any) -> None:
        if CELLS.get(cell.name) != cell:
            expected = "cells that are known by name"
            hint = "jaxrnn.register(cell) first, and where the file is read"
            raise ValueError(sentence("save_safetensors", "net", expected, repr(cell), hint))
        check_params("save_safetensors", cell, params)
        sizes.append(cell.sizes_of(params))

    map_cells("save_safetensors", net, at_cell, {"params": params})
    following = iter(sizes)

    def visit(net: Network) -> Any:
        if isinstance(net, Stack):
            layers = [visit(layer) for layer in net.layers]
            return {"stack": layers, "dropout": net.dropout, "residual": net.residual}
        if isinstance(net, Bidirectional):
            return {"bidirectional": [visit(net.forward), visit(net.backward)]}
        return {"cell": net.name, "sizes": next(following)}

    return visit(net)


def _network(path: Path, text: str) -> tuple[Network, Any]:
    """The network that a description says, and its params as shapes and dtypes."""
    if len(text) > _LARGEST_DESCRIPTION:
        raise BrokenFileError(f"{path} describes its network in {len(text):,} characters.")
    name = f"The description of the network in {path}"
    content = strict_json.parse(text.encode(), name, most_brackets=_LARGEST_DESCRIPTION)
    if isinstance(content, dict) and content.get("format") != FORMAT:
        found = strict_json.shorten(content.get("format"))
        raise BrokenFileError(f"{name} has the format {found}, where {FORMAT} is known.")
    _check_object(content, {"format": int, "dtype": str, "network": dict}, name)
    if content["dtype"] not in _DTYPES.values():
        found = strict_json.shorten(content["dtype"])
        raise BrokenFileError(f"{name} has the dtype {found}, which no parameters have.")
    dtype = jnp.dtype(content["dtype"])
    try:
        return _read_network(content["network"], name, dtype)
    except RecursionError:
        raise BrokenFileError(f"{name} is nested too deeply.") from None


def _read_network(said: Any, name: str, dtype: Any) -> tuple[Network, Any]:
    keys = set(said) if isinstance(said, dict) else set()
    if "stack" in keys:
        _check_object(said, {"stack": list, "dropout": float, "residual": bool}, name)
        if not said["stack"] or not 0 <= said["dropout"] < 1:
            raise BrokenFileError(f"{name} has a stack without layers, or a dropout beyond 0 … 1.")
        nets, params = zip(*(_read_network(x, name, dtype) for x in said["stack"]), strict=True)
        return Stack(nets, dropout=said["dropout"], residual=said["residual"]), tuple(params)
    if "bidirectional" in keys:
        _check_object(said, {"bidirectional": list}, name)
        if len(said["bidirectional"]) != 2:
            raise BrokenFileError(f"{name} has {len(said['bidirectional'])} directions, not two.")
        ahead, back = (_read_network(each, name, dtype) for each in said["bidirectional"])
        return Bidirectional(ahead[0], back[0]), Directions(ahead[1], back[1])
    _check_object(said, {"cell": str, "sizes": dict}, name)
    cell = CELLS.get(said["cell"])
    if cell is None:
        raise BrokenFileError(
            f"{name} has the cell {strict_json.shorten(said['cell'])}; known are "
            f"{', '.join(CELLS)}. One of your own is made known by jaxrnn.register(cell)."
        )
    letters = {axis[-1] for shape in cell.param_shapes for axis in shape.split()}
    _check_object(said["sizes"], dict.fromkeys(sorted(letters), int), f"{name} (its sizes)")
    if not all(1 <= size < 2**31 for size in said["sizes"].values()):
        raise BrokenFileError(f"{name} has a size below 1 or of 2³¹ or more.")
    shapes = cell.params_of(said["sizes"])
    return cell, cell.Params(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))


def _check_object(value: Any, hints: Mapping[str, Any], name: str) -> None:
    faults = (
        [f"no {key!r}" for key in hints if key not in value]
        + [f"an unknown {strict_json.shorten(key)}" for key in value if key not in hints]
        + [
            f"{strict_json.shorten(value[key])} as {key!r}"
            for key, hint in hints.items()
            if key in value and not strict_json.fits(value[key], hint)
        ]
        if isinstance(value, dict)
        else [f"{strict_json.shorten(value)} in place of an object"]
    )
    if faults:
        raise BrokenFileError(f"{name} has {', '.join(faults[:20])}.")


def _header(path: Path) -> dict[str, Any]:
    """The JSON at a file's start, read strictly; nothing of the arrays."""
    if path.exists() and not path.is_file():
        raise BrokenFileError(f"{path} is a folder or a device, not a file.")
    try:
        # A link is followed: this is a file that the user names, not one of a run's folder.
        with open(files.open_regular(Path(os.path.realpath(path))), "rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
                raise BrokenFileError(f"{path} is no safetensors file, or was cut short.")
            content = strict_json.parse(
                file.read(length), f"The header of {path}", most_brackets=_LARGEST_HEADER
            )
    except BrokenFileError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {path}.") from None
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(content, dict):
        raise BrokenFileError(f"{path} is no safetensors file: its header is no object.")
    return content


def _compare(path: Path, expected: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            has = entry if isinstance(entry, dict) else {}
            code = str(has.get("dtype"))
            found[name] = has.get("shape"), _DTYPES.get(code, code)
    faults = [f"no {name}" for name in expected if name not in found]
    faults += [
        f"{name} as {strict_json.shorten(found[name][1])} {strict_json.shorten(found[name][0])} "
        f"instead of {dtype} {list(shape)}"
        for name, (shape, dtype) in expected.items()
        if name in found and found[name] != (list(shape), dtype)
    ]
    faults += [f"an extra {strict_json.shorten(name)}" for name in found if name not in expected]
    if faults:
        listed = ", ".join(faults[:20])
        listed += f" and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise BrokenFileError(f"{path} is not of the network that it describes: it has {listed}.")
    files.check_memory(
        path, sum(math.prod(s) * jnp.dtype(d).itemsize for s, d in expected.values())
    )


def _arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        files.check_memory(path, os.stat(path).st_size)
        with safe_open(path, framework="np", backend="pread") as archive:
            return {name: archive.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise BrokenFileError(f"{path} is no safetensors file: {error}.") from None
    except MemoryError:
        raise UnreadableFileError(f"{path} needs more memory than there is.") from None
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]
