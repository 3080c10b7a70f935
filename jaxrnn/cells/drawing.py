"""How a cell's parameters are drawn before training."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from jaxrnn.cells.cell import Array, Cell, Sizes, dimensions, resolve
from jaxrnn.precision import accumulator


def draw(cell: Cell, key: Array, sizes: Sizes, dtype: Any) -> Any:
    """The usual draw: w_xh Glorot uniform, other matrices orthogonal, gains 1, other vectors 0.

    A matrix is drawn block by block, each with a key of its own: for "H 4H" four blocks [H, H]. A
    vector is a gain where its name begins with `gain`. `cell.init` then changes what it wants.

    Args:
        cell: whose parameters.
        key: a `jax.random.key`; consumed.
        sizes: I, H and, where the cell has it, P.
        dtype: floating dtype.

    Returns:
        The cell's Params.

    Sources: Glorot and Bengio 2010, eq. 16; Saxe, McClelland and Ganguli 2014.
    """
    key_x, key_h = jax.random.split(key)
    drawn: dict[str, Array] = {}
    recurrent = 0
    for name, text in zip(cell.param_shapes._fields, cell.param_shapes, strict=True):
        axes = dimensions(text)
        if len(axes) == 1:
            make = jnp.ones if name.startswith("gain") else jnp.zeros
            drawn[name] = make(resolve(text, sizes), dtype)
            continue
        (rows, _), (count, letter) = (resolve(text, sizes), axes[1])
        block = (rows, sizes[letter])
        if name == "w_xh":
            drawn[name] = _blocks(initializers.glorot_uniform(), key_x, block, count, dtype)
        else:
            own_key = jax.random.fold_in(key_h, recurrent) if recurrent else key_h
            drawn[name] = _blocks(initializers.orthogonal(), own_key, block, count, dtype)
            recurrent += 1
    params = cell.Params(**drawn)
    return params if cell.init is None else cell.init(jax.random.fold_in(key, 2), params)


def _blocks(
    make: initializers.Initializer, key: Array, block: tuple[int, int], count: int, dtype: Any
) -> Array:
    """[rows, count·columns] of blocks drawn one by one; in float32 at least, for the QR."""
    exact = accumulator(dtype)
    keys = jax.random.split(key, count)
    return jnp.concatenate([make(k, block, exact) for k in keys], axis=-1).astype(dtype)
