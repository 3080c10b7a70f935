"""Time against T, B and H: the exponents, each over a factor of 16."""

from collections.abc import Sequence

from benchmarks.growth import exponent
from benchmarks.problems import Size, SweepProblem
from benchmarks.records import Record, median
from benchmarks.suites.suite import Suite
from benchmarks.tables import LAYER_QUANTITIES, milliseconds, ordered_peers, text_table

SWEEPS = {
    "T": [Size(16, time, 128, 128) for time in (64, 128, 256, 512, 1024)],
    "B": [Size(batch, 64, 128, 128) for batch in (8, 16, 32, 64, 128)],
    "H": [Size(32, 64, 64, hidden) for hidden in (32, 64, 128, 256, 512)],
}
QUICK_SWEEPS = {
    "T": [Size(2, time, 3, 4) for time in (2, 8)],
    "B": [Size(batch, 3, 3, 4) for batch in (2, 8)],
    "H": [Size(2, 3, 3, hidden) for hidden in (2, 8)],
}
FIELD = {"B": 0, "T": 1, "H": 3}


def problems(cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool) -> list[SweepProblem]:
    """The sweeps; around a size that is given, each axis from a quarter of it to four times it."""
    if sizes:
        sweeps = {
            axis: [around(size, axis, by) for size in sizes for by in (0.25, 0.5, 1, 2, 4)]
            for axis in FIELD
        }
    else:
        sweeps = QUICK_SWEEPS if quick else SWEEPS
    return [
        SweepProblem(cell, size, axis=axis)
        for cell in cells
        for axis, points in sweeps.items()
        for size in dict.fromkeys(points)
    ]


def around(size: Size, axis: str, factor: float) -> Size:
    """The size with one axis scaled.

    >>> around(Size(16, 64, 128, 128), "T", 0.25)
    Size(batch=16, time=16, input_size=128, hidden_size=128)
    """
    values = list(size)
    values[FIELD[axis]] = max(1, round(values[FIELD[axis]] * factor))
    return Size(*values)


def show(records: Sequence[Record]) -> str:
    """For each cell and axis: milliseconds at each point, and the fitted exponent."""
    parts = []
    for cell in dict.fromkeys(record["cell"] for record in records):
        for axis, field in FIELD.items():
            for quantity, title in LAYER_QUANTITIES.items():
                chosen = [
                    r
                    for r in records
                    if r["cell"] == cell
                    and r["axis"] == axis
                    and r["quantity"] == quantity
                    and "seconds" in r
                ]
                if not chosen:
                    continue
                peers = ordered_peers(chosen)
                values = sorted({record["size"][field] for record in chosen})
                times = {(r["size"][field], r["peer"]): median(r) or 0.0 for r in chosen}
                rows = [
                    [
                        f"{axis} = {value}",
                        *(
                            milliseconds(times[value, name]) if (value, name) in times else "–"
                            for name in peers
                        ),
                    ]
                    for value in values
                ]
                rows.append(["exponent", *(_exponent(times, name) for name in peers)])
                parts.append(f"{cell}, {title} along {axis}, milliseconds")
                parts.append(text_table(["", *peers], rows) + "\n")
    return "\n".join(parts)


def _exponent(times: dict[tuple[int, str], float], peer: str) -> str:
    points = [(value, seconds) for (value, name), seconds in times.items() if name == peer]
    if len(points) < 2:
        return "–"
    return f"{exponent(*zip(*points, strict=True)):.2f}"


SUITE = Suite(
    name="scaling",
    summary="time against T, B and H: the exponents",
    quantities=tuple(LAYER_QUANTITIES),
    problems=problems,
    show=show,
    peers=("jaxrnn", "scan", "torch"),
)
