"""The README's code runs, and its commands and numbers are the real ones."""

import re

import numpy as np
from documents import README, RESULTS, ROOT, blocks, run_python

from benchmarks.picture import TRAINED
from benchmarks.records import latest, median, read
from jaxrnn import CELLS

TEXT = README.read_text(encoding="utf-8")


def test_python_blocks_run_one_after_another():
    namespace = run_python(README)
    assert namespace["gradient"].w_hh.shape == (128, 512)
    assert namespace["net_hs"].shape == (100, 32, 128)


def test_ci_runs_the_readmes_test_command():
    commands = [line for block in blocks(README, "bash") for line in block.splitlines()]
    (test_command,) = [line for line in commands if "pytest" in line]
    assert test_command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_all_cells_are_named():
    line = next(line for line in TEXT.splitlines() if line.startswith("**Cells**"))
    assert {name.lower() for name in re.findall(r"`([A-Z_]+)`", line)} == set(CELLS)
    assert len(CELLS) == 11
    assert "all eleven cells" in TEXT


def test_it_is_short():
    assert len(TEXT) < 37_699 / 3


def test_the_chart_and_the_claims_are_those_of_the_records():
    records = latest(
        [record for path in RESULTS.parent.rglob("train-*.jsonl") for record in read(path)]
    )
    times = {
        (record["cell"], record["problem"], record["peer"]): seconds
        for record in records
        if (seconds := median(record)) is not None
    }

    def ratio(cell, peer):
        pairs = [
            seconds / times[cell, problem, TRAINED]
            for (of, problem, which), seconds in times.items()
            if (of, which) == (cell, peer)
        ]
        return f"{np.exp(np.mean(np.log(pairs))):.1f}"

    names = {"PyTorch": "torch", "flax": "flax", "haiku": "haiku", "equinox": "equinox"}
    (description,) = re.findall(r"!\[Time of a training step relative to jaxrnn: (.*?)\]", TEXT)
    found = []
    for part in description.split("; "):
        cell, _, peers = part.partition(" ")
        for name, said in re.findall(r"(\w+) ([\d.]+)", peers):
            assert said == ratio(cell.lower(), names[name]), (cell, name)
            found.append((names[name], float(said)))
    jax_peers = [value for name, value in found if name != "torch"]
    torch = [value for name, value in found if name == "torch"]
    said = f"{min(jax_peers)} to {max(jax_peers)} times as fast as flax, haiku and equinox"
    assert said in TEXT
    assert f"{min(torch)} to {max(torch)} times as fast as PyTorch" in TEXT
