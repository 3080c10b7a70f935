"""How much faster two processes with a core each train than one process with one core."""

from collections.abc import Sequence

from benchmarks.problems import QUICK_SIZES, ProcessesProblem, Size
from benchmarks.records import Record, median
from benchmarks.suites.suite import Suite
from benchmarks.tables import milliseconds, text_table

# The default of `jaxrnn train`, and two where computing dominates: with more streams the optimizer
# and the sum of the gradients, which each process has whole, weigh less.
SIZES = (Size(32, 64, 100, 192), Size(32, 64, 100, 512), Size(128, 64, 100, 512))


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[ProcessesProblem]:
    """Two layers at every size."""
    chosen = sizes or (QUICK_SIZES if quick else SIZES)
    return [ProcessesProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """Milliseconds a window, and the ratio."""
    times = {(r["problem"], r["quantity"]): median(r) or 0.0 for r in records if "seconds" in r}
    rows = []
    for problem in dict.fromkeys(problem for problem, _ in times):
        one, two = (times.get((problem, quantity), 0.0) for quantity in SUITE.quantities)
        ratio = f"{one / two:.2f}" if two else "–"
        rows.append([problem, milliseconds(one), milliseconds(two), ratio])
    header = ["layers×(B, T, V, H)", "one process", "two processes", "times as fast"]
    title = "training, one process on one core and two on a core each, milliseconds a window\n"
    return title + text_table(header, rows) + "\n" if rows else ""


SUITE = Suite(
    name="processes",
    summary="two processes with a core each beside one process with one",
    quantities=("one_process", "two_processes"),
    problems=problems,
    show=show,
    cells=("gru",),
    peers=("jaxrnn-processes",),
    together=True,
    picture=False,
)
