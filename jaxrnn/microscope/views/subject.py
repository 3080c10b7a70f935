"""What a view looks at: the model of a run, and a stretch of a text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.charlm import runs
from jaxrnn.charlm.own_text import Parts, own_parts
from jaxrnn.charlm.plan import first_params
from jaxrnn.errors import sentence
from jaxrnn.microscope.traces import ModelTrace, trace_model
from jaxrnn.microscope.views.tokens import Tokens, tokens_of
from jaxrnn.networks import output_size

WARM_UP = 200
"""Tokens before the stretch that a model reads first, so that its state is in its stride."""

SHORTEST_SEARCH = 400
"""Tokens without which nothing can be found in a text by measurement."""


class View(NamedTuple):
    """What a view shows.

    Attributes:
        page: makes its HTML.
        words: the same in a few lines of text.
        draw: `(axes) -> None`, its still picture; None: it has none.
    """

    page: Callable[[], str]
    words: str
    draw: Callable[[Any], None] | None = None


class Subject:
    """A model to look at; parameters are read when a view first needs them.

    Args:
        path: the folder of its run.
        note: is told, in a sentence, of broken checkpoints, and of a text that is read in part.

    Attributes:
        run: its run.

    Raises:
        ValueError, OSError: there is no run; or, later, no checkpoint that can be read.
    """

    def __init__(self, path: str, note: Callable[[str], None]) -> None:
        self.run = runs.open_run(path)
        self._note = note
        self._read: Tokens | None = None
        if self.run.settings.dtype == "float64":
            jax.config.update("jax_enable_x64", True)

    @cached_property
    def checkpoint(self) -> tuple[charlm.Params, int]:
        """Parameters and step of the best checkpoint."""
        params, facts = runs.load_params(self.run, self._note)
        return params, int(facts["step"])

    @property
    def params(self) -> charlm.Params:
        """The best checkpoint's parameters."""
        return self.checkpoint[0]

    @property
    def step(self) -> int:
        """The best checkpoint's step."""
        return self.checkpoint[1]

    @cached_property
    def untrained(self) -> charlm.Params:
        """The parameters that training began with."""
        _ = self.checkpoint  # a run without one may say that it has any size
        return first_params(self.run)

    def untrained_draw(self, draw: int) -> charlm.Params:
        """Other parameters that training might have begun with; 0 are those that it did."""
        return self.untrained if draw == 0 else first_params(self.run, draw)

    @cached_property
    def history(self) -> dict[int, charlm.Params]:
        """Parameters by step: those that training began with, and every checkpoint that is kept."""
        return {0: self.untrained, **runs.load_history(self.run, self._note)}

    @cached_property
    def own_text(self) -> Parts:
        """The parts of the run's own text; only the beginnings of a large one.

        Raises:
            ValueError: it is not where it was, or another one now, or the run was imported.
        """
        parts = own_parts(self.run, "show: --text", "name a text: --text FILE")
        most = max((len(part.tokens.ids) for part in parts if not part.whole), default=0)
        if most:
            what = f"the first {most:,} {self.run.vocab.kind}"
            self._note(f"Of each part of the text of {self.run.path}, {what} are read.")
        return parts

    def held_out_text(self) -> tuple[str, str]:
        """The part of the run's own text that it was not trained on, and where it is from.

        Raises:
            ValueError: as `own_text`.
        """
        training, validation, _ = self.own_text
        if len(validation.text) >= SHORTEST_SEARCH:
            part, what = validation, "the held-out part of its text"
        else:
            part, what = training, "the text that it was trained on"
        return part.text, what if part.whole else f"the beginning of {what}"

    def tokens(self, text: str) -> Tokens:
        """A text as the model reads it."""
        if self._read is None or self._read.text != text:
            self._read = tokens_of(self.run.vocab, text)
        return self._read

    @property
    def name(self) -> str:
        """The run's folder and its model in words."""
        return f"{self.run.path.name} ({self.run.settings.layers_in_words})"


@dataclass(frozen=True)
class Stretch:
    """Which part of which text, and which units of which layer.

    Attributes:
        text: all of it.
        source: where it is from, in words.
        start: place of the first token to show.
        end: place after the last one; None: as many as the view shows by default.
        layer: counted from 0; −1 is the last.
        units: their numbers; None: all.
        definition: of connectivity; None: all.
        value: at which units are clamped; None: 0.
    """

    text: str
    source: str
    start: int = 0
    end: int | None = None
    layer: int = -1
    units: tuple[int, ...] | None = None
    definition: str | None = None
    value: float | None = None

    def words(self, tokens: Tokens, start: int, end: int) -> str:
        """Which tokens are shown, in words; `end` is the place after the last one."""
        names = tokens.names.capitalize()
        return f"{names} {start:,} to {end - 1:,} of {len(tokens):,}, {self.source}"

    def bounds(self, tokens: Tokens, length: int) -> tuple[int, int]:
        """Start and end of the stretch, `length` tokens unless the end was given.

        One token of the text must follow its end, to be predicted.

        Raises:
            ValueError: a text of one token, or a stretch that leaves the text.
        """
        most = len(tokens) - 1
        if most < 1:
            rule = f"at least two {tokens.names}, one to read and one to predict"
            raise ValueError(sentence("show", "--text", rule, repr(self.text)))
        end = min(self.start + length, most) if self.end is None else self.end
        if not 0 <= self.start < end <= most:
            got = f"--from {self.start}" + ("" if self.end is None else f" --to {self.end}")
            rule = (
                f"0 ≤ FROM < TO ≤ {most:,} in a text of {most + 1:,} {tokens.names}, the last of "
                "which is there to be predicted"
            )
            raise ValueError(sentence("show", "--from, --to", rule, got))
        return self.start, end


def only(subjects: Sequence[Subject], view: str) -> Subject:
    """The one run that most views take."""
    if len(subjects) != 1:
        rule, hint = f"one run for the view {view}", "gradient-flow takes several"
        raise ValueError(sentence("show", "RUN", rule, f"{len(subjects)}", hint))
    return subjects[0]


def layer_number(subject: Subject, stretch: Stretch) -> int:
    """The stretch's layer, counted from 0."""
    layers = len(subject.run.config.cells)
    if not -layers <= stretch.layer < layers:
        rule = f"a layer from 1 to {layers}"
        raise ValueError(sentence("show", "--layer", rule, stretch.layer + 1))
    return stretch.layer % layers


def unit_numbers(subject: Subject, stretch: Stretch) -> list[int]:
    """The stretch's units, all of its layer unless they were chosen."""
    layer = layer_number(subject, stretch)
    size = output_size(subject.run.config.cells[layer], subject.params.layers[layer])
    for unit in stretch.units or ():
        if not 0 <= unit < size:
            raise ValueError(sentence("show", "--units", f"units from 0 to {size - 1}", unit))
    return list(range(size)) if stretch.units is None else list(stretch.units)


def carry_before(
    subject: Subject, params: charlm.Params, tokens: Tokens, start: int
) -> tuple[Any, ...]:
    """The state after the tokens before the stretch, those since one that is not known."""
    config, first = subject.run.config, max(0, start - WARM_UP)
    before = tokens.ids[first + _after_unknown(tokens.ids[first:start]) : start]
    carry = charlm.zero_carry(config, params, ())
    if len(before):
        carry, _ = charlm.apply(config, params, carry, jnp.asarray(before))
    return carry


def check_known(subject: Subject, tokens: Tokens, start: int, end: int) -> None:
    """Raises ValueError where a character to be read is one that the model never saw."""
    unknown = np.flatnonzero(tokens.ids[start:end] < 0)
    if len(unknown):
        place = start + int(unknown[0])
        character = tokens.text[place]
        rule = (
            f"the {len(subject.run.vocab)} characters that {subject.run.path.name} was trained on"
        )
        got = f"{character!r} (U+{ord(character):04X}) at position {place:,}"
        hint = "--from and --to choose a stretch without it"
        raise ValueError(sentence("show", "--text", rule, got, hint))


def encoded(subject: Subject, tokens: Tokens, start: int, end: int) -> tuple[jax.Array, jax.Array]:
    """Tokens `start` to `end` as inputs, and the targets one token on.

    Raises:
        ValueError: a character that the model does not know.
    """
    check_known(subject, tokens, start, end + 1)
    ids = jnp.asarray(tokens.ids[start : end + 1])
    return ids[:-1], ids[1:]


def read(
    subject: Subject, params: charlm.Params, tokens: Tokens, start: int, end: int
) -> ModelTrace:
    """What the model does with tokens `start` to `end`, after those before them."""
    inputs, targets = encoded(subject, tokens, start, end)
    carry = carry_before(subject, params, tokens, start)
    return trace_model(subject.run.config, params, carry, inputs, targets)


def known_around(tokens: Tokens, start: int, length: int) -> tuple[int, Tokens]:
    """About `length` tokens around a stretch's start, up to what the model does not know.

    A character that the model never saw stops it only where it is in the stretch itself.

    Returns:
        The place at which they begin, and the tokens.
    """
    first = max(0, start - length // 2)
    first += _after_unknown(tokens.ids[first:start])
    last = min(len(tokens), first + length)
    unknown = np.flatnonzero(tokens.ids[start:last] < 0)
    return first, tokens.part(first, start + int(unknown[0]) if len(unknown) else last)


def _after_unknown(ids: NDArray[np.int32]) -> int:
    """The place after the last one that the model does not know; 0 where it knows all."""
    unknown = np.flatnonzero(ids < 0)
    return int(unknown[-1]) + 1 if len(unknown) else 0
