"""Files that fail: every operation on a file counted, and one of them made to go wrong."""

import builtins
import errno
import os
from contextlib import contextmanager, suppress

MODULES = ("jaxrnn.charlm.files", "jaxrnn.charlm.metrics")
CALLS = ("open", "fsync", "replace", "unlink", "mkdir", "ftruncate", "rmdir", "write")


class Killed(BaseException):
    """What a kill would be: nothing is done after it, not even in a `finally`."""


class Disk:
    """The operations on files in a block of code.

    Args:
        at: the number of the one that fails; None: none does.
        fault: "killed", "killed half-way", "ENOSPC", "EIO" and so on. Half-way is a write of which
            half is done, and any other operation wholly done; so is a full disk's write.
    """

    def __init__(self, at=None, fault="killed"):
        self.at, self.fault = at, fault
        self.done = []
        self.dead = False
        self._names = {}

    def operate(self, name, path, act, half=None):
        """Does an operation, unless it is the one that fails."""
        if self.dead:
            raise Killed
        number = len(self.done)
        self.done.append(f"{name} {os.path.basename(path)}")
        if number != self.at:
            return act()
        if self.fault == "killed half-way":
            with suppress(OSError):  # a file that need not be there
                (half or act)()
        if self.fault.startswith("killed"):
            self.dead = True
            raise Killed
        if half is not None and self.fault == "ENOSPC":
            half()
        code = getattr(errno, self.fault)
        names = [] if name in ("write", "fsync", "ftruncate") else [path]  # as the system does
        raise OSError(code, os.strerror(code), *names)

    def call(self, name, original):
        """A function of `os` that is counted; a descriptor is known by its file's name."""

        def called(first, *arguments, **more):
            path = os.fspath(self._names[first] if isinstance(first, int) else first)

            def act():
                value = original(first, *arguments, **more)
                if name == "open":
                    self._names[value] = path
                return value

            half = None
            if name == "write":
                (data,) = arguments

                def half():
                    original(first, data[: len(data) // 2])

            return self.operate(name, path, act, half)

        return called

    def open(self, descriptor, *arguments, **more):
        """In place of `open`: a file whose writes are counted."""
        file = builtins.open(descriptor, *arguments, **more)  # noqa: SIM115
        if file.readable():
            return file
        return _File(self, file, os.fspath(self._names[descriptor]))


class _File:
    def __init__(self, disk, file, name):
        self._disk, self._file, self._name = disk, file, name

    def write(self, data):
        def half():
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        return self._disk.operate("write", self._name, lambda: self._file.write(data), half)

    def writelines(self, parts):
        for part in parts:
            self.write(part)

    def flush(self):
        self._file.flush()

    def fileno(self):
        return self._file.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


@contextmanager
def disk(monkeypatch, at=None, fault="killed"):
    """Counts the operations of a block, and lets one of them go wrong."""
    counted = Disk(at, fault)
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted.call(name, getattr(os, name)))
        for module in MODULES:
            patch.setattr(f"{module}.open", counted.open, raising=False)
        yield counted
