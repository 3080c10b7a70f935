"""Checkpoints give back every bit, and are found broken wherever one changes."""

import hashlib
import json
import os
import random
import struct
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

from jaxrnn.charlm import checkpoints, files, strict_json
from jaxrnn.charlm.checkpoints import BrokenCheckpointError, Identity
from jaxrnn.charlm.files import BrokenFileError

FACTS = {"step": 12, "loss": 0.1 + 0.2, "best": None}
HINTS = {"step": int, "loss": float, "best": float | None}
IDENTITY = Identity("run", "configuration")


@pytest.fixture
def tree():
    return {
        "weights": [jnp.linspace(0, 1, 7, dtype=jnp.bfloat16), jnp.arange(6.0).reshape(2, 3)],
        "step": jnp.int32(12),
        "key": jax.random.key_data(jax.random.key(5)),
        "none": None,
        "empty": jnp.zeros((0, 3)),
        "flags": np.array([True, False]),
        "single": np.float32(0.1),
        "turned": np.arange(6, dtype=np.int64).reshape(2, 3).T,
    }


def shapes(tree):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def written(folder, data, **changes):
    """A checkpoint that agrees with itself, whatever its arrays' file is."""
    manifest = folder / "step-000000012.json"
    (folder / "step-000000012.safetensors").write_bytes(data)
    content = json.loads(checkpoints.manifest_bytes(data, FACTS, IDENTITY))
    content.pop("sha256")
    manifest.write_bytes(strict_json.seal({**content, **changes}))
    return manifest


def read(manifest, tree, **more):
    found = checkpoints.read_manifest(manifest, IDENTITY, HINTS)
    return checkpoints.read(found, shapes(tree), **more)


def fails(manifest, tree, **more):
    """The sentence of a checkpoint that is refused."""
    with pytest.raises(BrokenFileError) as caught:
        read(manifest, tree, **more)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_every_bit_and_dtype_comes_back(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    assert checkpoints.read_manifest(manifest, IDENTITY, HINTS).facts == FACTS
    with jax.transfer_guard("disallow"):
        back = read(manifest, tree)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


def test_it_is_an_ordinary_safetensors_file(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    arrays = load_file(manifest.with_suffix(".safetensors"))
    np.testing.assert_array_equal(arrays["['weights'][1]"], tree["weights"][1])
    np.testing.assert_array_equal(arrays["['turned']"], tree["turned"])
    assert arrays["['weights'][0]"].dtype == jnp.bfloat16


def test_a_part_is_read_by_itself(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    (weights, single) = read(manifest, tree, part=lambda all_: (all_["weights"], all_["single"]))
    np.testing.assert_array_equal(weights[1], tree["weights"][1])
    assert single == np.float32(0.1)


def test_any_altered_byte_and_any_cut_is_found(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    generator = random.Random(0)
    for path in (manifest, manifest.with_suffix(".safetensors")):
        data = path.read_bytes()
        for place in {0, len(data) - 3, *generator.sample(range(len(data)), 60)}:
            altered = bytearray(data)
            altered[place] ^= 1 << generator.randrange(8)
            path.write_bytes(altered)
            if path == manifest and bytes(altered).split() == data.split():
                continue  # white space
            assert str(path) in fails(manifest, tree)
        for length in (0, 1, 7, 8, 50, len(data) // 2, len(data) - 3):
            path.write_bytes(data[:length])
            assert str(path) in fails(manifest, tree)
        path.write_bytes(data + b"\0")
        assert str(path) in fails(manifest, tree)
        path.write_bytes(data)
    read(manifest, tree)


def test_all_that_is_different_is_named_at_once(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree | {"more": jnp.ones(2)}))
    assert "it has an extra \"['more']\"." in fails(manifest, tree)
    other = tree | {"step": jnp.int64(1), "key": jnp.zeros((2, 2), jnp.uint32), "new": jnp.ones(1)}
    other.pop("single")
    message = fails(manifest, other)
    for words in (
        "of another model or optimizer",
        "no ['new']",
        "['step'] as int32[] instead of int64[]",
        "['key'] as uint32[2] instead of uint32[2, 2]",
        "an extra \"['more']\"",
        "an extra \"['single']\"",
    ):
        assert words in message
    many = {f"a{n}": jnp.ones(1) for n in range(50)}
    assert "30 further extra ones" in fails(written(tmp_path, checkpoints.to_bytes(many)), tree)


def test_a_whole_bad_file_is_altered_rather_than_of_another_model(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    path = manifest.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes().replace(b"single", b"sinale"))
    assert "checksum does not fit" in fails(manifest, tree)


def header(entries, data=b"", length=None):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE = {
    "the same twice": (
        header(b'{"a": %s, "a": %s}' % ((json.dumps(entry([2], 0, 8)).encode(),) * 2), b"\0" * 8),
        "'a' stands there twice",
    ),
    "overlapping": (
        header({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, b"\0" * 8),
        "safetensors",
    ),
    "a gap": (header({"a": entry([2], 8, 16)}, b"\0" * 16), "safetensors"),
    "beyond the end": (header({"a": entry([2], 0, 8)}, b"\0" * 4), "safetensors"),
    "bytes behind": (header({"a": entry([2], 0, 8)}, b"\0" * 9), "safetensors"),
    "a huge shape": (header({"a": entry([2**40, 2**40], 0, 8)}, b"\0" * 8), "safetensors"),
    "a huge shape of nothing": (
        header({"['a']": entry([0, 2**62], 0, 0)}),
        "['a'] as float32[0, 4611686018427387904] instead of float32[2]",
    ),
    "a header of gigabytes": (header(b"{}", length=2**40), "a header of 1,099,511,627,776 bytes"),
    "a header beyond the file": (header(b"{}", length=10_000), "safetensors"),
    "a large header": (header(b" " * 10**6), "a header of 1,000,000 bytes"),
    "a deep header": (header(b"[" * 60_000), "nested too deeply"),
    "many arrays": (
        header({str(n): entry([0], 0, 0) for n in range(900)}),
        "880 further extra ones",
    ),
    "another dtype": (
        header({"['a']": entry([4], 0, 2, "F4")}, b"\0" * 2),
        "['a'] as F4[4] instead of",
    ),
    "an unknown dtype": (header({"a": entry([2], 0, 8, "X")}, b"\0" * 8), "safetensors"),
    "no text": (header(b'{"\xff": 1}'), "can't decode"),
    "a name on several lines": (
        header({"a\nb\x1b[31m" + "c" * 500: entry([2], 0, 8)}, b"\0" * 8),
        r"an extra 'a\nb\x1b[31mccc",
    ),
    "no header": (b"1234", "safetensors"),
    "nothing": (b"", "safetensors"),
}


@pytest.mark.parametrize(("data", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_arrays_whose_checksum_fits(tmp_path, data, words):
    manifest = written(tmp_path, data)
    message = fails(manifest, {"a": jnp.zeros(2, jnp.float32)})
    assert "step-000000012.safetensors" in message
    assert words in message
    assert len(message) < 500 + len(str(tmp_path))


def test_a_file_far_too_large_is_refused_before_it_is_read(tmp_path, tree, monkeypatch):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    content = json.loads(manifest.read_text())
    path = manifest.with_suffix(".safetensors")
    large = json.dumps({"a": entry([2**40], 0, 2**42)}).encode()
    path.write_bytes(struct.pack("<Q", len(large)) + large)
    os.truncate(path, size := 2**42 + 8 + len(large))  # holes: no byte of it is on the disk
    written_again = {**content["arrays"], "size": size}
    content.pop("sha256")
    manifest.write_bytes(strict_json.seal({**content, "arrays": written_again}))
    monkeypatch.setattr(checkpoints.hashlib, "sha256", pytest.fail)
    found = checkpoints.Manifest(manifest, path, size, "", {"step": 12})
    with pytest.raises(BrokenCheckpointError, match=r"no \['weights'\]\[0\], .*an extra 'a'"):
        checkpoints.read(found, shapes(tree))


def test_more_than_the_machine_has_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    tree = {"a": np.zeros(10, np.float32)}
    manifest = written(tmp_path, checkpoints.to_bytes(tree))

    def check(path, size):
        raise BrokenFileError(f"{path} needs {size}")

    monkeypatch.setattr(files, "check_memory", check)
    assert "step-000000012.safetensors needs 40" in fails(manifest, tree)

    def none_left(*arguments, **more):
        raise MemoryError

    monkeypatch.setattr("safetensors.safe_open", none_left)
    assert "needs more memory than there is" in fails(manifest, tree)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 4}, "has the format 4, where 3 is known"),
        ({"format": "2"}, "has the format '2'"),
        ({"format": True}, "has the format True"),
        ({"run": "other"}, "is of another run"),
        ({"run": 3}, "3 as 'run'"),
        ({"configuration": "other"}, "other settings, another vocabulary or another text"),
        ({"arrays": []}, "[] as 'arrays'"),
        ({"arrays": {}}, "no 'file', no 'size', no 'sha256'"),
        ({"facts": None}, "None as 'facts'"),
        ({"facts": {}}, "no 'step', no 'loss', no 'best'"),
        ({"facts": FACTS | {"step": 13}}, "of step 13 with the arrays"),
        ({"facts": FACTS | {"step": -1}}, "counts steps below 0"),
        ({"facts": FACTS | {"step": 2**31}}, "or above 2,147,483,647"),
        ({"facts": FACTS | {"step": 12.0}}, "12.0 as 'step'"),
        ({"facts": FACTS | {"step": True}}, "True as 'step'"),
        ({"facts": FACTS | {"loss": "1"}}, "'1' as 'loss'"),
        ({"facts": FACTS | {"more": 1}}, "an unknown 'more'"),
        ({"more": 1}, "an unknown 'more'"),
    ],
)
def test_manifests_whose_checksum_fits(tmp_path, tree, changes, words):
    manifest = written(tmp_path, checkpoints.to_bytes(tree), **changes)
    message = fails(manifest, tree)
    assert str(manifest) in message
    assert words in message


@pytest.mark.parametrize(
    "name",
    [
        "../../outside.safetensors",
        "/etc/passwd",
        "step-000000011.safetensors",
        "./step-000000012.safetensors",
        "",
        ".",
        "step-000000012.safetensors\0",
    ],
)
def test_a_manifest_names_its_own_arrays_and_no_others(tmp_path, tree, name):
    data = checkpoints.to_bytes(tree)
    arrays = {"file": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = written(tmp_path, data, arrays=arrays)
    best = tmp_path / "best.json"
    best.write_bytes(manifest.read_bytes())
    for path in (manifest, best):
        assert "which do not belong together" in fails(path, tree)


def test_a_manifest_under_the_name_of_another_step(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    manifest.rename(tmp_path / "step-000000013.json")
    assert "do not belong together" in fails(tmp_path / "step-000000013.json", tree)


def test_a_large_manifest_is_not_read(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    os.truncate(manifest, 2**40)
    assert "more than 1,048,576 bytes" in fails(manifest, tree)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float64])
@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_numbers_that_are_not_finite_are_said(tmp_path, dtype, value):
    tree = {"weights": jnp.array([1.0, value], dtype), "others": jnp.array([1.0], dtype)}
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    assert "['weights'] has numbers that are not finite" in fails(manifest, tree)
    read(manifest, tree, part=lambda all_: all_["others"])


def test_arrays_that_are_no_regular_file(tmp_path, tree):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    path = manifest.with_suffix(".safetensors")
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert "is a link" in fails(manifest, tree)
    path.unlink()
    os.mkfifo(path)
    assert "is a fifo" in fails(manifest, tree)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(manifest, tree)


def test_a_file_that_is_replaced_while_it_is_read(tmp_path, tree, monkeypatch):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))
    path = manifest.with_suffix(".safetensors")

    def replaced_first(*arguments, **more):
        files.write_atomically(path, path.read_bytes())
        return safe_open(*arguments, **more)

    monkeypatch.setattr("safetensors.safe_open", replaced_first)
    with pytest.raises(FileNotFoundError, match="replaced while it was read"):
        read(manifest, tree)


def test_a_disk_that_does_not_read(tmp_path, tree, monkeypatch):
    manifest = written(tmp_path, checkpoints.to_bytes(tree))

    def broken(*arguments, **more):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("safetensors.safe_open", broken)
    assert "cannot be read: Input/output error" in fails(manifest, tree)


def test_without_safetensors_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "jaxrnn\[app\]" brings it'):
        checkpoints.require_safetensors()


def test_names_of_steps():
    for step in (0, 12, 10**9, 2**31 - 1):
        assert checkpoints.step_of(Path(checkpoints.step_name(step) + ".json")) == step
    for name in ("step-12", "step-0000000012", "step-00000001x", "step-", "astep-000000012"):
        assert checkpoints.step_of(Path(name)) is None


def test_no_arrays_at_all(tmp_path):
    assert read(written(tmp_path, save({})), {}) == {}
