"""metrics.jsonl: one JSON object a line, added to while a run trains."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxrnn.charlm import files, strict_json
from jaxrnn.charlm.files import BrokenFileError

# A record of `read` takes up to six times its line's bytes of memory.
LARGEST_READ = 2**27
LARGEST_LINE = 2**24
_ALWAYS = {"step": int, "epoch": float, "seconds": float}
_SOMETIMES: dict[str, Any] = {
    "loss": float,
    "smoothed_loss": float,
    "gradient_norm": float,
    "learning_rate": float,
    "tokens_per_second": float,
    "validation_loss": float,
    "best": bool,
    "sample": str,
}


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Adds a line; where that fails, the file is as it was.

    Raises:
        OSError: it could not be written.
    """
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    descriptor = files.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with open(descriptor, "ab", buffering=0) as file:
        before = os.fstat(descriptor).st_size
        try:
            written = file.write(line)
            if written != len(line):  # a disk that is full takes a part without a word
                file.write(line[written:])
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise OSError(error.errno, error.strerror, str(path)) from error


def sync(path: Path) -> None:
    """Flushes the lines so far to the disk."""
    if not os.path.lexists(path):
        return
    descriptor = files.open_regular(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def cut(path: Path, keep: Callable[[dict[str, Any]], bool], note: Callable[[str], None]) -> None:
    """Drops records, and lines that cannot be read.

    Args:
        path: the file; it need not be there.
        keep: which records stay.
        note: is told, in a sentence, of lines before the last that cannot be read.

    Raises:
        BrokenFileError: it is no regular file.
        OSError: it could not be written.
    """
    if not os.path.lexists(path):
        return
    faults: list[str] = []

    def kept() -> Iterator[bytes]:
        for number, line, record in _lines(path):
            if isinstance(record, str):
                if line.endswith(b"\n"):  # one without was cut short by a kill
                    faults.append(f"line {number}: {record}")
            elif keep(record):
                yield line if line.endswith(b"\n") else line + b"\n"

    files.write_atomically(path, kept())
    if faults:
        several = f", the first of {len(faults):,} such lines" if len(faults) > 1 else ""
        note(f"{path}: a line that cannot be read was dropped{several}. {faults[0]}")


def read(path: Path) -> list[dict[str, Any]]:
    """The records, without a last line that is cut short.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: a line is not a record; its number is named.
    """
    records = []
    for number, line, record in _lines(path, LARGEST_READ):
        if isinstance(record, str):
            if not line.endswith(b"\n"):
                break
            raise BrokenFileError(f"{path}, line {number}: {record}")
        records.append(record)
    return records


def _lines(
    path: Path, limit: float = float("inf")
) -> Iterator[tuple[int, bytes, dict[str, Any] | str]]:
    """(number, line, its record, or what is wrong with it) of every line."""
    with open(files.open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise BrokenFileError(f"{path} has {size:,} bytes, more than the {limit:,} to show.")
        number = 0
        while line := file.readline(LARGEST_LINE):
            number += 1
            if len(line) == LARGEST_LINE and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(LARGEST_LINE)
                yield number, line or b"\n", f"it is longer than {LARGEST_LINE:,} bytes."
                continue
            try:
                yield number, line, _record(line)
            except BrokenFileError as error:
                yield number, line, str(error)


def _record(line: bytes) -> dict[str, Any]:
    # A sample may have any brackets; it is a string, and a string's line is limited.
    record = strict_json.parse(
        line, "the line", most_brackets=len(line) if b'"sample"' in line else 1
    )
    if not isinstance(record, dict):
        raise BrokenFileError("the line is no object.")
    hints = {name: hint for name, hint in _SOMETIMES.items() if name in record}
    strict_json.check_fields(record, _ALWAYS | hints, "the line")
    if record["step"] < 0:
        raise BrokenFileError("the line has a step below 0.")
    return record
