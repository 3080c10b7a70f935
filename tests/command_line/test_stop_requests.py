"""SIGINT, SIGTERM and SIGHUP: one sentence at any moment, and training saves first."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import saved_runs

from jaxrnn.charlm import runs
from jaxrnn.command_line import stop_requests

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")

OPTIONS = """--rnn-size 16 --num-layers 1 --model elman --seq-length 10 --batch-size 4 --devices 1
    --max-steps 1000000 --print-every 4 --sample-every 0""".split()  # noqa: SIM905
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

TRAINING = """
import hashlib
from jaxrnn.command_line import stop_requests
stop_requests.end_at_once()
with stop_requests.StopRequest("jaxrnn train --resume") as stop:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)  # as XLA does: half a minute without Python
"""


@pytest.fixture(autouse=True)
def _cache_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _signals_heeded():
    """A shell starts what it puts in the background with SIGINT ignored, also in its children."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if interrupt else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "bottles.txt"
    path.write_text("".join(f"{number} green bottles on the wall, \n" for number in range(150)))
    return path


def start(*arguments, program=(sys.executable,), command=("-m", "jaxrnn"), **more):
    return subprocess.Popen(
        [*program, *command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def wait_for_handlers(child):
    """Until the process has come to its first lines; Python itself handles no SIGTERM."""
    status = Path(f"/proc/{child.pid}/status")
    if not status.exists():
        pytest.skip("this system has no /proc")
    while child.poll() is None:
        caught = re.search(r"SigCgt:\s+(\w+)", status.read_text())
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.001)


@pytest.mark.integration
@pytest.mark.parametrize(
    "number",
    # That each of them is a request is seen below, in this process.
    [SIGNALS[0], *(pytest.param(number, marks=pytest.mark.slow) for number in SIGNALS[1:])],
)
def test_training_saves_and_says_how_to_go_on(number, text, tmp_path):
    out = tmp_path / "run"
    child = start("train", text, "--out", out, *OPTIONS)
    metrics = out / "metrics.jsonl"
    while child.poll() is None and not (metrics.exists() and '"step": 8' in metrics.read_text()):
        time.sleep(0.01)
    child.send_signal(number)
    began = time.monotonic()
    written, error = child.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert child.returncode == 128 + number, error
    named = stop_requests.name(number)
    assert f"Stopped by {named} at step " in written
    assert f"jaxrnn train --out {out} --resume goes on." in written
    assert error.startswith(f"jaxrnn: {named}: training saves a checkpoint and stops")
    assert len(error.splitlines()) == 1
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert saved_runs.checkpoint(runs.open_run(out).step_paths()[0])[1]["step"] == last >= 8


def test_a_second_signal_ends_at_once():
    child = start(command=("-c", TRAINING))
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    time.sleep(2 * stop_requests.SECONDS_OF_ONE_REQUEST)
    began = time.monotonic()
    child.send_signal(signal.SIGHUP)
    written, error = child.communicate(timeout=60)
    assert time.monotonic() - began < 1
    assert child.returncode == 128 + signal.SIGHUP
    first, second = error.splitlines()
    assert first.startswith("jaxrnn: SIGTERM: training saves")
    assert second.startswith("jaxrnn: stopped at once by SIGHUP. What is saved is the last")
    assert not written


def test_a_signal_sent_twice_is_one_request():
    child = start(command=("-c", TRAINING))
    child.stdout.readline()
    for _ in range(3):
        child.send_signal(signal.SIGHUP)
        time.sleep(0.02)  # two that wait are one
    time.sleep(3 * stop_requests.SECONDS_OF_ONE_REQUEST)
    assert child.poll() is None
    child.send_signal(signal.SIGHUP)
    assert len(child.communicate(timeout=60)[1].splitlines()) == 2


def test_what_the_process_was_started_to_ignore_it_ignores():
    ignoring = """trap "" HUP; exec "$0" -c "$1" """  # as nohup does
    child = start(program=("sh", "-c", ignoring, sys.executable), command=(TRAINING,))
    child.stdout.readline()
    child.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    child.kill()
    assert child.communicate(timeout=60)[1] == ""


def test_in_a_process_of_others_the_second_signal_does_what_it_did(capfd):
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_requests.StopRequest("jaxrnn train --resume") as stop:
        assert not stop()
        assert stop.exit_code == 0
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert stop.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert "a second one stops it at once" in capfd.readouterr().err


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_of_each_signal_is_a_request(number, capfd):
    with stop_requests.StopRequest("jaxrnn train --resume") as stop:
        signal.raise_signal(number)
        assert stop()
        assert stop.exit_code == 128 + number
    name = stop_requests.name(number)
    assert f"jaxrnn: {name}: training saves a checkpoint and stops" in capfd.readouterr().err


def interrupt(arguments, number, delay, cwd):
    """(exit code, standard error) of a command interrupted this long after its first lines."""
    child = start(*arguments, cwd=cwd)
    wait_for_handlers(child)
    time.sleep(delay)
    child.send_signal(number)
    _, error = child.communicate(timeout=60)
    return child.returncode, error


@pytest.mark.integration
@pytest.mark.parametrize("delay", [0, 0.2, 0.6, 1.0])
def test_interrupted_while_it_starts_a_command_says_so(delay, text, tmp_path):
    arguments = ("train", text, "--out", tmp_path / "run", *OPTIONS)
    code, error = interrupt(arguments, signal.SIGINT, delay, tmp_path)
    assert code == 130, error
    assert len(error.splitlines()) == 1
    stopped = "jaxrnn: stopped by SIGINT (Ctrl-C)."
    assert error.startswith(stopped if delay == 0 else (stopped, "jaxrnn: SIGINT (Ctrl-C): "))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "sample", "show", "demo counting", "gradcheck"])
def test_interrupted_at_any_moment_a_command_says_so(command, text, tmp_path):
    """Every 50 ms of its first three seconds, by each signal in turn."""
    out = tmp_path / "run"
    done = start("train", text, "--out", out, *OPTIONS, "--max-steps", 20)
    assert done.communicate()[0]
    ends = Counter()
    for index, delay in enumerate(np.arange(0, 3.01, 0.05)):
        number = SIGNALS[index % 3]
        more = {
            "train": (text, "--out", tmp_path / str(index), *OPTIONS),
            "sample": (out,),
            "show": (out,),
        }
        arguments = (*command.split(), *more.get(command, ()))
        code, error = interrupt(arguments, number, delay, tmp_path)
        assert "Traceback" not in error
        assert "Exception ignored" not in error
        # At its end Python lets go of signals: what the command had to say it has said.
        assert code in (128 + number, 0, -number), error
        ends[{0: "at its end", -number: "while Python ended"}.get(code, "one sentence")] += 1
        if code == 128 + number:
            assert error.splitlines()[-1].startswith("jaxrnn: ")
            assert error.count("jaxrnn: ") == 1
    print(f"{command}: {dict(ends)}")
    assert ends["one sentence"] > 5
