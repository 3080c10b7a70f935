"""Equinox: LSTMCell and GRUCell, by the names of their fields.

weight_ih [G·H, I] = w_xhᵀ     weight_hh [G·H, H] = w_hhᵀ     bias [G·H] = b_h     bias_n = b_hn
"""

from collections.abc import Mapping
from typing import Any

from jaxrnn.cells import GRU, LSTM, Cell
from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import (
    Shape,
    check_entries,
    kind_of,
    params_of,
    to_array,
    to_numpy,
    zeros,
)
from jaxrnn.exchange.structures import check_cell, exported, one_direction, stacked
from jaxrnn.networks import Network

_FIELDS = ("weight_ih", "weight_hh", "bias", "bias_n")


def from_equinox(source: Any) -> tuple[Network, Any]:
    """The cell and the parameters of equinox's LSTMCell or GRUCell.

    Args:
        source: the module, or a mapping of its fields; a list of these, lowest first, becomes a
            `Stack`.

    Returns:
        (net, params): `LSTM` or `GRU`, or a `Stack`. Without `use_bias` biases are 0.

    Raises:
        TypeError: neither a cell nor a mapping.
        ValueError: fields that are missing, unexpected or misshapen (all are named); float64
            without `jax_enable_x64`.

    Example:
        >>> import numpy as np
        >>> from jaxrnn import exchange
        >>> fields = {"weight_ih": np.ones((16, 3), np.float32)}
        >>> fields |= {"weight_hh": np.ones((16, 4), np.float32), "bias": np.zeros(16, np.float32)}
        >>> net, params = exchange.from_equinox(fields)
        >>> net, params.w_xh.shape
        (the cell 'lstm', (3, 16))
    """
    if isinstance(source, list | tuple) and source:
        return stacked([from_equinox(each) for each in source])
    if not isinstance(source, Mapping):
        if not hasattr(source, "weight_hh"):
            expected = "an LSTMCell, a GRUCell, or a mapping of its fields"
            raise TypeError(sentence("from_equinox", "source", expected, kind_of(source)))
        source = {name: getattr(source, name) for name in _FIELDS if hasattr(source, name)}
    fields = {
        name: to_array("from_equinox", name, value)
        for name, value in source.items()
        if value is not None  # what `use_bias=False` leaves in their place
    }
    matrix = fields.get("weight_hh")
    shape = () if matrix is None else tuple(matrix.shape)
    gates = shape[0] / shape[1] if len(shape) == 2 and shape[1] else 0
    if gates not in (3, 4):
        expected = "a weight_hh [4H, H] of an LSTMCell, or [3H, H] of a GRUCell"
        got = "none" if matrix is None else str(list(shape))
        raise ValueError(sentence("from_equinox", "source", expected, got))
    cell, (rows, hidden) = (LSTM if gates == 4 else GRU), shape
    first = fields.get("weight_ih")
    inputs = first.shape[1] if first is not None and first.ndim == 2 else None
    expected_shapes: dict[str, Shape] = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
    if {"bias", "bias_n"} & {*fields}:
        expected_shapes["bias"] = (rows,)
        if cell is GRU:
            expected_shapes["bias_n"] = (hidden,)
    what = f"equinox's cell of {cell!r}, I={inputs}, H={hidden}"
    check_entries("from_equinox", "source", what, expected_shapes, fields)
    bias = fields.get("bias")
    taken = {"w_xh": fields["weight_ih"].T, "w_hh": fields["weight_hh"].T}
    taken["b_h"] = zeros(matrix, rows) if bias is None else bias
    if cell is GRU:
        taken["b_hn"] = zeros(matrix, hidden) if bias is None else fields["bias_n"]
    return cell, params_of("from_equinox", cell, taken)


def to_equinox(net: Network, params: Any) -> Any:
    """The fields of equinox's LSTMCell or GRUCell.

    Args:
        net: `LSTM` or `GRU`, or a `Stack`.
        params: its parameters.

    Returns:
        Arrays by field, to be set with `equinox.tree_at`; of a `Stack` a list of these.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell or a structure that
            equinox has not.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> jax.tree.map(lambda leaf: leaf.shape, exchange.to_equinox(rnn.LSTM, params))
        {'bias': (16,), 'weight_hh': (16, 4), 'weight_ih': (16, 3)}
    """

    def at_layer(directions: list[tuple[Cell, Any]]) -> dict[str, Any]:
        cell, part = one_direction("to_equinox", "equinox", directions)
        check_cell("to_equinox", "equinox", cell, part, (LSTM, GRU))
        fields = {"weight_ih": part.w_xh.T, "weight_hh": part.w_hh.T, "bias": part.b_h}
        return fields | ({"bias_n": part.b_hn} if cell is GRU else {})

    return to_numpy(exported("to_equinox", "equinox", net, params, at_layer))
