"""The page of the results: its tables and its chart, from the kept results and nothing else."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import picture, quality
from benchmarks.records import Record, latest, read
from benchmarks.tables import comparison, markdown_table
from jaxrnn.errors import sentence

BEGIN = "<!-- benchmarks: begin, written by `python -m benchmarks report` -->"
END = "<!-- benchmarks: end -->"
RESULTS = Path(__file__).parent / "results"
PAGE = RESULTS / "README.md"
CHART = "speed.svg"


def rewrite(page: Path, results: Path) -> None:
    """Replaces what stands between the two markers, and draws the chart beside the page.

    Args:
        page: the file, with both marker lines in it.
        results: the folder whose `*.jsonl`, at any depth, are read.

    Raises:
        ValueError: no results, or no markers.
        OSError: the file cannot be read or written.
    """
    records = [record for path in sorted(results.rglob("*.jsonl")) for record in read(path)]
    if not records:
        raise ValueError(
            sentence(
                "report", "results", "JSON lines", f"none under {results}", "run a suite first"
            )
        )
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(
            sentence("report", str(page), f"one line {BEGIN!r} and after it one {END!r}", "others")
        )
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    losses = [record for record in records if record["suite"] == quality.SUITE]
    timings = [record for record in records if record["suite"] != quality.SUITE]
    tables = "\n\n".join(filter(None, (section(timings), section_on_losses(losses))))
    page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}", encoding="utf-8")
    picture.draw_speed(latest(timings), page.with_name(CHART))


def section(records: Sequence[Record]) -> str:
    """The tables: for each device, forward + backward and the training step."""
    parts = []
    kept = [record for record in latest(records) if record["suite"] in ("layer", "train")]
    places = dict.fromkeys((r["device"], r["environment"]["processor"]) for r in kept)
    for device, processor in places:
        here = [
            record
            for record in kept
            if (record["device"], record["environment"]["processor"]) == (device, processor)
        ]
        parts.append(_environment_line(device, here))
        for suite, quantity, corner, title in (
            ("layer", "forward_backward", "B, T, I, H", "one layer, forward + backward"),
            ("train", "train_step", "layers×(B, T, V, H)", "a training step"),
        ):
            chosen = [record for record in here if record["suite"] == suite]
            for cell in dict.fromkeys(record["cell"] for record in chosen):
                header, rows = comparison(chosen, cell, quantity, corner)
                if len(header) > 1:
                    parts.append(
                        f"**{cell}**, {title}: milliseconds, and how many times jaxrnn's time\n\n"
                        + markdown_table(header, rows)
                    )
    return "\n\n".join(parts)


def section_on_losses(records: Sequence[Record]) -> str:
    """The tables of test losses: one for each text."""
    parts = []
    for text in dict.fromkeys(record["environment"]["text"] for record in records):
        here = [record for record in records if record["environment"]["text"] == text]
        about = here[0]["environment"]
        steps = max(record["trial"]["steps"] for record in here)
        seeds = sorted({r["trial"]["seed"] for r in here if r["trial"]["steps"] == steps})
        commits = ", ".join(dict.fromkeys(record["environment"]["commit"] for record in here))
        others = quality.recipes_in_words(here)
        others = f"; {others}" if others else ""
        parts.append(
            "**Test loss at equal parameters**, nats a character, one layer, after "
            f"{steps:,} windows of 32 × 64 characters (`python -m benchmarks quality TEXT`; a text "
            f"of {about['text_bytes']:,} bytes, SHA-256 {text[:12]}…; seeds "
            f"{', '.join(map(str, seeds))}; commit {commits}{others})\n\n"
            + markdown_table(*quality.table(here))
        )
    return "\n\n".join(parts)


def _environment_line(device: str, records: Sequence[Record]) -> str:
    """Processor, versions and commits of the records."""
    about = [record["environment"] for record in records]
    versions = {name: v for each in about for name, v in each["versions"].items()}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    commits = ", ".join(dict.fromkeys(each["commit"] for each in about))
    kinds = dict.fromkeys(r["device_kind"] for r in records if r.get("device_kind"))
    apart = any(r.get("interleaved") is False for r in records)
    runs = "runs one peer after the other" if apart else "interleaved runs"
    kind = f" ({', '.join(kinds)})" if device != "cpu" and kinds else ""
    return (
        f"On {device}{kind}: {about[0]['processor']}, {about[0]['cores']} cores, "
        f"{about[0]['memory_gib']} GiB; {named}; commit {commits}. "
        f"Medians of {runs}."
    )
