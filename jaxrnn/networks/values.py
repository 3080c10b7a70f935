"""Networks as values: what is stacked on what, and what reads in both directions.

A network is frozen, hashable and static under `jit`, like a cell. It holds no arrays: parameters,
carries and masks are trees of the network's structure, a tuple for a `Stack` and `Directions` for a
`Bidirectional`, with the cells' NamedTuples as leaves.
"""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import jax

from jaxrnn.cells import CELLS, Cell
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_probability


class Directions(NamedTuple):
    """What belongs to the two parts of a `Bidirectional`: params, carries, masks or traces."""

    forward: Any
    backward: Any


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Stack:
    """Layers on top of each other: the outputs of one are the inputs of the next.

    xs → layer 0 → dropout → layer 1 → dropout → … → layer L−1 → hs

    Sources: Hermans and Schrauwen 2013 (depth); Zaremba, Sutskever and Vinyals 2014 (dropout acts
    on what goes up, never on the recurrence). PyTorch's `num_layers` and `dropout` mean the same.

    Attributes:
        layers: cells or networks; a list becomes a tuple.
        dropout: probability with which an entry between two layers is dropped, where a verb is
            given a `dropout_key`, in [0, 1).
        residual: whether every layer but the first adds its inputs to its outputs, which then
            must have the same width (He et al. 2016).

    Raises:
        TypeError: a layer that is neither a cell nor a network.
        ValueError: no layers, or a dropout outside [0, 1).

    Example:
        >>> import jaxrnn as rnn
        >>> rnn.Stack([rnn.LSTM, rnn.GRU], dropout=0.2)
        Stack(lstm, gru, dropout=0.2)
    """

    layers: "tuple[Network, ...]"
    dropout: float = 0.0
    residual: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.layers, list | tuple):
            hint = "Stack([cell, cell])"
            got = repr(self.layers)
            raise TypeError(sentence("Stack", "layers", "a list of cells or networks", got, hint))
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError(sentence("Stack", "layers", "at least one", "none"))
        for index, layer in enumerate(self.layers):
            check_network("Stack", layer, f"layers[{index}]")
        check_probability("Stack", "dropout", self.dropout)

    def __repr__(self) -> str:
        options = [f"dropout={self.dropout}"] * (self.dropout > 0)
        options += ["residual=True"] * self.residual
        return f"Stack({', '.join([*map(_named, self.layers), *options])})"


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Bidirectional:
    """Two networks over the same sequence, one from each end (Schuster and Paliwal 1997).

    Outputs are [forward, backward] side by side, 2H wide for a cell of H units; each sequence's
    backward part starts at its own last step. It needs the whole sequence: there is no `step`.

    Attributes:
        forward: a cell or a network.
        backward: another; None: the same.

    Raises:
        TypeError: a part that is neither a cell nor a network.

    Example:
        >>> import jaxrnn as rnn
        >>> rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM])
        Stack(Bidirectional(gru), lstm)
    """

    forward: "Network"
    backward: "Network" = None  # type: ignore[assignment]  # until `__post_init__` has been here

    def __post_init__(self) -> None:
        if self.backward is None:
            object.__setattr__(self, "backward", self.forward)
        check_network("Bidirectional", self.forward, "forward")
        check_network("Bidirectional", self.backward, "backward")

    def __repr__(self) -> str:
        parts = [self.forward] if self.forward == self.backward else [self.forward, self.backward]
        return f"Bidirectional({', '.join(map(_named, parts))})"


Network: TypeAlias = Cell | Stack | Bidirectional
"""What every verb takes."""


def check_network(function: str, network: Any, argument: str = "cell") -> None:
    """Raises TypeError unless `network` is a cell or a network."""
    if isinstance(network, Cell | Stack | Bidirectional):
        return
    hint = f"a cell is one of jaxrnn.CELLS: {', '.join(CELLS)}"
    if isinstance(network, str) and network in CELLS:
        hint = f"jaxrnn.CELLS[{network!r}]"
    if isinstance(network, list | tuple):
        hint = "jaxrnn.Stack([...])"
    expected = "a jaxrnn.Cell, Stack or Bidirectional"
    raise TypeError(sentence(function, argument, expected, network, hint))


def _named(network: Network) -> str:
    return network.name if isinstance(network, Cell) else repr(network)
