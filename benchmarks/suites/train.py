"""A whole training step of a character model: char-rnn's setting, and min-char-rnn's."""

from collections.abc import Sequence

from benchmarks.problems import QUICK_SIZES, Size, TrainProblem
from benchmarks.records import Record
from benchmarks.suites.suite import Suite
from benchmarks.tables import comparison_tables

SIZES = (Size(50, 50, 65, 128), Size(32, 100, 65, 256))
MIN_CHAR_RNN = Size(1, 25, 65, 100)
MIN_CHAR_RNN_QUICK = Size(1, 7, 5, 6)


def problems(cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool) -> list[TrainProblem]:
    """char-rnn's two layers at every size, and min-char-rnn's one layer of one stream."""
    chosen = sizes or (QUICK_SIZES if quick else SIZES)
    found = [TrainProblem(cell, size) for cell in cells for size in chosen]
    if sizes is None and "elman" in cells:
        single = MIN_CHAR_RNN_QUICK if quick else MIN_CHAR_RNN
        found.append(TrainProblem("elman", single, layers=1, recipe="min-char-rnn"))
    return found


def show(records: Sequence[Record]) -> str:
    """A table for each cell."""
    return comparison_tables(records, {"train_step": "training step"}, "layers×(B, T, V, H)")


SUITE = Suite(
    name="train",
    summary="a whole training step of a character model",
    quantities=("train_step",),
    problems=problems,
    show=show,
)
