"""Languages whose entropy is known exactly, so that "learned" is a distance to a number.

A language is a probabilistic automaton in which a state and a symbol fix the next state
(unifilar). Its best predictor then knows the state, and the floor of every character model
on the language is the entropy rate

    floor = Σ_s π(s) H(s),    H(s) = −Σ_a P(a | s) log₂ P(a | s),    π = π P.

Where many states behave alike (all stacks of one depth, all strings of one length) the language
names their `phase`, and the sum runs over the few phases instead of the many states.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from jaxrnn.errors import sentence

State = Hashable


class Arc(NamedTuple):
    """One way out of a state: the symbol written, its probability, the state that follows."""

    symbol: str
    probability: float
    state: State


def _itself(state: State) -> Hashable:
    return state


@dataclass(frozen=True)
class Language:
    """A stationary stream of characters written by a unifilar automaton.

    Attributes:
        name: how the language is called in records and on the command line.
        alphabet: its characters in sorted order, the order of `charlm.Vocab`.
        start: the state before the first character.
        arcs: the ways out of a state; probabilities sum to 1, symbols are distinct.
        phase: states of one phase have the same entropy and lead to the same phases with the
            same probabilities; the state itself where nothing is gained by merging.
    """

    name: str
    alphabet: tuple[str, ...]
    start: State
    arcs: Callable[[State], tuple[Arc, ...]]
    phase: Callable[[State], Hashable] = _itself


def generate(language: Language, key: jax.Array, length: int) -> str:
    """Draws a text from the start state.

    Args:
        language: what to draw from.
        key: a `jax.random.key`.
        length: characters.

    Returns:
        `length` characters.

    >>> from jaxrnn.microscope.languages import counting
    >>> generate(counting(), jax.random.key(0), 7)
    '1101101'
    """
    draws = np.asarray(jax.random.uniform(key, (length,), dtype=np.float32)).astype(float)
    ways: dict[State, tuple[Arc, ...]] = {}
    state, symbols = language.start, []
    for draw in draws:
        arcs = ways.get(state)
        if arcs is None:
            arcs = ways[state] = language.arcs(state)
        for arc in arcs:
            draw -= arc.probability
            if draw < 0:
                break
        symbols.append(arc.symbol)
        state = arc.state
    return "".join(symbols)


def entropy_rate_bits(language: Language) -> float:
    """The floor of the language: bits a character of the best predictor, in the long run.

    Solves π = π P over the phases, so it is exact to rounding.

    Args:
        language: any language with at most some thousand phases.

    Returns:
        Bits a character.

    >>> from jaxrnn.microscope.languages import parentheses
    >>> round(entropy_rate_bits(parentheses()), 5)
    0.70249
    """
    representatives: dict[Hashable, State] = {language.phase(language.start): language.start}
    queue = [language.start]
    moves: list[tuple[Hashable, Hashable, float]] = []
    entropies: list[float] = []
    while queue:
        state = queue.pop(0)
        entropies.append(_entropy_bits([arc.probability for arc in language.arcs(state)]))
        for arc in language.arcs(state):
            phase = language.phase(arc.state)
            if phase not in representatives:
                representatives[phase] = arc.state
                queue.append(arc.state)
            moves.append((language.phase(state), phase, arc.probability))
    index = {phase: position for position, phase in enumerate(representatives)}
    transition = np.zeros((len(index), len(index)))
    for source, target, probability in moves:
        transition[index[source], index[target]] += probability
    # π (P − I) = 0 together with Σ π = 1 has one solution also where the chain is periodic,
    # which power iteration would not find.
    equations = np.vstack([transition.T - np.eye(len(index)), np.ones(len(index))])
    right_side = np.append(np.zeros(len(index)), 1.0)
    stationary = np.linalg.lstsq(equations, right_side, rcond=None)[0]
    return float(stationary @ np.array(entropies))


def next_symbol_probabilities(language: Language, text: str) -> np.ndarray:
    """What the best predictor says about the next character, after each character of a text.

    Args:
        language: the language of the text.
        text: T characters, read from the start state.

    Returns:
        [T, V] probabilities over `language.alphabet`; row t is P(· | text[:t + 1]).

    Raises:
        ValueError: the text is not in the language.

    >>> from jaxrnn.microscope.languages import counting
    >>> next_symbol_probabilities(counting(), "110")
    array([[0., 1.],
           [1., 0.],
           [0., 1.]])
    """
    column = {symbol: position for position, symbol in enumerate(language.alphabet)}
    probabilities = np.zeros((len(text), len(column)))
    for time, state in enumerate(_states(language, text)):
        for arc in language.arcs(state):
            probabilities[time, column[arc.symbol]] = arc.probability
    return probabilities


def ideal_losses_bits(language: Language, text: str) -> np.ndarray:
    """The best predictor's loss on each character of a text: −log₂ P(text[t] | text[:t]).

    Their mean tends to `entropy_rate_bits`. Subtracting them from a model's losses on the same
    text removes the luck of the draw from the distance to the floor.

    Args:
        language: the language of the text.
        text: T characters, read from the start state.

    Returns:
        [T] bits.

    Raises:
        ValueError: the text is not in the language.

    >>> from jaxrnn.microscope.languages import parentheses
    >>> ideal_losses_bits(parentheses(), "( 1 ")[:3].round(3)
    array([1.   , 0.   , 1.585])
    """
    states = [language.start, *_states(language, text)]
    chosen = [
        next(arc.probability for arc in language.arcs(state) if arc.symbol == symbol)
        for state, symbol in zip(states[:-1], text, strict=True)
    ]
    return -np.log2(np.array(chosen)) + 0.0


def evenly(ways: list[tuple[str, State]]) -> tuple[Arc, ...]:
    """Arcs of equal probability, from pairs of a symbol and the state after it."""
    return tuple(Arc(symbol, 1 / len(ways), state) for symbol, state in ways)


def spaced(language: Language) -> Language:
    """The same language with a space after every symbol.

    >>> from jaxrnn.microscope.languages import counting
    >>> generate(spaced(counting()), jax.random.key(0), 6)
    '1 1 0 '
    """

    def arcs(state: State) -> tuple[Arc, ...]:
        assert isinstance(state, tuple)
        inner, space_is_due = state
        if space_is_due:
            return (Arc(" ", 1.0, (inner, False)),)
        return tuple(
            Arc(arc.symbol, arc.probability, (arc.state, True)) for arc in language.arcs(inner)
        )

    def phase(state: State) -> Hashable:
        assert isinstance(state, tuple)
        return language.phase(state[0]), state[1]

    alphabet = tuple(sorted({" ", *language.alphabet}))
    return Language(language.name, alphabet, (language.start, False), arcs, phase)


def _entropy_bits(probabilities: list[float]) -> float:
    positive = np.array([p for p in probabilities if p > 0])
    return float(-(positive * np.log2(positive)).sum()) + 0.0


def _states(language: Language, text: str) -> Iterable[State]:
    """The state after each character."""
    state = language.start
    for position, symbol in enumerate(text):
        follow = {arc.symbol: arc.state for arc in language.arcs(state)}
        if symbol not in follow:
            raise ValueError(
                sentence(
                    language.name,
                    "text",
                    f"one of {sorted(follow)} at position {position}",
                    repr(symbol),
                )
            )
        state = follow[symbol]
        yield state
