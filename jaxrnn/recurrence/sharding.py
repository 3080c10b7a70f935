"""Inside `jax.shard_map`, with its checks on."""

from typing import Any

import jax


def same_axes(tree: Any) -> Any:
    """Makes every array vary over the mesh axes over which any of them does; else nothing changes.

    Weights are the same on every device and a batch is not, while a scan's carry must be of one
    kind throughout. Said here, at the entrance, the transpose adds up the weights' gradients over
    the devices, as it should.
    """
    axes = sorted({axis for leaf in jax.tree.leaves(tree) for axis in _axes(leaf)})
    if not axes:
        return tree

    def vary(leaf: Any) -> Any:
        missing = tuple(axis for axis in axes if axis not in _axes(leaf))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(vary, tree)


def _axes(leaf: Any) -> frozenset[Any]:
    varying: frozenset[Any] = jax.typeof(leaf).manual_axis_type.varying
    return varying
