"""Which units and characters of a model a page draws, and what is cut out for them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrnn.cells.cell import dimensions
from jaxrnn.microscope.training_step import Recording, Write
from jaxrnn.microscope.training_step.listings import layer_number, parameter_of

Array = NDArray[np.float64]
MOST_UNITS = 16
MOST_CHARACTERS = 16
COLUMNS = 16
"""Columns of a chosen layer's recurrent weights: 4 units of an LSTM, 8 of an Elman network."""


class Axis(NamedTuple):
    """An axis of a tensor: `blocks` times what a space holds, e.g. four gates of layer 1's units.

    Attributes:
        space: "V" characters, "E" columns of the embedding, "H1" or "P1" units of layer 1; "":
            none of these.
        blocks: how many times.
        size: of the axis.
    """

    space: str
    blocks: int
    size: int


class Selection:
    """What is drawn of each space, and the axes of every tensor.

    Args:
        recording: one side of the page; all sides have the same sizes.
        chosen: numbers by space ("V", "E", "H1", …); a space that is not in it is drawn whole.

    Attributes:
        sizes: of the spaces.
        chosen: as given.
    """

    def __init__(self, recording: Recording, chosen: Mapping[str, Sequence[int]]) -> None:
        self._shapes = {write.name: write.value.shape for write in all_writes(recording)}
        self._letters: dict[str, list[tuple[int, str]]] = {}
        self.sizes: dict[str, int] = {"V": self._shapes["b_y"][0]}
        several = len(recording.cells) > 1
        given = "V"
        if "embedding" in self._shapes:
            given, self.sizes["E"] = "E", self._shapes["embedding"][1]
        self._name(["x"], [(1, given)])
        for number, cell in enumerate(recording.cells, 1):
            mark = f"_L{number}" if several else ""
            spaces = {"I": given, "H": f"H{number}", "P": f"P{number}"}
            for fields in (cell.param_shapes._asdict(), cell.carry_sizes._asdict()):
                for field, text in fields.items():
                    axes = [(blocks, spaces[letter]) for blocks, letter in dimensions(text)]
                    self._name([field + mark], axes)
            given = self._letters[f"h{mark}"][0][1]
        self._name(["w_hy"], [(1, given), (1, "V")])
        self._name(["y", "p", "b_y"], [(1, "V")])
        self._name(["embedding"], [(1, "V"), (1, "E")])
        self.chosen = {space: np.asarray(numbers) for space, numbers in chosen.items()}

    def _name(self, names: list[str], axes: list[tuple[int, str]]) -> None:
        for name in names:
            self._letters[name] = axes
            for (blocks, space), size in zip(axes, self._shapes.get(name, ()), strict=False):
                self.sizes[space] = size // blocks

    def axes(self, name: str) -> list[Axis]:
        """The axes of a tensor; of what a line has named, by its size."""
        shape = self._shapes[name]
        letters = self._letters.get(parameter_of(name))
        if letters is not None and len(letters) == len(shape):
            return [
                Axis(space, blocks, n) for (blocks, space), n in zip(letters, shape, strict=True)
            ]
        number = layer_number(name) or 1
        return [self._by_size(size, number) for size in shape]

    def _by_size(self, size: int, number: int) -> Axis:
        for space in (f"H{number}", f"P{number}"):
            of_space = self.sizes.get(space, 0)
            if of_space and size % of_space == 0 and size > 1:
                return Axis(space, size // of_space, size)
        return Axis("", 1, size)

    def numbers(self, axis: Axis) -> NDArray[np.int64]:
        """Which entries of an axis are drawn."""
        chosen = self.chosen.get(axis.space)
        if chosen is None:
            return np.arange(axis.size)
        size = axis.size // axis.blocks
        return np.concatenate([block * size + chosen for block in range(axis.blocks)])

    def cut(self, name: str, value: Array) -> Array:
        """What is drawn of a tensor."""
        axes = self.axes(name)
        return value[np.ix_(*map(self.numbers, axes))] if axes else value

    def is_whole(self, name: str) -> bool:
        """Whether all of a tensor is drawn."""
        return all(axis.space not in self.chosen for axis in self.axes(name))


def all_writes(recording: Recording) -> list[Write]:
    """What was there and what the lines wrote."""
    return [*recording.initial, *(write for event in recording.events for write in event.writes)]


def choose(recording: Recording, units: Sequence[int] | None = None) -> dict[str, list[int]]:
    """What to draw of a model too large to be drawn whole, by space.

    Of units those that move most while the text is read; of characters those of the text, then
    those that the model expects most.

    Args:
        recording: the side that is asked.
        units: of the last layer, where they were chosen.
    """
    whole = Selection(recording, {})
    chosen: dict[str, list[int]] = {}
    several = len(recording.cells) > 1
    for number, cell in enumerate(recording.cells, 1):
        mark = f"_L{number}" if several else ""
        gates = max(b for text in cell.param_shapes for b, _ in dimensions(text))
        count = max(3, min(8, COLUMNS // gates))
        for field in cell.Carry._fields:
            ((space, _, size),) = whole.axes(field + mark)
            if size > MOST_UNITS and space not in chosen:
                chosen[space] = _most_moving(recording, field + mark, count)
        (h,) = whole.axes(f"h{mark}")
        if units is not None and number == len(recording.cells):
            chosen[h.space] = sorted(units)
    if whole.sizes.get("E", 0) > MOST_UNITS:
        chosen["E"] = _most_moving(recording, "x", 6)
    if whole.sizes["V"] > MOST_CHARACTERS:
        seen = {*recording.inputs, *recording.targets}
        expected = np.argsort(-np.mean(list(recording.final("p").values()), axis=0))
        more = [int(i) for i in expected if int(i) not in seen]
        chosen["V"] = sorted([*seen, *more[: max(0, 8 - len(seen))]])
    return chosen


def _most_moving(recording: Recording, name: str, count: int) -> list[int]:
    times: dict[int, Any] = recording.final(name)
    values = np.stack(list(times.values()))
    moves = np.abs(np.diff(values, axis=0)).sum(0) if len(values) > 1 else np.abs(values[0])
    return sorted(int(unit) for unit in np.argsort(-moves, kind="stable")[:count])
