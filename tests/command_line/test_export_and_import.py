"""`jaxrnn export` and `jaxrnn import`: the same text elsewhere, and refusals in a sentence."""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib

import numpy as np
import onnxruntime
import pytest
from exchange.test_onnx_steps import greedy
from safetensors.numpy import load_file, save_file

from jaxrnn import charlm, exchange
from jaxrnn.command_line import main

pytestmark = pytest.mark.integration

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 40 --sample-every 0""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "bottles.txt").write_text(TEXT)
    run = folder / "run"
    assert main(["train", str(folder / "bottles.txt"), "--out", str(run), *TINY]) == 0
    return run


def said(capsys, *arguments):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments):
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1, error
    return error


def test_onnxruntime_writes_what_sample_writes(trained, capsys, tmp_path):
    file = tmp_path / "model.ONNX"
    assert f"{file}: 1 × 8 elman, step 40 of {trained}." in said(capsys, "export", trained, file)
    assert [path.name for path in tmp_path.iterdir()] == ["model.ONNX"]
    with pytest.raises(ValueError, match="a character model's step, which jaxrnn export wrote"):
        exchange.from_onnx(file)
    session = onnxruntime.InferenceSession(file)
    about = json.loads(session.get_modelmeta().custom_metadata_map["jaxrnn"])
    expected = said(capsys, "sample", trained, "--greedy", "--length", 500, "--prime", "7 gr")
    assert expected == "7 gr" + greedy(session, about, 500, "7 gr") + "\n"
    assert str(trained.parent).encode() not in file.read_bytes()


def test_there_and_back(trained, capsys, tmp_path):
    file, again = tmp_path / "model.safetensors", tmp_path / "again"
    said(capsys, "export", trained, file)
    assert str(trained.parent).encode() not in file.read_bytes()
    with pytest.raises(ValueError, match=r"is of a run.* jaxrnn import makes a run of it"):
        exchange.load_safetensors(file)
    told = said(capsys, "import", file, "--out", again)
    assert "training cannot resume from it" in told
    assert f"--init-from {again}" in told
    sampled = said(capsys, "sample", trained, "--length", 100)
    assert said(capsys, "sample", again, "--length", 100) == sampled
    before, after = charlm.load(trained), charlm.load(again)
    assert (before.config, before.vocab) == (after.config, after.vocab)
    for one, other in zip(before.params.layers[0], after.params.layers[0], strict=True):
        np.testing.assert_array_equal(one, other)
    text = trained.parent / "bottles.txt"
    lines = [said(capsys, "evaluate", run, text).splitlines() for run in (trained, again)]
    ours, theirs = ([line.split() for line in some if "the model" in line] for some in lines)
    assert ours == theirs
    assert ours
    second = tmp_path / "second.safetensors"
    said(capsys, "export", again, second)
    assert second.read_bytes() == file.read_bytes()
    for named in ([], [text]):
        refused = fails(capsys, "train", *named, "--out", again, "--resume")
        assert "train: --resume: expected a run that was trained here" in refused
        assert f"jaxrnn train TEXT --init-from {again} starts a new run" in refused
    assert "name a text: --text FILE" in fails(capsys, "show", again)
    assert "name a text: jaxrnn evaluate" in fails(capsys, "evaluate", again)
    capsys.readouterr()
    assert main(["evaluate", str(again), str(text)]) == 0
    assert capsys.readouterr().err == (
        "There are no n-grams to compare with: expected a text, since the run was imported without "
        "its own, got none.\n"
    )
    settings = tomllib.loads((again / "settings.toml").read_text())
    assert "text" not in settings
    assert settings["rnn_size"] == 8


def test_a_run_of_words(capsys, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    run, again = tmp_path / "run", tmp_path / "again"
    said(capsys, "train", tmp_path / "text.txt", "--out", run, *TINY, "--tokens", "words")
    said(capsys, "export", run, tmp_path / "m.safetensors")
    said(capsys, "export", run, tmp_path / "m.onnx")
    assert "different words" in said(capsys, "import", tmp_path / "m.safetensors", "--out", again)
    assert said(capsys, "sample", again) == said(capsys, "sample", run)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["jaxrnn"])
    assert about["vocabulary"] == charlm.load(run).vocab.to_json()


def test_nothing_is_overwritten(trained, capsys, tmp_path):
    for name in ("model.onnx", "model.safetensors"):
        (tmp_path / name).write_text("mine")
        error = fails(capsys, "export", trained, tmp_path / name)
        assert f"export: FILE: expected a new file, got {tmp_path / name}, which exists." in error
        assert (tmp_path / name).read_text() == "mine"
    file, out = tmp_path / "other.safetensors", tmp_path / "mine"
    said(capsys, "export", trained, file)
    out.mkdir()
    (out / "notes").write_text("mine")
    assert "--out: expected a new folder" in fails(capsys, "import", file, "--out", out)
    assert [path.name for path in out.iterdir()] == ["notes"]
    notes = out / "notes"
    assert f"{notes}, which is a file" in fails(capsys, "import", file, "--out", notes)
    error = fails(capsys, "import", file, "--out", notes / "run")
    assert f"import: --out: expected a new folder, got {notes / 'run'}, where {notes} is" in error


def test_an_import_that_was_killed_or_failed_can_be_repeated(
    trained, capsys, tmp_path, monkeypatch
):
    file, out = tmp_path / "model.safetensors", tmp_path / "in" / "out"
    said(capsys, "export", trained, file)
    replace = os.replace
    left = []

    def stopped(source, target):
        if len(left) == stop_after:
            raise error
        left.append(target)
        replace(source, target)

    error = OSError(errno.ENOSPC, "No space left on device")
    for stop_after in range(6):
        left.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stopped)
            assert main(["import", str(file), "--out", str(out)]) == 2
        assert "jaxrnn: " in capsys.readouterr().err
        assert not (out / "config.json").exists()
        if stop_after < 5:
            assert not out.parent.exists(), stop_after
    kill = f"""
        import os
        from jaxrnn.command_line import main
        replace, left = os.replace, []
        def stopped(source, target):
            left.append(target)
            if len(left) == 4:
                os._exit(9)
            replace(source, target)
        os.replace = stopped
        main(["import", {str(file)!r}, "--out", {str(out)!r}])
        """
    shutil.rmtree(out.parent, ignore_errors=True)
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(kill)], capture_output=True)
    assert ended.returncode == 9
    assert [path.name for path in out.parent.iterdir()] == [".out.tmp"]
    out.mkdir()
    said(capsys, "import", file, "--out", out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert said(capsys, "sample", out) == said(capsys, "sample", trained)
    assert ".lock" not in {path.name for path in out.iterdir()}


def test_what_is_not_exported(trained, capsys, tmp_path):
    assert "a name that ends .onnx or .safetensors" in fails(capsys, "export", trained, "model.bin")
    assert "the folder of a run" in fails(capsys, "export", tmp_path, tmp_path / "model.onnx")
    error = fails(capsys, "export", trained, tmp_path)
    inside = tmp_path / "model.onnx"
    assert f"export: FILE: expected a file, got the folder {tmp_path}. Hint: name {inside}" in error
    assert "FILE: expected a file, got an empty name" in fails(capsys, "export", trained, "")
    (tmp_path / "file").touch()
    error = fails(capsys, "export", trained, tmp_path / "file" / "model.onnx")
    assert "FILE: expected a file in a folder" in error


def test_what_is_not_imported(trained, capsys, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def refused(file):
        error = fails(capsys, "import", file, "--out", out)
        assert not out.exists()
        return error

    assert "weights_only=True" in refused("model.pth")
    assert "Torch7" in refused("cv/lm_lstm.t7")
    assert "a step for other programs" in refused("model.onnx")
    assert "There is no file" in refused(tmp_path / "none.safetensors")
    file = tmp_path / "model.safetensors"
    save_file({"weight_hh_l0": np.zeros((12, 4), np.float32)}, file)
    assert "is not of a run" in refused(file)
    file.unlink()
    said(capsys, "export", trained, file)
    whole, arrays = file.read_bytes(), load_file(file)
    for length in (0, 7, 100, 2000, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert str(file) in refused(file)
    size = int.from_bytes(whole[:8], "little")
    about = json.loads(whole[8 : 8 + size])["__metadata__"]["jaxrnn"]

    def rewritten(change, **changed):
        content = json.loads(about)
        change(content)
        kept = {k: v for k, v in (arrays | changed).items() if v is not None}
        save_file(kept, file, metadata={"jaxrnn": json.dumps(content)})
        return refused(file)

    assert "no params.w_hy" in rewritten(lambda said: None, **{"params.w_hy": None})
    nan = {"params.b_y": arrays["params.b_y"] * np.float32("nan")}
    assert "not finite" in rewritten(lambda said: None, **nan)
    assert "the format 7" in rewritten(lambda said: said.update(format=7))
    assert "an unknown 'more'" in rewritten(lambda said: said.update(more=1))
    assert "does not describe a model" in rewritten(lambda said: said["settings"].update(model="x"))
    assert "instead of float32" in rewritten(lambda said: said["settings"].update(rnn_size=9))
    assert "does not describe" in rewritten(lambda said: said["vocabulary"].update(kind="runes"))
    assert "--loss: expected one of" in rewritten(lambda said: said["settings"].update(loss="x"))
    assert "expected bytes, the tokens" in rewritten(lambda s: s["settings"].update(tokens="bytes"))
    monkeypatch.setattr("os.sysconf", lambda name: 1000)  # a megabyte in all
    large = {"batch_size": 2**20}
    assert "GB of memory" in rewritten(lambda said: said["settings"].update(large))
