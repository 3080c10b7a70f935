"""Flax, linen and nnx: SimpleCell, LSTMCell, OptimizedLSTMCell, GRUCell, by their parameter trees.

Linen keeps a kernel a gate, `ii`, `hf`, …, and so does nnx's LSTMCell, with `if_`; nnx's other
cells keep one for all, `dense_i` and `dense_h`. Kernels are blocks of w_xh and w_hh. The bias of an
LSTM is beside the recurrent kernel, those of the others beside that of the inputs; linen's GRU has
b_hn as the bias of `hn`, nnx's has none there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxrnn.cells import ELMAN, ELMAN_RELU, GRU, LSTM, Cell
from jaxrnn.errors import sentence
from jaxrnn.exchange.entries import (
    Shape,
    blocks,
    check_choice,
    check_entries,
    check_zero,
    concatenate,
    kind_of,
    most_common,
    params_of,
    to_array,
    to_numpy,
    zeros,
)
from jaxrnn.exchange.structures import check_cell, exported, in_two_directions, stacked
from jaxrnn.networks import Network

_CELLS = (ELMAN, ELMAN_RELU, LSTM, GRU)
_NONLINEARITIES = {"tanh": ELMAN, "relu": ELMAN_RELU}
FORMS = ("linen", "nnx", "nnx_optimized")
# Names that only one cell has; `if`, `in`, `hf`, `hn` alone are those of an MGUCell.
_TELLING = {
    "lstm": {"ii", "ig", "io", "hi", "hg", "ho", "if_"},
    "gru": {"ir", "iz", "hr", "hz"},
    "dense": {"dense_i", "dense_h"},
    "elman": {"i", "h"},
}
_MGU = {"if", "in", "hf", "hn"}


def from_flax(
    source: Any, prefix: str | None = None, *, nonlinearity: str | None = None
) -> tuple[Network, Any]:
    """The network and the parameters of a flax cell, from linen or nnx.

    Args:
        source: the tree of parameters, nested mappings: what linen's `init` returns, or
            `nnx.state(module)`; the cell may be anywhere in it. A list of trees, lowest first,
            becomes a `Stack`.
        prefix: where the cell is, "params/encoder/cell"; None: the only one there is. Two of them
            in `forward_rnn` and `backward_rnn` are one Bidirectional.
        nonlinearity: "tanh" or "relu", of a SimpleCell, whose parameters do not tell.

    Returns:
        (net, params): a cell, a `Bidirectional` or a `Stack`.

    Raises:
        TypeError: no mapping.
        ValueError: no cell there, or several (all are named); entries that are missing, unexpected
            or misshapen (all are named); an MGUCell, which resets after the product where this
            library's `MGU` does before; a nonlinearity that is not known; float64 without
            `jax_enable_x64`.

    Parameters do not tell of `residual=True`, of other activations, or of a cell run in reverse.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.GRU, jax.random.key(0), input_size=3, hidden_size=4)
        >>> tree = {"params": {"cell": exchange.to_flax(rnn.GRU, params)}}
        >>> exchange.from_flax(tree)[0]
        the cell 'gru'
    """
    if nonlinearity is not None:
        check_choice("from_flax", "nonlinearity", nonlinearity, [*_NONLINEARITIES])
    if isinstance(source, list | tuple) and source:
        return stacked([from_flax(each, prefix, nonlinearity=nonlinearity) for each in source])
    if not isinstance(source, Mapping):
        expected = "a tree of parameters, nested mappings"
        hint = "of an nnx module pass nnx.state(module)"
        got = kind_of(source)
        raise TypeError(sentence("from_flax", "source", expected, got, hint))
    found = dict(_cells_in(source, ""))
    if prefix is not None:
        prefix = prefix.strip("/")
        start = f"{prefix}/" if prefix else ""
        inside = {
            path: tree for path, tree in found.items() if path == prefix or path.startswith(start)
        }
        if not inside:
            hint = f"those that are there: {', '.join(map(repr, found)) or 'none'}"
            expected = "where a recurrent cell's parameters are"
            raise ValueError(sentence("from_flax", "prefix", expected, repr(prefix), hint))
        found = inside
    if not found:
        expected = "the parameters of a recurrent cell, somewhere in the tree"
        got = ", ".join(map(repr, source)) or "an empty one"
        raise ValueError(sentence("from_flax", "source", expected, got))
    ways = [dict.fromkeys(path.split("/")) for path in found]
    if len(found) == 2 and _are_two_directions(ways):
        ordered = sorted(found.items(), key=lambda item: "backward_rnn" in item[0].split("/"))
        ahead, back = (_from_cell(path, tree, nonlinearity) for path, tree in ordered)
        return in_two_directions(ahead, back)
    if len(found) > 1:
        hint = f"say which: prefix={next(iter(found))!r}"
        got = ", ".join(map(repr, found))
        raise ValueError(sentence("from_flax", "source", "one recurrent cell", got, hint))
    ((path, tree),) = found.items()
    return _from_cell(path, tree, nonlinearity)


def to_flax(net: Network, params: Any, form: str = "linen") -> Any:
    """The parameter tree of flax's cell.

    Args:
        net: a cell that flax has, a `Bidirectional` of one, or a `Stack` of these.
        params: its parameters.
        form: "linen", of its LSTMCell and OptimizedLSTMCell alike; "nnx"; or "nnx_optimized", of
            nnx's OptimizedLSTMCell.

    Returns:
        The cell's own tree: `{"params": {"cell": tree}}` are the variables of a linen `nn.RNN`, and
        `nnx.update(cell, tree)` sets an nnx cell's. Of two directions the trees of `forward_rnn`
        and `backward_rnn`, of a `Stack` a list of trees.

    Raises:
        TypeError, ValueError: parameters that are not the network's; a cell or a structure that
            flax has not; a b_hn that is not 0 for nnx.

    Example:
        >>> import jax, jaxrnn as rnn
        >>> from jaxrnn import exchange
        >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
        >>> jax.tree.map(lambda leaf: leaf.shape, exchange.to_flax(rnn.ELMAN, params))
        {'h': {'kernel': (4, 4)}, 'i': {'bias': (4,), 'kernel': (3, 4)}}
    """
    check_choice("to_flax", "form", form, FORMS)

    def at_layer(directions: list[tuple[Cell, Any]]) -> Any:
        for cell, part in directions:
            hint = "jaxrnn.exchange.to_keras and to_haiku take it" * ("before" in cell.name)
            check_cell("to_flax", "flax", cell, part, _CELLS, hint)
        trees = [_tree(cell, part, form) for cell, part in directions]
        if len(trees) == 1:
            return trees[0]
        return {"forward_rnn": {"cell": trees[0]}, "backward_rnn": {"cell": trees[1]}}

    return to_numpy(exported("to_flax", "flax", net, params, at_layer))


def _tree(cell: Cell, params: Any, form: str) -> dict[str, dict[str, Any]]:
    gates = _gates(cell, form)
    parts = [blocks(part, len(gates)) for part in (params.w_xh, params.w_hh, params.b_h)]
    tree: dict[str, dict[str, Any]] = {}
    for (into, back), w_x, w_h, bias in zip(gates, *parts, strict=True):
        tree[into], tree[back] = {"kernel": w_x}, {"kernel": w_h}
        tree[back if cell is LSTM else into]["bias"] = bias
    if cell is GRU and form == "linen":
        tree["hn"]["bias"] = params.b_hn
    elif cell is GRU:
        why, hint = "nnx's GRUCell has no bias there", 'form="linen" has one'
        check_zero("to_flax", "params.b_hn", params.b_hn, why, hint)
    return tree


def _gates(cell: Cell, form: str) -> list[tuple[str, str]]:
    """Names of the kernels of the inputs and of the recurrence, a pair for each block."""
    if form == "nnx_optimized" or (form == "nnx" and cell is not LSTM):
        return [("dense_i", "dense_h")]
    if cell in (ELMAN, ELMAN_RELU):
        return [("i", "h")]
    names = [(f"i{gate}", f"h{gate}") for gate in ("ifgo" if cell is LSTM else "rzn")]
    return [("if_" if form == "nnx" and into == "if" else into, back) for into, back in names]


def _cells_in(tree: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Path and tree of everything that looks like a recurrent cell."""
    names = {name for name, value in tree.items() if isinstance(value, Mapping)}
    if any(len(names & telling) >= 2 for telling in _TELLING.values()) or names >= _MGU:
        yield path, tree
        return
    for name in tree:
        if isinstance(tree[name], Mapping):
            yield from _cells_in(tree[name], f"{path}/{name}" if path else str(name))


def _are_two_directions(ways: list[dict[str, None]]) -> bool:
    """Whether two paths differ in `forward_rnn` and `backward_rnn` alone."""
    one, other = ([*way] for way in ways)
    pairs = [{a, b} for a, b in zip(one, other, strict=False) if a != b]
    return len(one) == len(other) and pairs == [{"forward_rnn", "backward_rnn"}]


def _from_cell(path: str, tree: Mapping[Any, Any], nonlinearity: str | None) -> tuple[Network, Any]:
    flat = {
        f"{name}/{part}": to_array("from_flax", f"{name}/{part}", value)
        for name in tree
        if isinstance(tree[name], Mapping)
        for part, value in tree[name].items()
    }
    where = f"source at {path!r}" if path else "source"
    cell, form = _kind(where, flat, nonlinearity)
    gates = _gates(cell, form)
    count = len(cell.gates) // len(gates)
    kernels = {name: flat[name].shape for name in flat if name.endswith("/kernel")}
    hidden = most_common(
        kernels[f"{back}/kernel"][0]
        for _, back in gates
        if len(kernels.get(f"{back}/kernel", ())) == 2
    )
    inputs = most_common(
        kernels[f"{into}/kernel"][0]
        for into, _ in gates
        if len(kernels.get(f"{into}/kernel", ())) == 2
    )
    width = None if hidden is None else hidden * count
    expected: dict[str, Shape] = {}
    for into, back in gates:
        expected[f"{into}/kernel"], expected[f"{back}/kernel"] = (inputs, width), (hidden, width)
        expected[f"{back if cell is LSTM else into}/bias"] = (width,)
    if cell is GRU and form == "linen":
        expected["hn/bias"] = (hidden,)
    what = f"flax's cell ({form.split('_')[0]}) of {cell!r}, I={inputs}, H={hidden}"
    check_entries("from_flax", where, what, expected, flat)
    w_xh = concatenate([flat[f"{into}/kernel"] for into, _ in gates])
    fields = {
        "w_xh": w_xh,
        "w_hh": concatenate([flat[f"{back}/kernel"] for _, back in gates]),
        "b_h": concatenate(
            [flat[f"{back if cell is LSTM else into}/bias"] for into, back in gates]
        ),
    }
    if cell is GRU:
        fields["b_hn"] = flat["hn/bias"] if form == "linen" else zeros(w_xh, hidden)
    return cell, params_of("from_flax", cell, fields)


def _kind(where: str, flat: Mapping[str, Any], nonlinearity: str | None) -> tuple[Cell, str]:
    names = {name.split("/")[0] for name in flat}
    if names == _MGU:
        expected = "a SimpleCell, LSTMCell, OptimizedLSTMCell or GRUCell"
        hint = "jaxrnn.MGU resets before the product, flax's after it"
        raise ValueError(sentence("from_flax", where, expected, "an MGUCell", hint))
    kind = max(_TELLING, key=lambda name: len(names & _TELLING[name]))
    form, cell = "linen", {"lstm": LSTM, "gru": GRU, "elman": ELMAN}.get(kind)
    if kind == "lstm" and "if_" in names:
        form = "nnx"
    if kind == "dense":
        recurrent = flat.get("dense_h/kernel")
        shape = tuple(recurrent.shape) if recurrent is not None else ()
        gates = shape[1] / shape[0] if len(shape) == 2 and shape[0] else 0
        cell, form = {1: ELMAN, 3: GRU, 4: LSTM}.get(gates), "nnx_optimized"
        if cell is None:
            expected = "'dense_h/kernel' [H, H], [H, 3H] or [H, 4H]"
            raise ValueError(sentence("from_flax", where, expected, str(list(shape))))
    assert cell is not None
    if cell is not ELMAN:
        if nonlinearity is not None:
            expected = f"None for {cell!r}"
            raise ValueError(sentence("from_flax", "nonlinearity", expected, repr(nonlinearity)))
        return cell, form
    if nonlinearity is None:
        expected = '"tanh" or "relu": this is a SimpleCell, whose parameters do not tell'
        raise ValueError(sentence("from_flax", "nonlinearity", expected, "None"))
    return _NONLINEARITIES[nonlinearity], form
