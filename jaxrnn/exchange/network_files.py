"""A network and its parameters in one `.safetensors` file, which describes itself.

Arrays are named by their place in the tree, `w_xh`, `0.w_xh` of a stack's lowest layer,
`0.forward.w_xh`. The file's metadata has, under `jaxrnn`, JSON that says what the network is made
of, with the sizes of every cell, so that names, shapes and dtypes are known, and compared, before
an array is read.
"""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.cells import CELLS, Cell
from jaxrnn.charlm import strict_json
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.errors import sentence
from jaxrnn.exchange.safetensors_files import (
    DTYPES,
    check_object,
    compare,
    named,
    read_description,
    read_header,
    require_safetensors,
    some_arrays,
    write_arrays,
)
from jaxrnn.networks import Bidirectional, Directions, Network, Stack, check_network, map_cells
from jaxrnn.recurrence.checks import check_dtype, check_params

FORMAT = 1
_LARGEST_DESCRIPTION = 2**20


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
    require_safetensors()
    check_network("save_safetensors", net, "net")
    described = _describe(net, params)
    dtypes = sorted({str(leaf.dtype) for leaf in jax.tree.leaves(params)})
    if len(dtypes) > 1:
        expected = "one dtype throughout"
        raise ValueError(sentence("save_safetensors", "params", expected, ", ".join(dtypes)))
    description = {"format": FORMAT, "dtype": dtypes[0], "network": described}
    write_arrays(Path(path), params, description)


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
    require_safetensors()
    path = Path(path)
    header = read_header(path)
    text = read_description(path, header, _LARGEST_DESCRIPTION)
    if text is None:
        raise BrokenFileError(
            f"{path} does not say which network it holds: save_safetensors did not write it. "
            "One with PyTorch's names is read by jaxrnn.exchange.from_torch."
        )
    net, template = _network(path, text)
    expected = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in named(template)}
    compare(path, expected, header)
    dtype = jnp.dtype(next(iter(expected.values()))[1])
    check_dtype("load_safetensors", dtype)
    arrays = some_arrays(path, list(expected))
    leaves = [jnp.array(arrays[name]) for name in expected]
    return net, jax.tree.unflatten(jax.tree.structure(template), leaves)


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
    name = f"The description of the network in {path}"
    content = strict_json.parse(text.encode(), name, most_brackets=_LARGEST_DESCRIPTION)
    if isinstance(content, dict) and "settings" in content:
        hint = "jaxrnn import makes a run of it, and charlm.load a model of that"
        raise BrokenFileError(f"{path} is of a run, which has more than a network: {hint}.")
    if isinstance(content, dict) and content.get("format") != FORMAT:
        found = strict_json.shorten(content.get("format"))
        raise BrokenFileError(f"{name} has the format {found}, where {FORMAT} is known.")
    check_object(content, {"format": int, "dtype": str, "network": dict}, name)
    if content["dtype"] not in DTYPES:
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
        check_object(said, {"stack": list, "dropout": float, "residual": bool}, name)
        if not said["stack"] or not 0 <= said["dropout"] < 1:
            raise BrokenFileError(f"{name} has a stack without layers, or a dropout beyond 0 … 1.")
        nets, params = zip(*(_read_network(x, name, dtype) for x in said["stack"]), strict=True)
        return Stack(nets, dropout=said["dropout"], residual=said["residual"]), tuple(params)
    if "bidirectional" in keys:
        check_object(said, {"bidirectional": list}, name)
        if len(said["bidirectional"]) != 2:
            raise BrokenFileError(f"{name} has {len(said['bidirectional'])} directions, not two.")
        ahead, back = (_read_network(each, name, dtype) for each in said["bidirectional"])
        return Bidirectional(ahead[0], back[0]), Directions(ahead[1], back[1])
    check_object(said, {"cell": str, "sizes": dict}, name)
    cell = CELLS.get(said["cell"])
    if cell is None:
        raise BrokenFileError(
            f"{name} has the cell {strict_json.shorten(said['cell'])}; known are "
            f"{', '.join(CELLS)}. One of your own is made known by jaxrnn.register(cell)."
        )
    letters = {axis[-1] for shape in cell.param_shapes for axis in shape.split()}
    check_object(said["sizes"], dict.fromkeys(sorted(letters), int), f"{name} (its sizes)")
    if not all(1 <= size < 2**31 for size in said["sizes"].values()):
        raise BrokenFileError(f"{name} has a size below 1 or of 2³¹ or more.")
    shapes = cell.params_of(said["sizes"])
    return cell, cell.Params(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))
