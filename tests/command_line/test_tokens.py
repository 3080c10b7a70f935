"""Runs of bytes and of words, by whole commands: train, sample, evaluate, show, and back again."""

import contextlib
import io
import json
import math
import re

import jax
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import runs
from jaxrnn.charlm.loss_groups import character_losses
from jaxrnn.charlm.settings import TOKENS
from jaxrnn.charlm.tokenizers import KINDS, make_tokenizer
from jaxrnn.command_line import main
from jaxrnn.command_line.train_settings import choose_settings

pytestmark = pytest.mark.integration

TEXT = "".join(f"{n} grüne Flaschen 🙂, die hang'n  an der Wand.\n" for n in range(150))
TINY = """--rnn-size 6 --num-layers 1 --seq-length 10 --batch-size 4 --devices 1""".split()  # noqa: SIM905
SIZE = 40


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of bytes, one of words, their text, and what the command said of each."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    for kind, more in (("bytes", []), ("words", ["--vocab-size", str(SIZE)])):
        out = ["--out", str(folder / kind), "--tokens", kind, "--max-steps", "30"]
        out += ["--sample-length", "20"]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert main(["train", str(folder / "text.txt"), *out, *TINY, *more]) == 0
        (folder / f"{kind}.said").write_text(said.getvalue())
    return folder


def says(capsys, *arguments):
    assert main(list(map(str, arguments))) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments):
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxrnn: ")
    assert len(error.splitlines()) == 1
    return error


def test_the_command_line_has_the_kinds_that_there_are():
    assert list(TOKENS) == list(KINDS)


def test_a_run_keeps_its_tokens(folder):
    for kind, size in (("bytes", 256), ("words", SIZE)):
        run = runs.open_run(folder / kind)
        assert run.vocab == make_tokenizer(kind, [TEXT], SIZE if kind == "words" else None)
        model = charlm.load(folder / kind)
        assert (model.vocab, len(model.vocab)) == (run.vocab, size)
        assert model.config.vocab_size == model.params.b_y.shape[0] == size
        assert [record for record in run.metrics() if "sample" in record]
    assert f"vocab_size = {SIZE}\n" in (folder / "words" / "settings.toml").read_text()


def test_train_speaks_of_tokens(folder):
    for kind, token in (("bytes", "byte"), ("words", "token")):
        said = (folder / f"{kind}.said").read_text()
        assert f"different {kind}); run" in said
        assert f"bits a {token} (best so far)" in said or f"bits a {token}\n" in said
        assert f" {token}s a second" in said


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_sample_writes_whole_characters_and_stops_at_a_text(folder, capsys, kind):
    run = folder / kind
    whole = says(capsys, "sample", run, "--length", 60, "--prime", "3 grüne")
    assert whole.startswith("3 grüne")
    config, params, carry = (
        *charlm.load(run)[:2],
        runs.load_sampler(runs.open_run(run), print)[0][1],
    )
    arguments = (config, params, charlm.load(run).vocab, jax.random.key(123))
    how = {"length": 60, "prime": "3 grüne", "carry": carry}
    assert whole == "3 grüne" + charlm.sample(*arguments, **how) + "\n"
    pieces = list(charlm.stream(*arguments, **how))
    assert "".join(pieces) == whole[7:-1]
    scored = charlm.sample_scored(*arguments, **how)
    assert (scored.text, len(scored.ids)) == (whole[7:-1], 60)
    # A stop that begins and ends within tokens: three characters from the middle of the text.
    for at in range(8, 40):
        stop = whole[at : at + 3]
        wanted = whole[7:].partition(stop)[0]
        assert charlm.sample(*arguments, **how, stop=stop) == wanted
        assert charlm.sample_scored(*arguments, **how, stop=stop).text == wanted
        assert charlm.sample_many(*arguments, 1, **how, stop=stop) == [wanted]


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_a_beam_stops_at_a_text_too(folder, kind):
    model = charlm.load(folder / kind)
    free = charlm.beam_search(*model, "3", width=1, length=30)[0].written
    assert len(free.ids) == 30
    middle = len(free.text) // 2
    stop = free.text[middle : middle + 2]
    ended = charlm.beam_search(*model, "3", width=1, length=30, stop=stop)[0].written
    assert ended.text == free.text.partition(stop)[0]


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_evaluate_counts_tokens_and_characters(folder, capsys, kind):
    said = says(capsys, "evaluate", folder / kind)
    model = charlm.load(folder / kind)
    _, text = charlm.split(TEXT, 0.9, 0.1)
    ids = model.vocab.encode(text)
    nats = charlm.surprisals(model.config, model.params, ids)
    characters = int(model.vocab.lengths(text)[1:].sum())
    token = TOKENS[kind]
    heading = f"{len(ids) - 1:,} {token}s predicted, which are {characters:,} characters"
    assert heading in said
    numbers = re.search(r"the model +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)\n", said)
    mean = nats.mean()
    bits = nats.sum() / math.log(2) / characters
    found = [float(number) for number in numbers.groups()]
    np.testing.assert_allclose(found, [mean, mean / math.log(2), math.exp(mean), bits], rtol=1e-3)
    assert "5-gram of the training text" in said
    assert f"uniform over {len(model.vocab)} {kind}" in said
    if kind == "words":
        unknown = float((ids[1:] < 2).mean())
        assert f"{unknown:.2%} of the tokens are unknown words" in said
        assert " capitalised word  " in said
    else:
        losses = character_losses(nats, model.vocab.lengths(text))
        newlines = np.array([c == "\n" for c in text[1:]])
        row = re.search(r"newline +([\d.]+) +[\d.]+ +(\d+)", said)
        assert int(row[2]) == newlines.sum()
        np.testing.assert_allclose(float(row[1]), losses[newlines].mean(), atol=2e-4)


def embedded(path, name):
    text = path.read_text(encoding="utf-8")
    head = f'<script type="application/json" id="{name}">'
    return json.loads(text.split(head)[1].split("</script>")[0])


def show(folder, kind, view, *more):
    out = folder / f"{kind}-{view}.html"
    arguments = ["--view", view, "--text", folder / "text.txt", "--out", out, *more]
    if view in ("training", "copying"):
        arguments = ["--view", view, "--out", out]
    assert main(["show", *map(str, [folder / kind, *arguments])]) == 0
    return out


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_show_has_the_text_of_each_token(folder, kind, capsys):
    pytest.importorskip("bokeh")
    vocab = runs.open_run(folder / kind).vocab
    labels = [vocab.labels[token] for token in vocab.encode(TEXT)[8:30]]
    page = show(folder, kind, "activations", "--from", 8, "--to", 30)
    data = embedded(page, "activations")
    assert [token.replace("↵\n", "\n") for token in data["text"]] == labels
    one = ["--definition", "occlusion", "--from", 8, "--to", 29]
    page = show(folder, kind, "connectivity", *one)
    data = embedded(page, "connectivity")
    assert [token.replace("↵\n", "\n") for token in data["text"]] == labels
    assert data["token"] == TOKENS[kind]
    printed = capsys.readouterr().out
    assert re.search(rf"occlusion +[\d.]+ {TOKENS[kind]}s", printed)


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_show_surprise_by_characters_of_bytes_and_by_kinds_of_words(folder, kind, capsys):
    pytest.importorskip("bokeh")
    page = show(folder, kind, "surprise", "--to", 400).read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert f"bits a {TOKENS[kind]} on 400 of " in said
    assert ("By place in the word" in page) == (kind == "bytes")
    assert ("capitalised word" in said) == (kind == "words")


@pytest.mark.parametrize("kind", ["bytes", "words"])
@pytest.mark.parametrize("view", ["gradient-flow", "training", "stepper", "clamping", "copying"])
@pytest.mark.slow
def test_every_other_view(folder, kind, view, capsys):
    pytest.importorskip("bokeh")
    more = () if view in ("training", "copying") else ("--from", "3", "--to", "9")
    page = show(folder, kind, view, *more)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    said = capsys.readouterr().out
    if view == "clamping":
        assert f"(bits a {TOKENS[kind]})" in said


def test_another_kind_than_the_run_has_is_refused(folder, capsys, tmp_path):
    resumed = ["train", "--out", folder / "words", "--resume", "--max-steps", "31"]
    error = fails(capsys, *resumed, "--tokens", "bytes")
    assert "--tokens: expected words, as the run" in error
    error = fails(capsys, *resumed, "--vocab-size", 50)
    assert f"--vocab-size: expected {SIZE}, as the run" in error
    new = ["train", folder / "text.txt", "--out", tmp_path / "new", "--init-from"]
    error = fails(capsys, *new, folder / "words", "--tokens", "characters")
    assert "--tokens: expected words, as the model of --init-from has it, got characters" in error
    assert not (tmp_path / "new").exists()


def test_init_from_takes_the_vocabulary_along(folder, capsys, tmp_path):
    (tmp_path / "other.txt").write_text("neue Wörter, die hängen an der Wand\n" * 50)
    new = ["train", tmp_path / "other.txt", "--out", tmp_path / "new", *TINY]
    new += ["--sample-every", "0", "--val-frac", "0", "--max-steps", "1"]
    new += ["--init-from", folder / "words"]
    assert "40 different words" in says(capsys, *new)
    assert runs.open_run(tmp_path / "new").vocab == runs.open_run(folder / "words").vocab


def test_bad_input(folder, capsys, tmp_path):
    train = ["train", folder / "text.txt", "--out", tmp_path / "new"]
    assert "--tokens: expected one of characters, b" in fails(capsys, *train, "--tokens", "runes")
    words = [*train, "--tokens", "words", "--vocab-size"]
    assert "expected at most 262,144, got 300000" in fails(capsys, *words, "3e5")
    error = fails(capsys, *train, "--vocab-size", "100")
    assert "--vocab-size: expected no such option beside --tokens characters, got 100" in error
    (tmp_path / "one.txt").write_text("Flaschen")
    error = fails(capsys, "evaluate", folder / "words", tmp_path / "one.txt")
    assert "at least 2 words, one to read and one to predict, got" in error
    text = ["--text", folder / "text.txt"]
    error = fails(capsys, "show", folder / "words", "--view", "gates", *text, "--from", "99999")
    tokens = len(runs.open_run(folder / "words").vocab.encode(TEXT))
    assert f"in a text of {tokens:,} tokens" in error
    assert not (tmp_path / "new").exists()


def test_a_file_of_words_and_an_option_of_characters():
    file = {"tokens": "words", "vocab_size": 50}
    assert choose_settings(None, {}, file=file).vocab_size == 50
    assert choose_settings(None, {"tokens": "bytes"}, file=file).vocab_size is None
    with pytest.raises(ValueError, match="no such option beside --tokens bytes"):
        choose_settings(None, {"tokens": "bytes", "vocab_size": 9}, file=file)
