"""`jaxrnn train` and `jaxrnn sample` as people use them: bad input, killing, resuming."""

import re
import subprocess
import sys

import numpy as np
import pytest
import saved_runs

import jaxrnn as rnn
from jaxrnn.charlm import runs
from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line import main, train, train_settings

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
    assert main(["train", str(text), "--out", str(out), *TINY]) == 0
    return out


def process(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "jaxrnn", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        check=False,
    )


def fails(capsys, *arguments):
    """The sentence on standard error of a command that ends with code 2."""
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1
    return error


def test_a_run_trains_shows_and_samples(trained, text, capsys):
    assert runs.open_run(trained).source == str(text)
    records = runs.open_run(trained).metrics()
    assert [record["step"] for record in records if "loss" in record] == [4, 8, 12]
    assert main(["sample", str(trained), "--length", "30", "--prime", "1 green"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("1 green")
    assert len(written) == len("1 green") + 30 + 1
    assert main(["sample", str(trained), "--length", "30", "--prime", "1 green"]) == 0
    assert capsys.readouterr().out == written
    assert main(["sample", str(trained), "--length", "30", "--seed", "5"]) == 0
    assert capsys.readouterr().out != written


def test_several_samples_and_every_way_to_be_greedy(trained, capsys):
    ways = ("--greedy", "--temperature 0", "--sample 0", "--top-k 1", "--top-p 1e-9", "-sample 0")
    written = set()
    for way in ways:
        assert main(["sample", str(trained), "--length", "20", *way.split()]) == 0
        written.add(capsys.readouterr().out)
    assert len(written) == 1
    assert main(["sample", str(trained), "--length", "20", "--count", "3", "--primetext", "9"]) == 0
    lines = capsys.readouterr().out
    assert len(re.findall(r"^--- \d ---\n9", lines, re.MULTILINE)) == 3


def test_bad_texts(capsys, tmp_path, text):
    out = ("--out", tmp_path / "run")
    (tmp_path / "empty.txt").write_bytes(b"")
    assert "empty" in fails(capsys, "train", tmp_path / "empty.txt", *out)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 5000)
    error = fails(capsys, "train", tmp_path / "latin.txt", *out)
    assert "0xe9 at position 3" in error
    assert "--encoding latin-1" in error
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "folder, which has none" in fails(capsys, "train", folder, *out)
    assert "does not exist" in fails(capsys, "train", tmp_path / "none.txt", *out)
    (tmp_path / "short.txt").write_text("too short for a batch of windows")
    error = fails(capsys, "train", tmp_path / "short.txt", *out)
    assert "--batch-size" in error
    assert "short.txt" in error
    assert "codec" in fails(capsys, "train", text, *out, "--encoding", "none-such")
    with pytest.raises(FileNotFoundError):
        runs.open_run(tmp_path / "run")


def test_an_encoding_makes_the_text_readable(tmp_path, capsys):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 500)
    out = str(tmp_path / "run")
    arguments = ["train", str(tmp_path / "latin.txt"), "--encoding", "latin-1", "--out", out]
    assert main([*arguments, *TINY, "--max-steps", "2"]) == 0
    assert "é" in runs.open_run(out).vocab


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--model gruu", "elman"),
        ("--optimizer adaam", "adamw"),
        ("--schedule linear", "cosine"),
        ("--loss mse", "last_cross_entropy"),
        ("--learning-rate -1", "--learning-rate"),
        ("--dropout 1.5", "--dropout"),
        ("--rnn-size 0", "--rnn-size: expected at least 1"),
        ("--num-layers 0", "--num-layers: expected at least 1"),
        ("--embed-size 0", "--embed-size: expected at least 1"),
        ("--decay-rate 3", "--decay-rate: expected from 0 to below 1"),
        ("--learning-rate-decay 3", "--learning-rate-decay: expected above 0 and at most 1"),
        ("--val-frac 0.5", "--val-frac"),
        ("--initializer normal", "--initializer"),
        ("--optimizer adam --weight-decay 0.1", "adamw"),
    ],
)
def test_bad_options_are_named_and_leave_no_run(capsys, tmp_path, text, options, named):
    assert named in fails(capsys, "train", text, "--out", tmp_path / "run", *options.split())
    assert not (tmp_path / "run" / "config.json").exists()


def test_bad_runs(capsys, tmp_path, trained, text):
    none = tmp_path / "none"
    assert "does not exist" in fails(capsys, "sample", none)
    assert "does not exist" in fails(capsys, "train", text, "--out", none, "--resume")
    assert "config.json" in fails(capsys, "sample", tmp_path)
    assert "--out" in fails(capsys, "train", text, "--resume")
    assert "--resume" in fails(capsys, "train", text, "--out", trained)
    assert "'é'" in fails(capsys, "sample", trained, "--prime", "caf\u00e9")
    error = fails(capsys, "train", "--out", trained, "--resume", "--rnn-size", "16")
    assert "--rnn-size" in error
    assert "8" in error
    assert "--preset" in fails(capsys, "train", "--out", trained, "--resume", "--preset", "default")
    (none / "sub").mkdir(parents=True)
    (none / "config.json").write_text('{"settings": {}')
    assert "config.json" in fails(capsys, "sample", none)


def test_a_broken_checkpoint_is_named_and_another_used(capsys, tmp_path, text):
    out = tmp_path / "run"
    arguments = ["train", str(text), "--out", str(out), *TINY]
    assert main([*arguments, "--eval-val-every", "4"]) == 0
    run = runs.open_run(out)
    last, before = run.step_paths()
    arrays = saved_runs.arrays_file(last)
    altered = bytearray(arrays.read_bytes())
    altered[200] ^= 1
    arrays.write_bytes(altered)
    capsys.readouterr()
    assert main(["train", "--out", str(out), "--resume"]) == 0
    said = capsys.readouterr().out
    assert str(arrays) in said
    assert str(before) in said
    run.best_path.write_bytes(b"")
    assert main(["sample", str(out), "--length", "5"]) == 0
    assert "best.json" in capsys.readouterr().err
    for path in run.step_paths():
        path.write_bytes(path.read_bytes()[:100])
    assert str(last) in fails(capsys, "sample", out)
    assert str(last) in fails(capsys, "train", "--out", out, "--resume")


def test_a_finished_run_says_so_and_can_go_further(capsys, tmp_path, text):
    out = str(tmp_path / "run")
    assert main(["train", str(text), "--out", out, *TINY]) == 0
    assert main(["train", "--out", out, "--resume"]) == 0
    assert "at its end" in capsys.readouterr().out
    assert main(["train", "--out", out, "--resume", "--max-steps", "20"]) == 0
    assert saved_runs.checkpoint(runs.open_run(out).step_paths()[0])[1]["step"] == 20
    assert runs.open_run(out).settings.max_steps == 20


def test_init_from_starts_with_the_weights_of_another_run(tmp_path, trained, text, capsys):
    out = tmp_path / "run"
    options = ["--init-from", str(trained), "--out", str(out)]
    small = [*TINY[6:], "--max-steps", "2", "--print-every", "1"]
    assert main(["train", str(text), *options, *small]) == 0
    new, old = runs.open_run(out), runs.open_run(trained)
    assert new.config == old.config
    first = next(record["loss"] for record in new.metrics() if "loss" in record)
    untrained = next(record["loss"] for record in old.metrics() if "loss" in record)
    assert first < untrained - 0.1
    other = tmp_path / "other.txt"
    other.write_text("wholly different characters: ÄÖÜ " * 200)
    capsys.readouterr()
    error = fails(capsys, "train", other, "--init-from", trained, "--out", tmp_path / "x", *small)
    assert "Ä" in error
    error = fails(capsys, "train", text, *options[:2], "--out", tmp_path / "y", "--rnn-size", "9")
    assert "--rnn-size" in error


def test_divergence_has_its_own_exit_code_and_keeps_the_checkpoint(tmp_path, text, capsys):
    out = tmp_path / "run"
    options = "--learning-rate 1e4 --schedule constant --optimizer sgd --max-steps 200"
    assert main(["train", str(text), "--out", str(out), *TINY, *options.split()]) == 3
    error = capsys.readouterr().err
    assert "--learning-rate" in error
    assert "Traceback" not in error
    assert main(["sample", str(out), "--length", "5"]) == 0


def test_char_rnn_spelling_and_presets():
    parser = train.make_parser()
    from jaxrnn.command_line import normalise

    words = "-rnn_size 200 --num_layers=3 -model gru -seq_length 20 --out my_run"
    given = vars(parser.parse_args(normalise(parser, words.split())))
    given.pop("out")
    settings = train_settings.choose_settings("char-rnn", given)
    assert (settings.rnn_size, settings.num_layers, settings.seq_length) == (200, 3, 20)
    assert settings.model == "gru_reset_before"
    assert settings.decay_rate == 0.95
    assert settings.optimizer == "rmsprop"
    assert train_settings.choose_settings(None, {"model": "rnn"}).model == "elman"
    assert train_settings.choose_settings(None, {"model": "gru"}).model == "gru"
    assert train_settings.choose_settings(None, {"optimizer": "sgd"}).weight_decay == 0
    assert train_settings.choose_settings(None, {"max_epochs": 3.0}).max_steps is None
    assert train_settings.choose_settings("char-rnn", {"max_steps": 3}).max_epochs is None
    assert train_settings.choose_settings(None, {}) == Settings()


def test_karpathys_settings():
    settings = train_settings.choose_settings("min-char-rnn", {})
    assert (settings.model, settings.rnn_size, settings.num_layers) == ("elman", 100, 1)
    assert (settings.seq_length, settings.batch_size) == (25, 1)
    assert (settings.learning_rate, settings.grad_clip) == (0.1, 5.0)
    assert settings.weight_distribution == ("normal", 0.01)
    assert settings.loss == "summed_cross_entropy"


def test_help_and_version_import_no_jax():
    command = (
        "import sys; from jaxrnn.command_line import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["sample", "--help"], []):
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "jaxrnn" in done.stdout
        if arguments == ["train", "--help"]:
            listed = done.stdout.partition("the cell,")[2].partition("--rnn-size")[0]
            assert set(re.findall(r"\w+", listed)) >= set(rnn.CELLS)


def test_an_unknown_command_is_named():
    done = process("trian")
    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_tqdm_plain_lines_and_one_sentence(monkeypatch, capsys):
    from jaxrnn.command_line import progress

    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert progress._bar(10, 0, "character") is None
    assert capsys.readouterr().err.count("jaxrnn[app]") == 1


def test_the_bar_counts_characters(monkeypatch, capsys):
    from jaxrnn.command_line import progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.Progress(tokens=10, total=20, start=5) as shown:
        shown.show({"step": 10, "loss": np.log(2), "tokens_per_second": 7})
        assert shown.bar.n == 100
        assert shown.bar.total == 200
        shown.show({"step": 10, "validation_loss": 2.0, "best": True})
        shown.show({"step": 10, "sample": "some text"})
        shown.show({"step": 20, "loss": 0.5, "tokens_per_second": 7})
    seen = capsys.readouterr()
    assert "loss 0.500 nats, 0.721 bits a character, validation 2.000" in seen.err
    assert "validation 2.0000 nats, 2.8854 bits a character (best so far)" in seen.out
    assert "some text" in seen.out


def test_an_end_that_the_run_has_passed_is_refused(trained, text, capsys):
    before = (trained / "config.json").read_bytes()
    error = fails(capsys, "train", text, "--out", trained, "--resume", "--max-steps", 5)
    assert "expected an end after step 12" in error
    assert "got step 5" in error
    assert (trained / "config.json").read_bytes() == before


@pytest.mark.parametrize("wrong", [["--model", "foo"], ["--rnn-size", "0"], ["--optimizer", "x"]])
def test_a_start_that_fails_leaves_nothing_behind(wrong, text, tmp_path, capsys):
    fails(capsys, "train", text, "--out", tmp_path / "run", *TINY, *wrong)
    assert not (tmp_path / "run").exists()


def test_out_that_is_a_file(text, capsys):
    assert "expected a new folder" in fails(capsys, "train", text, "--out", text, *TINY)


@pytest.mark.parametrize("command", ["train", "sample", "gradcheck", "demo"])
def test_a_seed_out_of_range(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--seed", str(2**64)])
    assert ended.value.code == 2
    assert "from 0 to 4294967295" in capsys.readouterr().err


def test_a_text_that_has_moved_can_be_named(text, tmp_path, capsys):
    moving = tmp_path / "moving.txt"
    moving.write_bytes(text.read_bytes())
    assert main(["train", str(moving), "--out", str(tmp_path / "run"), *TINY]) == 0
    moving.rename(tmp_path / "moved.txt")
    error = fails(capsys, "train", "--out", tmp_path / "run", "--resume", "--max-steps", 20)
    assert "name its new place" in error


@pytest.mark.integration
def test_streams_divided_over_devices_resume_to_the_same_bits(text, tmp_path, capsys):
    whole, halves = (str(tmp_path / name) for name in ("whole", "halves"))
    assert main(["train", str(text), "--out", whole, *TINY, "--devices", "2"]) == 0
    assert "on 2 devices" in capsys.readouterr().out
    arguments = ["--devices", "2", "--max-steps", "8", "--schedule", "constant"]
    arguments += ["--warmup-steps", "0"]
    assert main(["train", str(text), "--out", halves, *TINY, *arguments]) == 0
    again = str(tmp_path / "again")
    assert main(["train", str(text), "--out", again, *TINY, *arguments, "--max-steps", "12"]) == 0
    assert main(["train", "--out", halves, "--resume", "--max-steps", "12"]) == 0
    assert runs.open_run(halves).settings.devices == 2
    ends = [saved_runs.checkpoint(runs.open_run(out).step_paths()[0])[0] for out in (halves, again)]
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name], err_msg=name)
    assert main(["train", "--out", halves, "--resume", "--devices", "1", "--max-steps", "13"]) == 0
    assert runs.open_run(halves).settings.devices == 1


def test_devices_that_do_not_fit(text, tmp_path, capsys):
    arguments = ["train", text, "--out", tmp_path / "run", *TINY, "--devices"]
    assert "a divisor of --batch-size 4" in fails(capsys, *arguments, 3)
    assert "at most the 2 that JAX has" in fails(capsys, *arguments, 4)
    assert "--devices: expected at least 1" in fails(capsys, *arguments, 0)
    assert not (tmp_path / "run").exists()
