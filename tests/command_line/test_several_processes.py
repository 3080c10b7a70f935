"""Several processes of the real command on one machine: one run, and no end but a sentence."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import saved_runs

from jaxrnn.charlm import runs
from jaxrnn.command_line import main

pytestmark = pytest.mark.integration

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(300))
OPTIONS = """--rnn-size 16 --num-layers 1 --model gru --seq-length 10 --batch-size 4 --dropout 0.2
    --max-steps 100 --print-every 10 --eval-val-every 50 --sample-every 50 --sample-length 20
    """.split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _heeds_ctrl_c():
    """Where the tests run in the background of a shell, they and their children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
    """Processes that train together; with `own`, arguments of some of them alone."""

    def __init__(self, *arguments, processes=2, own=None, environments=None, **more):
        flags = f"--coordinator localhost:{free_port()} --num-processes {processes} --process-id"
        self.children = []
        for process in range(processes):
            place = [] if environments else [*flags.split(), str(process)]
            command = [sys.executable, "-m", "jaxrnn", "train", *map(str, arguments), *place]
            self.children.append(
                subprocess.Popen(
                    [*command, *(own or {}).get(process, [])],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=os.environ | (environments[process] if environments else {}),
                    **{name: value[process] for name, value in more.items()},
                )
            )

    def end(self, timeout=300):
        """Exit codes, and what each wrote to standard output and to standard error."""
        try:
            written = [child.communicate(timeout=timeout) for child in self.children]
        finally:
            for child in self.children:
                child.kill()
        return [child.returncode for child in self.children], *zip(*written, strict=True)

    def write(self, out):
        """Waits until they train: something is written to the metrics."""
        before = size(out / "metrics.jsonl")
        while size(out / "metrics.jsonl") == before and all(
            child.poll() is None for child in self.children
        ):
            time.sleep(0.005)

    def reach(self, out, step):
        """Waits until the run has."""
        while step_reached(out) < step and all(child.poll() is None for child in self.children):
            time.sleep(0.005)
        return all(child.poll() is None for child in self.children)


def size(path):
    return path.stat().st_size if path.exists() else 0


def trains(*arguments, **more):
    """What process 0 says; the others say nothing, and nobody complains."""
    codes, outputs, errors = Job(*arguments, **more).end()
    assert set(codes) == {0}, (codes, outputs, errors)
    assert set(errors) == {""}
    assert set(outputs[1:]) <= {""}
    return outputs[0]


def fails(*arguments, timeout=60, **more):
    """The sentence of each process; all end with code 2 within a minute."""
    began = time.monotonic()
    codes, outputs, errors = Job(*arguments, **more).end(timeout)
    assert time.monotonic() - began < 60
    assert set(codes) == {2}, (codes, outputs, errors)
    for error in errors:
        assert error.startswith("jaxrnn: "), errors
        assert len(error.splitlines()) == 1, errors
    return errors


def step_reached(out):
    try:
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1])["step"]
    except (OSError, IndexError, json.JSONDecodeError):
        return 0


def losses(out):
    """Of training and validation, by step."""
    records = [record for record in runs.open_run(out).metrics() if "sample" not in record]
    return {
        (record["step"], "loss" in record): record.get("loss", record.get("validation_loss"))
        for record in records
    }


def assert_same_losses(out, expected, tolerance):
    found, expected = losses(out), losses(expected)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(
        list(found.values()), list(expected.values()), rtol=tolerance, atol=0
    )


def assert_same_end(out, expected):
    """The same bits of everything, but for the time it took."""
    ends = [saved_runs.checkpoint(runs.open_run(run).step_paths()[0]) for run in (out, expected)]
    (arrays, facts), (expected_arrays, expected_facts) = ends
    assert facts | {"seconds": 0} == expected_facts | {"seconds": 0}
    assert arrays.keys() == expected_arrays.keys()
    for name, array in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_two_processes_train_as_one(text, tmp_path):
    with jax.enable_x64(False):
        one = ["train", str(text), "--out", str(tmp_path / "one"), *OPTIONS, "--devices", "1"]
        assert main(one) == 0
    said = trains(text, "--out", tmp_path / "two", *OPTIONS)
    assert "on 2 devices of 2 processes" in said
    assert "Gloo" not in said
    assert_same_losses(tmp_path / "two", tmp_path / "one", 1e-5)
    assert len(losses(tmp_path / "two")) == 12


def test_what_one_process_reads_from_a_pipe_the_others_have_from_its_index(text, tmp_path):
    out = tmp_path / "run"
    with open(text, "rb") as pipe:
        job = Job("-", "--out", out, *OPTIONS, stdin=[pipe, subprocess.DEVNULL])
        codes, outputs, errors = job.end()
    assert codes == [0, 0], errors
    assert "on 2 devices of 2 processes" in outputs[0]
    run = runs.open_run(out)
    assert (run.sources, run.characters, run.indexed) == (("-",), len(TEXT), True)
    trains("--out", out, "--resume", "--max-steps", 110)
    assert len(losses(out)) == 14


LONG = ["--max-steps", "100000"]  # longer than a test


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(text, tmp_path, victim):
    out = tmp_path / "run"
    job = Job(text, "--out", out, *OPTIONS, *LONG)
    assert job.reach(out, 20)
    job.children[victim].kill()
    began = time.monotonic()
    codes, _, errors = job.end(timeout=60)
    assert time.monotonic() - began < 10
    assert codes[1 - victim] == 4
    assert errors[1 - victim].startswith(f"jaxrnn: Process {victim} of 2, on ")
    assert errors[1 - victim].endswith(
        f"jaxrnn train --out {out} --resume goes on from the last checkpoint.\n"
    )
    assert len(errors[1 - victim].splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_stopped_process_is_lost(text, tmp_path, victim):
    out = tmp_path / "run"
    job = Job(text, "--out", out, *OPTIONS, *LONG)
    assert job.reach(out, 20)
    job.children[victim].send_signal(signal.SIGSTOP)
    assert job.children[1 - victim].wait(timeout=60) == 4
    job.children[victim].send_signal(signal.SIGCONT)
    codes, _, errors = job.end(timeout=60)
    assert codes == [4, 4]
    for error in errors:
        assert f"Process {victim} of 2, on " in error
        assert "is lost (silent for 20 s)" in error
        assert len(error.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_stops_all_and_the_run_goes_on(text, tmp_path, number, code, asked):
    options = [*OPTIONS, "--max-steps", "300", "--schedule", "constant"]
    out, whole = tmp_path / "run", tmp_path / "whole"
    job = Job(text, "--out", out, *options)
    assert job.reach(out, 20)
    job.children[asked].send_signal(number)
    began = time.monotonic()
    codes, outputs, errors = job.end(timeout=60)
    assert time.monotonic() - began < 15
    assert codes == [code, code]
    assert "Stopped by SIG" in outputs[0]
    assert outputs[1] == ""
    assert errors[1 - asked] == ""
    trains("--out", out, "--resume")
    trains(text, "--out", whole, *options)
    assert_same_end(out, whole)


@pytest.mark.slow
def test_a_second_signal_ends_one_and_then_all(text, tmp_path):
    out = tmp_path / "run"
    job = Job(text, "--out", out, *OPTIONS, *LONG, "--print-every", "2000")
    assert job.reach(out, 50)
    for _ in range(2):
        job.children[1].send_signal(signal.SIGTERM)
        time.sleep(0.3)
    codes, _, errors = job.end(timeout=60)
    assert codes[1] == 143
    assert codes[0] in (4, 143)
    assert len(errors[0].splitlines()) <= 1


@pytest.mark.slow
def test_killed_again_and_again_the_run_ends_with_the_same_bits(text, tmp_path):
    kills = 25
    options = [*OPTIONS, "--max-steps", "300", "--print-every", "3", "--eval-val-every", "9"]
    whole, out = tmp_path / "whole", tmp_path / "killed"
    trains(text, "--out", whole, *options)
    generator = np.random.default_rng(os.getpid())
    more = [text, "--out", out, *options]
    killed = 0
    for _ in range(kills):
        job = Job(*more)
        job.write(out)
        job.reach(out, min(290, step_reached(out) + int(generator.integers(1, 600 // kills))))
        time.sleep(generator.uniform(0, 0.1))
        victim = int(generator.integers(2))
        job.children[victim].kill()
        codes, outputs, errors = job.end(timeout=60)
        killed += codes[victim] == -signal.SIGKILL
        assert codes[1 - victim] in (4, 0), (codes, outputs, errors)
        assert len(errors[1 - victim].splitlines()) <= 1, errors
        more = ["--out", out, "--resume"]
    assert killed >= kills - 2
    codes, outputs, errors = Job(*more).end()
    assert codes == [0, 0], errors
    assert_same_end(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_another_number_of_processes_goes_on_with_the_same_text(text, tmp_path, dtype, tolerance):
    options = [*OPTIONS, "--max-steps", "200", "--dtype", dtype]
    whole, out = tmp_path / "whole", tmp_path / "run"
    trains(text, "--out", whole, *options, "--devices", 1, processes=1)
    more = [text, "--out", out, *options]
    for end, processes in ((40, 2), (80, 1), (120, 4), (200, 2)):
        job = Job(*more, processes=processes)
        more = ["--out", out, "--resume"]
        if end < 200:
            job.write(out)
            assert job.reach(out, end)
            job.children[0].send_signal(signal.SIGTERM)
        codes, outputs, errors = job.end()
        assert set(codes) <= {0, 143}, errors
        # Two devices are there in one process too.
        assert ("The run was trained on" in outputs[0]) == (end in (120, 200))
    assert_same_losses(out, whole, tolerance)


@pytest.mark.slow
def test_what_differs_between_the_processes_is_said_in_all(text, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("green", "brown"))
    out = tmp_path / "run"
    start = ["--out", out, *OPTIONS]
    errors = fails(text, *start, own={1: ["--seq-length", "20"]})
    for error in errors:
        assert (
            "train: --seq-length: expected the same in all processes, got 10 in process 0" in error
        )
    for error in fails(text, *start, own={0: ["--deterministic"]}):
        assert "--deterministic: expected the same in all processes, got True in process 0" in error
    for error in fails(text, *start, "--device", "tpu"):
        assert "train: --device: expected what JAX finds here: cpu" in error
    errors = fails(*start, own={0: [str(text)], 1: [str(other)]})
    for error in errors:
        assert "TEXT's SHA-256: expected the same in all processes" in error
    errors = fails(*start, own={0: [str(text)], 1: [str(tmp_path / "none.txt")]})
    assert "none.txt" in errors[0]
    assert "Process 1 of 2, on " in errors[0]
    assert "Process 1" not in errors[1]
    # Each in a folder of its own, as on hosts that share none.
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder in folders:
        folder.mkdir()
    for error in fails(text, "--out", "run", *OPTIONS, cwd=folders):
        assert "--out: expected one folder that all processes share, got run, in which" in error
    for error in fails(text, *start, "--batch-size", "5"):
        assert "--batch-size: expected a multiple of 2, the number of processes, got 5" in error
    for error in fails(text, *start, "--batch-size", "6", "--devices", "3"):
        assert "--devices: expected a multiple of 2" in error
    assert not out.exists()
    assert not list(folders[0].iterdir())


def limit_files():
    """No file may grow past 20,000 bytes, in which a checkpoint does not fit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.slow
def test_a_disk_that_is_full_ends_all(text, tmp_path):
    errors = fails(text, "--out", tmp_path / "run", *OPTIONS, preexec_fn=[limit_files, None])
    assert "could not be saved" in errors[0]
    assert "Process 0 of 2, on " in errors[1]
    assert "could not be saved" in errors[1]


@pytest.mark.slow
def test_a_run_is_trained_by_one_job_at_a_time(text, tmp_path):
    out = tmp_path / "run"
    job = Job(text, "--out", out, *OPTIONS, *LONG)
    assert job.reach(out, 20)
    for error in fails("--out", out, "--resume"):
        assert "trains" in error
    job.children[0].send_signal(signal.SIGTERM)
    assert job.end()[0] == [143, 143]


def in_slurm(processes):
    """What srun tells the processes of a step, on one node, in an allocation of more tasks."""
    job = str(os.getpid() % 4000 * 10 + processes)
    return [
        {
            "SLURM_JOB_ID": job,
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "8",
            "SLURM_STEP_NUM_TASKS": str(processes),
            "SLURM_STEP_NUM_NODES": "1",
            "SLURM_PROCID": str(process),
            "SLURM_LOCALID": str(process),
        }
        for process in range(processes)
    ]


@pytest.mark.slow
def test_started_by_slurm(text, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    trains(text, "--out", whole, *OPTIONS)
    said = trains(text, "--out", out, *OPTIONS, environments=in_slurm(2))
    assert "on 2 devices of 2 processes" in said
    assert_same_end(out, whole)
    for error in fails(
        text, "--out", out, *OPTIONS, environments=in_slurm(2), own={1: ["--seed", "5"]}
    ):
        assert "--seed: expected the same in all processes" in error
    out = tmp_path / "lost"
    job = Job(text, "--out", out, *OPTIONS, *LONG, environments=in_slurm(2))
    assert job.reach(out, 20)
    job.children[1].kill()
    codes, _, errors = job.end(timeout=60)
    assert codes[0] == 4
    assert "Process 1 of 2, on " in errors[0]
