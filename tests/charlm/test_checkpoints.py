"""Files that are whole, found broken wherever a byte changes, and give back every bit."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.charlm import checkpoints
from jaxrnn.charlm.checkpoints import BrokenCheckpointError


@pytest.fixture
def tree():
    return {
        "weights": [jnp.linspace(0, 1, 7, dtype=jnp.bfloat16), jnp.arange(6.0).reshape(2, 3)],
        "step": jnp.int32(12),
        "key": jax.random.key_data(jax.random.key(5)),
        "none": None,
        "single": np.float32(0.1),
    }


FACTS = {"step": 12, "loss": 0.1 + 0.2, "best": None}


def test_every_bit_and_dtype_comes_back(tmp_path, tree):
    path = tmp_path / "a.npz"
    checkpoints.write_atomically(path, checkpoints.to_bytes(tree, FACTS))
    arrays, facts = checkpoints.read(path)
    assert {name: facts[name] for name in FACTS} == FACTS
    back = checkpoints.restore(tree, arrays, path)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert back["weights"][0].dtype == jnp.bfloat16


def test_it_is_an_ordinary_npz_without_pickle(tmp_path, tree):
    path = tmp_path / "a.npz"
    path.write_bytes(checkpoints.to_bytes(tree, FACTS))
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["['weights'][1]"], tree["weights"][1])


def test_any_altered_byte_and_any_cut_is_found(tmp_path, tree):
    path = tmp_path / "a.npz"
    data = checkpoints.to_bytes(tree, FACTS)
    generator = random.Random(0)
    places = {0, len(data) - 1, len(data) - 72, *generator.sample(range(len(data)), 60)}
    for place in places:
        altered = bytearray(data)
        altered[place] ^= 1 << generator.randrange(8)
        path.write_bytes(altered)
        with pytest.raises(BrokenCheckpointError, match=r"a\.npz"):
            checkpoints.read(path)
    for length in (0, 1, 50, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(BrokenCheckpointError, match="cut short or altered"):
            checkpoints.read(path)


def test_another_tree_is_refused_by_name(tmp_path, tree):
    path = tmp_path / "a.npz"
    path.write_bytes(checkpoints.to_bytes(tree, FACTS))
    arrays, _ = checkpoints.read(path)
    for wrong in (
        {"other": jnp.ones(2)},
        {"step": jnp.int64(1)},
        {"step": jnp.zeros(2, jnp.int32)},
    ):
        with pytest.raises(BrokenCheckpointError, match=next(iter(wrong))):
            checkpoints.restore(wrong, arrays, path)


def test_writing_replaces_whole_files_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file"
    checkpoints.write_atomically(path, b"old")
    checkpoints.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    checkpoints.write_atomically(path, b"old")

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        checkpoints.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
