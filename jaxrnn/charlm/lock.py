"""One training at a time in a folder: a lock that goes with the process that holds it."""

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EAGAIN
from pathlib import Path
from types import TracebackType

from jaxrnn.charlm import files, strict_json
from jaxrnn.errors import sentence

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
_LARGEST = 4096


class LockedError(ValueError):
    """Another process trains in the folder; the message says which, and on which host."""


class Lock:
    """What `lock` returns; a context manager that releases it."""

    def __init__(self, path: Path, descriptor: int | None, made: list[Path]) -> None:
        self.path = path
        self._descriptor = descriptor
        self._made = made

    def release(self) -> None:
        """Gives the folder free; removes folders that were made for the lock and are empty."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with suppress(OSError):
            # While it is held: whoever waits for this file finds that it is not the folder's.
            (self.path / NAME).unlink()
        os.close(descriptor)
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def lock(path: str | Path, note: Callable[[str], None] = lambda text: None) -> Lock:
    """Takes a folder for training, before anything in it is touched.

    The lock is the system's (`flock`): it ends with the process, however that ends.

    Args:
        path: the folder of a run; made where it is not there.
        note: is told where the file system, or the system, has no locks.

    Returns:
        The lock, to be released.

    Raises:
        LockedError: another process holds it; its process number and host are named.
        ValueError: the path is that of a file.
        BrokenFileError: `.lock` in the folder is no regular file.
        OSError: the folder or the file cannot be made.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        rule = "a new folder, or that of a run"
        raise ValueError(sentence("train", "--out", rule, f"{path}, which is a file"))
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    file = path / NAME
    while True:
        descriptor = files.open_regular(file, os.O_RDWR | os.O_CREAT)
        try:
            _take(descriptor, path, note)
            # Who held it before may have removed the file between `open` and `flock`.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(file)):
                    _sign(descriptor)
                    return Lock(path, descriptor, made)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, path: Path, note: Callable[[str], None]) -> None:
    without = f"so nothing keeps a second training from {path} while this one runs."
    if fcntl is None:
        note(f"This system has no file locks, {without}")
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (EACCES, EAGAIN):
            got = f"{path}, where {_holder(descriptor)} trains"
            hint = "wait for it, end it, or name another folder"
            expected = "a folder that no other process trains in"
            raise LockedError(sentence("train", "--out", expected, got, hint)) from None
        note(f"The file system of {path} has no locks ({error.strerror}), {without}")


def _holder(descriptor: int) -> str:
    """Process and host as the holder wrote them, if it had the time to."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        says = strict_json.parse(os.pread(descriptor, _LARGEST, 0), NAME)
        process, host = int(says["process"]), str(says["host"])
        if host.isprintable():
            return f"process {process} on {host[:255]}"
    return "another process"


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    says = {"process": os.getpid(), "host": socket.gethostname()}
    os.write(descriptor, json.dumps(says).encode() + b"\n")
