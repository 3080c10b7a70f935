"""Where arrays lie: on one device, over several, over those of several processes.

A mesh has one axis, the streams of the batch. What has no stream (parameters, the optimizer's
state, the key) lies whole on every device; what has one is divided, an equal share of consecutive
streams on each. None is the mesh of one device, so that callers need not ask how many there are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_size

Mesh = jax.sharding.Mesh

# The name of the mesh's one axis.
STREAMS = "streams"


def make_mesh(devices: int) -> Mesh | None:
    """The first devices of JAX, as many of every process.

    Args:
        devices: how many, of all processes together.

    Returns:
        A mesh with the one axis `streams`; None for one device.

    Raises:
        ValueError: more devices than there are, or a number that the processes do not divide.

    Example:
        >>> make_mesh(1) is None
        True
    """
    check_size("make_mesh", "devices", devices)
    processes = jax.process_count()
    if devices % processes:
        expected = f"a multiple of the {processes} processes"
        raise ValueError(sentence("make_mesh", "devices", expected, devices))
    if devices == 1:
        return None
    chosen: list[jax.Device] = []
    for process in range(processes):
        here = [device for device in jax.devices() if device.process_index == process]
        if devices // processes > len(here):
            owner = "JAX has here" if processes == 1 else f"process {process} has"
            expected = f"at most the {len(here)} that {owner}"
            got = devices if processes == 1 else f"{devices} over {processes} processes"
            hint = 'jax.config.update("jax_num_cpu_devices", n), before all else, makes n of a CPU'
            raise ValueError(sentence("make_mesh", "devices", expected, got, hint))
        chosen += here[: devices // processes]
    return jax.make_mesh(
        (devices,), (STREAMS,), axis_types=(jax.sharding.AxisType.Auto,), devices=chosen
    )


def check_mesh(function: str, mesh: Any) -> None:
    """Raises TypeError for what is no mesh of `make_mesh`."""
    if mesh is None:
        return
    if not (
        isinstance(mesh, Mesh)
        and mesh.axis_names == (STREAMS,)
        and mesh.axis_types == (jax.sharding.AxisType.Auto,)
    ):
        expected = "a mesh of charlm.make_mesh(devices), or None"
        raise TypeError(sentence(function, "mesh", expected, repr(mesh)))


def replicate(mesh: Mesh | None, tree: Any) -> Any:
    """The tree whole on every device of the mesh.

    Args:
        mesh: of `make_mesh`.
        tree: arrays, the same in every process, or what is in place already, which costs nothing.
    """
    return _put(mesh, jax.sharding.PartitionSpec(), tree)


def divide(mesh: Mesh | None, tree: Any) -> Any:
    """The tree with its leading axis, the streams, divided over the devices of the mesh.

    Args:
        mesh: of `make_mesh`.
        tree: arrays [B, ...], whole and the same in every process, of which each device takes its
            own rows; or what is in place already, which costs nothing.
    """
    return _put(mesh, jax.sharding.PartitionSpec(STREAMS), tree)


def whole(mesh: Mesh | None, tree: Any) -> Any:
    """A copy of a placed tree on one device of this process, which nothing else refers to.

    It may be read while its original is donated and trained on. It is asked for on the device and
    not waited for. Of several processes all must call it, with the same tree.

    Args:
        mesh: of `make_mesh`.
        tree: of `replicate`, of `divide`, or what a function made of them.
    """
    copies = _everywhere(_copy, mesh)(tree)
    return copies if mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), copies)


def any_process(mesh: Mesh | None, answer: bool) -> bool:
    """Whether any process says yes; of several processes all must ask, at the same moment.

    Args:
        mesh: of `make_mesh`.
        answer: this process's.
    """
    if mesh is None or jax.process_count() == 1:
        return answer
    # Each process fills in the rows of its own devices.
    answers = divide(mesh, np.full(mesh.size, answer))
    return bool(jax.device_get(_everywhere(jnp.any, mesh)(answers).addressable_data(0)))


def _put(mesh: Mesh | None, spec: jax.sharding.PartitionSpec, tree: Any) -> Any:
    if mesh is None:
        return jax.device_put(tree)
    sharding = jax.sharding.NamedSharding(mesh, spec)

    def put(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
            return leaf
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            bits = put(jax.random.key_data(leaf))
            key: jax.Array = jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
            return key
        # Device by device: over processes `device_put` would have them compare the values first,
        # and `make_array_from_callback` is refused by `transfer_guard("disallow")`.
        host = np.asarray(jax.device_get(leaf))
        mine = sharding.addressable_devices_indices_map(host.shape)
        shards = [jax.device_put(host[index], device) for device, index in mine.items()]
        return jax.make_array_from_single_device_arrays(host.shape, sharding, shards)

    return jax.tree.map(put, tree)


@functools.cache
def _everywhere(function: Callable[[Any], Any], mesh: Mesh | None) -> Callable[[Any], Any]:
    """A function of placed trees, jitted, with its results whole on every device."""
    if mesh is None:
        return jax.jit(function)
    on_all = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.jit(function, out_shardings=on_all)


def _copy(tree: Any) -> Any:
    # In so many words: what a jitted function returns of its arguments need not be a copy.
    return jax.tree.map(jnp.copy, tree)
