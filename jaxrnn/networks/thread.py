"""Through a network cell by cell: its structure alone, or with a sequence that flows through it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Concatenate

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.networks.values import Bidirectional, Directions, Network, Stack
from jaxrnn.recurrence.checks import is_token_ids, whose

Trees = Mapping[str, Any]

Visit = Callable[Concatenate[int, Cell, ...], Any]
"""`(index, cell, **values)`, the cell's part of each tree by the argument's name."""

Run = Callable[Concatenate[Cell, Array, bool, ...], tuple[Any, Array]]
"""`(cell, xs, reverse, **values) -> (result, hs)`."""


def parts_of(function: str, network: Network, trees: Trees) -> list[dict[str, Any]]:
    """What of each tree belongs to each part of a network: L for a Stack, 2 for a Bidirectional.

    Args:
        function: for the sentence.
        network: a Stack or a Bidirectional.
        trees: by the argument's name, each of the network's structure, or None.

    Raises:
        TypeError, ValueError: a tree of another structure.
    """
    if isinstance(network, Stack):
        count = len(network.layers)
        expected = f"a tuple of {count}, one for each layer"
    else:
        count, expected = 2, "a jaxrnn.networks.Directions(forward, backward)"
    for name, tree in trees.items():
        if tree is None:
            continue
        if isinstance(network, Stack):
            right = isinstance(tree, tuple | list) and not hasattr(tree, "_fields")
        else:
            right = isinstance(tree, Directions)
        if not right or len(tree) != count:
            got = f"a tuple of {len(tree)}" if type(tree) in (tuple, list) else whose(tree)
            kind = ValueError if right else TypeError
            raise kind(sentence(function, name, f"{expected} of {network!r}", got))
    return [
        {name: None if tree is None else tree[index] for name, tree in trees.items()}
        for index in range(count)
    ]


def map_cells(function: str, network: Network, at_cell: Visit, trees: Trees) -> Any:
    """Calls `at_cell(index, cell, **values)` for each cell, in order; the network's structure.

    Args:
        function: for the sentence.
        network: a cell or a network.
        at_cell: index counts the cells of the whole network, values are the cell's part of trees.
        trees: by the argument's name, each of the network's structure, or None.

    Returns:
        What `at_cell` returned, in the network's structure.
    """
    index = -1

    def visit(network: Network, values: Trees) -> Any:
        nonlocal index
        if isinstance(network, Cell):
            index += 1
            return at_cell(index, network, **values)
        parts = parts_of(function, network, values)
        if isinstance(network, Stack):
            return tuple(visit(*pair) for pair in zip(network.layers, parts, strict=True))
        return Directions(visit(network.forward, parts[0]), visit(network.backward, parts[1]))

    return visit(network, trees)


def thread(
    function: str,
    network: Network,
    at_cell: Run,
    trees: Trees,
    xs: Array,
    *,
    reverse: bool = False,
    dropout_key: Array | None = None,
) -> tuple[Any, Array]:
    """Leads a sequence, or one step of it, through a network.

    Args:
        function: for the sentence.
        network: a cell or a network.
        at_cell: `(cell, xs, reverse, **values) -> (result, hs)`.
        trees: by the argument's name, each of the network's structure, or None.
        xs: what the first cell reads.
        reverse: whether time runs backwards; a Bidirectional's backward part then runs forwards.
        dropout_key: for the dropout of stacks, one or [*B]; None: nothing is dropped.

    Returns:
        (the results in the network's structure, the last outputs).
    """
    if isinstance(network, Cell):
        return at_cell(network, xs, reverse, **trees)
    parts = parts_of(function, network, trees)
    if isinstance(network, Bidirectional):
        keys: Any = (None, None)
        if dropout_key is not None:
            keys = _split(dropout_key)
        ahead, hs = thread(
            function, network.forward, at_cell, parts[0], xs, reverse=reverse, dropout_key=keys[0]
        )
        back, back_hs = thread(
            function, network.backward, at_cell, parts[1], xs, reverse=not reverse,
            dropout_key=keys[1],
        )  # fmt: skip
        return Directions(ahead, back), jnp.concatenate([hs, back_hs], axis=-1)
    results = []
    for index, (layer, part) in enumerate(zip(network.layers, parts, strict=True)):
        key = None if dropout_key is None else fold_in(dropout_key, index)
        result, hs = thread(
            function, layer, at_cell, part, xs, reverse=reverse,
            # A stack inside draws from a key of its own.
            dropout_key=None if key is None else fold_in(key, 1),
        )  # fmt: skip
        results.append(result)
        if network.residual and index:
            hs = _add(function, index, xs, hs)
        if key is not None and index < len(network.layers) - 1:
            hs = drop(key, hs, network.dropout)
        xs = hs
    return tuple(results), xs


def fold_in(keys: Array, data: Array | int) -> Array:
    """`jax.random.fold_in` for keys [*B] and data [*B], or one of either for all of the other."""
    shape = jnp.broadcast_shapes(keys.shape, jnp.shape(data))
    if not shape:
        return jax.random.fold_in(keys, data)
    data = jnp.broadcast_to(jnp.asarray(data, jnp.uint32), shape)
    return jax.vmap(jax.random.fold_in)(
        jnp.broadcast_to(keys, shape).reshape(-1), data.reshape(-1)
    ).reshape(shape)


def _split(keys: Array) -> tuple[Array, Array]:
    """`jax.random.split` in two, for keys [*B]."""
    pairs = jax.vmap(jax.random.split)(keys.reshape(-1)).reshape(*keys.shape, 2)
    return pairs[..., 0], pairs[..., 1]


def drop(key: Array, xs: Array, probability: float) -> Array:
    """Sets each entry to 0 with a probability p, the others to x / (1 − p).

    Args:
        key: a `jax.random.key`, consumed; or keys [*B], one for each sequence of xs [T, *B, H],
            whose draws then depend on its own key alone (with JAX's default kind of key).
        xs: any shape.
        probability: p in [0, 1), to the nearest multiple of 2⁻¹⁶; with 0 nothing is drawn.

    Returns:
        The same shape and dtype; its mean over masks is xs.

    Source: Srivastava et al. 2014, scaled in training instead of in use.
    """
    if probability == 0:
        return xs
    if key.ndim:
        shape = xs.shape[0], xs.shape[-1]
        draw = functools.partial(_sixteen_bits, shape=shape)
        for _ in key.shape:
            draw = jax.vmap(draw, out_axes=1)
        drawn = draw(key)
    else:
        drawn = _sixteen_bits(key, xs.shape)
    keep = drawn >= round(probability * 2**16)
    scale = jnp.asarray(1.0 / (1.0 - probability), xs.dtype)
    return jnp.where(keep, xs * scale, jnp.zeros_like(xs))


def _sixteen_bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Integers below 2¹⁶, two from each 32 bits drawn.

    A training step of the default model takes a CPU core 78 ms with these, 89 with
    `jax.random.bernoulli`, which takes 32 bits for one entry, and 73 without dropout.
    """
    *lead, width = shape or (1,)
    bits = jax.random.bits(key, (*lead, (width + 1) // 2), jnp.uint32)
    halves = jnp.concatenate([bits & 0xFFFF, bits >> 16], axis=-1)
    return halves[..., :width].reshape(shape)


def _add(function: str, index: int, xs: Array, hs: Array) -> Array:
    if is_token_ids(xs) or xs.shape != hs.shape:
        expected = f"outputs as wide as its inputs, [..., {xs.shape[-1]}], for residual=True"
        raise ValueError(sentence(function, f"layer {index}", expected, hs))
    return xs + hs
