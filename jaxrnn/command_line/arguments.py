"""Arguments that several commands take."""

import argparse
import importlib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm.corpus import Corpus

LARGEST_SEED = 2**32 - 1


def whole_number(text: str) -> int:
    """A whole number, also as 1e4.

    >>> whole_number("500"), whole_number("1e4"), whole_number("2.5e3")
    (500, 10000, 2500)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Above 2**53 a float is no longer every whole number.
    if not (value.is_integer() and abs(value) <= 2**53):
        raise argparse.ArgumentTypeError(
            f"expected a whole number such as 500 or 1e4, got {shorten(text)}"
        )
    return int(value)


def seed(text: str) -> int:
    """A number that `jax.random.key` takes, with 64-bit numbers or without.

    >>> seed("123"), seed("1e4")
    (123, 10000)
    """
    number = whole_number(text)
    if not 0 <= number <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {LARGEST_SEED}, got {shorten(text)}"
        )
    return number


def shorten(text: str) -> str:
    """At most 60 characters of what was given."""
    return text if len(text) <= 60 else text[:57] + "..."


def read_text(
    path: str,
    encoding: str | None,
    argument: str,
    newlines: str = "unify",
    include: Sequence[str] = (),
) -> "Corpus":
    """The text of a file or a folder, or of standard input where the path is `-`.

    Args:
        path: as it was given.
        encoding: a codec's name; None: utf-8.
        argument: what the path is called, for the sentences of errors.
        newlines: as `charlm.read_text` has it.
        include: as `charlm.read_text` has it.

    Raises:
        ValueError, OSError: as `charlm.read_text`.
    """
    from jaxrnn.charlm import corpus

    return corpus.read_text(
        path, encoding or "utf-8", newlines=newlines, include=include, argument=argument
    )


def file_to_write(
    command: str, out: str | None, default: str | Path, argument: str = "--out"
) -> Path:
    """Where `--out`, or another argument, says; the default where it was not given.

    Raises:
        ValueError: no name, a folder is there, or a file where its folder should be.
    """
    if out == "":
        raise ValueError(sentence(command, argument, "a file", "an empty name"))
    path = Path(default if out is None else out)
    if path.is_dir():
        inside = path / Path(default).name
        hint = f"{argument} {inside}" if argument.startswith("-") else f"name {inside}"
        raise ValueError(sentence(command, argument, "a file", f"the folder {path}", hint))
    check_parents(command, path, "a file in a folder", argument)
    return path


def folder_to_write(command: str, out: str | None, default: str | Path) -> Path:
    """Where `--out` says; a folder that is there is written into, and keeps what else is in it.

    Raises:
        ValueError: a file is there, or where one of its folders should be.
    """
    path = Path(default if out is None else out)
    if path.exists() and not path.is_dir():
        raise ValueError(sentence(command, "--out", "a folder", f"the file {path}"))
    check_parents(command, path, "a folder")
    return path


def check_parents(command: str, path: Path, rule: str, argument: str = "--out") -> None:
    """Raises ValueError where a file is in the place of one of a path's folders."""
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                got = f"{path}, where {parent} is a file"
                raise ValueError(sentence(command, argument, rule, got))
            break


def cell_names() -> list[str]:
    """The cells by name; read from their files where importing them would wait for JAX.

    >>> "lstm" in cell_names()
    True
    """
    if "jaxrnn.cells" in sys.modules:
        return list(sys.modules["jaxrnn.cells"].CELLS)
    folder = Path(__file__).parent.parent / "cells"
    sources = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))]
    return [name for source in sources for name in re.findall(r'^    name="(\w+)",$', source, re.M)]


def add_import(parser: argparse._ActionsContainer) -> None:
    """Adds `--import FILE`, which runs the file at once, so that its cells are known by name."""
    parser.add_argument(
        "--import",
        action=_Import,
        metavar="FILE",
        help="a Python file (or module) to import first, which calls jaxrnn.register(cell)",
    )


class _Import(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        try:
            import_module_or_file(values)
        except Exception as error:  # whatever the file does wrong is said as its fault
            if os.environ.get("JAXRNN_TRACEBACK"):
                raise
            what = str(error) if isinstance(error, FileNotFoundError) else repr(error)
            raise argparse.ArgumentError(self, f"importing {values} failed: {what}") from error


def import_module_or_file(name: str) -> Any:
    """Imports `folder/file.py` by its path, anything else as the name of a module.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: whatever the file raises.
    """
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {name}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # so that what it defines can be found by its module's name
    spec.loader.exec_module(module)
    return module
