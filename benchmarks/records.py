"""Results as JSON lines: one object a measurement, appended, never rewritten."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class RecordFile:
    """`FOLDER/SUITE-DEVICE.jsonl`; each line is written at once, so a stopped run loses nothing."""

    def __init__(self, folder: Path, suite: str, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{suite}-{device}.jsonl"

    def append(self, records: Iterable[Record]) -> None:
        """Adds lines."""
        with self.path.open("a", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record) + "\n")


def read(path: Path) -> list[Record]:
    """The records of a file.

    Raises:
        ValueError: a line is not a JSON object; says which.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as broken:
            raise ValueError(f"{path}: line {number} is not JSON: {broken.msg}") from broken
        if not isinstance(record, dict):
            raise ValueError(f"{path}: line {number} is not a JSON object")
        records.append(record)
    return records


def latest(records: Iterable[Record]) -> list[Record]:
    """Of each problem on each machine, the last run: numbers of two runs are never compared."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        machine = record["environment"]["processor"]
        key = (record["suite"], record["device"], machine, record["problem"])
        group = groups.setdefault(key, [])
        if group and group[0]["run"] != record["run"]:
            group.clear()
        group.append(record)
    return [record for group in groups.values() for record in group]


def median(record: Record) -> float | None:
    """Median seconds of a record, None where it has none."""
    return record["seconds"]["median"] if "seconds" in record else None


def geometric_mean(values: Iterable[float]) -> float:
    """Exp of the mean logarithm.

    >>> round(geometric_mean([1.0, 4.0]), 6)
    2.0
    """
    return math.exp(sum(logs) / len(logs)) if (logs := [math.log(v) for v in values]) else math.nan
