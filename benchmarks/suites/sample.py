"""Characters a second: text drawn from a character model, one character after the other."""

from collections.abc import Sequence

from benchmarks.problems import SampleProblem, Size
from benchmarks.records import Record, median
from benchmarks.suites.suite import Suite
from benchmarks.tables import ordered_peers, text_table

PROBLEMS = ((1, Size(1, 1000, 65, 128)), (2, Size(1, 1000, 65, 128)), (2, Size(32, 1000, 65, 128)))
QUICK_SIZE = Size(2, 9, 5, 4)


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[SampleProblem]:
    """One text from one layer and from two, and 32 texts side by side; T is their length."""
    if sizes is not None:
        chosen = [(1, size) for size in sizes]
    else:
        chosen = [(1, QUICK_SIZE)] if quick else list(PROBLEMS)
    return [SampleProblem(cell, size, layers) for cell in cells for layers, size in chosen]


def show(records: Sequence[Record]) -> str:
    """Thousands of characters a second."""
    chosen = [record for record in records if "seconds" in record]
    peers = ordered_peers(chosen)
    rates = {
        (r["problem"], r["peer"]): r["size"][0] * r["size"][1] / (median(r) or 1.0) for r in chosen
    }
    rows = [
        [
            problem,
            *(f"{rates[problem, p] / 1e3:.1f}" if (problem, p) in rates else "–" for p in peers),
        ]
        for problem in dict.fromkeys(record["problem"] for record in chosen)
    ]
    title = "sampling, thousands of characters a second\n"
    return title + text_table(["layers×(B, T, V, H)", *peers], rows) + "\n" if rows else ""


SUITE = Suite(
    name="sample",
    summary="characters a second drawn from a character model",
    quantities=("sample",),
    problems=problems,
    show=show,
)
