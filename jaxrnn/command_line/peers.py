"""Connections between the processes of one training: what they agree on, and who is lost.

JAX's runtime moves the arrays, and takes it that every process lives. Measured with jaxlib 0.10.2:
where process 0 is killed the others end by SIGABRT and a C++ stack; where another is killed, or
stopped, the rest wait in a collective for up to 100 s before that. So each process keeps a
connection of its own to process 0, which carries small values (0.1 ms on one machine), signs of
life, and last words.
"""

import contextlib
import json
import os
import queue
import selectors
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from jaxrnn.command_line import PEER_LOST
from jaxrnn.errors import sentence

SECONDS_BETWEEN_BEATS = 2.0
SILENT_BEATS = 10  # a process that says nothing for so long, 20 s, is lost
SECONDS_TO_LEAVE = 5.0
SECONDS_TO_SEND = 10.0
LARGEST_MESSAGE = 2**22

Message = dict[str, Any]


class SaidByAllError(ValueError):
    """What every process raises alike, so that each can end as it would alone."""


class Introduction(NamedTuple):
    """What a process says of itself when it comes.

    Attributes:
        process: its number.
        processes: how many there are.
        host: where it runs.
        cores: of that machine, those that it may use.
        facts: what has to be the same in all processes, by how a message calls it.
    """

    process: int
    processes: int
    host: str
    cores: list[int]
    facts: dict[str, Any]


class Leaving(NamedTuple):
    """Why the processes end: the sentence that the others say, and everybody's exit code."""

    sentence: str
    code: int


class Link:
    """One connection: messages are JSON objects, one per line."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS_TO_SEND)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._received = b""
        self._sending = threading.Lock()

    def send(self, **message: Any) -> None:
        """Sends a message. A connection that is gone is left to who reads from it."""
        with self._sending, contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self) -> list[Message]:
        """The messages that are complete with what has arrived; waits for something to arrive.

        Raises:
            OSError: the connection has ended, or what comes is not ours.
        """
        *lines, self._received = (self._received + self._arrived(2**16)).split(b"\n")
        return [self._message(line) for line in lines]

    def read_one(self, seconds: float) -> Message:
        """Waits for one message and takes nothing of the next one.

        Raises:
            OSError: none has come in time, or as in `read`.
        """
        end = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            line += self._arrived(1)
        self.socket.settimeout(SECONDS_TO_SEND)
        return self._message(line)

    def close(self) -> None:
        """Closes it."""
        self.socket.close()

    def _arrived(self, most: int) -> bytes:
        try:
            data = self.socket.recv(most)
        except ConnectionResetError:
            # What a process leaves unread when it is killed turns the end into a reset.
            data = b""
        if not data:
            raise ConnectionError("its connection ended")
        return data

    def _message(self, line: bytes) -> Message:
        try:
            message = json.loads(line) if len(line) < LARGEST_MESSAGE else None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise ConnectionError("what it sends is none of our messages")
        return message


class Peers:
    """The processes of one training, as one of them sees the others.

    Args:
        process: this one's number.
        everybody: who they are, in order.
        links: in process 0 to every other one, in those to process 0.

    Attributes:
        process: this one's number.
        count: how many there are.
        advice: a sentence that is added to the one about a lost process.
    """

    def __init__(
        self, process: int, everybody: Sequence[Introduction], links: Mapping[int, Link]
    ) -> None:
        self.process, self.count = process, len(everybody)
        self.advice = ""
        self._everybody = everybody
        self._links = dict(links)
        self._values: dict[int, queue.SimpleQueue[Any]] = {
            peer: queue.SimpleQueue() for peer in links
        }
        self._over = False  # all have said that they are done
        self._leaving: Leaving | None = None
        self._own_words = ""
        if links:
            self._wake_up, self._woken = socket.socketpair()
            self._watcher = threading.Thread(target=self._watch, name="peers", daemon=True)
            self._watcher.start()

    @property
    def first(self) -> bool:
        """Whether this is process 0, which speaks and writes for all."""
        return self.process == 0

    @property
    def cores(self) -> int:
        """How many cores this process should use: its share where others have the same ones."""
        own = self._everybody[self.process]
        sharing = sum(
            peer.host == own.host and not set(own.cores).isdisjoint(peer.cores)
            for peer in self._everybody
        )
        return max(1, len(own.cores) // sharing)

    def say(self, text: str) -> None:
        """Prints a line, once for all processes."""
        if self.first:
            print(text, flush=True)

    def gather(self, value: Any = None) -> list[Any]:
        """The values of all processes, in order; all of them must call it.

        Args:
            value: anything that JSON has.
        """
        return self._gather(value)

    def any(self, answer: bool) -> bool:
        """Whether any process says yes; all of them must call it.

        Args:
            answer: this process's.
        """
        return any(self.gather(answer))

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Makes sure that all processes have the same facts; all of them must call it.

        Args:
            facts: by how a message calls them.

        Raises:
            SaidByAllError: what differs, and between which.
        """
        fault = difference(self._everybody, self.gather(dict(facts)))
        if fault:
            raise SaidByAllError(fault)

    def close(self) -> None:
        """Waits until all processes are here, and ends the connections."""
        if not self._links:
            return
        self._gather(None, over=True)
        self._wake_up.send(b"!")
        self._watcher.join()
        for link in self._links.values():
            link.close()
        self._wake_up.close()
        self._woken.close()

    def leave(self, why: str, code: int, own_words: str = "") -> NoReturn:
        """Ends all processes because of this one; does not return.

        Args:
            why: which the others say of it.
            code: with which all end.
            own_words: which this process says, where it has not spoken yet.
        """
        self._own_words = own_words
        self._leaving = self._leaving or Leaving(f"{self._called(self.process)}: {why}", code)
        self._wake_up.send(b"!")
        self._watcher.join(3 * SECONDS_TO_LEAVE)
        os._exit(code)

    def wait_for_news(self, seconds: float) -> None:
        """Gives another process time to be found at fault, in which case this one ends here."""
        self._watcher.join(seconds)

    def _called(self, process: int) -> str:
        return f"Process {process} of {self.count}, on {self._everybody[process].host}"

    def _gather(self, value: Any, over: bool = False) -> list[Any]:
        if not self._links:
            return [value]
        if not self.first:
            self._links[0].send(value=value)
            return list(self._values[0].get())
        values = [value, *(self._values[peer].get() for peer in range(1, self.count))]
        self._over = over
        for link in self._links.values():
            link.send(values=values, over=over)
        return values

    def _watch(self) -> None:
        """Reads from all, says that this one lives, and ends the process where one is lost."""
        silent = dict.fromkeys(self._links, 0)
        with selectors.DefaultSelector() as ready:
            for peer, link in self._links.items():
                ready.register(link.socket, selectors.EVENT_READ, peer)
            ready.register(self._woken, selectors.EVENT_READ, None)
            beat = time.monotonic()
            while True:
                for key, _ in ready.select(max(0.0, beat - time.monotonic())):
                    peer = key.data
                    if peer is None:
                        if self._leaving is not None:
                            self._end(self._leaving, self._own_words)
                        return
                    silent[peer] = 0
                    try:
                        for message in self._links[peer].read():
                            self._receive(peer, message)
                    except OSError as error:
                        ready.unregister(key.fileobj)
                        self._lost(peer, error.strerror or str(error))
                if time.monotonic() < beat:
                    continue
                # Counted by turns of this loop, not by the clock: where a whole machine slept for
                # a while, nobody is lost.
                beat = time.monotonic() + SECONDS_BETWEEN_BEATS
                for peer, link in self._links.items():
                    link.send(lives=True)
                    silent[peer] += 1
                    if silent[peer] > SILENT_BEATS:
                        self._lost(peer, f"silent for {SILENT_BEATS * SECONDS_BETWEEN_BEATS:g} s")

    def _receive(self, peer: int, message: Message) -> None:
        if "leaving" in message:
            leaving = Leaving(*message["leaving"])
            self._end(leaving, leaving.sentence)
        elif "values" in message:
            self._over = message["over"]
            self._values[peer].put(message["values"])
        elif "value" in message:
            self._values[peer].put(message["value"])

    def _lost(self, peer: int, how: str) -> None:
        if self._over:
            return
        said = f"{self._called(peer)}, is lost ({how}), so the others stop too. {self.advice}"
        self._end(Leaving(said.strip(), PEER_LOST), said.strip())

    def _end(self, leaving: Leaving, own_words: str) -> NoReturn:
        """Passes it on, says it, and ends this process wherever its other threads are."""
        for link in self._links.values():
            link.send(leaving=leaving)
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_WR)
        if own_words:
            # A progress bar may stand in the line.
            start = os.linesep if sys.stderr is not None and sys.stderr.isatty() else ""
            with contextlib.suppress(OSError):
                os.write(2, f"{start}jaxrnn: {own_words}\n".encode(errors="replace"))
        # Process 0 goes last: without JAX's service, which is in it, the others end by SIGABRT. And
        # a connection closed with something unread in it may lose what was sent just before.
        end = time.monotonic() + SECONDS_TO_LEAVE
        for link in self._links.values():
            with contextlib.suppress(OSError):
                while time.monotonic() < end:
                    link.socket.settimeout(max(0.01, end - time.monotonic()))
                    if not link.socket.recv(2**16):
                        break
        os._exit(leaving.code)


def difference(everybody: Sequence[Introduction], facts: Sequence[Mapping[str, Any]]) -> str:
    """A sentence about the first fact that is not the same in all processes; "" where all are."""
    for name in facts[0]:
        for process, others in enumerate(facts):
            # As JSON: of a tuple the others have received a list.
            if json.dumps(others.get(name)) != json.dumps(facts[0][name]):
                got = " and ".join(
                    f"{_short(facts[one].get(name))} in process {one} on {everybody[one].host}"
                    for one in (0, process)
                )
                return sentence("train", name, "the same in all processes", got)
    return ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
