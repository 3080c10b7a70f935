"""From Python to machine code: how long the gradient of a layer takes, and that T has no say."""

from collections.abc import Sequence

from benchmarks.problems import CompileProblem, Size
from benchmarks.records import Record
from benchmarks.suites.suite import Suite
from benchmarks.tables import comparison_tables

SIZES = (Size(32, 100, 256, 256), Size(32, 1600, 256, 256))
QUICK_SIZES = (Size(2, 8, 3, 4),)


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[CompileProblem]:
    """Every cell at a short and a long T."""
    chosen = sizes or (QUICK_SIZES if quick else SIZES)
    return [CompileProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """Tables of the two parts."""
    titles = {"trace_and_lower": "trace and lower", "compile": "compile"}
    return comparison_tables(records, titles, "B, T, I, H")


SUITE = Suite(
    name="compile",
    summary="trace and compile time of a layer's gradient",
    quantities=("trace_and_lower", "compile"),
    problems=problems,
    show=show,
    peers=("jaxrnn", "scan", "autodiff", "flax", "equinox"),
    repeats=5,
)
