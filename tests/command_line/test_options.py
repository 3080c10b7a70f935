"""Options that a newcomer tries: other spellings, files of settings, pairs of which one is idle."""

import codecs
import contextlib
import io
import re
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import saved_runs

from jaxrnn.charlm import runs
from jaxrnn.charlm.settings import PRESETS, Settings
from jaxrnn.charlm.settings_toml import settings_toml
from jaxrnn.command_line import in_options, main, train
from jaxrnn.command_line.settings_file import read_settings
from jaxrnn.command_line.train_settings import choose_settings

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 12 --print-every 4 --sample-length 20""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "bottles.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(text), "--out", str(out), *TINY, "--lr", "3e-2"]) == 0
    return out


def fails(capsys, *arguments):
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1
    return error


def written(capsys, *arguments):
    assert main(["sample", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_spellings(trained, capsys):
    settings = runs.open_run(trained).settings
    assert settings.learning_rate == 3e-2
    words = "--max-steps 1e4 --rnn-size 1e2,64 --seed 1e3 --devices 2e0 --seq-length 64.0"
    given = vars(train.make_parser().parse_args(words.split()))
    assert given == {
        "max_steps": 10_000,
        "rnn_size": (100, 64),
        "seed": 1000,
        "devices": 2,
        "seq_length": 64,
    }
    assert all(type(given[name]) is int for name in ("max_steps", "seed", "devices"))
    assert len(written(capsys, trained, "--length", "1e1", "--prime", "9")) == 1 + 10 + 1
    for number in ("1.5", "1e-1", "nan", "inf", "1e300", "ten"):
        with pytest.raises(SystemExit):
            main(["train", "--max-steps", number])
        assert f"whole number such as 500 or 1e4, got {number}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named", "because"),
    [
        ("--learning-rate-decay 0.9", "--learning-rate-decay", "--schedule cosine"),
        ("--learning-rate-decay-after 3", "--learning-rate-decay-after", "--schedule cosine"),
        ("--optimizer sgd --decay-rate 0.9", "--decay-rate", "--optimizer sgd"),
        ("--optimizer adam --weight-decay 0.1", "--weight-decay", "adamw"),
        ("--sample-every 0", "--sample-length", "--sample-every 0"),
        ("--init-from {run} --initializer normal:0.1", "--initializer", "--init-from"),
    ],
)
def test_no_option_of_train_is_ignored(options, named, because, trained, text, tmp_path, capsys):
    options = options.format(run=trained).split()
    error = fails(capsys, "train", text, "--out", tmp_path / "run", *TINY, *options)
    assert f"train: {named}: expected no such option beside" in error
    assert because in error
    assert not (tmp_path / "run").exists()


def test_a_warm_up_that_is_cut_short_is_said(text, tmp_path, capsys):
    arguments = ["train", str(text), *TINY, "--warmup-steps"]
    assert main([*arguments, "2", "--out", str(tmp_path / "cut")]) == 0
    told = capsys.readouterr().out
    assert "The rate rises over a tenth of the run, 1, not over 2 steps" in told
    assert main([*arguments, "1", "--out", str(tmp_path / "whole")]) == 0
    assert "rises" not in capsys.readouterr().out


def test_an_encoding_of_no_text(capsys):
    assert "train: --encoding" in fails(capsys, "train", "--encoding", "latin-1")
    assert "show: --encoding" in fails(capsys, "show", "no-run", "--encoding", "latin-1")
    assert "demo: --encoding" in fails(capsys, "demo", "gradients", "--encoding", "latin-1")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--greedy --temperature 2", "--temperature"),
        ("--sample 0 --temperature 2", "--temperature"),
        ("--greedy --sample 1", "--sample"),
        ("--greedy --top-k 3", "--top-k"),
        ("--temperature 0 --top-p 0.5", "--top-p"),
        ("--greedy --count 2", "--count"),
        ("--greedy --seed 5", "--seed"),
    ],
)
def test_no_option_of_sample_is_ignored(options, named, trained, capsys):
    assert f"sample: {named}: expected" in fails(capsys, "sample", trained, *options.split())


def test_options_that_agree_are_taken(trained, capsys):
    one = written(capsys, trained, "--greedy", "--length", "9")
    assert written(capsys, trained, "--greedy", "--temperature", "0", "--length", "9") == one
    assert written(capsys, trained, "--greedy", "--sample", "0", "--length", "9") == one


def test_a_sample_stops_at_a_text(trained, capsys):
    whole = written(capsys, trained, "--length", "300", "--prime", "9 ")
    stop = whole[100:103]
    expected = whole[: whole.index(stop, 2)] + "\n"
    arguments = (trained, "--length", "300", "--prime", "9 ", "--stop", stop)
    assert written(capsys, *arguments) == expected
    texts = written(capsys, *arguments, "--count", "2").split("\n--- 2 ---\n")
    assert all(stop not in text[len("--- 1 ---\n9 ") :] for text in texts)
    assert "sample: --stop" in fails(capsys, "sample", trained, "--stop", "")
    assert "'é'" in fails(capsys, "sample", trained, "--stop", "é")


def test_a_prime_from_standard_input(trained, capsys, monkeypatch):
    expected = written(capsys, trained, "--length", "20", "--prime", "12 green\n1")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"12 green\r\n1")))
    assert written(capsys, trained, "--length", "20", "--prime", "-") == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train TEXT --optimizer adaam", "train: --optimizer: expected one of adagrad"),
        ("train TEXT --schedule linear", "train: --schedule: expected one of constant"),
        ("train TEXT --model gruu", "train: --model: expected one of"),
        ("train TEXT --model gru --proj-size 3", "train: --proj-size: expected"),
        ("train TEXT --encoding none-such", "train: --encoding: expected the name of a codec"),
        ("train TEXT --seq-length 1e4", "train: TEXT: "),
        ("train no-text", "train: TEXT: expected an existing text file"),
        ("sample RUN --temperature -1", "sample: --temperature: expected"),
        ("sample RUN --top-k 0", "sample: --top-k: expected"),
        ("sample RUN --prime é", "sample: --prime: expected"),
        ("sample no-run", "sample: RUN: expected the folder of a run"),
        ("train TEXT --init-from TEXT", "train: --init-from: expected the folder of a run"),
        ("train --resume", "train: --out: expected the folder of a run"),
        ("gradcheck --options lengthz", "gradcheck: --options: expected"),
    ],
)
def test_sentences_name_options(arguments, said, text, trained, tmp_path, capsys):
    words = [{"TEXT": text, "RUN": trained}.get(word, word) for word in arguments.split()]
    if words[0] == "train":
        words += ["--out", tmp_path / "run", "--num-layers", "1"]
    error = fails(capsys, *words)
    assert error.startswith(f"jaxrnn: {said}")
    assert not re.search(r"make_\w+: |open_run|read_text", error)


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_come_back_from_their_file(preset, tmp_path):
    given = {"rnn_size": (8, 4), "num_layers": 2, "lr": 1e-5} if preset == "default" else {}
    given = {{"lr": "learning_rate"}.get(name, name): value for name, value in given.items()}
    settings = choose_settings(preset, given)
    source = 'a "name"\\ with\n\x7f\U0001f600é'
    (tmp_path / "settings.toml").write_bytes(settings_toml(settings, [source, "b"]))
    file = read_settings(str(tmp_path), train.make_parser)
    assert file.pop("text") == [source, "b"]
    assert choose_settings(None, {}, file=file) == settings
    assert choose_settings(None, {"max_epochs": 2.0}, file=file).max_steps is None


def test_a_runs_own_file_trains_it_again_to_the_bit(trained, text, tmp_path):
    out = tmp_path / "again"
    assert main(["train", "--config", str(trained / "settings.toml"), "--out", str(out)]) == 0
    first, again = (runs.open_run(path) for path in (trained, out))
    assert again.settings == first.settings
    assert again.source == str(text)
    arrays = [saved_runs.checkpoint(run.step_paths()[0])[0] for run in (first, again)]
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)
    config = str(out / "settings.toml")
    assert (
        main(["train", "--config", config, "--out", str(out), "--resume", "--max-steps", "14"]) == 0
    )
    assert "max_steps = 14" in (out / "settings.toml").read_text()


def test_options_stand_above_the_file_and_the_file_above_the_preset(tmp_path):
    (tmp_path / "my.toml").write_text(
        'optimizer = "sgd"\nlr = 0.5\nmodel = "gru,lstm"\nrnn-size = [7, 5]\nmax_steps = 1e3\n'
        "deterministic = true\n"
    )
    content = (tmp_path / "my.toml").read_bytes()
    (tmp_path / "my.toml").write_bytes(codecs.BOM_UTF8 + content)
    file = read_settings(str(tmp_path / "my.toml"), train.make_parser)
    assert file.pop("deterministic") is True
    settings = choose_settings("default", {"learning_rate": 0.25}, file=file)
    assert (settings.optimizer, settings.weight_decay) == ("sgd", 0.0)
    assert (settings.learning_rate, settings.max_steps) == (0.25, 1000)
    assert (settings.model, settings.rnn_size) == ("gru,lstm", (7, 5))
    assert settings.seq_length == Settings().seq_length
    assert choose_settings(None, {}, file={"rnn_size": (3, 2, 1)}).num_layers == 3
    parent = choose_settings(None, {"rnn_size": 3})
    with pytest.raises(ValueError, match="--rnn-size: expected 3, as the model of --init-from"):
        choose_settings(None, {}, parent, {"rnn_size": 4})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rnn_sise = 3\nmodle = 'gru'", "'rnn_sise', 'modle'"),
        ("rnn_sise = 3", "did you mean rnn_size?"),
        ("import = 'mine.py'", "but for help, import, config, resume"),
        ("resume = true", "but for help, import, config, resume"),
        ("rnn_size = 2.5", "argument --rnn-size/--hidden-size: expected whole numbers"),
        ("rnn_size = 1979-05-27", "a list of numbers as rnn_size, got 1979-05-27 in"),
        ("[model]\nrnn_size = 3", "expected options alone, got the table [model]"),
        ("lr = 1\nlearning_rate = 2", "every option once, got lr and learning_rate, which are one"),
        ("rnn_size = 3\nrnn-size = 3", "got rnn_size and rnn-size, which are one"),
        ("max_steps = true", "as max_steps"),
        ("deterministic = 1", "true or false as deterministic"),
        ("rnn_size: 3", "expected TOML"),
        ("lr = nan", "--learning-rate: expected a finite number"),
        ("lr = -1", "--learning-rate: expected above 0"),
        ("a = '\xff'", "TOML, which is text in utf-8, got the byte 0xff at position 5"),
        ("device = 'cuda'", "invalid choice: 'cuda'"),
    ],
)
def test_files_that_are_not_understood(content, said, text, tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_bytes(content.encode("latin-1"))
    error = fails(capsys, "train", text, "--out", tmp_path / "run", "--config", file)
    assert said in error
    assert "mean preset" not in error
    assert not (tmp_path / "run").exists()


def test_what_a_file_says_of_a_text_that_is_not_there(tmp_path, capsys):
    file = tmp_path / "settings.toml"
    for line in ("documents = true", "newlines = 'keep'"):
        file.write_text(line)
        error = fails(capsys, "train", "--out", tmp_path / "run", "--config", file)
        assert f"--{line.split()[0]}: expected a TEXT beside it" in error
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_there(text, tmp_path, capsys):
    error = fails(capsys, "train", text, "--config", tmp_path / "none.toml")
    assert "train: --config: expected a TOML file" in error
    assert "does not exist" in error
    error = fails(capsys, "train", text, "--config", tmp_path)
    assert "Hint: of a folder, the settings.toml in it is read" in error


def test_two_files_are_not_one(text, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(text), "--config", "a.toml", "--config", "b.toml"])
    assert "argument --config: expected one, got a.toml and b.toml" in capsys.readouterr().err


def test_help_is_in_groups_with_defaults():
    told = io.StringIO()
    with contextlib.redirect_stdout(told), pytest.raises(SystemExit):
        main(["train", "--help"])
    words = " ".join(told.getvalue().split())
    groups = re.findall(r"^(\w[^:\n]*):$", told.getvalue(), re.MULTILINE)
    assert len(groups) >= 6
    assert "options" not in groups
    for name, value in vars(Settings()).items():
        if value is not None and name not in ("devices", "include", "documents"):
            shown = f"{value:g}" if isinstance(value, float) else value
            assert f"(default: {shown})" in words, name


def test_evaluate_and_train_help_import_no_jax():
    code = (
        "import sys; from jaxrnn.command_line import main\n"
        "try: main(['evaluate', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_the_library_was_told_an_option_is_called_is_said_of_the_command():
    for command, option in (("show", "--text"), ("sample", "--prime")):
        import_module(f"jaxrnn.command_line.{command}")
        said = f"read_text: {option}: expected a text, got none."
        assert in_options(command, said) == f"{command}: {option}: expected a text, got none."
    assert in_options("show", "read_text: --beam: expected x") == "read_text: --beam: expected x"
