"""Standard output and error of a command: closed, full, read by nobody, or without Unicode."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_STREAMS = (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR))


def prepare() -> None:
    """Makes this process's standard streams safe to write to, once, at its start.

    What is closed is opened on nothing, since the next file that the process opens would get its
    number, a checkpoint that of standard error. Writing to what was standard output still fails;
    what was standard error takes everything. Characters that a stream cannot write (ASCII
    terminals; names of files that are not UTF-8) are written as their numbers.
    """
    for number, (name, mode, access) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, access)  # gets the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def guarded(goes_on: str | None) -> Iterator[None]:
    """Says what is wrong with standard output, and lets nothing be wrong with standard error.

    Args:
        goes_on: what goes on where standard output cannot be written, for the sentence that says
            so; None: it ends there with the OSError.
    """

    def tell(error: OSError) -> None:
        gone = isinstance(error, BrokenPipeError)
        what = (
            "nobody reads standard output any more"
            if gone
            else f"standard output: {error.strerror}"
        )
        print(f"jaxrnn: {what}; {goes_on} goes on without it.", file=sys.stderr)

    before = sys.stdout, sys.stderr
    sys.stderr = _Guarded(sys.stderr, lambda error: None)
    sys.stdout = _Guarded(sys.stdout, None if goes_on is None else tell)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


class _Guarded:
    """A stream that sends the rest to nothing where it cannot be written, and tells once."""

    def __init__(self, stream: Any, tell: Callable[[OSError], None] | None) -> None:
        self._stream = stream
        self._tell = tell
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            _send_to_nothing(self._stream)
            if self._tell is None:
                error.filename = "standard output"
                raise
            if not self._failed:
                self._failed = True
                self._tell(error)


def _send_to_nothing(stream: Any) -> None:
    """What is still in the stream's buffer would fail again when Python exits."""
    with suppress(OSError, ValueError):  # a stream without a descriptor
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
