"""One recurrent layer: forward, and forward + backward."""

from collections.abc import Sequence

from benchmarks.problems import LAYER_SIZES, QUICK_SIZES, LayerProblem, Size
from benchmarks.records import Record
from benchmarks.suites.suite import Suite
from benchmarks.tables import LAYER_QUANTITIES, comparison_tables


def problems(cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool) -> list[LayerProblem]:
    """Every cell at every size."""
    chosen = sizes or (QUICK_SIZES if quick else LAYER_SIZES)
    return [LayerProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """A table for each cell and quantity."""
    return comparison_tables(records, LAYER_QUANTITIES, "B, T, I, H")


SUITE = Suite(
    name="layer",
    summary="one recurrent layer: forward, forward + backward",
    quantities=tuple(LAYER_QUANTITIES),
    problems=problems,
    show=show,
    limit=True,
)
