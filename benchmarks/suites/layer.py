"""One recurrent layer: forward, and forward + backward."""

from collections.abc import Sequence

from benchmarks.problems import LAYER_SIZES, QUICK_SIZES, LayerProblem, Size
from benchmarks.records import Record
from benchmarks.suites.suite import Suite
from benchmarks.tables import TITLES, comparison, text_table


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[LayerProblem]:
    """Every cell at every size."""
    chosen = sizes or (QUICK_SIZES if quick else LAYER_SIZES)
    return [LayerProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """A table for each cell and quantity."""
    parts = []
    for cell in dict.fromkeys(record["cell"] for record in records):
        for quantity, title in TITLES.items():
            header, rows = comparison(records, cell, quantity)
            if len(header) > 2:
                parts.append(f"{cell}, {title}, milliseconds (and how many times jaxrnn's)")
                parts.append(text_table(header, rows) + "\n")
    return "\n".join(parts)


SUITE = Suite(
    name="layer",
    summary="one recurrent layer: forward, forward + backward",
    kind="layer",
    quantities=("forward", "forward_backward"),
    problems=problems,
    show=show,
    limit=True,
)
