"""jaxrnn in several processes: a window of one process on one core, and of two on a core each.

The processes are `benchmarks.training_process`, pinned to their cores; all are there from the
start, and those that are not timed wait for their next line.
"""

import os
import socket
import subprocess
import sys

from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import ProcessesProblem
from benchmarks.training_process import CAPACITY


class Job:
    """Processes that train together."""

    def __init__(self, problem: ProcessesProblem, cores: list[int]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        job = [address, len(cores)]
        what = [problem.cell, problem.size, problem.layers]
        self.children = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.training_process",
                    *map(str, [core, *job, process, *what]),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for process, core in enumerate(cores)
        ]

    def seconds(self) -> float:
        """Of a window, by the slowest process's clock."""
        for child in self.children:
            assert child.stdin is not None
            child.stdin.write(f"{CAPACITY}\n")
            child.stdin.flush()
        return max(map(_answer, self.children)) / CAPACITY


def _answer(child: "subprocess.Popen[str]") -> float:
    assert child.stdout is not None
    for line in child.stdout:
        name, _, value = line.partition(" ")
        if name == "seconds":
            return float(value)
    raise RuntimeError(f"a training process ended with exit code {child.wait()}")


def prepare(problem: ProcessesProblem, device: str) -> Prepared:
    """The quantities of a `ProcessesProblem`."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    one, two = Job(problem, [first]), Job(problem, [first, second])
    return Prepared(
        {"one_process": one.seconds, "two_processes": two.seconds},
        results=dict,
        facts={"windows_per_dispatch": CAPACITY},
    )


def _declines(problem: object) -> str | None:
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is None or len(affinity(0)) < 2:
        return "needs two cores, and a system that keeps a process on one"
    return None


PEER = Peer(
    name="jaxrnn-processes",
    path="jaxrnn.charlm.make_train_windows in one process on one core, and in two on a core each",
    distribution=None,
    cells=None,
    prepare={"processes": prepare},
    devices=("cpu",),
    declines=_declines,
)
