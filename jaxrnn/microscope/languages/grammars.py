"""Cycles, brackets and the grammars of Reber: languages of structure."""

from jaxrnn.errors import sentence
from jaxrnn.microscope.languages.automaton import Arc, Language, State, evenly, spaced


def alternating() -> Language:
    """`1 0 1 0 …`: the next character is a function of this one, so no memory is needed.

    >>> from jaxrnn.microscope.languages import entropy_rate_bits
    >>> entropy_rate_bits(alternating())
    0.0
    """
    return _cycle("alternating", "10")


def counting() -> Language:
    """`1 1 0 1 1 0 …`: after a 1 the next character depends on the one before it.

    >>> from jaxrnn.microscope.languages import entropy_rate_bits
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
        return evenly(ways)

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

    >>> from jaxrnn.microscope.languages import entropy_rate_bits
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

    >>> import jax
    >>> from jaxrnn.microscope.languages import generate
    >>> generate(reber(), jax.random.key(0), 5)[0]
    'B'
    """
    return Language("reber", tuple("BEPSTVX"), 0, lambda state: evenly(_REBER[state]))


def embedded_reber() -> Language:
    """Reber strings between two equal marks: B (T | P) reber (the same T | P) E.

    The mark is carried across a Reber string of any length, hence the long lag
    (Hochreiter and Schmidhuber 1997, figure 4).

    >>> from jaxrnn.microscope.languages import entropy_rate_bits
    >>> entropy_rate_bits(embedded_reber()) < entropy_rate_bits(reber())
    True
    """

    def arcs(state: State) -> tuple[Arc, ...]:
        assert isinstance(state, tuple)
        mark, place = state
        if place == "begin":
            return evenly([("B", ("", "mark"))])
        if place == "mark":
            return evenly([("T", ("T", 0)), ("P", ("P", 0))])
        if place == "close":
            return evenly([(mark, ("", "end"))])
        if place == "end":
            return evenly([("E", ("", "begin"))])
        ways = _REBER[place]
        return evenly([(symbol, (mark, "close" if symbol == "E" else to)) for symbol, to in ways])

    return Language("embedded-reber", tuple("BEPSTVX"), ("", "begin"), arcs)


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
