"""Arrays and a few facts in one file that is either whole or not there.

A checkpoint is an ordinary `.npz` (a zip of `.npy`, no pickle), which `numpy.load` opens. The
archive's comment is the SHA-256 of every byte before it, so a file that was cut short or altered
anywhere is found before a number of it is used. It is written to a temporary file, flushed to
the disk and moved over the old one: a kill at any moment leaves the old file or the new one.

Entries are named by their place in the tree, e.g. `state.params.layers[0].w_hh`. NumPy has no
bfloat16; such arrays are stored as the integers of their bits, their dtype among the facts.
"""

import hashlib
import io
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.errors import sentence

FORMAT = 1
TEMPORARY = ".tmp"
_FACTS = "facts"
_COMMENT = b"sha256:"
_COMMENT_SIZE = len(_COMMENT) + 64


class BrokenCheckpointError(ValueError):
    """A checkpoint that is cut short, altered, or of another model; the message names the file."""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that whoever reads it, even after a crash, sees the old or the new bytes."""
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # elsewhere a directory cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def to_bytes(tree: Any, facts: Mapping[str, Any]) -> bytes:
    """A tree of arrays and facts (anything JSON has) as the bytes of a checkpoint."""
    arrays, dtypes = {}, {}
    for name, leaf in _named_leaves(tree):
        array = np.asarray(leaf)
        if array.dtype.kind == "V":  # bfloat16 and its relatives
            dtypes[name] = array.dtype.name
            array = array.view(f"u{array.dtype.itemsize}")
        arrays[name] = array
    text = json.dumps({**facts, "format": FORMAT, "dtypes": dtypes})
    arrays[_FACTS] = np.frombuffer(text.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    # A zip ends with the length of its comment, two bytes, and the comment: here still empty.
    content = buffer.getvalue()[:-2] + struct.pack("<H", _COMMENT_SIZE)
    return content + _COMMENT + hashlib.sha256(content).hexdigest().encode()


def read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Reads a checkpoint.

    Args:
        path: the file.

    Returns:
        The arrays by name, and the facts.

    Raises:
        BrokenCheckpointError: the file is cut short or altered.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    content, comment = data[:-_COMMENT_SIZE], data[-_COMMENT_SIZE:]
    if comment != _COMMENT + hashlib.sha256(content).hexdigest().encode():
        raise BrokenCheckpointError(
            f"The checkpoint {path} is cut short or altered: its checksum does not fit."
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    if facts["format"] != FORMAT:
        raise BrokenCheckpointError(
            sentence("read", str(path), f"checkpoint format {FORMAT}", facts["format"])
        )
    for name, dtype in facts.pop("dtypes").items():
        arrays[name] = arrays[name].view(jnp.dtype(dtype))
    return arrays, facts


def restore(template: Any, arrays: Mapping[str, NDArray[Any]], path: Path, within: str = "") -> Any:
    """Puts arrays into a tree.

    Args:
        template: the tree, its leaves with `.shape` and `.dtype`.
        arrays: what `read` returned.
        path: the file, for messages.
        within: the part of the checkpoint that the template is, e.g. `state.params`.

    Returns:
        The template with JAX arrays as leaves.

    Raises:
        BrokenCheckpointError: an array is missing or has another shape or dtype.
    """
    leaves = []
    for name, leaf in _named_leaves(template):
        if within:
            name = within + ("" if name.startswith("[") else ".") + name
        array = arrays.get(name)
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            shape = ", ".join(map(str, leaf.shape))
            raise BrokenCheckpointError(
                sentence(
                    "restore",
                    f"{path}: {name}",
                    f"{leaf.dtype}[{shape}]",
                    "nothing" if array is None else array,
                    "the checkpoint is of another model or optimizer",
                )
            )
        leaves.append(jnp.array(array))
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path).removeprefix("."), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]
