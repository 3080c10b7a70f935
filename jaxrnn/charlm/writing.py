"""What is asked of a text that a model writes: the record that `sample` and its kin share."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from jaxrnn.errors import sentence

LENGTH = 500
"""Tokens, in Python and on the command line: of characters, some lines of a terminal."""

TEMPERATURE = 1.0
"""In Python and on the command line: what is drawn comes as often as the model says."""


class Sampling(TypedDict, total=False):
    """The keywords of `sample`, `sample_many`, `stream` and their scored kin; none is required.

    A dictionary of them can be kept and passed to each of these: `sample(*model, key, **how)`.

    Attributes:
        length: tokens to write, characters, bytes or words; 500.
        prime: what comes before the text; the empty prime, which is the default, means a first
            token drawn evenly.
        temperature: above 1 more varied, below 1 more careful; 0, or less than the smallest
            normal number of the logits' dtype (1.2e-38 of float32), takes the likeliest (greedy);
            1.
        top_k: draws from the k likeliest tokens only; None: from all.
        top_p: draws from the fewest likeliest tokens whose probabilities reach p; however
            small p is, from the likeliest; None: from all.
        stop: the text ends before this one, if it comes up before `length` tokens are
            written; None: nothing ends it.
        carry: what came before the prime, as `zero_carry(config, params, ())`; None: nothing.

    >>> how: Sampling = {"prime": "The ", "temperature": 0.8}
    """

    length: int
    prime: str
    temperature: float
    top_k: int | None
    top_p: float | None
    stop: str | None
    carry: Any


class Asked(NamedTuple):
    """A `Sampling` with nothing left out."""

    length: int = LENGTH
    prime: str = ""
    temperature: float = TEMPERATURE
    top_k: int | None = None
    top_p: float | None = None
    stop: str | None = None
    carry: Any = None


def complete(function: str, sampling: Mapping[str, Any]) -> Asked:
    """The record with its defaults.

    Raises:
        TypeError: a keyword of another name.

    >>> complete("sample", {"length": 20}).temperature
    1.0
    """
    unknown = [name for name in sampling if name not in Asked._fields]
    if unknown:
        rule = f"one of {', '.join(Asked._fields)}"
        raise TypeError(sentence(function, "keyword", rule, ", ".join(unknown)))
    return Asked(**sampling)
