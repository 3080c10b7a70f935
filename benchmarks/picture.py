"""Pictures of results, by Matplotlib: bars of peers relative to ours, curves of the sweeps."""

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
