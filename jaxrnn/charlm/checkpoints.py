"""A checkpoint is two files: arrays, and a manifest that says whose they are.

    step-000001000.safetensors    the arrays, named by their place in the tree, e.g.
                                  `state.params.layers[0].w_hh`
    step-000001000.json           format, run id, hash of the run's configuration, facts (the step,
                                  losses), size and SHA-256 of the arrays, and its own checksum

The manifest is written after its arrays, so one that is there names arrays that are whole. What is
read is compared with the model first, names, shapes and dtypes, before memory is taken for it, and
with its checksum, so that a file that was cut short or altered anywhere, or is of another run, is
found before a number of it is used.
"""

import hashlib
import math
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm import files, strict_json
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError

FORMAT = 3
ARRAYS = ".safetensors"
MANIFEST = ".json"
LARGEST_MANIFEST = 2**20
LARGEST_STEP = 2**31 - 1
_BLOCK = 2**20
# The format's names of dtypes.
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16",
    "BF16": "bfloat16", "U32": "uint32", "I32": "int32", "F32": "float32", "U64": "uint64",
    "I64": "int64", "F64": "float64",
}  # fmt: skip


class BrokenCheckpointError(BrokenFileError):
    """A checkpoint that is cut short, altered, or of another model; the message names the file."""


@dataclass(frozen=True)
class Identity:
    """Whose a checkpoint is.

    Attributes:
        run: id of the run.
        configuration: hash of what makes it this run: settings, vocabulary, text.
    """

    run: str
    configuration: str


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was read.

    Attributes:
        path: its file.
        arrays: the file of its arrays.
        size: bytes of that file.
        sha256: of that file.
        facts: what was saved beside the arrays.
    """

    path: Path
    arrays: Path
    size: int
    sha256: str
    facts: dict[str, Any]

    @property
    def step(self) -> int:
        """Updates before it."""
        step: int = self.facts["step"]
        return step


def step_name(step: int) -> str:
    """The name of a step's files, without their ending.

    >>> step_name(1000)
    'step-000001000'
    """
    return f"step-{step:09d}"


def step_of(path: Path) -> int | None:
    """The step in a file's name, None where it has none.

    >>> step_of(Path("step-000001000.json")), step_of(Path("best.json"))
    (1000, None)
    """
    found = re.fullmatch(r"step-(\d{9,16})", path.stem)
    return int(found[1]) if found and step_name(int(found[1])) == path.stem else None


def require_safetensors() -> None:
    """Raises ImportError with what to do where the package safetensors is missing."""
    try:
        import safetensors.numpy  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Checkpoints are safetensors files, and that package is missing; "
            'pip install "jaxrnn[app]" brings it.'
        ) from error


def to_bytes(tree: Any) -> bytes:
    """The arrays of a tree as the bytes of a safetensors file."""
    require_safetensors()
    from safetensors.numpy import save

    # Explicitly, for `jax.transfer_guard`.
    leaves = {name: np.asarray(leaf, order="C") for name, leaf in _named(jax.device_get(tree))}
    data: bytes = save(leaves)
    return data


def manifest_bytes(data: bytes, facts: Mapping[str, Any], identity: Identity) -> bytes:
    """The manifest of arrays; `facts` have at least the `step`, and what JSON has beside it."""
    return strict_json.seal(
        {
            "format": FORMAT,
            "run": identity.run,
            "configuration": identity.configuration,
            "arrays": {
                "file": step_name(facts["step"]) + ARRAYS,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            },
            "facts": dict(facts),
        }
    )


def read_manifest(path: Path, identity: Identity, facts: Mapping[str, Any]) -> Manifest:
    """Reads a manifest; its arrays may still be broken.

    Args:
        path: the file.
        identity: of the run.
        facts: the type of each fact by its name.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: it is altered, of another run or configuration, or not a manifest.
    """
    content = strict_json.parse(files.read_bytes(path, LARGEST_MANIFEST), path)
    if isinstance(content, dict) and content.get("format") != FORMAT:
        found = strict_json.shorten(content.get("format"))
        raise BrokenCheckpointError(f"{path} has the format {found}, where {FORMAT} is known.")
    content = strict_json.unseal(content, path)
    hints = {"format": int, "run": str, "configuration": str, "arrays": dict, "facts": dict}
    strict_json.check_fields(content, hints, path)
    strict_json.check_fields(content["arrays"], {"file": str, "size": int, "sha256": str}, path)
    strict_json.check_fields(content["facts"], facts, path)
    if content["run"] != identity.run:
        raise BrokenCheckpointError(f"{path} is of another run: its run id is not the folder's.")
    if content["configuration"] != identity.configuration:
        raise BrokenCheckpointError(
            f"{path} was made with other settings, another vocabulary or another text than "
            "config.json has."
        )
    numbers = [value for value in content["facts"].values() if isinstance(value, int)]
    if not all(0 <= number <= LARGEST_STEP for number in numbers):
        raise BrokenCheckpointError(f"{path} counts steps below 0 or above {LARGEST_STEP:,}.")
    arrays = content["arrays"]
    step = content["facts"]["step"]
    named = step_of(path)
    # A name from a stranger's file could lead anywhere; there is but one that it can be.
    if (
        not 0 <= step <= LARGEST_STEP
        or arrays["file"] != step_name(step) + ARRAYS
        or named not in (None, step)
    ):
        raise BrokenCheckpointError(
            f"{path} says to be of step {strict_json.shorten(step)} with the arrays "
            f"{strict_json.shorten(arrays['file'])}, which do not belong together."
        )
    return Manifest(
        path, path.with_name(arrays["file"]), arrays["size"], arrays["sha256"], content["facts"]
    )


def read(
    manifest: Manifest,
    template: Any,
    part: Callable[[Any], Any] = lambda tree: tree,
) -> Any:
    """Reads arrays.

    Args:
        manifest: of the checkpoint.
        template: the tree of all that the checkpoint holds, its leaves with `.shape` and `.dtype`.
        part: chooses from a tree like it what to read.

    Returns:
        The part, with JAX arrays as leaves.

    Raises:
        FileNotFoundError: the file is not there, or was replaced while it was read.
        BrokenFileError: it is cut short or altered, or of another model (all arrays that are
            missing, misshapen or too many are named), or has numbers that are not finite.
        UnreadableFileError: the system does not read it, or has not the memory.
    """
    require_safetensors()
    from safetensors import SafetensorError, safe_open

    path = manifest.arrays
    expected = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in _named(template)}
    names = jax.tree.unflatten(jax.tree.structure(template), list(expected))
    wanted = part(names)
    try:
        before = _check_content(manifest, expected)
        with safe_open(path, framework="np", backend="pread") as archive:
            _compare(path, expected, archive)
            files.check_memory(
                path, sum(_size(*expected[name]) for name in jax.tree.leaves(wanted))
            )
            arrays = {name: archive.get_tensor(name) for name in jax.tree.leaves(wanted)}
        after = _stamp(os.lstat(path))
    except SafetensorError as error:
        raise BrokenCheckpointError(f"{path} is no safetensors file: {error}.") from None
    except MemoryError:
        raise UnreadableFileError(f"{path} needs more memory than there is.") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if before != after:
        raise FileNotFoundError(f"{path} was replaced while it was read.")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BrokenCheckpointError(f"{path}: {name} has numbers that are not finite.")
    return jax.tree.map(lambda name: jax.device_put(arrays[name]), wanted)


def _check_content(manifest: Manifest, expected: Mapping[str, Any]) -> tuple[int, ...]:
    """Checks size, checksum and header, in this order but for a file that is far too large."""
    path = manifest.arrays
    needed = sum(_size(*of) for of in expected.values())
    largest_header = 2**16 + sum(6 * len(name) + 256 for name in expected)
    with open(files.open_regular(path), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size != manifest.size:
            raise BrokenCheckpointError(
                f"The checkpoint {path} is cut short or altered: it has {status.st_size:,} bytes, "
                f"not {strict_json.shorten(manifest.size)}."
            )
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        # What is altered is said to be altered, not to be of another model; but no more is read
        # for it than the model needs.
        if status.st_size <= 8 + needed + largest_header:
            file.seek(0)
            digest = hashlib.sha256()
            while block := file.read(_BLOCK):
                digest.update(block)
            if digest.hexdigest() != manifest.sha256:
                raise BrokenCheckpointError(
                    f"The checkpoint {path} is cut short or altered: its checksum does not fit."
                )
        if length > largest_header:
            raise BrokenCheckpointError(
                f"{path} has a header of {length:,} bytes, where its arrays need "
                f"{largest_header:,} at most."
            )
        file.seek(8)
        strict_json.parse(file.read(length), f"The header of {path}", most_brackets=largest_header)
        return _stamp(status)


def _compare(path: Path, expected: Mapping[str, Any], archive: Any) -> None:
    found = {}
    for name in archive.keys():  # noqa: SIM118  (an archive is no mapping)
        view = archive.get_slice(name)
        code = view.get_dtype()
        found[name] = (tuple(view.get_shape()), _DTYPES.get(code, code))
    faults = [f"no {name}" for name in expected if name not in found]
    faults += [
        f"{name} as {_described(found[name])} instead of {_described(of)}"
        for name, of in expected.items()
        if name in found and found[name] != of
    ]
    extra = [strict_json.shorten(name) for name in found if name not in expected]
    faults += [f"an extra {name}" for name in extra[:20]]
    if len(extra) > 20:
        faults.append(f"{len(extra) - 20} further extra ones")
    if faults:
        raise BrokenCheckpointError(
            f"The checkpoint {path} is of another model or optimizer than the run: it has "
            f"{', '.join(faults)}."
        )


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * jnp.dtype(dtype).itemsize


def _described(of: tuple[tuple[int, ...], str]) -> str:
    return f"{of[1]}[{', '.join(map(str, of[0]))}]"


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path).removeprefix("."), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]
