"""Running one training step line by line, and keeping what every line wrote."""

from collections.abc import Mapping
from types import CodeType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.cells import Cell
from jaxrnn.charlm import LOSSES, Config, Params
from jaxrnn.errors import sentence
from jaxrnn.microscope.training_step.functions import FUNCTIONS
from jaxrnn.microscope.training_step.listings import (
    MEMORIES,
    UPDATES,
    Block,
    Line,
    assemble,
    change_lines,
    layers_of,
)
from jaxrnn.microscope.training_step.translation import cell_listing

Array = np.ndarray


class Write(NamedTuple):
    """One tensor that a line wrote: its name, its time step (None: it has none), its value."""

    name: str
    time: int | None
    value: Array


class Event(NamedTuple):
    """One executed line.

    Attributes:
        line: its place in `Recording.lines`.
        t: the time step of the loop it ran in; for lines outside of a loop, the last value of t.
        writes: what it wrote; never empty.
    """

    line: int
    t: int
    writes: tuple[Write, ...]


class Recording(NamedTuple):
    """One training step, in full.

    Attributes:
        cells: the layers' cells, bottom first.
        blocks: the program.
        inputs, targets: T token ids each.
        objective: which loss; key in `jaxrnn.charlm.LOSSES`.
        update: key in `UPDATES`.
        constants: the numbers that the update's lines name, e.g. "learning_rate".
        initial: what was there before the first line (parameters, carry, the update's memories).
        events: the lines in the order in which they ran, with what they wrote.
        loss: of the window before the update, nats.
        loss_after: the same window's loss after the update.
    """

    cells: tuple[Cell, ...]
    blocks: tuple[Block, ...]
    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    objective: str
    update: str
    constants: dict[str, float]
    initial: tuple[Write, ...]
    events: tuple[Event, ...]
    loss: float
    loss_after: float

    @property
    def lines(self) -> tuple[Line, ...]:
        """The program's lines, without the heads of the loops."""
        return tuple(line for block in self.blocks for line in block.lines)

    @property
    def update_in_words(self) -> str:
        """The update and its numbers, e.g. "adam with η = 0.002, ρ = 0.999"."""
        words = {
            "learning_rate": "η = {:g}",
            "decay_rate": "ρ = {:g}",
            "weight_decay": "λ = {:g}",
            "limit": "entries of the gradient clipped to ±{:g}",
            "norm_limit": "norm of the gradient clipped to {:g}",
        }
        constants = self.constants.items()
        numbers = ", ".join(words[name].format(number) for name, number in constants)
        kept = any(write.name.startswith(MEMORIES) for write in self.initial)
        starts = "; its memories start at 0, as at the first update of a training" if kept else ""
        return f"{self.update} with {numbers}{starts}"

    def final(self, name: str) -> Any:
        """The value of a tensor after the last line; {time index: value} for one that has times."""
        writes = [*self.initial, *(write for event in self.events for write in event.writes)]
        times = {write.time: write.value for write in writes if write.name == name}
        if not times:
            raise KeyError(f"this step has no tensor called {name!r}")
        return times.get(None, times)


def record(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    update: str = "sgd",
    learning_rate: float = 0.1,
    limit: float | None = 5.0,
    norm_limit: float | None = None,
    decay_rate: float | None = None,
    weight_decay: float = 0.0,
    loss: str = "summed_cross_entropy",
    changes: Mapping[str, str] | None = None,
) -> Recording:
    """Runs one training step on one sequence, line by line, and keeps what every line wrote.

    The lines are those of the cell's own functions, forward and backward, run in NumPy in float64;
    the gradients that they end with are those of `unroll` (the tests compare them).

    Args:
        config: a model of any cells whose functions `cell_listing` can read.
        params: its parameters.
        carry: a Carry a layer before the first step, without a batch axis.
        inputs: T token ids.
        targets: T token ids, what should be expected after each input.
        update: an optimizer by the name it has in `jaxrnn.optimizers`; it makes its first update,
            so that its memories start at 0.
        learning_rate: η of the update.
        limit: each entry of the gradient is clipped to ±limit; None or 0: it is not.
        norm_limit: the gradient is then shrunk to this Euclidean norm; None or 0: it is not.
        decay_rate: ρ of rmsprop (None: 0.95), adam and adamw (None: 0.999).
        weight_decay: λ of adamw.
        loss: a key of `jaxrnn.charlm.LOSSES`.
        changes: lines of the listing, by what to run in their place; to see what a fault does.

    Returns:
        A Recording.

    Raises:
        ValueError: layers that add their inputs to their outputs, sequences of unequal length, a
            cell whose functions are more than assignments and a return or have no source, an
            unknown loss or update, a limit below 0, a decay rate outside [0, 1), a weight decay for
            anything but adamw, a change of a line that there is not.

    Example:
        >>> import jax
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=2, cell="elman", hidden_size=3, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> carry = charlm.zero_carry(config, params, ())
        >>> step = record(config, params, carry, [1, 0, 1, 0], [0, 1, 0, 1])
        >>> step.lines[0].code, step.final("d_w_hh").shape, step.loss_after < step.loss
        ('x[t] = one_hot(inputs[t], V)', (3, 3), True)
    """
    if loss not in LOSSES:
        raise ValueError(sentence("record", "loss", f"one of {', '.join(LOSSES)}", loss))
    if update not in UPDATES:
        raise ValueError(sentence("record", "update", f"one of {', '.join(UPDATES)}", update))
    for name, bound in (("limit", limit), ("norm_limit", norm_limit)):
        if bound is not None and bound < 0:
            raise ValueError(sentence("record", name, "a number above 0, or None", bound))
    if decay_rate is not None and not 0 <= decay_rate < 1:
        raise ValueError(sentence("record", "decay_rate", "a number from 0 to below 1", decay_rate))
    if weight_decay and update != "adamw":
        raise ValueError(sentence("record", "weight_decay", f"0 with {update}", weight_decay))
    if config.network.residual:
        rule = "layers that do not add their inputs to their outputs"
        raise ValueError(sentence("record", "config", rule, "residual=True"))
    if len(params.layers) != len(config.cells):
        got = f"{len(params.layers)} layers"
        rule = f"the {len(config.cells)} layers of config"
        raise ValueError(sentence("record", "params", rule, got))
    inputs_, targets_ = (
        tuple(int(i) for i in np.asarray(ids).tolist()) for ids in (inputs, targets)
    )
    if len(inputs_) != len(targets_) or not inputs_:
        got = f"{len(inputs_)} and {len(targets_)}"
        raise ValueError(sentence("record", "inputs, targets", "two equal lengths above 0", got))

    layers = layers_of(
        [(cell_listing(cell), cell.Params._fields, cell.Carry._fields) for cell in config.cells]
    )
    weights: dict[str, Array] = {}
    carries: dict[str, Array] = {}
    helpers: dict[str, Any] = {}
    for layer, values, before in zip(layers, params.layers, carry, strict=True):
        weights |= zip(layer.parameters, map(_float64, values), strict=True)
        carries |= zip(layer.carries, map(_float64, before), strict=True)
        helpers |= layer.listing.outer_names
    weights |= {"w_hy": _float64(params.w_hy), "b_y": _float64(params.b_y)}
    if params.embedding is not None:
        weights["embedding"] = _float64(params.embedding)
    blocks = assemble(
        layers,
        tuple(weights),
        embedded=params.embedding is not None,
        loss=loss,
        update=update,
        clipped=bool(limit),
        norm_clipped=bool(norm_limit),
    )
    if changes:
        blocks = change_lines(blocks, changes)
    constants = {"learning_rate": float(learning_rate)}
    if "decay_rate" in UPDATES[update]:
        usual = 0.95 if update == "rmsprop" else 0.999
        constants["decay_rate"] = usual if decay_rate is None else float(decay_rate)
    if "weight_decay" in UPDATES[update]:
        constants["weight_decay"] = float(weight_decay)
    if limit:
        constants["limit"] = float(limit)
    if norm_limit:
        constants["norm_limit"] = float(norm_limit)
    numbers = {**helpers, **constants, "k": 1, "V": len(weights["b_y"])}
    initial = [Write(name, None, value) for name, value in weights.items()]
    initial += [Write(name, -1, value) for name, value in carries.items()]
    initial.append(Write("loss", None, np.zeros(())))
    for prefix in MEMORIES:
        if prefix in UPDATES[update]:
            initial += [Write(prefix + name, None, np.zeros_like(w)) for name, w in weights.items()]

    events = _run(blocks, initial, numbers, inputs_, targets_)
    after = {w.name: w.value for event in events for w in event.writes if w.name in weights}
    restart = [write._replace(value=after.get(write.name, write.value)) for write in initial]
    forward = tuple(block for block in blocks if block.lines[0].phase == "forward")
    return Recording(
        config.cells,
        blocks,
        inputs_,
        targets_,
        loss,
        update,
        constants,
        tuple(initial),
        events,
        loss=_last(events, "loss"),
        loss_after=_last(_run(forward, restart, numbers, inputs_, targets_), "loss"),
    )


def _run(
    blocks: tuple[Block, ...],
    initial: list[Write],
    constants: Mapping[str, Any],
    inputs: tuple[int, ...],
    targets: tuple[int, ...],
) -> tuple[Event, ...]:
    length = len(inputs)
    names: dict[str, Any] = {**FUNCTIONS, **constants, "__builtins__": {}}
    names |= {"inputs": inputs, "targets": targets, "T": length, "t": 0}
    # A tensor with times is a dictionary from time to value, so that h[-1] is what comes before
    # the first step and not, as in a list, the last one.
    for line in (line for block in blocks for line in block.lines):
        names |= {name: {} for name, time in line.defines if time}
    for name, time, value in initial:
        if time is None:
            names[name] = value.copy()
        else:
            names.setdefault(name, {})[time] = value.copy()

    events: list[Event] = []
    number = 0
    for block in blocks:
        compiled = [compile(line.code, "<listing>", "exec") for line in block.lines]
        times = {"up": range(length), "down": range(length)[::-1], "once": [names["t"]]}
        for t in times[block.times]:
            names["t"] = t
            for offset, (line, code) in enumerate(zip(block.lines, compiled, strict=True)):
                events.append(Event(number + offset, t, _execute(line, code, names)))
        number += len(block.lines)
    return tuple(events)


def _execute(line: Line, code: CodeType, names: dict[str, Any]) -> tuple[Write, ...]:
    exec(code, names)  # The library's lines and the cell's own; no text from outside reaches it.
    at = {"": None, "t": names["t"], "t-1": names["t"] - 1, "T-1": names["T"] - 1}
    writes = []
    for name, time in line.defines:
        value = names[name] if at[time] is None else names[name][at[time]]
        try:
            array = np.array(value, np.float64)
        except (TypeError, ValueError):
            rule, got = f"an array as {name} from `{line.code}`", type(value).__name__
            hint = "unpack what a function returns in the same line"
            raise ValueError(sentence("record", "config", rule, got, hint)) from None
        # A number that each step has is drawn as a vector of one.
        writes.append(Write(name, at[time], array if at[time] is None else np.atleast_1d(array)))
    return tuple(writes)


def _last(events: tuple[Event, ...], name: str) -> float:
    return float([w.value for event in events for w in event.writes if w.name == name][-1])


def _float64(value: Any) -> Array:
    return np.array(value, np.float64)
