"""Where arrays lie, on the two devices that the tests have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.charlm.placement import STREAMS, divide, make_mesh, replicate, whole


@pytest.mark.parametrize(
    ("devices", "words"),
    [(3, "make_mesh: devices: expected at most the 2 that JAX has here, got 3"), (0, "at least 1")],
)
def test_meshes_that_cannot_be(devices, words):
    with pytest.raises(ValueError, match=words):
        make_mesh(devices)


def test_rows_are_divided_and_the_rest_is_everywhere():
    mesh = make_mesh(2)
    assert mesh.axis_names == (STREAMS,)
    rows = np.arange(12.0).reshape(4, 3)
    divided = divide(mesh, {"rows": rows})["rows"]
    shards = sorted(divided.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    np.testing.assert_array_equal(shards[0].data, rows[:2])
    np.testing.assert_array_equal(shards[1].data, rows[2:])
    everywhere, key = replicate(mesh, (rows, jax.random.key(3)))
    assert all(shard.data.shape == (4, 3) for shard in everywhere.addressable_shards)
    assert key.sharding.is_fully_replicated
    assert len(key.sharding.device_set) == 2
    # What is in place stays.
    assert divide(mesh, divided) is divided
    assert replicate(mesh, everywhere) is everywhere


@pytest.mark.parametrize("devices", [1, 2])
def test_what_is_whole_again_outlives_the_donation_of_its_original(devices):
    mesh = make_mesh(devices)
    rows = np.arange(12.0).reshape(4, 3)
    placed = divide(mesh, jnp.asarray(rows)), replicate(mesh, jnp.asarray(rows) + 1)
    copies = whole(mesh, placed)
    overwrite = jax.jit(lambda tree: jax.tree.map(jnp.negative, tree), donate_argnums=0)
    overwrite(placed)
    assert all(leaf.is_deleted() for leaf in placed)
    for copy, expected in zip(copies, (rows, rows + 1), strict=True):
        assert len(copy.sharding.device_set) == 1
        np.testing.assert_array_equal(copy, expected)


def test_one_device_needs_no_mesh():
    assert make_mesh(1) is None
    rows = np.arange(4.0)
    assert isinstance(divide(None, rows), jax.Array)
    placed = jnp.asarray(rows)
    assert replicate(None, placed) is placed
    assert whole(None, placed) is not placed
