"""One run, one identity: what is of another run, altered or led elsewhere is refused by name."""

import dataclasses
import json
import os
import shutil
import sys

import jax
import numpy as np
import pytest
import saved_runs

from jaxrnn import charlm
from jaxrnn.charlm import checkpoints, files, runs, state, strict_json
from jaxrnn.charlm.checkpoints import BrokenCheckpointError
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError
from jaxrnn.charlm.journal import Journal
from jaxrnn.charlm.settings import Settings

SETTINGS = Settings(model="gru", rnn_size=2, num_layers=1, seq_length=2, batch_size=1)
CORPUS = Corpus("ab", ("text",))
VOCAB = charlm.Vocab("ab")


@pytest.fixture(scope="module")
def shapes():
    run = runs.Run(None, SETTINGS, VOCAB, ("",), "")
    return state.template(run.config, run.settings)


def save(run, shapes, step, best=False, **facts):
    arrays = jax.tree.map(lambda leaf: np.full(leaf.shape, step, leaf.dtype), shapes)
    run.save(arrays, Journal(step=step, **facts)._asdict(), best)


def make(folder, shapes, settings=SETTINGS, vocab=VOCAB, corpus=CORPUS):
    """A run with checkpoints of the steps 20 and 30, and 10, the best."""
    run = runs.create(folder, settings, vocab, corpus)
    save(run, shapes, 0)
    run.write_config()
    for step in (10, 20, 30):
        save(run, shapes, step, best=step == 10)
    return run


@pytest.fixture
def run(tmp_path, shapes):
    return make(tmp_path / "run", shapes)


def names(run):
    return sorted(path.name for path in run.folder.iterdir())


def refused(act):
    with pytest.raises(BrokenFileError) as caught:
        act()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def rewrite(path, change):
    """Alters a sealed file so that it agrees with itself."""
    content = json.loads(path.read_text())
    content.pop("sha256")
    path.write_bytes(strict_json.seal(change(content) or content))


def test_the_files_of_a_run(run):
    assert names(run) == [
        "best.json",
        *(f"step-0000000{step}.safetensors" for step in (10,)),
        *(
            f"step-0000000{step}.{ending}"
            for step in (20, 30)
            for ending in ("json", "safetensors")
        ),
    ]
    assert runs.open_run(run.path) == run
    assert len(run.id) == 32
    config = json.loads((run.path / "config.json").read_text())
    assert list(config) == ["format", "run", "settings", "vocabulary", "text", "sha256"]
    for path in [*run.step_paths(), run.best_path]:
        assert json.loads(path.read_text())["run"] == config["run"]


def test_the_last_and_the_best_are_read(run, shapes):
    tree, facts = runs.restore_last(run, shapes, pytest.fail)
    assert (int(tree.state.step), facts["step"]) == (30, 30)
    params, facts = runs.load_params(run, pytest.fail)
    assert (float(params.b_y[0]), facts["step"]) == (10, 10)
    (params, carry), _ = runs.load_sampler(run, pytest.fail)
    assert carry[0].h.shape == (2,)
    history = runs.load_history(run, pytest.fail)
    assert [(step, float(params.b_y[0])) for step, params in history.items()] == [
        (10, 10),
        (20, 20),
        (30, 30),
    ]


def test_every_new_run_has_an_id_of_its_own_and_keeps_it(run, tmp_path, shapes):
    assert make(tmp_path / "other", shapes).id != run.id
    changed = dataclasses.replace(run, settings=dataclasses.replace(SETTINGS, max_steps=77))
    changed.write_config()
    again = runs.open_run(run.path)
    assert again.settings.max_steps == 77
    assert again.identity == run.identity
    assert runs.restore_last(again, shapes, pytest.fail)[1]["step"] == 30
    for other in (
        dataclasses.replace(run, settings=dataclasses.replace(SETTINGS, learning_rate=1.0)),
        dataclasses.replace(run, vocab=charlm.Vocab("ac")),
        dataclasses.replace(run, sha256="0" * 64),
    ):
        assert other.identity.configuration != run.identity.configuration


@pytest.mark.parametrize("word", ['"gru"', '"ab"', '"num_layers": 1', '"sources": [\n      "text"'])
def test_a_config_altered_by_hand_is_said_to_be(run, word):
    path = run.path / "config.json"
    text = path.read_text()
    assert text.count(word) == 1
    new = {'"gru"': '"gru_reset_before"', '"ab"': '"ac"', '"num_layers": 1': '"num_layers": 2'}
    path.write_text(text.replace(word, new.get(word, '"sources": [\n      "other"')))
    message = refused(lambda: runs.open_run(run.path))
    assert f"{path} was altered since it was written" in message
    assert "options of jaxrnn train --resume" in message
    path.write_text(json.dumps(json.loads(text)))  # other spacing says the same
    assert runs.open_run(run.path) == run


def test_a_config_of_another_run_is_refused(run, tmp_path, shapes):
    other = make(tmp_path / "other", shapes)
    shutil.copy(other.path / "config.json", run.path)
    message = refused(lambda: runs.restore_last(runs.open_run(run.path), shapes, pytest.fail))
    assert message.count("is of another run") == 3


def test_a_config_sealed_again_is_refused_by_the_checkpoints(run, shapes):
    rewrite(
        run.path / "config.json",
        lambda content: content | {"vocabulary": charlm.Vocab("ac").to_json()},
    )
    message = refused(lambda: runs.load_params(runs.open_run(run.path), pytest.fail))
    assert message.count("made with other settings, another vocabulary or another text") == 3


@pytest.mark.parametrize("what", ["arrays", "both", "best"])
def test_a_checkpoint_of_another_run_is_refused(run, tmp_path, shapes, what):
    other = make(tmp_path / "other", shapes)
    save(other, jax.tree.map(lambda leaf: leaf, shapes), 30, seconds=1.0)
    for name in {
        "arrays": ["step-000000030.safetensors"],
        "both": ["step-000000030.safetensors", "step-000000030.json"],
        "best": ["best.json", "step-000000010.safetensors"],
    }[what]:
        data = (other.folder / name).read_bytes()
        (run.folder / name).write_bytes(data[:-1] + b"x" if what == "arrays" else data)
    notes = []
    if what == "best":
        assert runs.load_params(run, notes.append)[1]["step"] == 30
        assert "best.json is of another run" in notes[0]
    else:
        assert runs.restore_last(run, shapes, notes.append)[1]["step"] == 20
        expected = {"arrays": "checksum does not fit", "both": "is of another run"}
        assert expected[what] in notes[0]
        assert "Using" in notes[1]


def test_a_run_of_an_earlier_version_is_named_as_such(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": {"model": "gru"}, "vocabulary": "ab", "text": {"source": "text"}})
    )
    message = refused(lambda: runs.open_run(tmp_path))
    assert "made by an earlier version of jaxrnn" in message
    assert "train it anew" in message
    (tmp_path / "config.json").write_text('{"format": 4}')
    assert "has the format 4, where 3 is known" in refused(lambda: runs.open_run(tmp_path))


def settings(**changes):
    return lambda content: content["settings"].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(vocabulary=["a", "b"]), "['a', 'b'] as 'vocabulary'"),
        (lambda c: c["vocabulary"].update(characters="ba"), "order of their code points"),
        (lambda c: c["vocabulary"].update(characters=""), "vocab_size"),
        (lambda c: c["vocabulary"].update(kind="letters"), "one of characters, bytes, words"),
        (lambda c: c["vocabulary"].update(words=[]), "an unknown 'words'"),
        (lambda c: c.update(vocabulary={"kind": "bytes"}), "as its settings have it, got bytes"),
        (settings(tokens="letters"), "--tokens: expected one of characters, bytes, words"),
        (settings(vocab_size=100), "--vocab-size: expected no such option beside --tokens char"),
        (lambda c: c.update(settings=None), "None as 'settings'"),
        (lambda c: c.update(text={}), "no 'sources', no 'sha256', no 'characters', no 'indexed'"),
        (lambda c: c["text"].update(sources=["a\0b"]), "names a text that no file system has"),
        (
            lambda c: c["text"].update(sources=["b", "a" * 5000]),
            "names a text that no file system has",
        ),
        (lambda c: c["text"].update(sources=["\ud800"]), "names a text that no file system has"),
        (lambda c: c.update(run=[]), "[] as 'run'"),
        (lambda c: c.pop("text"), "no 'text'"),
        (lambda c: c.update(more=1), "an unknown 'more'"),
        (lambda c: c["settings"].pop("model"), "no 'model'"),
        (settings(more=1), "an unknown 'more'"),
        (settings(initializer=2), "--initializer: expected str, got 2"),
        (settings(dtype=None), "--dtype: expected str"),
        (settings(rnn_size=10**12), "--rnn-size: expected at most 1,048,576"),
        (settings(rnn_size=[2, 10**12], num_layers=2), "--rnn-size: expected at most 1,048,576"),
        (settings(rnn_size=[2, "2"], num_layers=2), "--rnn-size: expected int | tuple[int, ...]"),
        (settings(rnn_size=[]), "--rnn-size"),
        (settings(rnn_size=True), "--rnn-size: expected int"),
        (settings(num_layers=10**6), "--num-layers: expected at most 256"),
        (settings(batch_size=1.0), "--batch-size: expected int, got 1.0"),
        (settings(learning_rate=10**400), "--learning-rate: expected float"),
        (settings(learning_rate="1"), "--learning-rate: expected float, got 1"),
        (settings(max_steps=10**12), "--max-steps: expected at most 2,147,483,647"),
        (settings(seed=-1), "--seed: expected at least 0"),
        (settings(model="x" * 10**6), "--model: expected at most 1,000 characters"),
        (settings(model="none"), "got none"),
        (settings(model=3), "--model: expected str"),
    ],
)
def test_a_config_that_agrees_with_itself_and_describes_no_model(run, change, words):
    path = run.path / "config.json"
    rewrite(path, lambda content: change(content) and None)
    message = refused(lambda: runs.open_run(run.path))
    assert str(path) in message
    assert words in message


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 10**6, b"null", b'{"a": 1, "a": 1}', b"[1"])
def test_a_config_that_is_no_json_object(run, data):
    path = run.path / "config.json"
    path.write_bytes(data)
    assert str(path) in refused(lambda: runs.open_run(run.path))


def test_a_config_too_large_to_be_one(run):
    os.truncate(run.path / "config.json", 2**40)
    assert "more than 33,554,432 bytes" in refused(lambda: runs.open_run(run.path))


def test_arrays_without_their_step_are_refused(run, shapes):
    other = jax.tree.map(lambda leaf: np.full(leaf.shape, 3, leaf.dtype), shapes)
    run.save(other, Journal(step=40)._asdict(), False)
    message = refused(lambda: runs.restore_last(run, shapes, pytest.fail))
    assert "step-000000040.json is of step 40, its arrays of 3" in message


def test_numbers_that_are_not_finite_are_said_and_an_older_checkpoint_used(run, shapes):
    arrays = jax.tree.map(lambda leaf: np.full(leaf.shape, 40, leaf.dtype), shapes)
    arrays.state.params.w_hy[0, 0] = np.nan
    run.save(arrays, Journal(step=40)._asdict(), True)
    for load, step in ((lambda n: runs.restore_last(run, shapes, n), 30), (runs.load_params, 30)):
        notes = []
        note = notes.append
        found = load(note) if load is not runs.load_params else load(run, note)
        assert found[1]["step"] == step
        assert "state.params.w_hy has numbers that are not finite" in notes[0]


def test_a_best_that_is_missing_is_said_where_there_was_one(run, shapes):
    run.best_path.unlink()
    assert runs.load_params(run, pytest.fail)[1]["step"] == 30
    save(run, shapes, 40, best_validation=2.5)
    notes = []
    assert runs.load_params(run, notes.append)[1]["step"] == 40
    assert "best.json is not there. Using" in notes[0]


def test_all_broken_is_one_sentence_with_every_file(run, shapes):
    for path in [*run.step_paths(), run.best_path]:
        saved_runs.arrays_file(path).write_bytes(b"")
    message = refused(lambda: runs.restore_last(run, shapes, pytest.fail))
    for step in (10, 20, 30):
        assert f"step-0000000{step}.safetensors is cut short" in message
    assert "Train it anew" in message
    assert refused(lambda: runs.load_history(run, pytest.fail)).count("cut short") == 3
    shutil.rmtree(run.folder)
    assert "has no checkpoint" in refused(lambda: runs.restore_last(run, shapes, pytest.fail))


def test_the_best_is_used_where_a_kill_left_no_manifest_of_its_step(run, shapes):
    save(run, shapes, 40, best=True)
    (run.folder / "step-000000040.json").unlink()
    assert runs.restore_last(run, shapes, pytest.fail)[1]["step"] == 40
    run.remove_unfinished()
    assert runs.load_params(run, pytest.fail)[1]["step"] == 40


def test_a_broken_best_does_not_keep_a_run_from_going_on(run, shapes):
    run.best_path.write_bytes(b"{")
    notes = []
    assert runs.restore_last(run, shapes, notes.append)[1]["step"] == 30
    assert len(notes) == 1
    before = names(run)
    run.remove_unfinished()  # who knows what it named
    save(run, shapes, 40)
    assert "step-000000010.safetensors" in names(run)
    assert set(before) - set(names(run)) == {"step-000000020.json"}
    save(run, shapes, 50, best=True)
    assert names(run)[1:] == [
        f"step-0000000{step}.{ending}" for step in (40, 50) for ending in ("json", "safetensors")
    ]


def test_a_checkpoint_that_could_not_be_read_is_not_counted_among_the_last_two(run, shapes):
    (run.folder / "step-000000030.json").write_bytes(b"{")
    for step in (24, 27):
        save(run, shapes, step)
    assert [path.stem[-2:] for path in run.step_paths()] == ["30", "27", "24"]
    assert "step-000000030.safetensors" in names(run)
    save(run, shapes, 30)
    assert [path.stem[-2:] for path in run.step_paths()] == ["30", "27"]


def test_moments_of_training_are_kept(run, shapes):
    for step in range(50, 1300, 50):
        save(run, shapes, step)
    steps = [checkpoints.step_of(path) for path in run.step_paths()]
    assert steps == [1250, 1200, 1000, 350, 100]
    # Going back and on again ends with the same ones.
    for step in (1300, 1350):
        save(run, shapes, step)
    steps = [checkpoints.step_of(path) for path in run.step_paths()]
    assert steps == [1350, 1300, 1000, 350, 100]
    best = 10
    assert sorted(runs.load_history(run, pytest.fail)) == [best, *steps[::-1]]
    assert runs.restore_last(run, shapes, pytest.fail)[1]["step"] == 1350


def test_an_unreadable_disk_stops_a_resume_instead_of_going_back(run, shapes, monkeypatch):
    original = files.open_regular

    def broken(path, *arguments):
        if path.name == "step-000000030.json":
            raise OSError(5, "Input/output error")
        return original(path, *arguments)

    monkeypatch.setattr(files, "open_regular", broken)
    with pytest.raises(
        UnreadableFileError, match=r"30\.json cannot be read: .* Once it is removed"
    ):
        runs.restore_last(run, shapes, pytest.fail)
    assert runs.load_params(run, pytest.fail)[1]["step"] == 10
    assert list(runs.load_history(run, lambda note: None)) == [10, 20]


def test_files_that_go_while_training_moves_on_are_looked_for_again(run, shapes, monkeypatch):
    original, moves = checkpoints.read, iter((40, 50, 60, 70, 80, 90))
    monkeypatch.setattr(runs, "SECONDS_BETWEEN_ATTEMPTS", 0)

    def read(*arguments):
        for step in (next(moves, None), next(moves, None), next(moves, None)):
            if step is not None:  # those that the manifest named are gone by now
                save(run, shapes, step, best=True)
        return original(*arguments)

    monkeypatch.setattr(checkpoints, "read", read)
    assert runs.load_params(run, pytest.fail)[1]["step"] == 90
    monkeypatch.setattr(checkpoints, "read", lambda *arguments: original(*arguments))

    def moved(*arguments):
        raise FileNotFoundError

    monkeypatch.setattr(run.__class__, "manifests", moved)
    assert "faster than they are read" in refused(lambda: runs.load_params(run, pytest.fail))


def test_arrays_that_are_gone_for_good_are_said(run, shapes):
    (run.folder / "step-000000010.safetensors").unlink()
    notes = []
    assert runs.load_params(run, notes.append)[1]["step"] == 30
    assert "best.json names" in notes[0]
    assert "step-000000010.safetensors, which is not there" in notes[0]
    assert list(runs.load_history(run, notes.append)) == [20, 30]


def test_a_run_is_not_led_out_of_its_folder(run, tmp_path, shapes):
    outside = tmp_path / "outside"
    shutil.move(run.folder, outside)
    run.folder.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.iterdir()}
    for act in (
        lambda: runs.restore_last(run, shapes, pytest.fail),
        lambda: runs.load_params(run, pytest.fail),
        lambda: save(run, shapes, 40),
        run.remove_unfinished,
    ):
        assert "checkpoints is a link" in refused(act)
    assert {path: path.read_bytes() for path in outside.iterdir()} == before
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes(b"{}")
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(tmp_path / name)
    assert "config.json is a link" in refused(lambda: runs.open_run(run.path))
    assert "metrics.jsonl is a link" in refused(lambda: run.append({"step": 1}))
    assert (tmp_path / "metrics.jsonl").read_bytes() == b"{}"


def test_a_link_to_a_run_is_a_run(run, tmp_path, shapes):
    (tmp_path / "link").symlink_to(run.path)
    linked = runs.open_run(tmp_path / "link")
    assert runs.restore_last(linked, shapes, pytest.fail)[1]["step"] == 30
    save(linked, shapes, 40)


def test_only_what_a_run_writes_is_removed(run):
    mine = [".config.json.tmp", ".metrics.jsonl.tmp", ".settings.toml.tmp"]
    others = [".mine.tmp", "notes.tmp", ".config.json.tmp.old"]
    for name in mine + others:
        (run.path / name).write_bytes(b"")
    inside = [".best.json.tmp", ".step-000000040.safetensors.tmp", "step-000000040.safetensors"]
    kept = ["step-40.safetensors", "other.safetensors"]
    for name in inside + kept:
        (run.folder / name).write_bytes(b"")
    run.remove_unfinished()
    kept_here = {"checkpoints", "config.json", "settings.toml", *others}
    assert {path.name for path in run.path.iterdir()} == kept_here
    assert not set(inside) & set(names(run))
    assert set(kept) < set(names(run))


@pytest.mark.parametrize(
    "name", ["best.json", "step-000000010.json", "step-000000010.safetensors", "best.npz"]
)
def test_files_of_a_run_without_its_config_are_not_overwritten(tmp_path, name):
    path = tmp_path / "run" / "checkpoints" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match=rf"where .*{name} would be lost"):
        runs.create(tmp_path / "run", SETTINGS, VOCAB, CORPUS)
    assert path.read_bytes() == b"precious"


def test_without_safetensors_no_training_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "jaxrnn\[app\]" brings it'):
        runs.create(tmp_path / "run", SETTINGS, VOCAB, CORPUS)
    assert not (tmp_path / "run").exists()


def test_a_run_in_float64_asks_for_64_bit_numbers(run):
    run = dataclasses.replace(run, settings=dataclasses.replace(SETTINGS, dtype="float64"))
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="jax_enable_x64"):
            runs.load_params(run, pytest.fail)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_the_error_of_a_broken_run_is_a_value_error():
    assert issubclass(BrokenCheckpointError, BrokenFileError)
    assert issubclass(BrokenFileError, ValueError)
