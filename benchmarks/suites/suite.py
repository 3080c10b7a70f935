"""What a suite is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.problems import Size
from benchmarks.records import Record


@dataclass(frozen=True)
class Suite:
    """A set of problems and how their results are shown.

    Attributes:
        name: as on the command line.
        summary: one line of help.
        quantities: what is timed; none for a suite that only asks the compiled program.
        problems: (cells, sizes, quick) → problems; sizes None stands for the suite's own.
        show: records → text for the terminal.
        cells: cells when none are asked for.
        peers: peers when none are asked for, None for all.
        limit: whether the matrix-product rate is measured along.
        together: whether samples of all quantities are taken in turn, because these are compared
            with each other.
        picture: whether there is one, of the peers.
        repeats: samples of each peer, None to decide by how long they take.
    """

    name: str
    summary: str
    quantities: tuple[str, ...]
    problems: Callable[[Sequence[str], Sequence[Size] | None, bool], list[Any]]
    show: Callable[[Sequence[Record]], str]
    cells: tuple[str, ...] = ("elman", "lstm", "gru")
    peers: tuple[str, ...] | None = None
    limit: bool = False
    together: bool = False
    picture: bool = True
    repeats: int | None = None
