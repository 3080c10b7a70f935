"""A text on disk: the same tokens as in memory, written whole or not at all, known by content."""

import dataclasses
import itertools
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import saved_runs

from jaxrnn import charlm
from jaxrnn.charlm import own_text, plan, runs, supply, text_index, training_loop
from jaxrnn.charlm.corpus import Corpus, join
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.charlm.reading import Piece
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.text_index import Division, TextIndex
from jaxrnn.charlm.tokenizers import make_tokenizer
from jaxrnn.microscope.views.subject import Subject

TEXT = "".join(f"{n} grüne Flaschen an der Wand, 緑 \n" for n in range(150)) + "\udc80 end"
SETTINGS = Settings(
    model="elman", rnn_size=16, num_layers=1, dropout=0.2, seq_length=10, batch_size=4,
    learning_rate=0.03, max_steps=150, print_every=7, eval_val_every=31, sample_every=0,
    train_frac=0.8,
)  # fmt: skip


def pieces(text=TEXT, seed=0, documents=True):
    """The text in pieces of all sizes, some of which begin a document."""
    generator = np.random.default_rng(seed)
    cuts = np.unique(generator.integers(1, len(text), 40)).tolist()
    for number, (start, end) in enumerate(itertools.pairwise([0, *cuts, len(text)])):
        yield Piece(text[start:end], number == 0 or (documents and number % 3 == 0))


def division(kind="characters", train=0.8, validation=0.1):
    return lambda texts: Division(make_tokenizer(kind, texts), train, validation)


def index(folder, kind="characters", source=None, **shares):
    source = pieces() if source is None else source
    return text_index.read_or_index(source, ["text"], folder, division(kind, **shares), keep=True)


@pytest.mark.parametrize("kind", ["characters", "bytes", "words"])
@pytest.mark.parametrize("shares", [(0.8, 0.1), (0.9, 0.1), (1.0, 0.0), (0.5, 0.0)])
def test_the_same_tokens_as_in_memory(tmp_path, kind, shares):
    on_disk, vocab = index(tmp_path, kind, train=shares[0], validation=shares[1])
    corpus = join(pieces(), ["text"])
    assert corpus.text == TEXT
    assert vocab == make_tokenizer(kind, [TEXT])
    assert (on_disk.sha256, on_disk.characters) == (corpus.sha256, len(TEXT))
    for ours, theirs in zip(
        on_disk.encode(vocab, *shares)[:2], corpus.encode(vocab, *shares)[:2], strict=True
    ):
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        if len(theirs.ids):
            np.testing.assert_array_equal(ours.documents, theirs.documents)
    assert on_disk.parts[0].ids.dtype == np.uint8 if kind != "words" else np.uint16
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "text.documents", "text.json", "text.tokens",
    ]  # fmt: skip


def test_a_short_text_stays_in_memory_and_a_long_one_does_not(tmp_path, monkeypatch):
    for most, kind in ((len(TEXT), Corpus), (len(TEXT) - 1, TextIndex)):
        monkeypatch.setattr(text_index, "IN_MEMORY", most)
        found, _ = text_index.read_or_index(pieces(), ["text"], tmp_path, division(), keep=False)
        assert isinstance(found, kind)
        assert bool(list(tmp_path.iterdir())) == (kind is TextIndex)


def test_nothing_is_left_of_a_text_that_ends_in_an_error(tmp_path):
    def failing():
        yield from itertools.islice(pieces(), 5)
        raise ValueError("no text")

    with pytest.raises(ValueError, match="no text"):
        index(tmp_path, source=failing())

    class Failing(charlm.Vocab):
        def encoder(self):
            raise ValueError("no encoder")

    made = lambda texts: Division(Failing.from_texts(texts), 0.8, 0.1)  # noqa: E731
    with pytest.raises(ValueError, match="no encoder"):
        text_index.read_or_index(pieces(), ["text"], tmp_path, made, keep=True)
    assert not list(tmp_path.iterdir())


def test_what_is_damaged_or_anothers_is_refused(tmp_path):
    good = tmp_path / "good"
    good.mkdir()
    made, vocab = index(good)
    own = Division(vocab, 0.8, 0.1)
    text_index.open_index(good, ["text"], made.sha256, own)

    def flip(name):
        def change(folder):
            data = bytearray((folder / name).read_bytes())
            data[len(data) // 2] ^= 1
            (folder / name).write_bytes(data)

        return change

    def cut(name):
        return lambda folder: os.truncate(folder / name, (good / name).stat().st_size - 1)

    def link(folder):
        (folder / "text.tokens").unlink()
        (folder / "text.tokens").symlink_to(good / "text.tokens")

    for number, (change, said) in enumerate(
        [
            *((flip(name), f"{name} was altered") for name in ("text.tokens", "text.documents")),
            *((cut(name), f"{name} has .* it had") for name in ("text.tokens", "text.documents")),
            *(
                (lambda folder, name=name: (folder / name).unlink(), f"{name} is not there")
                for name in ("text.tokens", "text.documents", "text.json")
            ),
            (flip("text.json"), "text.json"),
            (link, "text.tokens is a link"),
        ]
    ):  # fmt: skip
        folder = tmp_path / str(number)
        shutil.copytree(good, folder)
        change(folder)
        with pytest.raises(BrokenFileError, match=said):
            text_index.open_index(folder, ["text"], made.sha256, own)
    for other, sha256 in (
        (own._replace(train_fraction=0.7), made.sha256),
        (own._replace(vocab=charlm.Vocab("ab")), made.sha256),
        (own, "0" * 64),
    ):
        with pytest.raises(BrokenFileError, match="of another text, vocabulary or division"):
            text_index.open_index(good, ["text"], sha256, other)


# One process that forks: an audit hook cannot be removed, and JAX is imported once.
KILLED = """
import os, signal, sys
from pathlib import Path
from jaxrnn.charlm import text_index, tokenizers
from jaxrnn.charlm.reading import Piece

count, at = 0, None

def hook(event, arguments):
    global count
    if at and event in ("os.rename", "os.remove", "open") and str(folder) in str(arguments[0]):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
for number in range(1, 40):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    child = os.fork()
    if not child:
        at = number
        vocab = tokenizers.WordVocab.from_texts
        make = lambda texts: text_index.Division(vocab(texts), 0.8, 0.1)
        text_index.read_or_index([Piece("a b c " * 99, True)] * 3, ["t"], folder, make, True)
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        break
print(number)
"""


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_killed_indexing_leaves_nothing_that_counts(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert 8 < int(ended.stdout) < 39
    whole = {"text.json", "text.tokens", "text.documents"}
    for folder in tmp_path.iterdir():
        names = {path.name for path in folder.iterdir()}
        if "text.json" in names:
            assert whole <= names
        # The next one takes none of it, and leaves none of it.
        made, _ = index(folder)
        text_index.open_index(folder, ["text"], made.sha256)
        assert {path.name for path in folder.iterdir()} == whole


@pytest.fixture
def in_parts(monkeypatch):
    """Streams that are read part by part, however short they are."""
    monkeypatch.setattr(supply, "ON_DEVICE", 0)
    monkeypatch.setattr(plan, "dispatch_size", lambda run: 5)


def trained(path, text, vocab, settings=SETTINGS, stop_after=None):
    run = runs.create(path, settings, vocab, text)
    work = training_loop.start(run, text)
    if stop_after is not None:
        asked = itertools.count()
        for _ in training_loop.train(work, lambda: next(asked) >= stop_after):
            pass
        work = training_loop.resume(runs.open_run(path), text, pytest.fail)
        assert 0 < work.journal.step < settings.max_steps
    for _ in training_loop.train(work):
        pass
    arrays, facts = saved_runs.checkpoint(run.step_paths()[0])
    records = [
        {name: value for name, value in record.items() if "second" not in name}
        for record in run.metrics()
    ]
    return arrays, {**facts, "seconds": 0}, records


@pytest.mark.parametrize("documents", [False, True])
def test_trains_as_in_memory_to_the_bit_and_resumed(tmp_path, monkeypatch, documents):
    settings = dataclasses.replace(SETTINGS, documents=documents)
    corpus = join(pieces(), ["text"])
    vocab = charlm.Vocab.from_text(TEXT)
    expected = trained(tmp_path / "memory", corpus, vocab, settings)
    monkeypatch.setattr(supply, "ON_DEVICE", 0)
    monkeypatch.setattr(plan, "dispatch_size", lambda run: 5)
    for name, stop_after in (("disk", None), ("resumed", 9)):
        (tmp_path / name).mkdir()
        on_disk, _ = index(tmp_path / name)
        arrays, facts, records = trained(tmp_path / name, on_disk, vocab, settings, stop_after)
        assert arrays.keys() == expected[0].keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, expected[0][key])
        assert facts == expected[1]
        assert records == expected[2]


@pytest.mark.usefixtures("in_parts")
def test_parts_are_on_the_device_before_they_are_asked_for(tmp_path, monkeypatch):
    on_disk, vocab = index(tmp_path)
    run = runs.create(tmp_path, SETTINGS, vocab, on_disk)
    work = training_loop.start(run, on_disk)
    read = []
    original = supply.Supply._read

    def noted(self, step, *more):
        read.append(step)
        return original(self, step, *more)

    monkeypatch.setattr(supply.Supply, "_read", noted)
    with jax.transfer_guard("disallow"):
        for _ in training_loop.train(work):
            pass
    assert len(read) == len(set(read))  # each once: what was read ahead was what was needed


def test_the_parts_of_a_run_on_disk_are_those_of_its_text(tmp_path, monkeypatch):
    settings = dataclasses.replace(SETTINGS, train_frac=0.7, val_frac=0.2)
    on_disk, vocab = index(tmp_path, train=0.7, validation=0.2)
    runs.create(tmp_path, settings, vocab, on_disk).write_config()
    run = runs.open_run(tmp_path)
    assert run.indexed
    assert run.characters == len(TEXT)
    train, validation = charlm.split(TEXT, 0.7, 0.2)
    texts = (train, validation, TEXT[len(train + validation) :])
    parts = own_text.own_parts(run, "show: --text", "")
    assert tuple(part.text for part in parts) == texts
    assert all(part.whole for part in parts)
    monkeypatch.setattr(own_text, "MOST_READ", 100)
    part = own_text.own_parts(run, "show: --text", "").train
    assert not part.whole
    assert len(part.tokens.ids) == 100
    assert train.startswith(part.text)
    assert part.text == vocab.decode(part.tokens.ids)
    said: list[str] = []
    subject = Subject(str(tmp_path), said.append)
    assert subject.held_out_text()[1] == "the beginning of the text that it was trained on"
    assert subject.own_text.train.text == part.text
    assert said == [f"Of each part of the text of {tmp_path}, the first 100 characters are read."]
