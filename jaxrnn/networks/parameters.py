"""Parameters and carries of a cell or a network: `init`, `zero_carry`, `output_size`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.cells.drawing import draw
from jaxrnn.errors import sentence
from jaxrnn.networks.thread import map_cells, parts_of
from jaxrnn.networks.values import Bidirectional, Directions, Network, Stack, check_network
from jaxrnn.recurrence.checks import (
    check_batch_shape,
    check_dtype,
    check_key,
    check_params,
    check_size,
)


def init(
    cell: Network,
    key: Array,
    input_size: int,
    hidden_size: int | Sequence[Any],
    *,
    proj_size: int | Sequence[Any] | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Any:
    """Draws the parameters of a cell or a network.

    Args:
        cell: a cell, `Stack` or `Bidirectional`.
        key: a `jax.random.key`; consumed.
        input_size: I, at least 1; for token ids the vocabulary's size.
        hidden_size: H, at least 1; for a `Stack` also a sequence, one per layer.
        proj_size: P, at least 1, of a cell with a projection; for a `Stack` also a sequence, one a
            layer. None: half of H, rounded up.
        dtype: float32, bfloat16 or float64 (the last needs `jax_enable_x64`).

    Returns:
        The cell's Params: w_xh [I, G·H] Glorot uniform and w_hh [H, G·H] orthogonal, a block a
        gate; biases zero, but the LSTM's forget gate 1; `ELMAN_RELU`'s w_hh the identity. Of a
        `Stack` a tuple, one per layer; of a `Bidirectional` `Directions(forward, backward)`.

    Raises:
        TypeError: `cell` is no cell and no network, `key` no key, or `dtype` no floating dtype.
        ValueError: a size below 1 or the wrong number of them; a `proj_size` for a cell without
            projection; float64 without `jax_enable_x64`.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=128)
        >>> params.w_xh.shape, params.w_hh.shape, params.b_h.shape
        ((65, 512), (128, 512), (512,))
        >>> two = rnn.Stack([rnn.LSTM, rnn.GRU])
        >>> lower, upper = rnn.init(two, jax.random.key(0), input_size=65, hidden_size=(128, 32))
        >>> upper.w_xh.shape
        (128, 96)
    """
    check_network("init", cell)
    check_key("init", key)
    check_dtype("init", dtype)
    check_size("init", "input_size", input_size)
    return _init(cell, key, int(input_size), hidden_size, proj_size, jnp.dtype(dtype))


def _init(
    network: Network, key: Array, input_size: int, hidden_size: Any, proj_size: Any, dtype: Any
) -> Any:
    if isinstance(network, Cell):
        check_size("init", "hidden_size", hidden_size)
        sizes = {"I": input_size, "H": int(hidden_size)}
        if network.has_projection:
            proj_size = (hidden_size + 1) // 2 if proj_size is None else proj_size
            check_size("init", "proj_size", proj_size)
            sizes["P"] = int(proj_size)
        elif proj_size is not None:
            expected = f"none beside {network!r}, which has no projection"
            hint = "the cell lstm_projected has one"
            raise ValueError(sentence("init", "proj_size", expected, proj_size, hint))
        return draw(network, key, sizes, dtype)
    if isinstance(network, Bidirectional):
        ahead, back = jax.random.split(key)
        return Directions(
            _init(network.forward, ahead, input_size, hidden_size, proj_size, dtype),
            _init(network.backward, back, input_size, hidden_size, proj_size, dtype),
        )
    count = len(network.layers)
    hidden = _each("hidden_size", hidden_size, network)
    proj = _each("proj_size", proj_size, network)
    drawn: list[Any] = []
    for index, layer_key in enumerate(jax.random.split(key, count)):
        layer, shared = network.layers[index], not isinstance(proj_size, tuple | list)
        # One P for all means: for those that have one.
        own = None if shared and not _projects(layer) and _projects(network) else proj[index]
        drawn.append(_init(layer, layer_key, input_size, hidden[index], own, dtype))
        input_size = output_size(layer, drawn[-1])
    return tuple(drawn)


def _each(name: str, size: Any, stack: Stack) -> list[Any]:
    count = len(stack.layers)
    if not isinstance(size, tuple | list):
        return [size] * count
    if len(size) != count:
        expected = f"one number, or {count}, one for each layer of {stack!r}"
        raise ValueError(sentence("init", name, expected, f"{len(size)} of them"))
    return list(size)


def _projects(network: Network) -> bool:
    if isinstance(network, Cell):
        return network.has_projection
    if isinstance(network, Stack):
        return any(map(_projects, network.layers))
    return _projects(network.forward) or _projects(network.backward)


def output_size(cell: Network, params: Any) -> int:
    """The width of what `unroll` returns: H, P after a projection, the sum of two directions.

    Args:
        cell: a cell or a network.
        params: its parameters.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> net = rnn.Stack([rnn.GRU, rnn.Bidirectional(rnn.GRU)])
        >>> rnn.output_size(net, rnn.init(net, jax.random.key(0), input_size=3, hidden_size=4))
        8
    """
    check_network("output_size", cell)
    if isinstance(cell, Cell):
        check_params("output_size", cell, params)
        return int(cell.carry_of(cell.sizes_of(params)).h)
    parts = [part["params"] for part in parts_of("output_size", cell, {"params": params})]
    if isinstance(cell, Stack):
        return output_size(cell.layers[-1], parts[-1])
    return output_size(cell.forward, parts[0]) + output_size(cell.backward, parts[1])


def zero_carry(cell: Network, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
    """The carry before the first step: zeros [*B, H] in every field, in the params' dtype.

    Args:
        cell: a cell or a network.
        params: its parameters.
        batch_shape: *B.

    Returns:
        The cell's Carry; of a network a tree of its structure.

    Raises:
        TypeError, ValueError: `params` are not this network's.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=65, hidden_size=128)
        >>> rnn.zero_carry(rnn.LSTM, params, batch_shape=(32,)).c.shape
        (32, 128)
    """
    check_network("zero_carry", cell)
    check_batch_shape("zero_carry", batch_shape)

    def zeros(index: int, cell: Cell, params: Any) -> Any:
        check_params("zero_carry", cell, params)
        widths, dtype = cell.carry_of(cell.sizes_of(params)), params.w_xh.dtype
        return cell.Carry(*(jnp.zeros((*batch_shape, width), dtype) for width in widths))

    return map_cells("zero_carry", cell, zeros, {"params": params})
