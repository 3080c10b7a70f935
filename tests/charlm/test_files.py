"""Files are replaced whole, and what is not a regular file is not opened."""

import os
import socket

import pytest

from jaxrnn.charlm import files
from jaxrnn.charlm.files import BrokenFileError


def test_writing_replaces_whole_files_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")
    files.write_atomically(path, [b"n", b"ew"])
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_failed_write_keeps_the_old_file_and_names_it(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    files.write_atomically(path, b"old")

    def no_space(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, call, no_space)
        with pytest.raises(OSError, match=r"No space left on device: '.*file'") as caught:
            files.write_atomically(path, b"new")
    assert caught.value.errno == 28
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_writing_is_given_may_fail_too(tmp_path):
    def parts():
        yield b"n"
        raise ZeroDivisionError

    path = tmp_path / "file"
    files.write_atomically(path, b"old")
    with pytest.raises(ZeroDivisionError):
        files.write_atomically(path, parts())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_in_the_way_are_replaced_and_not_followed(tmp_path):
    outside, path = tmp_path / "outside", tmp_path / "file"
    outside.write_bytes(b"precious")
    path.symlink_to(outside)
    (tmp_path / ".file.tmp").symlink_to(outside)
    files.write_atomically(path, b"new")
    assert outside.read_bytes() == b"precious"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()


def test_a_folder_that_cannot_be_flushed_is_no_fault(tmp_path, monkeypatch):
    def no_such_call(descriptor):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", no_such_call)
    files.sync_folder(tmp_path)


def test_reading_stops_at_what_is_no_regular_file(tmp_path):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "file").write_bytes(b"1234")
    os.mkfifo(tmp_path / "a fifo")
    (tmp_path / "a link").symlink_to(tmp_path / "file")
    (tmp_path / "a link to itself").symlink_to(tmp_path / "a link to itself")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "a socket"))
        for name in ("a folder", "a fifo", "a link", "a link to itself", "a socket"):
            with pytest.raises(BrokenFileError) as caught:
                files.read_bytes(tmp_path / name, 10)
            kind = "a link" if name == "a link to itself" else name
            assert str(caught.value) == f"{tmp_path / name} is {kind}, where a run has a " + (
                "regular file."
            )
    with pytest.raises(BrokenFileError, match=r"/dev/zero is a device"):
        files.read_bytes(files.Path("/dev/zero"), 10)
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "nothing", 10)
    assert files.read_bytes(tmp_path / "file", 4) == b"1234"
    with pytest.raises(BrokenFileError, match="more than 3 bytes"):
        files.read_bytes(tmp_path / "file", 3)


def test_a_link_that_came_between_looking_and_opening(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setattr(files, "_check_regular", lambda path, status: None)
    with pytest.raises(BrokenFileError, match="is a link"):
        files.open_regular(tmp_path / "link")


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")

    def broken(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "open", broken)
    with pytest.raises(BrokenFileError, match=r"file cannot be read: Input/output error"):
        files.read_bytes(path, 10)


def test_a_folder_must_be_one(tmp_path):
    files.check_folder(tmp_path)
    files.check_folder(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(BrokenFileError, match="no folder"):
        files.check_folder(tmp_path / "file")
    with pytest.raises(BrokenFileError, match="a link"):
        files.check_folder(tmp_path / "link")


def test_more_than_the_machine_has(tmp_path):
    files.check_memory(tmp_path, 10**6)
    with pytest.raises(BrokenFileError, match=r"needs 1,000,000\.0 GB"):
        files.check_memory(tmp_path, 10**15)
