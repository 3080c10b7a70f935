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


def kill_at(child, out, step, delay):
    """SIGKILL once the run has reached a step and then a moment has passed."""
    while step_reached(out) < step and child.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    return child.returncode


def end_of(out):
    arrays, facts = saved_runs.checkpoint(runs.open_run(out).step_paths()[0])
    return arrays, {**facts, "seconds": 0}


def kill_and_compare(text, folder, kills, generator):
    """Runs to the end once undisturbed and once killed again and again."""
    child = start_training(text, folder / "whole")
    finish(child)
    out, more, killed = folder / "killed", (), 0
    for index in range(kills):
        reach = (index * 560) // kills
        child = start_training(text, out, *more)
        killed += kill_at(child, out, reach, generator.uniform(0, 0.06)) == -signal.SIGKILL
        more = ("--resume",) if (out / "config.json").exists() else ()
    child = start_training(text, out, *more)
    finish(child)
    assert killed >= kills - 1
    arrays, facts = end_of(out)
    expected, expected_facts = end_of(folder / "whole")
    assert facts == expected_facts
    assert facts["step"] == 600
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    steps = [record["step"] for record in runs.open_run(out).metrics() if "loss" in record]
    assert steps == list(range(4, 601, 4))
    assert not list(out.rglob("*.tmp"))


def test_killed_and_resumed_a_run_ends_with_the_same_bits(text, tmp_path):
    kill_and_compare(text, tmp_path, 2, np.random.default_rng(0))


@pytest.mark.slow
def test_killed_many_times_a_run_ends_with_the_same_bits(text, tmp_path):
    kill_and_compare(text, tmp_path, 15, np.random.default_rng(os.getpid()))


def test_ctrl_c_saves_and_says_how_to_go_on(text, tmp_path):
    out = tmp_path / "run"
    child = start_training(text, out, "--max-steps", "1000000")
    while step_reached(out) < 8 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    written, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "--resume" in written
    step = end_of(out)[1]["step"]
    assert step == step_reached(out) >= 8
