"""One training at a time in a folder, whatever ends it."""

import json
import os
import signal
import socket

import pytest
from lock_holder import held_by_another

from jaxrnn.charlm import lock as locks
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.charlm.lock import LockedError, lock


def test_another_process_is_named_and_its_lock_goes_with_it(tmp_path):
    folder = tmp_path / "run"
    with held_by_another(folder) as process:
        with pytest.raises(LockedError) as caught:
            lock(folder)
        assert str(caught.value) == (
            "train: --out: expected a folder that no other process trains in, got "
            f"{folder}, where process {process.pid} on {socket.gethostname()} trains. "
            "Hint: wait for it, end it, or name another folder"
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (folder / ".lock").exists()
        with lock(folder):
            assert json.loads((folder / ".lock").read_text())["process"] == os.getpid()


def test_the_same_process_cannot_train_twice_in_a_folder_either(tmp_path):
    with lock(tmp_path), pytest.raises(LockedError, match=f"process {os.getpid()} on"):
        lock(tmp_path)
    with lock(tmp_path):
        pass


def test_nothing_is_left_of_it(tmp_path):
    with lock(tmp_path / "new" / "run"):
        assert (tmp_path / "new" / "run" / ".lock").exists()
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    with lock(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())
    with lock(tmp_path / "other"):
        (tmp_path / "other" / "config.json").touch()
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["config.json"]
    held = lock(tmp_path)
    held.release()
    held.release()


def test_a_lock_whose_file_was_removed_as_it_was_taken_is_none(tmp_path, monkeypatch):
    original, times = locks._take, []

    def take(descriptor, path, note):
        original(descriptor, path, note)
        times.append(descriptor)
        if len(times) == 1:
            (path / ".lock").unlink()  # as the one that held it does at its end
        if len(times) == 2:
            (path / ".lock").unlink()
            (path / ".lock").touch()  # and somebody took it anew

    monkeypatch.setattr(locks, "_take", take)
    with lock(tmp_path):
        assert len(times) == 3
        with pytest.raises(LockedError):
            lock(tmp_path)


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"process": "x", "host": "h"}',
        b'{"process": 1, "host": "\\u001b[2J"}',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_a_holder_that_says_nothing_is_another_process(tmp_path, says):
    with lock(tmp_path):
        (tmp_path / ".lock").write_bytes(says)
        with pytest.raises(LockedError, match="where another process trains"):
            lock(tmp_path)


def test_a_file_system_without_locks_is_noted(tmp_path, monkeypatch):
    def none_here(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", none_here)
    notes = []
    with lock(tmp_path, notes.append):
        assert "has no locks (No locks available), so nothing keeps a second" in notes[0]


def test_a_system_without_locks_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    notes = []
    with lock(tmp_path, notes.append):
        assert "This system has no file locks, so nothing keeps a second" in notes[0]


def test_a_lock_that_a_stranger_made_is_not_followed(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "run"
    folder.mkdir()
    outside.write_bytes(b"precious")
    (folder / ".lock").symlink_to(outside)
    with pytest.raises(BrokenFileError, match=r"\.lock is a link"):
        lock(folder)
    assert outside.read_bytes() == b"precious"
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(BrokenFileError, match=r"\.lock is a fifo"):
        lock(folder)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"expected a new folder.*which is a file"):
        lock(tmp_path / "file")
