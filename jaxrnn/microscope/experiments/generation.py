"""New text of three kinds, while its models learn and when they have ("Playing with recurrent
networks").

Three texts are made on the spot: nested parentheses from their grammar, Python from the sources
of its own library, prose from its documentation. Each gets a model of its own. What they write is
kept through training, and the trained models write greedily, always the likeliest character, and
by drawing.
"""

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import jax
import optax

from jaxrnn import charlm
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.languages import generate, parentheses
from jaxrnn.microscope.measurements.repetition import (
    LEAST_TURNS,
    Loop,
    distinct_share,
    find_loop,
)

Array = jax.Array

MODULES = (
    "argparse", "ast", "calendar", "configparser", "csv", "dataclasses", "difflib", "doctest",
    "fractions", "heapq", "inspect", "optparse", "pathlib", "random", "shutil", "statistics",
    "tarfile", "textwrap", "typing", "zipfile",
)  # fmt: skip
"""Of Python's library, written in Python themselves; those that are not there are left out."""

CHARACTERS = 300_000
UNITS = 128
UPDATES = 1000
MOMENTS = (10, 30, 100, 300)
TEMPERATURES = (0.0, 0.5, 1.0)
SAMPLE = 300
"""Characters of a sample on the way."""

WRITTEN = 800
"""Characters of what the trained models write."""


class Kind(NamedTuple):
    """A kind of text with its model, and what that writes.

    Attributes:
        name: what it is.
        source: where the text is from.
        right: what the measure of its samples counts, in words.
        fitted: the model, kept at several moments.
        samples: what it wrote at each moment.
        shares: the share of each sample that is right.
        written: what the trained model writes, by temperature; 0 is greedy.
        loops: where that begins to go round, by temperature.
        shares_written: the share of it that is right, by temperature.
    """

    name: str
    source: str
    right: str
    fitted: Fitted
    samples: tuple[str, ...]
    shares: tuple[float, ...]
    written: dict[float, str]
    loops: dict[float, Loop | None]
    shares_written: dict[float, float]


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains three models on three kinds of text and has them write.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with a Kind each, in `data`; one to two minutes on two cores.
    """
    grammar_key, *keys = jax.random.split(key, 4)
    spoken = charlm.python_documentation().text[:CHARACTERS]
    code = python_sources()[:CHARACTERS]
    texts: dict[str, tuple[str, str, str, str, Callable[[str], float]]] = {
        "parentheses": (
            generate(parentheses(), grammar_key, CHARACTERS), "a grammar of nested parentheses",
            "0 ", "tokens that the grammar allows", allowed_share,
        ),
        "Python": (
            code, "Python's own library", "def ", "words that its text has", _known_words(code)
        ),
        "prose": (
            spoken, "Python's documentation", "The ", "words that its text has",
            _known_words(spoken),
        ),
    }  # fmt: skip
    kinds = tuple(
        _kind(name, *made, kind_key, progress)
        for (name, made), kind_key in zip(texts.items(), keys, strict=True)
    )
    measurements = []
    for kind in kinds:
        loop = kind.loops[0.0]
        greedy, drawn = kind.written[0.0], kind.written[1.0]
        measurements += [
            Measurement(f"{kind.name}: {kind.right}, before training", kind.shares[0]),
            Measurement(f"{kind.name}: {kind.right}, after training", kind.shares_written[1.0]),
            Measurement(
                f"{kind.name}: greedy text goes round in a loop of",
                loop.period if loop else 0, "characters", f"1 to {len(greedy) // LEAST_TURNS}",
            ),
            Measurement(f"{kind.name}: share of different 8-grams, greedy", distinct_share(greedy)),
            Measurement(f"{kind.name}: share of different 8-grams, drawn", distinct_share(drawn)),
        ]  # fmt: skip
    looped = [kind for kind in kinds if kind.loops[0.0]]
    drawn_loops = sum(kind.loops[1.0] is not None for kind in kinds)
    claim = (
        "A character model that always takes the likeliest character ends in a loop; one that "
        "draws from what it predicts does not."
    )
    verdict = (
        f"Greedy text ends in a loop in {len(looped)} of {len(kinds)} kinds ("
        + ", ".join(_loop_in_words(kind) for kind in kinds)
        + f"), drawn text in {drawn_loops}."
    )
    holds = len(looped) == len(kinds) and not drawn_loops
    return Experiment("generation", claim, tuple(measurements), holds, verdict, kinds)


def python_sources() -> str:
    """The sources of `MODULES`, one after the other.

    Raises:
        ValueError: this Python comes without its sources.

    >>> "def " in python_sources()
    True
    """
    texts = []
    for name in MODULES:
        try:
            texts.append(inspect.getsource(import_module(name)))
        except (ImportError, OSError, TypeError):
            continue
    if not texts:
        rule = "a Python that comes with the sources of its library"
        raise ValueError(sentence("demo", "NAME", rule, "one without", "take another experiment"))
    return "\n\n".join(texts)


def allowed_share(text: str) -> float:
    """The share of a text's tokens that the grammar of parentheses allows where they stand.

    After one that it does not allow the depth is what the token says.

    >>> allowed_share("( 1 ) 0"), allowed_share("( 0 2 )")
    (1.0, 0.5)
    """
    depth, right, most = 0, 0, 4
    tokens = text.split()
    for token in tokens:
        if token == "(":
            right += depth < most
            depth = min(most, depth + 1)
        elif token == ")":
            right += depth > 0
            depth = max(0, depth - 1)
        elif token == str(depth):
            right += 1
        elif token.isdigit():
            depth = min(most, int(token[-1]))
    return right / max(1, len(tokens))


def _known_words(text: str) -> Callable[[str], float]:
    """Measures the share of a sample's words that the text has; those at its ends may be cut."""
    known = set(_words(text))

    def share(sample: str) -> float:
        words = _words(sample)[1:-1]
        return sum(word in known for word in words) / max(1, len(words))

    return share


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{3,}", text)


def _kind(
    name: str, text: str, source: str, prime: str, right: str, share: Callable[[str], float],
    key: Array, progress: Progress,
) -> Kind:  # fmt: skip
    """Trains one model and has it write at every moment, and at every temperature in the end."""
    model_key, sample_key = jax.random.split(key)
    vocab = charlm.Vocab.from_text(text)
    config = charlm.Config(len(vocab), "gru", hidden_size=UNITS, num_layers=1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3))
    fitted = fit(
        config, vocab, charlm.init(config, model_key), optimizer, text, progress,
        what=f"training on {name}", updates=UPDATES, batch_size=32, length=64, keep=MOMENTS,
    )  # fmt: skip

    def write(params: charlm.Params, temperature: float, length: int) -> str:
        return charlm.sample(
            config, params, vocab, sample_key, length=length, prime=prime, temperature=temperature
        )

    progress(f"writing {name}", 0, 1)
    samples = tuple(write(params, 1.0, SAMPLE) for params in fitted.history)
    written = {heat: write(fitted.params, heat, WRITTEN) for heat in TEMPERATURES}
    progress(f"writing {name}", 1, 1)
    return Kind(
        name, source, right, fitted, samples, tuple(map(share, samples)), written,
        {heat: find_loop(one) for heat, one in written.items()},
        {heat: share(one) for heat, one in written.items()},
    )  # fmt: skip


def _loop_in_words(kind: Kind) -> str:
    loop = kind.loops[0.0]
    if loop is None:
        return f"{kind.name}: none in {WRITTEN} characters"
    characters = "1 character" if loop.period == 1 else f"{loop.period} characters"
    return f"{kind.name}: {characters}, after {loop.start}"
