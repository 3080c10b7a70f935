"""`charlm.load`: a model from the folder of its run."""

import jax
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import runs, state
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.journal import Journal
from jaxrnn.charlm.settings import Settings

SETTINGS = Settings(model="gru", rnn_size=3, num_layers=2, batch_size=2, embed_size=2)


@pytest.fixture
def run(tmp_path):
    """A run whose best checkpoint, of step 10, is filled with 10, and its last with 20."""
    run = runs.create(tmp_path / "run", SETTINGS, charlm.Vocab("ab"), Corpus("abab", ("none",)))
    shapes = state.template(run.config, SETTINGS)
    for step in (0, 10, 20):
        tree = jax.tree.map(lambda leaf, step=step: np.full(leaf.shape, step, leaf.dtype), shapes)
        facts = Journal(step=step, best_validation=1.0, reported=step)._asdict()
        run.save(tree, facts, best=step == 10)
    run.write_config()
    return run


def test_the_best_checkpoint(run):
    config, params, vocab = charlm.load(str(run.path))
    assert (config, vocab) == (run.config, run.vocab)
    assert {float(leaf.max()) for leaf in jax.tree.leaves(params)} == {10.0}
    text = charlm.sample(*charlm.load(run.path), jax.random.key(0), length=7, prime="a")
    assert len(text) == 7
    assert set(text) <= set("ab")


def test_a_broken_best_is_told_and_the_last_taken(run):
    run.best_path.write_bytes(b"")
    notes = []
    model = charlm.load(run.path, note=notes.append)
    assert float(model.params.b_y[0]) == 20.0
    assert "best.json" in notes[0]
    with pytest.warns(UserWarning, match=r"best\.json|instead"):
        charlm.load(run.path)


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="RUN: expected the folder of a run"):
        charlm.load(tmp_path / "none")
    for name, end in (
        ("book.txt", r"which is a file\.$"),
        ("m.safetensors", r"which is a file\. Hint: jaxrnn import .* makes a run of what .*$"),
    ):
        (tmp_path / name).touch()
        with pytest.raises(FileNotFoundError, match=f"{name}, {end}"):
            charlm.load(tmp_path / name)
    with pytest.raises(TypeError, match="load: run: expected the path of a run's folder, got int"):
        charlm.load(3)
