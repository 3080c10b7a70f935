"""Pictures of results, by Matplotlib: bars of peers relative to ours, curves of the sweeps."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import OURS, PEERS
from benchmarks.records import Record, median
from benchmarks.tables import LAYER_QUANTITIES, ordered_peers

QUANTITIES = LAYER_QUANTITIES | {"train_step": "training step"}
RATIOS = (0.1, 0.2, 0.33, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 30, 50, 100)
AXES = {"B": 0, "T": 1, "H": 3}


def draw(records: Sequence[Record], path: Path) -> bool:
    """Writes a picture of a suite's records; whether there was anything to draw.

    Args:
        records: of one suite and device.
        path: a file that Matplotlib can write, by its ending.
    """
    timed = [record for record in records if "seconds" in record]
    if not timed:
        return False
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys(_panel(record) for record in timed))
    panels.sort(key=lambda panel: panel[::2])  # what is timed of one cell and axis, side by side
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(6.5 * columns, 4.2 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        chosen = [record for record in timed if _panel(record) == panel]
        if "axis" in chosen[0]:
            _curves(axis, chosen)
        else:
            _bars(axis, chosen)
        axis.set_title(", ".join(part for part in panel if part))
    figure.suptitle(_where(timed[0]))
    # One legend below all panels, where it covers nothing.
    entries = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=len(entries))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


NAMES = {"torch": "PyTorch", "flax": "flax", "haiku": "haiku", "equinox": "equinox"}
TRAINED = "jaxrnn-windows"  # the training step as `jaxrnn train` makes it


def draw_speed(records: Sequence[Record], path: Path) -> bool:
    """One chart: a training step with other libraries, relative to `jaxrnn train`'s.

    Args:
        records: of any suites; only training steps are taken, the geometric mean over problems.
        path: a file that Matplotlib can write, by its ending.

    Returns:
        Whether there was anything to draw.
    """
    times = {
        (record["cell"], record["problem"], record["peer"]): seconds
        for record in records
        if record["suite"] == "train" and (seconds := median(record)) is not None
    }
    cells = [cell for cell in ("elman", "gru", "lstm") if any(key[0] == cell for key in times)]
    bars = {cell: _means(times, cell) for cell in cells}
    if not any(bars.values()):
        return False
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    # Text stays text, and the same records give the same bytes.
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jaxrnn"}):
        figure, axes = pyplot.subplots(
            1, len(cells), figsize=(3.3 * len(cells), 2.3), squeeze=False, layout="constrained"
        )
        for axis, (cell, means) in zip(axes.flat, bars.items(), strict=True):
            rows = {"jaxrnn": 1.0} | means
            colours = ["#ea580c"] + ["#94a3b8"] * len(means)
            axis.barh(range(len(rows)), list(rows.values()), color=colours)
            for row, (name, mean) in enumerate(rows.items()):
                axis.text(mean + 0.06, row, f"{name} {mean:.1f}", va="center", fontsize=10)
            axis.set_title(cell.upper(), fontsize=11, loc="left")
            axis.set_xlim(0, 1.5 * max(max(means.values(), default=1.0) for means in bars.values()))
            axis.set_ylim(1 + max(map(len, bars.values())) - 0.5, -0.5)
            axis.set_axis_off()
        figure.suptitle(
            "Time of a training step, jaxrnn train = 1 (shorter is faster)", fontsize=11
        )
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=120, facecolor="white", metadata=metadata)
        pyplot.close(figure)
    return True


def _means(times: dict[tuple[str, str, str], float], cell: str) -> dict[str, float]:
    """Of each library the geometric mean over problems of its time relative to ours."""
    means = {}
    for peer, name in NAMES.items():
        ratios = [
            seconds / times[of, problem, TRAINED]
            for (of, problem, which), seconds in times.items()
            if of == cell and which == peer and (of, problem, TRAINED) in times
        ]
        if ratios:
            means[name] = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return means


def _panel(record: Record) -> tuple[str, str, str]:
    along = f"along {record['axis']}" if "axis" in record else ""
    return record["cell"], QUANTITIES.get(str(record["quantity"]), str(record["quantity"])), along


def _where(record: Record) -> str:
    about = record["environment"]
    return (
        f"{record['suite']} on {record['device']}: {about['processor']}, {about['cores']} cores, "
        f"commit {about['commit']}"
    )


def _bars(axis: Any, records: Sequence[Record]) -> None:
    """Time relative to ours on a logarithmic axis; above 1 is slower than jaxrnn."""
    problems = list(dict.fromkeys(record["problem"] for record in records))
    times = {(record["problem"], record["peer"]): record["seconds"] for record in records}
    peers = [name for name in ordered_peers(records) if name != OURS]
    width = 0.85 / max(1, len(peers))
    for index, name in enumerate(peers):
        places, heights, below, above = [], [], [], []
        for place, problem in enumerate(problems):
            if (problem, name) in times and (problem, OURS) in times:
                mine, ours = times[problem, name], times[problem, OURS]["median"]
                places.append(place + (index - (len(peers) - 1) / 2) * width)
                heights.append(mine["median"] / ours - 1)
                below.append((mine["median"] - mine["lower_quartile"]) / ours)
                above.append((mine["upper_quartile"] - mine["median"]) / ours)
        axis.bar(
            places,
            heights,
            width,
            bottom=1.0,
            yerr=[below, above],
            label=name,
            color=_colour(name),
            error_kw={"linewidth": 0.8},
        )
    axis.axhline(1.0, color="black", linewidth=1)
    axis.set_yscale("log")
    lowest, highest = axis.get_ylim()
    ticks = [tick for tick in RATIOS if lowest <= tick <= highest]
    axis.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.grid(axis="y", linewidth=0.3)
    axis.set_axisbelow(True)
    axis.set_ylabel("time, jaxrnn = 1")
    labels = [problem.split(" ", 1)[1].replace(" ", "\n") for problem in problems]
    axis.set_xticks(range(len(problems)), labels, rotation=30, ha="right", fontsize=8)


def _curves(axis: Any, records: Sequence[Record]) -> None:
    """Milliseconds against the size that varies, both logarithmic."""
    along = records[0]["axis"]
    for name in ordered_peers(records):
        points = sorted(
            (record["size"][AXES[along]], 1e3 * (median(record) or 0.0))
            for record in records
            if record["peer"] == name
        )
        axis.plot(*zip(*points, strict=True), marker="o", label=name, color=_colour(name))
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel(along)
    axis.set_ylabel("milliseconds")


def _colour(name: str) -> str:
    drawn = [each for each, peer in PEERS.items() if {"layer", "train"} & peer.prepare.keys()]
    return "black" if name == OURS else f"C{drawn.index(name) - 1}"
