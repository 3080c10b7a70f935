"""What SIGINT (Ctrl-C), SIGTERM and SIGHUP do to a command.

Where nothing is lost by it, one of them ends the process at once, with a sentence. While training
the first one asks it to save and stop, and the second one ends it at once.

A thread waits for them. Python runs a signal's handler in the main thread, between two lines of
Python: after seconds where XLA compiles, and an exception from there may pass through C++ that
expects none (of 21 interruptions in the first two seconds of a training, 4 ended with a traceback
and 6 hung; others ended with SIGSEGV and SIGABRT). Only at a prompt, where nothing but Python
waits for a line, Ctrl-C is Python's KeyboardInterrupt.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# A shell whose terminal closes and a launcher that passes signals on send each of them twice.
SECONDS_OF_ONE_REQUEST = 0.1

_watching = False
_listening: "StopRequest | Interruption | None" = None


class StopRequest:
    """Whether training was asked to stop; true from the first signal within its `with` block.

    In a process that is not the command's own, the second signal does what it did before; in
    another thread than the main one, Python lets no signal be handled, and none is.

    Args:
        resume: the command that goes on from the last checkpoint.

    Attributes:
        number: of the first signal, if one came.
    """

    def __init__(self, resume: str) -> None:
        self.resume = resume
        self.number: int | None = None
        self._came = 0.0
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        """Whether training should stop."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """0, or as a shell has it, 128 and the signal's number."""
        return 0 if self.number is None else 128 + self.number

    @property
    def cause(self) -> str:
        """What came, for a sentence; empty if nothing did."""
        return "" if self.number is None else name(self.number)

    def receive(self, number: int) -> None:
        """Notes the first signal, and ends the process at the second one."""
        if self.number is None:
            self.number, self._came = number, time.monotonic()
            _write(
                f"jaxrnn: {name(number)}: training saves a checkpoint and stops; a second one "
                "stops it at once."
            )
        elif time.monotonic() - self._came > SECONDS_OF_ONE_REQUEST:
            _end(
                number,
                f"stopped at once by {name(number)}. What is saved is the last checkpoint; "
                f"{self.resume} goes on from it.",
            )

    def _receive_as_guest(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.receive(number)
        else:
            signal.signal(number, self._before[number])  # type: ignore[arg-type]
            signal.raise_signal(number)

    def __enter__(self) -> "StopRequest":
        global _listening
        import threading

        if _watching:
            _listening = self
        elif threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _heeded()}
            _handle(self._receive_as_guest)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        global _listening
        _listening = None
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


class Interruption:
    """Whether Ctrl-C was pressed since the last prompt; ends nothing within its `with` block.

    SIGTERM and SIGHUP do what they do elsewhere.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: object = None

    def __call__(self) -> bool:
        """Whether what is being done should be broken off."""
        return self._came

    def receive(self, number: int) -> None:
        """Notes Ctrl-C, and ends the process at another signal."""
        if number != signal.SIGINT:
            _end(number, f"stopped by {name(number)}.")
        self._came = True

    @contextmanager
    def prompt(self) -> Iterator[None]:
        """Ctrl-C raises KeyboardInterrupt within it, and is forgotten after it."""
        import threading

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._handle(signal.default_int_handler)
        try:
            yield
        finally:
            self._handle(_left_to_the_thread if _watching else self._note)
            self._came = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.receive(number)

    def _handle(self, handler: object) -> None:
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]

    def __enter__(self) -> "Interruption":
        global _listening
        import threading

        self._before = signal.getsignal(signal.SIGINT)
        if _watching:
            _listening = self
        elif threading.current_thread() is threading.main_thread():
            self._handle(self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        global _listening
        import threading

        _listening = None
        if threading.current_thread() is threading.main_thread():
            self._handle(self._before)


def end_at_once() -> None:
    """From now on signals end this process, or ask its training to stop.

    To be called once, in the main thread, by the process that is the command, before it imports
    anything that takes time.
    """
    global _watching
    _handle(lambda number, frame: _receive(number))
    if os.name != "posix":  # only there a signal can wake up a thread through a pipe
        return
    import threading

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _handle(_left_to_the_thread)
    # Last: of a signal so far either its handler spoke, or its number waits in the pipe.
    threading.Thread(target=_watch, args=(reader,), daemon=True, name="stop requests").start()
    _watching = True


def name(number: int) -> str:
    """A signal's name.

    >>> name(2), name(15)
    ('SIGINT (Ctrl-C)', 'SIGTERM')
    """
    return signal.Signals(number).name + (" (Ctrl-C)" if number == signal.SIGINT else "")


def _heeded() -> list[int]:
    """Those that the process was not started to ignore, as by nohup."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _handle(handler: object) -> None:
    for number in _heeded():
        signal.signal(number, handler)  # type: ignore[arg-type]


def _left_to_the_thread(number: int, frame: FrameType | None) -> None:
    """Does nothing: Python has written the number to the pipe."""


def _watch(reader: int) -> None:
    while True:
        for number in os.read(reader, 64):
            if number in SIGNALS:
                _receive(number)


def _receive(number: int) -> None:
    if _listening is None:
        _end(number, f"stopped by {name(number)}.")
    else:
        _listening.receive(number)


def _end(number: int, words: str) -> None:
    _write(f"jaxrnn: {words}")
    if "jaxrnn.charlm.files" in sys.modules:
        sys.modules["jaxrnn.charlm.files"].remove_unfinished()
    os._exit(128 + number)


def _write(words: str) -> None:
    """To standard error, past Python's lock on it, which the main thread may hold."""
    line = f"{words}\n".encode(errors="backslashreplace")
    with suppress(OSError):  # nobody to tell
        # In a terminal the cursor is behind ^C or a progress bar.
        os.write(2, b"\n" + line if os.isatty(2) else line)
