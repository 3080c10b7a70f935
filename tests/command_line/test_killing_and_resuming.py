"""Real processes, really killed: a resumed run ends with the bits of one that never was."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import saved_runs

from jaxrnn.charlm import runs

pytestmark = pytest.mark.integration

OPTIONS = """--rnn-size 24 --num-layers 1 --model gru --seq-length 10 --batch-size 4 --dropout 0.1
    --max-steps 600 --print-every 4 --eval-val-every 12 --sample-every 0""".split()  # noqa: SIM905


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "bottles.txt"
    path.write_text("".join(f"{number} green bottles on the wall, \n" for number in range(150)))
    return path


@pytest.fixture(autouse=True)
def _cache_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def start_training(text, out, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxrnn", "train", str(text), "--out", str(out), *OPTIONS, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(child):
    written, _ = child.communicate(timeout=300)
    assert child.returncode == 0, written


def step_reached(out):
    try:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1])["step"]
    except (OSError, IndexError, json.JSONDecodeError):
        return 0


def unfinished(out):
    """The files that are being written."""
    return list(out.rglob(".*.tmp"))


def kill_at(child, out, step, delay, writing):
    """SIGKILL once the run has reached a step and a moment has passed, or a file is being written.

    Returns whether it was killed, and whether a file was left half written.
    """
    while step_reached(out) < step and child.poll() is None:
        time.sleep(0.002)
    if writing:
        while not unfinished(out) and child.poll() is None:
            pass
    else:
        time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    return child.returncode == -signal.SIGKILL, bool(unfinished(out))


def end_of(out):
    """The last and the best checkpoint and all metrics, without what depends on the clock."""
    run = runs.open_run(out)
    checkpoints = [saved_runs.checkpoint(path) for path in (run.step_paths()[0], run.best_path)]
    timed = ("seconds", "tokens_per_second")
    facts = [{**facts, "seconds": 0} for _, facts in checkpoints]
    records = [
        {name: value for name, value in record.items() if name not in timed}
        for record in run.metrics()
    ]
    return [arrays for arrays, _ in checkpoints], facts, records


def kill_and_compare(text, folder, kills, generator):
    """Runs to the end once undisturbed and once killed again and again; every other time in the
    middle of writing a file.
    """
    finish(start_training(text, folder / "whole"))
    out, more, killed, torn = folder / "killed", (), 0, 0
    for index in range(kills):
        child = start_training(text, out, *more)
        reach = (index * 560) // kills
        was = kill_at(child, out, reach, generator.uniform(0, 0.06), writing=index % 2 == 1)
        killed, torn = killed + was[0], torn + was[1]
        more = ("--resume",) if (out / "config.json").exists() else ()
    finish(start_training(text, out, *more))
    arrays, facts, records = end_of(out)
    expected_arrays, expected_facts, expected_records = end_of(folder / "whole")
    assert facts == expected_facts
    assert facts[0]["step"] == 600
    for found, expected in zip(arrays, expected_arrays, strict=True):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert records == expected_records
    assert not unfinished(out)
    return killed, torn


def test_killed_and_resumed_a_run_ends_with_the_same_bits(text, tmp_path):
    killed, _ = kill_and_compare(text, tmp_path, 2, np.random.default_rng(0))
    assert killed >= 1


@pytest.mark.slow
def test_killed_fifty_times_a_run_ends_with_the_same_bits(text, tmp_path):
    seed = int(os.environ.get("JAXRNN_TEST_SEED", os.getpid()))
    killed, torn = kill_and_compare(text, tmp_path, 50, np.random.default_rng(seed))
    print(f"seed {seed}: killed {killed} times, {torn} times while a file was being written")
    assert killed >= 49
    assert torn >= 5
