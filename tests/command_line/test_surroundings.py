"""Output that nobody reads, names that are no text, no home, a full disk: one sentence or none."""

import io
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager

import jax
import pytest
import saved_runs

from jaxrnn import command_line
from jaxrnn.charlm import runs
from jaxrnn.charlm.files import UnsavedError
from jaxrnn.command_line import main, progress, standard_streams
from jaxrnn.command_line.compilation_cache import cache_folder, use_compilation_cache
from jaxrnn.microscope.pages.html import write_file, write_page

resource = pytest.importorskip("resource", reason="limits of POSIX systems")

TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4 --devices 1
    --max-steps 12 --print-every 4 --sample-length 20""".split()  # noqa: SIM905
# A container's user: no name, so that without HOME asking for the home folder is an error.
NAMELESS = """
import pwd
def getpwuid(number):
    raise KeyError(number)
pwd.getpwuid = getpwuid
"""


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is buffered fails at the exit
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "bottles.txt"
    lines = (f"{number} grüne Flaschen × an der Wand … \n" for number in range(150))
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    with jax.numpy_dtype_promotion("standard"):
        assert main(["train", str(text), "--out", str(out), *TINY]) == 0
    return out


@contextmanager
def largest_file(size):
    """No file grows beyond that many bytes, as on a disk that becomes full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def the_sentence(capsys):
    error = capsys.readouterr().err
    assert error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1
    return error


def start(*arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxrnn", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


class Failing(io.StringIO):
    """A stream on which nobody listens."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def test_output_that_fails_is_told_once_or_ends_a_filter(monkeypatch):
    error = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Failing())
    monkeypatch.setattr(sys, "stderr", error)
    with standard_streams.guarded("train"):
        for _ in range(3):
            print("step")
    assert error.getvalue() == (
        "jaxrnn: nobody reads standard output any more; train goes on without it.\n"
    )
    with (
        pytest.raises(BrokenPipeError, match="standard output"),
        standard_streams.guarded(None),
    ):
        print("a sample")
    assert isinstance(sys.stdout, Failing)
    monkeypatch.setattr(sys, "stderr", Failing())
    with standard_streams.guarded("train"):
        print("step")
        print("a note", file=sys.stderr)


@pytest.mark.integration
def test_training_goes_on_unread_unnamed_homeless_and_in_ascii(text, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NAMELESS)
    out = os.fsencode(tmp_path / "run-") + b"\xff\xe9"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "XDG_CACHE_HOME", "PYTHONPATH")
    }
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment |= {"PYTHONPATH": path, "PYTHONIOENCODING": "ascii"}
    less = ("--val-frac", "0", "--sample-every", "0")  # there is nowhere to keep what is compiled
    child = start("train", text, "--out", out, *TINY[:-2], *less, env=environment)
    first = child.stdout.readline()
    child.stdout.close()
    error = child.stderr.read()
    assert child.wait() == 0, error
    child.stderr.close()
    assert b"1 \\xd7 8 elman" in first
    assert b"run-\\udcff\\udce9" in first
    cache, unread = error.splitlines()
    assert b"Compiled programs are not kept" in cache
    assert b"there is no home folder" in cache
    assert unread == b"jaxrnn: nobody reads standard output any more; train goes on without it."
    run = runs.open_run(os.fsdecode(out))
    assert saved_runs.checkpoint(run.step_paths()[0])[1]["step"] == 12
    child = start("show", out, "--view", "training", env=environment)
    written, error = child.communicate()
    assert child.returncode == 0, error
    assert b"run-\\udcff\\udce9/training.html" in written
    assert "</html>" in (run.path / "training.html").read_text(encoding="utf-8")


@pytest.mark.integration
def test_a_sample_whose_reader_leaves_ends_in_silence(trained):
    child = start("sample", str(trained), "--length", "9999999")
    assert child.stdout.read(10)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait() == 0
    child.stderr.close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("command", "closed", "code", "said"),
    [
        ("show {} --view training --out {}.html", "<&- >&- 2>&-", 0, b""),
        ("sample {} --length 5", ">&-", 2, b"jaxrnn: standard output cannot be used: Bad file"),
    ],
)
def test_closed_streams(command, closed, code, said, trained, tmp_path):
    arguments = command.format(trained, tmp_path / "page")
    done = subprocess.run(
        f"'{sys.executable}' -m jaxrnn {arguments} {closed}",
        shell=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) <= 1
    if "html" in arguments:
        assert "</html>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_pages_are_written_whole_or_not_at_all(tmp_path):
    page = tmp_path / "folder" / "page.html"
    write_page(page, "<p>\udcff")
    assert page.read_bytes() == b"<p>\\udcff"
    kept = "page.html could not be written: File too large; the file that was there is kept"
    with largest_file(100), pytest.raises(UnsavedError, match=kept):
        write_page(page, "x" * 101)
    assert page.read_bytes() == b"<p>\\udcff"
    assert os.listdir(page.parent) == ["page.html"]
    (tmp_path / "link.html").symlink_to(page)
    write_page(tmp_path / "link.html", "new")
    assert page.read_text() == "new"
    assert (tmp_path / "link.html").is_symlink()


def test_a_fifo_or_a_device_is_not_replaced(tmp_path):
    fifo = tmp_path / "page.html"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write_file(fifo, b"a page")
    reader.join(10)
    assert read == [b"a page"]
    assert fifo.is_fifo()


def test_a_picture_on_a_full_disk(tmp_path):
    canvas = pytest.importorskip("jaxrnn.microscope.figures.canvas")
    place = tmp_path / "a.png"
    with largest_file(100), pytest.raises(UnsavedError) as raised:
        canvas.save(lambda axes: axes.plot([0, 1]), place)
    assert str(raised.value) == f"{place} could not be written: File too large."
    assert os.listdir(tmp_path) == []


@pytest.mark.integration
def test_training_on_a_disk_that_becomes_full(text, tmp_path, capsys):
    out = tmp_path / "run"
    options = [*TINY, "--max-steps", "200", "--print-every", "1", "--eval-val-every", "40"]
    with largest_file(20_000):
        assert main(["train", str(text), "--out", str(out), *options]) == 2
    error = the_sentence(capsys)
    assert "metrics.jsonl could not be written: File too large" in error
    assert f"is kept, and jaxrnn train --out {out} --resume goes on from it" in error
    assert main(["train", "--out", str(out), "--resume"]) == 0
    assert saved_runs.checkpoint(runs.open_run(out).step_paths()[0])[1]["step"] == 200


def test_a_run_that_is_removed_while_it_trains(text, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    show = progress.Progress.show

    def remove_at_the_second(self, record):
        show(self, record)
        if record["step"] == 8:
            shutil.rmtree(out, ignore_errors=True)

    monkeypatch.setattr(progress.Progress, "show", remove_at_the_second)
    assert main(["train", str(text), "--out", str(out), *TINY]) == 2
    assert str(out) in the_sentence(capsys)


def test_folders_that_cannot_be_made(text, trained, capsys):
    (trained / "file").write_text("")
    place = str(trained / "file" / "run")
    assert main(["train", str(text), "--out", place, *TINY]) == 2
    assert place in the_sentence(capsys)
    assert main(["show", str(trained), "--out", f"{place}.html"]) == 2
    assert place in the_sentence(capsys)


def test_compiled_programs_without_a_place(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    use_compilation_cache()
    error = capsys.readouterr().err
    assert error.startswith("Compiled programs are not kept")
    assert len(error.splitlines()) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="no home folder"):
        cache_folder()
    assert not (tmp_path / "none").exists()


def test_a_fault_of_its_own_is_a_sentence_too(monkeypatch, capsys):
    def run(options):
        return {}["facts"]

    monkeypatch.delenv("JAXRNN_TRACEBACK", raising=False)
    monkeypatch.setattr("jaxrnn.command_line.gradcheck.run", run)
    assert main(["gradcheck"]) == command_line.OWN_FAULT
    error = the_sentence(capsys)
    assert "a fault of its own: KeyError: 'facts'" in error
    assert os.path.basename(__file__) in error
    monkeypatch.setenv("JAXRNN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["gradcheck"])
