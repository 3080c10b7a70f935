"""All steps at once against one after the other: iterations, time and memory along T and H."""

from collections.abc import Sequence

from benchmarks.problems import QUICK_SIZES as QUICK_LAYER_SIZES
from benchmarks.problems import ParallelProblem, Size
from benchmarks.records import Record, median
from benchmarks.suites.suite import Suite
from benchmarks.tables import LAYER_QUANTITIES, comparison_tables, ordered_peers, text_table

ALONG_TIME = tuple(Size(1, time, 16, 16) for time in (256, 1024, 4096, 16384))
ALONG_UNITS = tuple(Size(1, 1024, 16, units) for units in (1, 4, 64))
IN_A_BATCH = (Size(16, 256, 16, 16),)


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[ParallelProblem]:
    """Every cell along T, along H, and in a batch."""
    chosen = sizes or (QUICK_LAYER_SIZES if quick else (*ALONG_TIME, *ALONG_UNITS, *IN_A_BATCH))
    return [ParallelProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """Times as the suite `layer` shows them, then iterations and MiB of temporaries."""
    parts = [comparison_tables(records, LAYER_QUANTITIES, "B, T, I, H")]
    chosen = [r for r in records if r.get("quantity") == "forward" and median(r) is not None]
    peers = ordered_peers(chosen)
    for cell in dict.fromkeys(record["cell"] for record in chosen):
        found = {(tuple(r["size"]), r["peer"]): r for r in chosen if r["cell"] == cell}
        sizes = list(dict.fromkeys(size for size, _ in found))
        rows = [
            [",".join(map(str, size)), *(_facts(found.get((size, name))) for name in peers)]
            for size in sizes
        ]
        parts.append(f"{cell}, iterations, and MiB of temporaries of forward + backward")
        parts.append(text_table(["B, T, I, H", *peers], rows) + "\n")
    return "\n".join(parts)


def _facts(record: Record | None) -> str:
    if record is None or "temporaries" not in record:
        return "–"
    memory = f"{record['temporaries'] / 2**20:.2f}"
    if "iterations" not in record:
        return memory
    count = record["iterations"]
    return f"{count}{'' if record['converged'] else ' (step by step)'}, {memory}"


SUITE = Suite(
    name="parallel",
    summary="all steps at once by Newton's method, against one after the other",
    quantities=tuple(LAYER_QUANTITIES),
    problems=problems,
    show=show,
    cells=("elman", "lstm", "gru", "indrnn"),
    peers=("jaxrnn", "jaxrnn-newton", "jaxrnn-quasi-newton"),
    picture=False,
)
