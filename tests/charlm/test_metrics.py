"""metrics.jsonl: lines are added whole, cut where a run goes on, and read with their numbers."""

import json
import os
import resource

import pytest

from jaxrnn.charlm import metrics
from jaxrnn.charlm.files import BrokenFileError

RECORDS = [
    {"step": step, "epoch": step / 10, "seconds": 1.5, **more}
    for step, more in enumerate(({"loss": 2.0}, {"sample": "[{\ud800]"}, {"best": True}, {}))
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for record in RECORDS:
        metrics.append(path, record)
    return path


def test_what_is_added_is_read(path):
    assert metrics.read(path) == RECORDS
    metrics.sync(path)
    metrics.sync(path.with_name("nothing"))


def test_a_full_disk_leaves_the_lines_that_were_there(path):
    before = path.read_bytes()
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit of the process instead of the disk's: a write takes a part, the next one fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match=r"File too large.*metrics\.jsonl"):
            metrics.append(path, RECORDS[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def test_cutting_keeps_the_bytes_of_what_stays(path):
    lines = path.read_bytes().splitlines(keepends=True)
    with open(path, "ab") as file:
        file.write(b'{"step": 6')
    metrics.cut(path, lambda record: record["step"] <= 2, pytest.fail)
    assert path.read_bytes() == b"".join(lines[:3])
    metrics.cut(path.with_name("nothing"), lambda record: True, pytest.fail)


def test_a_last_line_without_its_end_stays_where_it_is_whole(path):
    path.write_bytes(path.read_bytes()[:-1])
    assert metrics.read(path) == RECORDS
    metrics.cut(path, lambda record: True, pytest.fail)
    metrics.append(path, RECORDS[0])
    assert metrics.read(path) == [*RECORDS, RECORDS[0]]


WRONG = [
    (b"{}", "no 'step', no 'epoch', no 'seconds'"),
    (b"[]", "no object"),
    (b'{"step": true, "epoch": 1, "seconds": 1}', "True as 'step'"),
    (b'{"step": -1, "epoch": 1, "seconds": 1}', "below 0"),
    (b'{"step": 1, "epoch": 1, "seconds": 1, "loss": null}', "None as 'loss'"),
    (b'{"step": 1, "epoch": NaN, "seconds": 1}', "NaN"),
    (b'{"step": 1, "epoch": 1, "seconds": 1, "sample": 3}', "3 as 'sample'"),
    (b'{"step": 1, "step": 1, "epoch": 1, "seconds": 1}', "twice"),
    (b"[" * 10**6, "too deep"),
    (b'{"sample": ' + b"[" * 10**6, "nested too deeply"),
    (b"\xff", "can't decode"),
    (b"", "Expecting value"),
    (b"\0" * 4096, "Expecting value"),
    (b" " * (metrics.LARGEST_LINE + 7), "longer than 16,777,216 bytes"),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_line_that_is_no_record(path, line, words):
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line, b"\n", *lines[2:]]))
    with pytest.raises(BrokenFileError, match=r"metrics\.jsonl, line 3: ") as caught:
        metrics.read(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))
    notes = []
    metrics.cut(path, lambda record: True, notes.append)
    (note,) = notes
    assert f"{path}: a line that cannot be read was dropped. line 3: " in note
    assert words in note
    assert path.read_bytes() == whole


def test_several_such_lines_are_counted(path):
    path.write_bytes(b"x\n" + path.read_bytes() + b"y\nz")
    notes = []
    metrics.cut(path, lambda record: True, notes.append)
    assert "the first of 2 such lines. line 1: " in notes[0]
    assert metrics.read(path) == RECORDS


def test_a_file_too_large_to_show(path):
    os.truncate(path, metrics.LARGEST_READ + 1)
    with pytest.raises(BrokenFileError, match="134,217,729 bytes"):
        metrics.read(path)


def test_a_link_is_not_written_through(path):
    outside = path.with_name("outside")
    path.rename(outside)
    path.symlink_to(outside)
    before = outside.read_bytes()
    for call in (
        lambda: metrics.append(path, RECORDS[0]),
        lambda: metrics.sync(path),
        lambda: metrics.read(path),
        lambda: metrics.cut(path, lambda record: True, pytest.fail),
    ):
        with pytest.raises(BrokenFileError, match="is a link"):
            call()
    assert outside.read_bytes() == before


def test_numbers_that_are_not_finite_are_not_written(path):
    with pytest.raises(ValueError, match="Out of range"):
        metrics.append(path, {"loss": float("inf")})
    assert metrics.read(path) == RECORDS
    assert json.loads(path.read_text().splitlines()[-1]) == RECORDS[-1]
