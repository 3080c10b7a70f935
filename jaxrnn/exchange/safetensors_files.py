"""`.safetensors` files that may be a stranger's: a header that is read strictly, then arrays.

The header says names, shapes and dtypes, which are compared with what is expected before memory is
taken, and has metadata, of which this library's is JSON under `jaxrnn`.
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

from jaxrnn.charlm import files, strict_json
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError

KEY = "jaxrnn"
# Of the format itself; what is longer is not read.
_LARGEST_HEADER = 100_000_000
_DTYPES = {"BF16": "bfloat16", "F32": "float32", "F64": "float64", "F16": "float16"}
DTYPES = tuple(_DTYPES.values())


def write_arrays(path: Path, tree: Any, description: Mapping[str, Any]) -> None:
    """Writes a tree's arrays by their place in it, and JSON about them, all of it or nothing.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
        ImportError: the package safetensors is missing.
    """
    require_safetensors()
    from safetensors.numpy import save

    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named(jax.device_get(tree))}
    text = json.dumps(description, allow_nan=False)
    files.write_atomically(path, save(arrays, metadata={KEY: text}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of any `.safetensors` file by name.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: it is no such file, or needs more memory than there is.
        ImportError: the package safetensors is missing.
    """
    require_safetensors()
    return some_arrays(path, [name for name in read_header(path) if name != "__metadata__"])


def read_description(path: Path, header: Mapping[str, Any], largest: int) -> str | None:
    """The JSON under `jaxrnn` in a header's metadata; None where there is none.

    Raises:
        BrokenFileError: it has more than `largest` characters.
    """
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if isinstance(text, str) and len(text) > largest:
        raise BrokenFileError(f"{path} describes itself in {len(text):,} characters.")
    return text if isinstance(text, str) else None


def require_safetensors() -> None:
    """Raises ImportError with what to do where the package safetensors is missing."""
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'This needs the package safetensors; pip install "jaxrnn[app]" brings it.'
        ) from error


def check_object(value: Any, hints: Mapping[str, Any], name: str) -> None:
    """Raises BrokenFileError unless a value is an object with exactly these entries."""
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


def read_header(path: Path) -> dict[str, Any]:
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


def compare(path: Path, expected: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Raises BrokenFileError unless a header has these arrays, (shape, dtype) by name."""
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
        raise BrokenFileError(f"{path} is not of the model that it describes: it has {listed}.")
    files.check_memory(
        path, sum(math.prod(s) * jnp.dtype(d).itemsize for s, d in expected.values())
    )


def some_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """These arrays of a file, by name."""
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


def named(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree by their place in it, `0.forward.w_xh`."""
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]
