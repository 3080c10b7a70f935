"""Several processes of the real command on one machine: one run, and no end but a sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxrnn.charlm import checkpoints, runs

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(300))
OPTIONS = """--rnn-size 16 --num-layers 1 --model gru --seq-length 10 --batch-size 4 --dropout 0.2
    --max-steps 100 --print-every 10 --eval-val-every 50 --sample-every 50 --sample-length 20
    """.split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _cache_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "bottles.txt"
    path.write_text(TEXT)
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Job:
    """Processes that train together; its arguments may differ by process."""

    def __init__(self, *arguments, processes=2, own=None, environment=None, folders=None):
        flags = f"--coordinator localhost:{free_port()} --num-processes {processes} --process-id"
        place = [] if environment else flags.split()
        self.children = []
        for process in range(processes):
            more = [*place, str(process)] if place else []
            more += (own or {}).get(process, [])
            self.children.append(
                subprocess.Popen(
                    [sys.executable, "-m", "jaxrnn", "train", *map(str, arguments), *more],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=os.environ | (environment[process] if environment else {}),
                    cwd=folders[process] if folders else None,
                )
            )

    def end(self, timeout=300):
        """Exit codes, and what each wrote to standard output and standard error."""
        try:
            written = [child.communicate(timeout=timeout) for child in self.children]
        finally:
            for child in self.children:
                child.kill()
        return [child.returncode for child in self.children], *zip(*written, strict=True)

    def reach(self, out, step):
        while step_reached(out) < step and all(child.poll() is None for child in self.children):
            time.sleep(0.01)
        assert step_reached(out) >= step, self.end(timeout=30)


def trains(*arguments, **more):
    codes, outputs, errors = Job(*arguments, **more).end()
    assert set(codes) == {0}, (codes, outputs, errors)
    assert set(errors) == {""}
    assert set(outputs[1:]) <= {""}
    return outputs[0]


def step_reached(out):
    try:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1])["step"]
    except (OSError, IndexError, json.JSONDecodeError):
        return 0


def losses(out):
    records = runs.open_run(out).metrics()
    found = [record.get("loss", record.get("validation_loss")) for record in records]
    return np.array([loss for loss in found if loss is not None])


def end_of(out):
    arrays, facts = checkpoints.read(runs.open_run(out).step_paths()[0])
    return arrays, {**facts, "seconds": 0}


def assert_same_end(out, expected):
    arrays, facts = end_of(out)
    expected_arrays, expected_facts = end_of(expected)
    assert facts == expected_facts
    for name, array in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_two_processes_train_as_one(text, tmp_path):
    said = trains(text, "--out", tmp_path / "two", *OPTIONS, "--devices", 2)
    assert "on 2 devices of 2 processes" in said
    assert "Gloo" not in said
    trains(text, "--out", tmp_path / "one", *OPTIONS, "--devices", 1, processes=1)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    assert len(losses(tmp_path / "two")) == 12
