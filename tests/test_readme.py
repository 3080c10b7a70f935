"""The README's code runs, and its commands are the real ones."""

import re
import subprocess
import sys
from pathlib import Path

import jax

import jaxrnn as rnn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_blocks_run_one_after_another(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    namespace = {}
    with jax.enable_x64(False):
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), namespace)
    assert rnn.CELLS.pop("mine") == namespace["MINE"]
    assert namespace["gradient"].w_hh.shape == (128, 512)
    assert float(namespace["metrics"]["loss"]) < 2.0
    assert "hello" in capsys.readouterr().out


def test_ci_runs_the_readmes_test_command():
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    (test_command,) = [line for line in commands if "pytest" in line]
    assert test_command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_jaxrnn_command_exists():
    commands = set(
        re.findall(r"jaxrnn (train|sample|gradcheck|show|demo|\w+) ?", "\n".join(blocks("bash")))
    )
    shown = subprocess.run(
        [sys.executable, "-m", "jaxrnn", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert commands >= {"train", "sample"}
    for command in commands:
        assert re.search(rf"^  {command} ", shown, flags=re.MULTILINE), command


def test_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
