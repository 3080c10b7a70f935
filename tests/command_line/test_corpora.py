"""Texts of every kind by whole commands: what is read, what is kept, what is refused."""

import dataclasses
import gzip
import io
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest
from saved_runs import checkpoint

from jaxrnn.charlm import plan, runs, supply, text_index
from jaxrnn.command_line import main

pytestmark = pytest.mark.integration

LINES = [f"{number} green bottles hanging on the wall, \n" for number in range(120)]
TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4 --devices 1
    --max-steps 6 --print-every 2 --sample-every 0""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """A folder of four files, in one of which is half of the text in CRLF, and one of Python."""
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    text = "".join(LINES)
    (folder / "a.txt").write_bytes(gzip.compress(text[:1000].encode()))
    (folder / "b.txt").write_bytes(lzma.compress(text[1000:2000].encode()))
    (folder / "sub" / "c.txt").write_bytes(text[2000:].replace("\n", "\r\n").encode())
    (folder / "d.py").write_text("print('no bottles')\n")
    (folder / ".hidden.txt").write_text("hidden §")
    monkeypatch.chdir(tmp_path)
    return folder


def fails(capsys, *arguments):
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jaxrnn: {arguments[0]}: ") or error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1, error
    return error


def pipe(monkeypatch, data):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def trained(out, *arguments):
    assert main(["train", *map(str, arguments), "--out", str(out), *TINY]) == 0
    return runs.open_run(out)


def weights(run):
    return checkpoint(run.step_paths()[0])[0]["state.params.w_hy"].tobytes()


def test_one_text_by_every_way_is_one_run(texts, tmp_path, monkeypatch, capsys):
    whole = tmp_path / "whole.txt"
    whole.write_text("".join(LINES))
    expected = trained(tmp_path / "whole", whole)
    assert expected.characters == len("".join(LINES))
    ways = {
        "folder": ["texts", "--include", "*.txt"],
        "pattern": ["texts/**/*.txt"],
        "files": ["texts/a.txt", "texts/b.txt", "texts/sub/c.txt"],
        "folders": ["texts/[ab].txt", "texts/sub", "--include", "*.txt"],
    }
    for name, arguments in ways.items():
        capsys.readouterr()
        run = trained(tmp_path / name, *arguments)
        assert weights(run) == weights(expected)
        assert all(map(os.path.isabs, run.sources))
        assert (
            r"Line ends \r\n of the text are read as \n; --newlines keep" in capsys.readouterr().out
        )
    pipe(monkeypatch, gzip.compress("".join(LINES).encode()))
    run = trained(tmp_path / "pipe", "-")
    assert weights(run) == weights(expected)
    assert (run.sources, run.indexed) == (("-",), True)
    # From another folder, and by the settings that a run keeps.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in (*ways, "pipe"):
        out = tmp_path / name
        assert main(["train", "--out", str(out), "--resume", "--max-steps", "8"]) == 0
        assert main(["evaluate", str(out), "--split", "train"]) == 0
        assert "perplexity" in capsys.readouterr().out
    assert main(["train", "--config", str(tmp_path / "folders"), "--out", str(tmp_path / "2")]) == 0
    assert runs.open_run(tmp_path / "2").sources == runs.open_run(tmp_path / "folders").sources


def test_line_ends_are_kept_and_read_again_so(texts, tmp_path, capsys, monkeypatch):
    run = trained(tmp_path / "run", "texts/sub/c.txt", "--newlines", "keep")
    assert "\r" in run.vocab
    assert "Line ends" not in capsys.readouterr().out
    assert main(["train", "--out", str(run.path), "--resume", "--max-steps", "8"]) == 0
    assert main(["evaluate", str(run.path), "texts/sub/c.txt"]) == 0
    assert main(["sample", str(run.path), "--length", "5", "--prime", "bottles\r\n"]) == 0
    sampled = capsys.readouterr().out[-5:]
    pipe(monkeypatch, b"bottles\r\n")
    assert main(["sample", str(run.path), "--length", "5", "--prime", "-"]) == 0
    assert capsys.readouterr().out[-5:] == sampled
    unified = trained(tmp_path / "unified", "texts/sub/c.txt")
    assert "\r" not in unified.vocab
    assert main(["evaluate", str(unified.path), "texts/sub/c.txt"]) == 0
    error = fails(capsys, "train", "--out", run.path, "--resume", "--newlines", "unify")
    assert "--newlines: expected keep, as the run" in error


def test_documents(texts, tmp_path, capsys):
    run = trained(tmp_path / "run", "texts/d.py", "texts/sub", "--documents")
    assert run.settings.documents
    apart = trained(tmp_path / "apart", "texts/d.py", "texts/sub", "--no-documents")
    assert weights(run) != weights(apart)
    assert main(["train", "--out", str(run.path), "--resume", "--max-steps", "8"]) == 0
    assert main(["evaluate", str(run.path), "--split", "train"]) == 0
    capsys.readouterr()
    reports = []
    for out in (run.path, apart.path):
        assert main(["evaluate", str(out), "texts/sub", "--include", "*.txt"]) == 0
        reports.append(capsys.readouterr().out)
    assert reports[0] != reports[1]
    error = fails(capsys, "train", "--out", run.path, "--resume", "--no-documents")
    assert "--documents: expected True, as the run" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["texts"], "got the byte 0xff at position 4 of .*texts/bad.txt. Hint"),
        (["empty"], "got .*empty, empty"),
        (["cut.gz"], "a whole gzip file, as its first bytes say, got .*cut.gz, which is cut"),
        (["none"], "expected a folder with files, got .*none, which has none"),
        (["texts", "--include", "*.c"], r"files that fit \*.c, got"),
        (["a*.c"], "which no file fits"),
        (["texts/a.txt", "gone"], "gone, which does not exist"),
        (["texts/a.txt", "--include", "*.c"], "--include: expected a folder among the texts"),
        (["texts/a.txt", "--documents"], "--documents: expected several files"),
        (["--documents"], "--documents: expected a TEXT beside it"),
        (["--newlines", "keep"], "--newlines: expected a TEXT beside it"),
        (["-"], "got standard input, empty"),
        (["--", "-gone"], "got -gone, which does not exist"),
        (["texts/d.py", "texts/d.py"], "TEXT: expected different texts, got .*d.py twice"),
    ],
)  # fmt: skip
def test_bad_texts_are_one_sentence_and_nothing_is_written(
    texts, tmp_path, monkeypatch, capsys, arguments, said
):
    (texts / "bad.txt").write_bytes(b"bad \xff")
    (tmp_path / "empty").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "cut.gz").write_bytes(gzip.compress("".join(LINES).encode())[:-9])
    pipe(monkeypatch, b"")
    before = set(tmp_path.rglob("*"))
    error = fails(capsys, "train", "--out", tmp_path / "run", *TINY, *arguments)
    assert re.search(said, error), error
    assert set(tmp_path.rglob("*")) == before


@pytest.fixture
def on_disk(monkeypatch):
    monkeypatch.setattr(text_index, "IN_MEMORY", 1000)
    monkeypatch.setattr(supply, "ON_DEVICE", 0)
    monkeypatch.setattr(plan, "dispatch_size", lambda run: 2)


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words"])
def test_a_text_on_disk_trains_as_one_in_memory(texts, tmp_path, request, capsys, tokens):
    arguments = ["texts", "--include", "*.txt", "--tokens", tokens]
    in_memory = trained(tmp_path / "memory", *arguments)
    request.getfixturevalue("on_disk")
    run = trained(tmp_path / "disk", *arguments)
    assert (run.indexed, in_memory.indexed) == (True, False)
    assert weights(run) == weights(in_memory)
    capsys.readouterr()
    for split in ("train", "validation"):
        reports = []
        for out in (in_memory.path, run.path):
            assert main(["evaluate", str(out), "--split", split, "--ngram", "3"]) == 0
            reports.append(capsys.readouterr().out.splitlines()[1:])
        # On disk, what an unknown word was is lost, and with it how many characters it had.
        assert reports[0][:4] == reports[1][:4]
        assert tokens == "words" or reports[0] == reports[1]
    for out in (in_memory.path, run.path):
        assert main(["train", "--out", str(out), "--resume", "--max-steps", "13"]) == 0
    assert weights(runs.open_run(run.path)) == weights(runs.open_run(in_memory.path))


@pytest.mark.usefixtures("on_disk")
def test_a_change_of_a_text_on_disk_is_noticed_and_its_loss_survived(texts, tmp_path, capsys):
    run = trained(tmp_path / "run", "texts", "--include", "*.txt")
    resume = ["train", "--out", str(run.path), "--resume", "--max-steps", "8"]
    text = (texts / "sub" / "c.txt").read_bytes()
    for changed in (text + b"x", text.replace(b"wall", b"walk", 1), text[:-2]):
        (texts / "sub" / "c.txt").write_bytes(changed)
        assert "which differs from it" in fails(capsys, *resume)
    error = fails(capsys, "train", texts / "d.py", *resume[1:])
    assert "expected the text that" in error
    (texts / "sub" / "c.txt").write_bytes(text)
    (texts / "more.txt").write_text("more")
    assert "which differs from it" in fails(capsys, *resume)
    (texts / "more.txt").unlink()
    texts.rename(tmp_path / "moved")
    assert main(resume) == 0
    assert "is gone; the run goes on with its index" in capsys.readouterr().out
    resume[-1] = "10"
    assert main([*resume, str(tmp_path / "moved")]) == 0
    damaged = run.path / "text.tokens"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    resume[-1] = "12"
    assert "text.tokens was altered since it was written" in fails(capsys, *resume)


@pytest.mark.usefixtures("on_disk")
def test_a_start_that_fails_leaves_no_index(texts, tmp_path, capsys):
    out = tmp_path / "run"
    error = fails(capsys, "train", texts / "sub", "--out", out, *TINY, "--seq-length", "4000")
    assert "to train on" in error
    assert not out.exists()
    # One that was killed leaves files, of which the next takes none.
    out.mkdir()
    for name in ("text.tokens", "text.json", "text.documents", ".text.characters.tmp"):
        (out / name).write_bytes(b"left")
    trained(out, texts / "a.txt", "--seq-length", "5", "--batch-size", "2")
    left = {path.name for path in out.iterdir()}
    assert not {name for name in left if "text" in name}


def test_an_index_that_is_lost_is_made_again_from_the_text(texts, tmp_path, capsys):
    run, other = (trained(tmp_path / name, texts / "sub") for name in ("run", "other"))
    dataclasses.replace(run, indexed=True).write_config()
    assert json.loads((run.path / "config.json").read_text())["text"]["indexed"] is True
    steps = ("--max-steps", "8")
    assert main(["train", "--out", str(run.path), "--resume", *steps]) == 0
    said = capsys.readouterr().out
    assert "text.json is not there, the index of the run's text. It is made again" in said
    assert main(["train", "--out", str(other.path), "--resume", *steps]) == 0
    assert weights(runs.open_run(run.path)) == weights(runs.open_run(other.path))
    (run.path / "text.tokens").write_bytes(b"")
    texts.rename(tmp_path / "moved")
    assert "text.tokens has 0 bytes" in fails(capsys, "train", "--out", run.path, "--resume")


def test_a_pattern_is_found_again_in_a_folder_whose_name_has_brackets(
    texts, tmp_path, capsys, monkeypatch
):
    texts.rename(tmp_path / "te[xt]s")
    monkeypatch.chdir(tmp_path / "te[xt]s")
    run = trained(tmp_path / "run", "*.txt")
    monkeypatch.chdir(tmp_path)
    other = trained(tmp_path / "other", "te[[]xt]s/*.txt")
    assert weights(other) == weights(run)
    assert main(["train", "--out", str(run.path), "--resume", "--max-steps", "8"]) == 0
    assert main(["evaluate", str(run.path)]) == 0
    error = fails(capsys, "train", "te[xt]s/*.txt", "--out", tmp_path / "none", *TINY)
    assert "which no file fits. Hint: in a pattern a [ of a name is written [[]" in error


@pytest.mark.skipif(os.name != "posix", reason="signals, and files that are removed while open")
def test_a_signal_while_indexing_leaves_nothing_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_text("".join(LINES))
    program = f"""
        import os, signal, sys, time
        from jaxrnn.charlm import files, text_index
        from jaxrnn.command_line import main, stop_requests
        text_index.IN_MEMORY = 100
        write = files.write_atomically

        def interrupted(path, data):
            def parts():
                for part in data:
                    yield part
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(30)
            write(path, parts())

        files.write_atomically = interrupted
        stop_requests.end_at_once()
        main(["train", {str(tmp_path / "a.txt")!r}, "--out", {str(tmp_path / "run")!r}])
        """
    code = textwrap.dedent(program)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert ended.stderr == "jaxrnn: stopped by SIGTERM.\n"
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
