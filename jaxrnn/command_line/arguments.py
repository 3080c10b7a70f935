"""Arguments that several commands take."""

import argparse
from pathlib import Path

from jaxrnn.errors import sentence

LARGEST_SEED = 2**32 - 1


def seed(text: str) -> int:
    """A number that `jax.random.key` takes, with 64-bit numbers or without.

    >>> seed("123")
    123
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {LARGEST_SEED}, got {text}"
        )
    return int(text)


def file_to_write(command: str, out: str | None, default: str | Path) -> Path:
    """Where `--out` says, the default where it was not given.

    Raises:
        ValueError: a folder is there, or a file where its folder should be.
    """
    path = Path(default if out is None else out)
    if path.is_dir():
        hint = f"--out {path / Path(default).name}"
        raise ValueError(sentence(command, "--out", "a file", f"the folder {path}", hint))
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                got = f"{path}, where {parent} is a file"
                raise ValueError(sentence(command, "--out", "a file in a folder", got))
            break
    return path
