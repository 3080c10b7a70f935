"""A process for each peer, so that none slows another.

Thread pools that spin, allocators and flags are a process's own; a peer that dies or runs out of
memory takes nobody with it. A worker holds one prepared problem and runs as many calls of it as
it is told over a pipe; only one worker is ever told to run at a time.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.measuring import mean_seconds
from benchmarks.peers.peer import JAX, Peer

ANSWER_SECONDS = 900.0
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "DefaultCPUAllocator", "bad_alloc")


class WorkerFailure(Exception):
    """What went wrong in a worker, as one sentence."""


class Worker:
    """The parent's end.

    Args:
        serve: runs in the child: `serve(connection, *arguments)`.
        arguments: picklable.
        environment: variables that the child starts with, on top of this process's.
    """

    def __init__(
        self,
        serve: Callable[..., None],
        arguments: tuple[Any, ...],
        environment: Mapping[str, str],
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, child = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(child, *arguments), daemon=True)
        with _environment(environment):
            self._process.start()
        child.close()

    def ask(self, command: str, *arguments: Any) -> Any:
        """Sends a command and waits for its answer.

        Raises:
            WorkerFailure: the command failed, took over `ANSWER_SECONDS`, or the child is gone.
        """
        try:
            self._connection.send((command, arguments))
            if not self._connection.poll(ANSWER_SECONDS):
                self.close()
                raise WorkerFailure(f"no answer within {ANSWER_SECONDS:.0f} s")
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError) as gone:
            self.close()
            raise WorkerFailure(_ending(self._process.exitcode)) from gone
        if not succeeded:
            raise WorkerFailure(answer)
        return answer

    def sampler(self, quantity: str) -> Callable[[int], float]:
        """A sampler for `measuring.interleave`."""
        return lambda calls: float(self.ask("sample", quantity, calls))

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.is_alive()

    def close(self) -> None:
        """Ends the child."""
        self._connection.close()
        self._process.terminate()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def serve_peer(connection: Connection, name: str, device: str) -> None:
    """The child: prepares problems for one peer and times them when told to."""
    from benchmarks.peers import PEERS

    answer_commands(connection, peer_commands(PEERS[name], device))


def peer_commands(peer: Peer, device: str) -> dict[str, Callable[..., Any]]:
    """What a peer's worker does when told to.

    Args:
        peer: whose worker.
        device: cpu, gpu or tpu; a worker that finds itself on another refuses to prepare anything.
    """
    prepared: Any = None

    def prepare(problem: Any) -> dict[str, Any]:
        nonlocal prepared
        peer.library.require(device)
        forget()
        prepared = peer.prepare[problem.kind](problem, device)
        return dict(prepared.facts)

    def forget() -> None:
        nonlocal prepared
        prepared = None
        _forget_compiled_programs()

    def results(highest: bool) -> Any:
        with peer.library.highest() if highest else nullcontext():
            return prepared.results()

    return {
        "prepare": prepare,
        "forget": forget,
        "results": results,
        "sample": lambda quantity, calls: mean_seconds(
            prepared.quantities[quantity], calls, prepared.warm_up
        ),
    }


def answer_commands(connection: Connection, commands: Mapping[str, Callable[..., Any]]) -> None:
    """Answers (command, arguments) until the other end closes."""
    _be_first_to_go()
    while True:
        try:
            command, arguments = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer = (True, commands[command](*arguments))
        except KeyboardInterrupt:
            return
        except Exception as failure:  # sent to the parent, which records it
            answer = (False, one_sentence(failure))
        connection.send(answer)


def one_sentence(failure: BaseException) -> str:
    """The kind of an exception and the first line of its text.

    >>> one_sentence(ValueError("too long\\nand more"))
    'ValueError: too long'
    """
    text = str(failure).strip()
    if isinstance(failure, MemoryError) or any(mark in text for mark in OUT_OF_MEMORY):
        return "does not fit the memory of the device"
    return f"{type(failure).__name__}: {text.splitlines()[0] if text else 'no message'}"


def device_environment(device: str) -> dict[str, str]:
    """Variables with which JAX uses that device and leaves room for its neighbours.

    JAX takes an accelerator by itself where there is one. Several processes share it here, so
    none may take its memory in advance.
    """
    return (
        {"JAX_PLATFORMS": "cpu"} if device == "cpu" else {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    )


def serve_probe(connection: Connection, device: str) -> None:
    """The child: says what JAX calls that device, which may be wider: a gpu is cuda or rocm."""

    def platform() -> str:
        import jax

        JAX.require(device)
        if device != "gpu":
            return device
        try:
            return "cuda" if jax.devices("cuda") else "rocm"
        except RuntimeError:  # it knows no such backend
            return "rocm"

    answer_commands(connection, {"platform": platform})


def platform_of(device: str) -> str | None:
    """JAX's name of a device, asked in a process of its own: cpu, cuda, rocm, tpu; None: none."""
    worker = Worker(serve_probe, (device,), device_environment(device))
    try:
        return str(worker.ask("platform"))
    except WorkerFailure:
        return None
    finally:
        worker.close()


def _ending(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "its process was killed, most likely because the memory ran out"
    return f"its process ended (exit code {exit_code})"


def _forget_compiled_programs() -> None:
    if "jax" in sys.modules:
        import jax

        jax.clear_caches()


def _be_first_to_go() -> None:
    """On Linux, asks to be killed before any other process when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as adjustment:
            adjustment.write("1000")
    except OSError:
        return  # another system; it decides by itself


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
