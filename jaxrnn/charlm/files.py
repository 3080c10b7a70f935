"""Files that are written whole or not at all, and read as what a stranger may have made.

A file of a run is a regular file in the run's own folder. Links are not followed, so that a run
that was unpacked from an archive reads and writes nothing outside of it; fifos and devices are not
opened, for the one waits for ever and the other never ends.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from errno import EBADF, EINVAL, ELOOP, ENOSYS, ENOTSUP
from pathlib import Path

TEMPORARY = ".tmp"

_being_written: set[Path] = set()

# Windows has neither.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)


class BrokenFileError(ValueError):
    """A file that is cut short, altered or not what it should be; the message names it."""


class UnreadableFileError(BrokenFileError):
    """A file that the system does not read, though it may be whole."""


class UnsavedError(OSError):
    """What could not be written, in a sentence that names the file and says what was kept.

    Args:
        message: the sentence.
        cause: the system's error; its number is this one's.
    """

    def __init__(self, message: str, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror, cause.filename)
        self.message = message

    def __str__(self) -> str:
        return self.message


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Writes a file so that whoever reads it, even after a crash, sees the old or the new bytes.

    Args:
        path: the file; a link there is replaced, not followed.
        data: all of its bytes, or parts of them one after the other.

    Raises:
        OSError: it could not be written; the old file is as it was, unless the disk failed after
            the new one had its place.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        temporary.unlink(missing_ok=True)
        _being_written.add(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(temporary, flags, 0o666), "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            # What `write` and `fsync` raise names no file.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        _being_written.discard(temporary)


def remove_unfinished() -> None:
    """Removes what is being written, for a process that ends at once, maybe in another thread."""
    for path in list(_being_written):
        with suppress(OSError):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Flushes a folder's list of names to the disk, where a folder can be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (EINVAL, EBADF, ENOTSUP, ENOSYS):  # some network file systems
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Opens a regular file; the caller closes the descriptor.

    Args:
        path: the file.
        flags: as of `os.open`.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: a link, a folder, a fifo or a device.
        OSError: it cannot be opened.
    """
    with suppress(FileNotFoundError):  # `open` says it, or makes the file
        _check_regular(path, os.lstat(path))
    flags |= _NO_LINKS | _NO_WAITING | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == ELOOP:
            raise BrokenFileError(
                f"{path} is a link; a file of a run stands in its own folder."
            ) from None
        raise
    try:
        _check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: Path, limit: int) -> bytes:
    """All bytes of a regular file.

    Raises:
        FileNotFoundError: there is none.
        BrokenFileError: it has more than `limit` bytes or is no regular file.
        UnreadableFileError: the system does not read it.
    """
    try:
        with open(open_regular(path), "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > limit:
        raise BrokenFileError(f"{path} has more than {limit:,} bytes, which no such file has.")
    return data


def check_folder(path: Path) -> None:
    """Raises BrokenFileError where something else than a folder, or a link to one, is there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = os.lstat(path).st_mode
        if not stat.S_ISDIR(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no folder"
            raise BrokenFileError(f"{path} is {what}; a run keeps its checkpoints in a folder.")


def check_memory(path: Path, size: int) -> None:
    """Raises BrokenFileError where a file needs more bytes of memory than the machine has."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not tell
        return
    if size > there > 0:
        raise BrokenFileError(
            f"{path} needs {size / 1e9:,.1f} GB of memory; this machine has {there / 1e9:,.1f}."
        )


def _check_regular(path: Path, status: os.stat_result) -> None:
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
    }
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = kinds.get(kind, "a device")
        raise BrokenFileError(f"{path} is {what}, where a run has a regular file.")
