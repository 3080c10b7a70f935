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

    >>> ideal_losses_bits(parentheses(), "( 1 ")[:3].round(3)
    array([1.   , 0.   , 1.585])
    """
    states = [language.start, *_states(language, text)]
    chosen = [
        next(arc.probability for arc in language.arcs(state) if arc.symbol == symbol)
        for state, symbol in zip(states[:-1], text, strict=True)
    ]
    return -np.log2(np.array(chosen)) + 0.0


def alternating() -> Language:
    """`1 0 1 0 …`: the next character is a function of this one, so no memory is needed.

    >>> entropy_rate_bits(alternating())
    0.0
    """
    return _cycle("alternating", "10")


def counting() -> Language:
    """`1 1 0 1 1 0 …`: after a 1 the next character depends on the one before it.

    >>> entropy_rate_bits(counting())
    0.0
    """
    return _cycle("counting", "110")


def parentheses(max_depth: int = 4) -> Language:
    """Nested parentheses with the depth written inside, tokens separated by spaces.

    At depth 0 the next token is `(` or `0`; at the greatest depth D it is `)` or `D`; between
    them it is `(`, `)` or the digit of the depth; each equally likely.

    Args:
        max_depth: D, 1 to 9.

    Returns:
        The language; at D = 4 its floor is 0.97385 nats a token, 0.70249 bits a character.

    Raises:
        ValueError: the depth has no one-digit name.
    """
    if not 1 <= max_depth <= 9:
        raise ValueError(sentence("parentheses", "max_depth", "1 to 9", max_depth))

    def arcs(depth: State) -> tuple[Arc, ...]:
        assert isinstance(depth, int)
        ways: list[tuple[str, State]] = [(str(depth), depth)]
        if depth < max_depth:
            ways.append(("(", depth + 1))
        if depth > 0:
            ways.append((")", depth - 1))
        return _uniform(ways)

    symbols = ["(", ")", *map(str, range(max_depth + 1))]
    return spaced(Language("parentheses", tuple(sorted(symbols)), 0, arcs))


def dyck(kinds: int = 2, max_depth: int = 4, open_probability: float = 0.5) -> Language:
    """Dyck-k: balanced brackets of k kinds, at most `max_depth` deep.

    At depth 0 a bracket opens, at the greatest depth the last one closes, between them one opens
    with `open_probability` (its kind uniformly drawn). Which bracket may close needs the stack.

    Args:
        kinds: k, 1 to 4, of `()[]{}<>`.
        max_depth: the deepest nesting, at least 1.
        open_probability: between 0 and 1, both excluded.

    Returns:
        The language; its states are stacks, its phases are depths.

    Raises:
        ValueError: an argument is out of its range.

    >>> entropy_rate_bits(dyck(kinds=4, max_depth=1))  # ()<>[]…: 2 bits, 0 bits, 2 bits, …
    1.0
    """
    if not 1 <= kinds <= 4:
        raise ValueError(sentence("dyck", "kinds", "1 to 4", kinds))
    if max_depth < 1:
        raise ValueError(sentence("dyck", "max_depth", "at least 1", max_depth))
    if not 0 < open_probability < 1:
        raise ValueError(
            sentence("dyck", "open_probability", "strictly between 0 and 1", open_probability)
        )
    closing = dict(zip("([{<"[:kinds], ")]}>", strict=False))

    def arcs(stack: State) -> tuple[Arc, ...]:
        assert isinstance(stack, str)
        opens = 1.0 if not stack else 0.0 if len(stack) == max_depth else open_probability
        ways = [Arc(mark, opens / kinds, stack + mark) for mark in closing if opens]
        if stack:
            ways.append(Arc(closing[stack[-1]], 1 - opens, stack[:-1]))
        return tuple(ways)

    alphabet = tuple(sorted([*closing, *closing.values()]))
    return Language("dyck", alphabet, "", arcs, lambda stack: len(str(stack)))


def reber() -> Language:
    """Strings of the Reber grammar, one after the other, each from B to E.

    Reber (1967), as drawn by Hochreiter and Schmidhuber (1997), figure 3; every fork is even.

    >>> generate(reber(), jax.random.key(0), 5)[0]
    'B'
    """
    return Language("reber", tuple("BEPSTVX"), 0, lambda state: _uniform(_REBER[state]))


def embedded_reber() -> Language:
    """Reber strings between two equal marks: B (T | P) reber (the same T | P) E.

    The mark is carried across a Reber string of any length, hence the long lag
    (Hochreiter and Schmidhuber 1997, figure 4).

    >>> entropy_rate_bits(embedded_reber()) < entropy_rate_bits(reber())
    True
    """

    def arcs(state: State) -> tuple[Arc, ...]:
        assert isinstance(state, tuple)
        mark, place = state
        if place == "begin":
            return _uniform([("B", ("", "mark"))])
        if place == "mark":
            return _uniform([("T", ("T", 0)), ("P", ("P", 0))])
        if place == "close":
            return _uniform([(mark, ("", "end"))])
        if place == "end":
            return _uniform([("E", ("", "begin"))])
        ways = _REBER[place]
        return _uniform([(symbol, (mark, "close" if symbol == "E" else to)) for symbol, to in ways])

    return Language("embedded-reber", tuple("BEPSTVX"), ("", "begin"), arcs)


def copy_task(symbols: str = "abcdefgh", length: int = 10, delay: int = 0) -> Language:
    """Random words to be written again: word, `delay` dots, `>`, the same word, newline.

    The floor is length · log₂(symbols) / (2 · length + delay + 2) bits a character.

    Args:
        symbols: the distinct characters that words are drawn from; neither of `.>` nor newline.
        length: characters of a word, at least 1.
        delay: dots between the word and its copy, at least 0.

    Returns:
        The language; its states hold the word, its phases the position.

    Raises:
        ValueError: an argument is out of its range.

    >>> generate(copy_task("ab", length=2), jax.random.key(1), 6)
    'ab>ab\\n'
    """
    if len(set(symbols)) != len(symbols) or not symbols or set(symbols) & set(".>\n"):
        raise ValueError(
            sentence("copy_task", "symbols", "distinct characters, none of . > newline", symbols)
        )
    if length < 1:
        raise ValueError(sentence("copy_task", "length", "at least 1", length))
    if delay < 0:
        raise ValueError(sentence("copy_task", "delay", "at least 0", delay))

    def arcs(state: State) -> tuple[Arc, ...]:
        assert isinstance(state, tuple)
        word, position = state
        if position < length:
            return _uniform([(symbol, (word + symbol, position + 1)) for symbol in symbols])
        if position < length + delay:
            return _uniform([(".", (word, position + 1))])
        if position == length + delay:
            return _uniform([(">", (word, position + 1))])
        if word:
            return _uniform([(word[0], (word[1:], position + 1))])
        return _uniform([("\n", ("", 0))])

    alphabet = tuple(sorted(set(symbols) | set(">\n") | ({"."} if delay else set())))
    return Language("copy", alphabet, ("", 0), arcs, lambda state: state[1])  # type: ignore[index]


def addition(digits: int = 2) -> Language:
    """Sums written out, one a line: `07+35=042`; the right side is fixed by the left.

    The floor is 2 · digits · log₂(10) / (3 · digits + 4) bits a character.

    Args:
        digits: digits of each term, at least 1; the sum has one more.

    Returns:
        The language; its states hold the line, its phases the position in it.

    Raises:
        ValueError: `digits` is below 1.

    >>> generate(addition(1), jax.random.key(0), 7)[1:4:2]
    '+='
    """
    if digits < 1:
        raise ValueError(sentence("addition", "digits", "at least 1", digits))
    left = 2 * digits + 2
    whole = left + digits + 2

    def arcs(line: State) -> tuple[Arc, ...]:
        assert isinstance(line, str)
        place = len(line)
        if place == digits:
            return _uniform([("+", line + "+")])
        if place == left - 1:
            return _uniform([("=", line + "=")])
        if place < left:
            return _uniform([(digit, line + digit) for digit in "0123456789"])
        if place == whole - 1:
            return _uniform([("\n", "")])
        total = str(int(line[:digits]) + int(line[digits + 1 : left - 1])).zfill(digits + 1)
        return _uniform([(total[place - left], line + total[place - left])])

    alphabet = tuple(sorted("0123456789+=\n"))
    return Language("addition", alphabet, "", arcs, lambda line: len(str(line)))


class AddingProblem(NamedTuple):
    """A batch of the adding problem; the best squared error is 0, the error of chance 1/6.

    Attributes:
        inputs: [T, B, 2], a value in [0, 1) and a mark that is 1 at two steps and 0 elsewhere.
        targets: [B], the sum of the two marked values.
        chance: mean squared error of always answering the mean, Var(u₁ + u₂) = 2 / 12.
    """

    inputs: jax.Array
    targets: jax.Array
    chance: float


def adding_problem(key: jax.Array, length: int, batch_size: int) -> AddingProblem:
    """Draws the adding problem: one marked value in each half of the sequence.

    Args:
        key: a `jax.random.key`.
        length: T, at least 2.
        batch_size: B.

    Returns:
        float32 inputs and targets with the error of chance; the answer is fixed by the inputs, so
        its floor is 0.

    Raises:
        ValueError: fewer than two steps.

    Source: Hochreiter and Schmidhuber (1997), section 5.4, in the form of Le et al. (2015).

    >>> problem = adding_problem(jax.random.key(0), length=10, batch_size=3)
    >>> problem.inputs[..., 1].sum(axis=0)
    Array([2., 2., 2.], dtype=float32)
    """
    if length < 2:
        raise ValueError(sentence("adding_problem", "length", "at least 2", length))
    key_values, key_first, key_second = jax.random.split(key, 3)
    values = jax.random.uniform(key_values, (length, batch_size), dtype=np.float32)
    half = length // 2
    first = jax.random.randint(key_first, (batch_size,), 0, half)
    second = jax.random.randint(key_second, (batch_size,), half, length)
    marks = jax.nn.one_hot(first, length, axis=0, dtype=np.float32) + jax.nn.one_hot(
        second, length, axis=0, dtype=np.float32
    )
    inputs = jax.numpy.stack([values, marks], axis=-1)
    return AddingProblem(inputs, (values * marks).sum(axis=0), 2 / 12)


def spaced(language: Language) -> Language:
    """The same language with a space after every symbol.

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


LANGUAGES: dict[str, Callable[[], Language]] = {
    "alternating": alternating,
    "counting": counting,
    "parentheses": parentheses,
    "dyck": dyck,
    "reber": reber,
    "embedded-reber": embedded_reber,
    "copy": copy_task,
    "addition": addition,
}
"""Every language by name, at its default size."""


_REBER: dict[State, list[tuple[str, State]]] = {
    0: [("B", 1)],
    1: [("T", 2), ("P", 3)],
    2: [("S", 2), ("X", 4)],
    3: [("T", 3), ("V", 5)],
    4: [("X", 3), ("S", 6)],
    5: [("P", 4), ("V", 6)],
    6: [("E", 0)],
}


def _cycle(name: str, word: str) -> Language:
    def arcs(position: State) -> tuple[Arc, ...]:
        assert isinstance(position, int)
        return (Arc(word[position], 1.0, (position + 1) % len(word)),)

    return Language(name, tuple(sorted(set(word))), 0, arcs)


def _uniform(ways: list[tuple[str, State]]) -> tuple[Arc, ...]:
    return tuple(Arc(symbol, 1 / len(ways), state) for symbol, state in ways)


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
