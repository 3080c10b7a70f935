"""Temporaries of forward + backward, as the compiled program reports them; their growth in T.

The row `long` is run as well, and its gradients are compared; `jaxrnn-recompute` should need at
most 1 GiB there.
"""

from collections.abc import Sequence

from benchmarks.growth import exponent
from benchmarks.problems import LAYER_SIZES, LongProblem, MemoryProblem, Size
from benchmarks.problems import QUICK_SIZES as QUICK_LAYER_SIZES
from benchmarks.records import Record
from benchmarks.suites.suite import Suite
from benchmarks.tables import ordered_peers, text_table

LENGTHS = (64, 128, 256, 512, 1024)
QUICK_LENGTHS = (4, 16)
LONG = Size(1, 100_000, 64, 256)
QUICK_LONG = Size(1, 400, 3, 4)


def problems(
    cells: Sequence[str], sizes: Sequence[Size] | None, quick: bool
) -> list[MemoryProblem]:
    """Every cell at every size, along T, and at one size that is long."""
    at = sizes or (QUICK_LAYER_SIZES if quick else LAYER_SIZES)
    lengths = QUICK_LENGTHS if quick else LENGTHS
    found = []
    for cell in cells:
        found += [MemoryProblem(cell, size, axis="none") for size in at]
        if sizes is None:
            found += [MemoryProblem(cell, Size(16, time, 64, 64)) for time in lengths]
            found.append(LongProblem(cell, QUICK_LONG if quick else LONG))
    return found


def show(records: Sequence[Record]) -> str:
    """MiB of temporaries; along T also the exponents with which temporaries grow."""
    parts = []
    for cell in dict.fromkeys(record["cell"] for record in records):
        chosen = [r for r in records if r["cell"] == cell and "temporaries" in r]
        peers = ordered_peers(chosen)
        sizes = {tuple(record["size"]): record["axis"] for record in chosen}
        bytes_of = {(tuple(r["size"]), r["peer"]): r["temporaries"] for r in chosen}
        rows = [
            [
                ("long " if axis == "long" else "") + ",".join(map(str, size)),
                *(
                    f"{bytes_of[size, name] / 2**20:.2f}" if (size, name) in bytes_of else "–"
                    for name in peers
                ),
            ]
            for size, axis in sizes.items()
        ]
        along = [record for record in chosen if record["axis"] == "T"]
        if along:
            rows.append(["exponent in T", *(_exponent(along, name) for name in peers)])
        parts.append(f"{cell}, temporaries of forward + backward, MiB")
        parts.append(text_table(["B, T, I, H", *peers], rows) + "\n")
    return "\n".join(parts)


def _exponent(records: Sequence[Record], peer: str) -> str:
    mine = [record for record in records if record["peer"] == peer]
    if len(mine) < 2:
        return "–"
    return f"{exponent([r['size'][1] for r in mine], [r['temporaries'] for r in mine]):.2f}"


SUITE = Suite(
    name="memory",
    summary="peak temporaries as the compiled program reports them",
    quantities=(),
    problems=problems,
    show=show,
    peers=("jaxrnn", "jaxrnn-recompute", "scan", "autodiff", "flax", "equinox", "haiku", "keras"),
)
