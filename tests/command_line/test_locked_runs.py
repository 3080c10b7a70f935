"""Two trainings in one folder: the second is refused, and the first goes on undisturbed."""

import os
import signal
import subprocess
import sys
import time

import jax
import pytest
from lock_holder import held_by_another

from jaxrnn.charlm import runs
from jaxrnn.command_line import main

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
TINY = """--rnn-size 4 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 2 --sample-every 0""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "bottles.txt"
    path.write_text(TEXT)
    return path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.integration
def test_a_folder_that_another_process_trains_in(text, tmp_path, capsys):
    out = tmp_path / "run"
    with held_by_another(out):
        assert main(["train", str(text), "--out", str(out), *TINY]) == 2
        assert "trains. Hint:" in capsys.readouterr().err
        assert [path.name for path in out.rglob("*")] == [".lock"]
    assert main(["train", str(text), "--out", str(out), *TINY]) == 0
    assert not (out / ".lock").exists()
    with held_by_another(out) as holder:
        before = contents(out)
        capsys.readouterr()
        for more in ([], ["--resume", "--max-steps", "3"]):
            assert main(["train", str(text), "--out", str(out), *more]) == 2
            error = capsys.readouterr().err
            assert f"where process {holder.pid} on " in error
            assert len(error.splitlines()) == 1
        assert contents(out) == before
        assert main(["sample", str(out), "--length", "5"]) == 0
        assert contents(out) == before
    assert main(["train", "--out", str(out), "--resume", "--max-steps", "3"]) == 0
    assert runs.open_run(out).settings.max_steps == 3


def test_a_resume_of_what_is_not_there_makes_nothing(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "none" / "run"), "--resume"]) == 2
    assert "which does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_of_many_trainings_at_once_one_trains(text, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "jaxrnn", "train", str(text), "--out", str(out), *TINY]
    command += ["--max-steps", "1000000", "--print-every", "50"]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(4)
    ]
    refused = 0
    while refused < 3:
        for child in children:
            if child.poll() is not None and child.stdout:
                said = child.communicate()[0]
                assert child.returncode == 2, said
                assert "where process" in said
                refused += 1
                children.remove(child)
                break
    (trains,) = children
    while not (out / "metrics.jsonl").exists():
        assert trains.poll() is None
        time.sleep(0.1)
    os.kill(trains.pid, signal.SIGKILL)
    trains.communicate()
    end = ["--resume", "--max-steps", "1000000", "--max-minutes", "0.001"]
    assert main(["train", "--out", str(out), *end]) == 0
