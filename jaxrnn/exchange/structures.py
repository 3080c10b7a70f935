"""What a network is made of, for libraries that have layers, directions, and nothing else."""

from collections.abc import Callable
from typing import Any

from jaxrnn.cells import Cell
from jaxrnn.errors import sentence
from jaxrnn.networks import Bidirectional, Directions, Network, Stack, check_network
from jaxrnn.networks.thread import parts_of
from jaxrnn.recurrence.checks import check_params


def check_cell(
    function: str, library: str, cell: Cell, params: Any, known: tuple[Cell, ...], hint: str = ""
) -> None:
    """Raises ValueError for a cell that the library has not, and what `check_params` raises."""
    if cell not in known:
        names = ", ".join(one.name for one in known)
        expected = f"a cell that {library} has ({names})"
        raise ValueError(sentence(function, "net", expected, repr(cell), hint))
    check_params(function, cell, params)


def layers_of(function: str, library: str, net: Network, params: Any) -> list[tuple[Network, Any]]:
    """The layers of a network, a cell or a `Bidirectional` each, with their params.

    Raises:
        ValueError: a residual stack, or layers that are themselves stacked in one direction.
    """
    check_network(function, net, "net")
    if not isinstance(net, Stack):
        return [(net, params)]
    if net.residual:
        hint = "export its layers one by one"
        raise ValueError(sentence(function, "net", f"what {library} has", repr(net), hint))
    parts = [part["params"] for part in parts_of(function, net, {"params": params})]
    pairs = zip(net.layers, parts, strict=True)
    return [each for layer, part in pairs for each in layers_of(function, library, layer, part)]


def directions_of(
    function: str, library: str, layer: Network, params: Any
) -> list[tuple[Cell, Any]]:
    """The one or two cells of a layer of `layers_of`, with their params.

    Raises:
        ValueError: directions that are no cells.
    """
    if isinstance(layer, Cell):
        return [(layer, params)]
    (ahead, back) = (part["params"] for part in parts_of(function, layer, {"params": params}))
    if not isinstance(layer, Bidirectional):
        raise AssertionError(layer)
    found = [(layer.forward, ahead), (layer.backward, back)]
    if not all(isinstance(cell, Cell) for cell, _ in found):
        expected = f"a layer that {library} has: a cell, or a cell in two directions"
        raise ValueError(sentence(function, "net", expected, repr(layer)))
    return [(cell, params) for cell, params in found if isinstance(cell, Cell)]


def stacked(pairs: list[tuple[Network, Any]], dropout: float = 0.0) -> tuple[Network, Any]:
    """A `Stack` of (net, params), lowest first."""
    nets, params = zip(*pairs, strict=True)
    return Stack(nets, dropout=dropout), tuple(params)


def in_two_directions(ahead: tuple[Network, Any], back: tuple[Network, Any]) -> tuple[Network, Any]:
    """A `Bidirectional` of two (net, params)."""
    return Bidirectional(ahead[0], back[0]), Directions(ahead[1], back[1])


def exported(
    function: str,
    library: str,
    net: Network,
    params: Any,
    at_layer: Callable[[list[tuple[Cell, Any]]], Any],
) -> Any:
    """`at_layer(directions)` of a cell or two directions; a list of these of a `Stack`."""
    layers = layers_of(function, library, net, params)
    made = [at_layer(directions_of(function, library, *layer)) for layer in layers]
    return made if isinstance(net, Stack) else made[0]


def one_direction(
    function: str, library: str, directions: list[tuple[Cell, Any]]
) -> tuple[Cell, Any]:
    """The one cell of a layer; raises ValueError where there are two."""
    if len(directions) > 1:
        hint = "export net.forward and net.backward one by one"
        got = "a Bidirectional"
        expected = f"what {library} has, layers in one direction"
        raise ValueError(sentence(function, "net", expected, got, hint))
    return directions[0]
