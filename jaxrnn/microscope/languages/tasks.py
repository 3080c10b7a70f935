"""Copying, adding and recalling: tasks whose answer is fixed by what came before."""

from typing import NamedTuple

import jax
import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.microscope.languages.automaton import Arc, Language, State, evenly


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

    >>> from jaxrnn.microscope.languages import generate
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
            return evenly([(symbol, (word + symbol, position + 1)) for symbol in symbols])
        if position < length + delay:
            return evenly([(".", (word, position + 1))])
        if position == length + delay:
            return evenly([(">", (word, position + 1))])
        if word:
            return evenly([(word[0], (word[1:], position + 1))])
        return evenly([("\n", ("", 0))])

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

    >>> from jaxrnn.microscope.languages import generate
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
            return evenly([("+", line + "+")])
        if place == left - 1:
            return evenly([("=", line + "=")])
        if place < left:
            return evenly([(digit, line + digit) for digit in "0123456789"])
        if place == whole - 1:
            return evenly([("\n", "")])
        total = str(int(line[:digits]) + int(line[digits + 1 : left - 1])).zfill(digits + 1)
        return evenly([(total[place - left], line + total[place - left])])

    alphabet = tuple(sorted("0123456789+=\n"))
    return Language("addition", alphabet, "", arcs, lambda line: len(str(line)))


def recall(letters: str = "abcd", shortest: int = 5, mean: float = 20.0) -> Language:
    """A letter in brackets, other letters, and after `:` the one in brackets again, line by line.

    `[b]dacab:b`: only the brackets say which letter to keep. The letters between are at least
    `shortest`, `mean` on average, and as likely to be any letter.

    Args:
        letters: distinct characters, none of `[]:` and newline.
        shortest: the fewest letters between, at least 1.
        mean: letters between on average, above `shortest`.

    Returns:
        The language; its states hold the letter, its phases the place in the line.

    Raises:
        ValueError: an argument is out of its range.

    >>> from jaxrnn.microscope.languages import generate
    >>> line = generate(recall("ab", shortest=2, mean=3.0), jax.random.key(3), 40).split("\\n")[0]
    >>> line[0] + line[2], line[-2], line[1] == line[-1]
    ('[]', ':', True)
    """
    if len(set(letters)) != len(letters) or not letters or set(letters) & set("[]:\n"):
        rule = "distinct characters, none of [ ] : newline"
        raise ValueError(sentence("recall", "letters", rule, letters))
    if shortest < 1:
        raise ValueError(sentence("recall", "shortest", "at least 1", shortest))
    if not mean > shortest:
        raise ValueError(sentence("recall", "mean", f"above the shortest, {shortest}", mean))
    ends = 1 / (mean - shortest + 1)

    def arcs(state: State) -> tuple[Arc, ...]:
        assert isinstance(state, tuple)
        letter, place = state
        if place == "letter":
            return evenly([(one, (one, "]")) for one in letters])
        if place == "answer":
            return evenly([(letter, ("", "\n"))])
        if isinstance(place, str):
            following = {"[": "letter", "]": 0, "\n": "["}[place]
            return evenly([(place, (letter, following))])
        goes_on = 1.0 if place < shortest else 1 - ends
        between = min(place + 1, shortest)
        ways = [Arc(one, goes_on / len(letters), (letter, between)) for one in letters]
        if place >= shortest:
            ways.append(Arc(":", ends, (letter, "answer")))
        return tuple(ways)

    alphabet = tuple(sorted({*letters, *"[]:\n"}))
    return Language("recall", alphabet, ("", "["), arcs, lambda state: state[1])  # type: ignore[index]


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
