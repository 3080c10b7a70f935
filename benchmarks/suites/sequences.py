"""What lengths and resets cost: forward + backward beside the same batch without them."""

from collections.abc import Sequence

from benchmarks.problems import SequenceProblem, Size
from benchmarks.records import Record, geometric_mean, median
from benchmarks.suites.suite import Suite
from benchmarks.tables import milliseconds, ordered_peers, text_table

SIZES = (Size(50, 50, 128, 128), Size(32, 100, 256, 256))
QUICK_SIZES = (Size(3, 40, 3, 4),)
TITLES = {
    "clean": "clean",
    "lengths": "lengths",
    "resets": "resets",
    "lengths_resets": "lengths + resets",
}


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[SequenceProblem]:
    """Every cell at every size."""
    chosen = sizes or (QUICK_SIZES if quick else SIZES)
    return [SequenceProblem(cell, size) for cell in cells for size in chosen]


def show(records: Sequence[Record]) -> str:
    """For each peer: milliseconds, and how many times those of the clean batch."""
    parts = []
    for peer in ordered_peers(records):
        times = {
            (record["problem"], record["quantity"]): seconds
            for record in records
            if record["peer"] == peer and (seconds := median(record)) is not None
        }
        ratios: dict[str, list[float]] = {quantity: [] for quantity in TITLES}
        rows = []
        for problem in dict.fromkeys(problem for problem, _ in times):
            clean = times.get((problem, "clean"))
            row = [problem]
            for quantity in TITLES:
                seconds = times.get((problem, quantity))
                if seconds is None:
                    row.append("–")
                elif clean is None or quantity == "clean":
                    row.append(milliseconds(seconds))
                else:
                    ratios[quantity].append(seconds / clean)
                    row.append(f"{milliseconds(seconds)} ({seconds / clean:.2f}×)")
            rows.append(row)
        if len(rows) > 1:
            means = [f"{geometric_mean(each):.2f}×" if each else "" for each in ratios.values()]
            rows.append(["geometric mean", *means])
        if rows:
            parts.append(f"{peer}, forward + backward, milliseconds (and how many times clean)")
            parts.append(text_table(["cell B, T, I, H", *TITLES.values()], rows) + "\n")
    return "\n".join(parts)


SUITE = Suite(
    name="sequences",
    summary="what lengths and resets cost beside a clean batch",
    quantities=tuple(TITLES),
    problems=problems,
    show=show,
    peers=("jaxrnn", "autodiff"),
    together=True,
    picture=False,
)
