"""`jaxrnn evaluate`: its numbers against loops, the parts of a run's text, bad input."""

import io
import itertools
import math
import re
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import runs
from jaxrnn.command_line import main

TEXT = "".join(f"{number} Green bottles hanging on the wall, \n" for number in range(150))
TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 40 --sample-every 0 --train-frac 0.7 --val-frac 0.2""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "bottles.txt").write_text(TEXT)
    run = folder / "run"
    assert main(["train", str(folder / "bottles.txt"), "--out", str(run), *TINY]) == 0
    return run


def fails(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jaxrnn: evaluate: ")
    assert len(error.splitlines()) == 1
    return error


def figures(said):
    """{who or which class: the numbers of its line}, of the first report."""
    report = said.split("\n\n")[1]
    lines = re.findall(r"^  (\S.*?)  +([\d.]+) +([\d.]+) +([\d.,]+)", report, re.MULTILINE)
    return {name: [float(n.replace(",", "")) for n in numbers] for name, *numbers in lines}


def by_hand(run, text):
    """Nats of every character but the first, step by step in NumPy's arithmetic."""
    model = charlm.load(run)
    carry, losses = charlm.zero_carry(model.config, model.params, ()), []
    ids = model.vocab.encode(text)
    for token, target in itertools.pairwise(ids):
        carry, logits = charlm.step(model.config, model.params, carry, jnp.asarray(token))
        logits = np.asarray(logits, np.float64)
        losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[target])
    return np.array(losses)


def test_the_validation_part_in_numbers(trained, capsys):
    assert main(["evaluate", str(trained)]) == 0
    said = capsys.readouterr().out
    train, validation = charlm.split(TEXT, 0.7, 0.2)
    predicted = validation[1:]
    assert f"validation part of {trained.parent / 'bottles.txt'}: {len(predicted):,} " in said
    found, losses = figures(said), by_hand(trained, validation)
    nats = losses.mean()
    np.testing.assert_allclose(found["the model"][:2], [nats, nats / math.log(2)], atol=2e-4)
    np.testing.assert_allclose(found["the model"][2], math.exp(nats), rtol=1e-3)
    size = len(set(TEXT))
    assert found[f"uniform over {size} characters"][0] == round(math.log(size), 4)
    counts = {c: train.count(c) for c in set(TEXT)}
    kinds = sum(count > 0 for count in counts.values())
    share = {c: (n + kinds / size) / (len(train) + kinds) for c, n in counts.items()}
    unigram = -np.mean([math.log(share[c]) for c in predicted])
    np.testing.assert_allclose(found["unigram of the training text"][0], unigram, atol=1e-4)
    assert found["5-gram of the training text"][0] < unigram
    digits = np.array([c.isdigit() for c in predicted])
    np.testing.assert_allclose(found["digit"][0], losses[digits].mean(), atol=2e-4)
    assert found["digit"][2] == digits.sum()
    classes = ("digit", "space", "newline", "punctuation", "lower-case letter", "upper-case letter")
    assert sum(found[name][2] for name in classes) == len(predicted)


def test_the_parts_of_the_text_and_texts_by_name(trained, capsys, tmp_path):
    seen = {}
    for split, text in zip(("train", "rest"), (TEXT[:4123], TEXT[5301:]), strict=True):
        assert len(TEXT) == 5890
        assert main(["evaluate", str(trained), "--split", split]) == 0
        said = capsys.readouterr().out
        assert f"{len(text) - 1:,} characters predicted" in said
        assert ("no fair comparison" in said) == (split == "train")
        seen[split] = figures(said)
        (tmp_path / f"{split}.txt").write_text(text)
    files = [str(tmp_path / f"{name}.txt") for name in ("rest", "train")]
    # A text may also come after an option.
    assert main(["evaluate", str(trained), files[0], "--ngram", "2", files[1]]) == 0
    said = capsys.readouterr().out
    assert figures(said)["the model"] == seen["rest"]["the model"]
    assert "2-gram of the training text" in said
    together = said.partition("all texts together: ")[2]
    whole = (588 * seen["rest"]["the model"][0] + 4122 * seen["train"]["the model"][0]) / 4710
    assert together.startswith("4,710 characters")
    np.testing.assert_allclose(float(re.search(r"model +([\d.]+)", together)[1]), whole, atol=2e-4)


def test_streams_side_by_side_and_standard_input(trained, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT[:300].encode())))
    assert main(["evaluate", str(trained), "-", "--batch-size", "3"]) == 0
    said = capsys.readouterr().out
    assert "standard input: 299 characters predicted" in said
    pieces = [by_hand(trained, TEXT[at : min(at + 101, 300)]) for at in (0, 100, 200)]
    nats = np.concatenate(pieces).mean()
    np.testing.assert_allclose(figures(said)["the model"][0], nats, atol=2e-4)


def test_bad_input(trained, capsys, tmp_path):
    (tmp_path / "other.txt").write_text("1 green ßottle, ü, ß\n")
    error = fails(capsys, trained, tmp_path / "other.txt")
    assert "3 of 21 characters" in error
    assert "'ß' (U+00DF), 'ü' (U+00FC); the first 'ß' at position 8" in error
    assert "Hint: take them out" in error
    (tmp_path / "one.txt").write_text("1")
    assert "at least 2 characters" in fails(capsys, trained, tmp_path / "one.txt")
    assert "--split" in fails(capsys, trained, tmp_path / "one.txt", "--split", "rest")
    assert "--encoding" in fails(capsys, trained, "--encoding", "latin-1")
    assert "--ngram: expected at least 1" in fails(capsys, trained, "--ngram", 0)
    assert "--ngram: expected at most 100, got 1000000" in fails(capsys, trained, "--ngram", "1e6")
    assert "got *.c *.py." in fails(capsys, trained, "--include", "*.c", "--include", "*.py")
    assert "--batch-size: expected at least 1" in fails(capsys, trained, "--batch-size", -1)
    assert "does not exist" in fails(capsys, trained, tmp_path / "none.txt")
    assert "RUN: expected the folder of a run" in fails(capsys, tmp_path)


def test_a_split_that_is_empty_and_a_text_that_is_gone(trained, capsys, tmp_path):
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text(TEXT)
    arguments = [*TINY, "--max-steps", "1", "--train-frac", "1", "--val-frac", "0"]
    assert main(["train", str(text), "--out", str(run), *arguments]) == 0
    capsys.readouterr()
    error = fails(capsys, run, "--split", "rest")
    assert "rest, which has 0 in this run of --train-frac 1 --val-frac 0" in error
    assert "it has train;" in error
    text.rename(tmp_path / "moved.txt")
    error = fails(capsys, run, "--split", "train")
    assert "which is gone" in error
    assert f"jaxrnn evaluate {run} TEXT" in error
    assert main(["evaluate", str(run), str(tmp_path / "moved.txt")]) == 0
    told = capsys.readouterr()
    assert "no n-grams to compare with" in told.err
    assert "gram of the training text" not in told.out
    assert "uniform over" in told.out


def test_the_shares_are_kept_and_checked(trained, capsys):
    settings = runs.open_run(trained).settings
    assert (settings.train_frac, settings.val_frac) == (0.7, 0.2)
    for shares in ("--train-frac 0.8 --val-frac 0.3", "--train-frac 0.95"):
        assert main(["train", *shares.split()]) == 2
        assert "--val-frac: expected at most" in capsys.readouterr().err
