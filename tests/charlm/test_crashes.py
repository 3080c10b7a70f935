"""A kill or a failing disk at every operation on a file of a save, a start and a resume."""

import dataclasses
import os
import re
import shutil

import faults
import jax
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import runs, state
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.files import BrokenFileError, UnsavedError
from jaxrnn.charlm.journal import Journal
from jaxrnn.charlm.settings import Settings

FAULTS = ("killed", "killed half-way", "ENOSPC", "EIO")
SETTINGS = Settings(model="elman", rnn_size=2, num_layers=1, seq_length=2, batch_size=1)
CORPUS = Corpus("ab", ("text",))


@pytest.fixture(scope="module")
def shapes():
    run = runs.Run(None, SETTINGS, charlm.Vocab("ab"), ("",), "")
    return state.template(run.config, run.settings)


@pytest.fixture(autouse=True)
def _quick(monkeypatch, shapes):
    """No waiting for the real disk, which took half of the time, nor for shapes again and again."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(state, "template", lambda config, settings: shapes)


def filled(shapes, step):
    """Arrays that know the step they are of."""
    return jax.tree.map(lambda leaf: np.full(leaf.shape, step, leaf.dtype), shapes)


def facts(step):
    return Journal(step=step, reported=step)._asdict()


def record(step):
    return {"step": step, "epoch": 0.0, "seconds": 0.0}


def save(run, shapes, step, best):
    run.save(filled(shapes, step), facts(step), best)


def new(folder, shapes):
    run = runs.create(folder, SETTINGS, charlm.Vocab("ab"), CORPUS)
    save(run, shapes, 0, False)
    run.write_config()


def contents(folder):
    """Every file's bytes, without the id of the run and what depends on it."""
    ids = re.compile(rb'"(run|sha256)": "\w+"')
    return {
        str(path.relative_to(folder)): ids.sub(b"", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(run, shapes):
    """(step of the last checkpoint, of the best) of a run in which nothing is broken."""
    tree, last = runs.restore_last(run, shapes, pytest.fail)
    for leaf in jax.tree.leaves(tree):
        np.testing.assert_array_equal(leaf, np.full(leaf.shape, last["step"], leaf.dtype))
    params, best = runs.load_params(run, lambda note: None)
    np.testing.assert_array_equal(params.w_hy, np.full((2, 2), best["step"], np.float32))
    return last["step"], best["step"]


def sentence(error, folder):
    """What an I/O error is told as."""
    assert isinstance(error, UnsavedError)
    assert error.errno in (5, 28)
    message = str(error)
    assert len(message.splitlines()) == 1
    assert str(folder) in message
    assert "Input/output error" in message or "No space left on device" in message
    return message


def operations(monkeypatch, act):
    """How many operations it has when none fails."""
    with faults.disk(monkeypatch) as disk:
        act()
    assert len(disk.done) > 5
    return disk.done


@pytest.mark.parametrize(
    ("fault", "best"), [*((fault, True) for fault in FAULTS), ("killed", False), ("EIO", False)]
)
def test_a_save_that_fails_anywhere_loses_nothing(tmp_path, monkeypatch, shapes, fault, best):
    before, expected, folder = (tmp_path / name for name in ("before", "expected", "run"))
    new(before, shapes)
    run = runs.open_run(before)
    for step in (10, 20, 30):
        save(run, shapes, step, best=step == 10)
        run.append(record(step))
    shutil.copytree(before, expected)
    run = runs.open_run(expected)
    done = operations(monkeypatch, lambda: save(run, shapes, 40, best))
    for at, operation in enumerate(done):
        shutil.copytree(before, folder)
        run = runs.open_run(folder)
        error = None
        try:
            with faults.disk(monkeypatch, at, fault) as disk:
                save(run, shapes, 40, best)
        except (faults.Killed, OSError) as raised:
            error = raised
        assert disk.done[at] == operation
        # A manifest that cannot be read once all is saved keeps its arrays from being removed.
        read = re.match(r"open (step-\d+|best)\.json", operation)
        assert error is not None or (read and fault in ("ENOSPC", "EIO"))
        last, best_step = whole(run, shapes)
        assert (last, best_step) in {(30, 10), (40, 40 if best else 10), (40 if best else 30, 40)}
        if isinstance(error, OSError):
            saved = "The checkpoint of step 40 is saved, but an old one could not be removed"
            lost = "The checkpoint of step 40 could not be saved"
            message = sentence(error, folder)
            assert message.startswith(saved) or message.startswith(lost)
            if message.startswith(saved):
                assert last == 40
            kept = re.search(r"(\S+) is kept, and jaxrnn train --out (\S+) --resume", message)
            assert kept[2] == str(folder)
            assert kept[1] == str(run.step_paths()[0])
        assert [line["step"] for line in run.metrics()] == [10, 20, 30]
        run.remove_unfinished()
        assert whole(run, shapes) == (last, best_step)
        if last < 40:
            save(run, shapes, 40, best)
        else:
            save(run, shapes, 50, False)
            save(run, shapes, 60, False)
            assert whole(run, shapes) == (60, best_step)
        if last < 40:
            assert contents(folder) == contents(expected), operation
        shutil.rmtree(folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_start_that_fails_anywhere_can_be_started_again(tmp_path, monkeypatch, shapes, fault):
    expected, folder = tmp_path / "expected", tmp_path / "run"
    done = operations(monkeypatch, lambda: new(expected, shapes))
    for at, operation in enumerate(done):
        error = None
        try:
            with faults.disk(monkeypatch, at, fault):
                new(folder, shapes)
        except (faults.Killed, OSError) as raised:
            error = raised
        if isinstance(error, OSError):
            message = sentence(error, tmp_path)  # the folder's own name is one that it flushes
            if (folder / "config.json").exists():
                assert message.endswith("It is there, but a power cut might take it.")
            else:
                assert message.endswith(" The folder is no run yet.")
        if not (folder / "config.json").exists():
            new(folder, shapes)
        run = runs.open_run(folder)
        assert whole(run, shapes) == (0, 0)
        run.remove_unfinished()
        assert contents(folder) == contents(expected), operation
        shutil.rmtree(folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_resume_that_fails_anywhere_can_be_resumed_again(tmp_path, monkeypatch, shapes, fault):
    before, expected, folder = (tmp_path / name for name in ("before", "expected", "run"))
    new(before, shapes)
    run = runs.open_run(before)
    for step in (10, 20):
        save(run, shapes, step, best=step == 10)
        run.append(record(step))
    run.append(record(30))
    (run.folder / "step-000000030.safetensors").write_bytes(b"whose manifest never came")
    (run.folder / ".step-000000030.json.tmp").write_bytes(b"half")
    (before / ".config.json.tmp").write_bytes(b"half")

    def resume(path):
        old = runs.open_run(path)
        new = dataclasses.replace(old, settings=dataclasses.replace(old.settings, max_steps=77))
        _, facts = runs.restore_last(new, shapes, pytest.fail)
        new.cut_metrics(Journal(**facts), pytest.fail)
        new.remove_unfinished()
        new.write_config()

    shutil.copytree(before, expected)
    done = operations(monkeypatch, lambda: resume(expected))
    assert runs.open_run(expected).settings.max_steps == 77
    for at, operation in enumerate(done):
        shutil.copytree(before, folder)
        error = None
        try:
            with faults.disk(monkeypatch, at, fault):
                resume(folder)
        except (faults.Killed, OSError, BrokenFileError) as raised:
            error = raised
        if isinstance(error, OSError | BrokenFileError):
            assert len(str(error).splitlines()) == 1
            assert str(folder) in str(error)
        run = runs.open_run(folder)
        assert whole(run, shapes) == (20, 10)
        assert [line["step"] for line in run.metrics()] in ([10, 20], [10, 20, 30])
        resume(folder)
        assert contents(folder) == contents(expected), operation
        shutil.rmtree(folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_fails_leaves_those_before(tmp_path, monkeypatch, shapes, fault):
    new(tmp_path / "run", shapes)
    run = runs.open_run(tmp_path / "run")
    run.append(record(10))
    with faults.disk(monkeypatch) as disk:
        run.append(record(20))
    for at in range(len(disk.done)):
        before, error = run.metrics(), None
        try:
            with faults.disk(monkeypatch, at, fault):
                run.append(record(30))
        except faults.Killed:
            run.cut_metrics(Journal(step=30, reported=30), pytest.fail)
        except OSError as raised:
            error = raised
        if error is not None:
            assert "step-000000000.json is kept" in sentence(error, run.metrics_path)
        assert run.metrics()[: len(before)] == before
        assert len(run.metrics()) - len(before) in (0, 1)
        run.append(record(30))


def test_what_is_named_is_on_the_disk_before_its_name(tmp_path, monkeypatch, shapes):
    """The order in which a save flushes and renames; a power cut keeps what was flushed."""
    new(tmp_path / "run", shapes)
    run = runs.open_run(tmp_path / "run")
    for step in (10, 20):
        save(run, shapes, step, best=step == 10)
        run.append(record(step))
    with faults.disk(monkeypatch) as disk:
        save(run, shapes, 30, True)

    def written(name):
        temporary = f".{name}.tmp"
        return [
            f"unlink {temporary}",
            f"open {temporary}",
            f"write {temporary}",
            f"fsync {temporary}",
            f"replace {temporary}",
            "open checkpoints",
            "fsync checkpoints",
        ]

    assert [line for line in disk.done if not re.match(r"open \w.*json$", line)] == [
        *written("step-000000030.safetensors"),
        "open metrics.jsonl",
        "fsync metrics.jsonl",
        *written("best.json"),
        *written("step-000000030.json"),
        "unlink step-000000010.json",
        "unlink step-000000010.safetensors",
    ]
