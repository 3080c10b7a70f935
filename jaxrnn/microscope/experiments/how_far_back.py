"""How far back a prediction looks, in an RNN, an LSTM and a GRU ("Under the hood of RNNs").

Claim: a plain RNN connects over about 10 characters, an LSTM over whole phrases. "Connects" has
five definitions in use; all are measured, and how far they agree.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.measurements.completions import Completion, word_completions
from jaxrnn.microscope.measurements.connectivity import (
    DEFINITIONS,
    RankAgreement,
    connectivity_matrix,
    rank_agreement,
    reach,
)
from jaxrnn.microscope.traces import trace_model

Array = jax.Array

CELLS = {"RNN": "elman", "LSTM": "lstm", "GRU": "gru"}
UPDATES = 1000
LENGTH = 100
STRETCHES = 4


class Seen(NamedTuple):
    """A model with a text, at one moment of its training.

    Attributes:
        matrices: by definition, [T, T].
        chances: [T], what each right character got.
        completions: T lists of how the model would finish the word.
    """

    matrices: dict[str, NDArray[np.float64]]
    chances: NDArray[np.float64]
    completions: list[list[Completion]]


class ConnectivityData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        fitted: the models by name.
        text: LENGTH + 1 characters that none was trained on.
        before: by the model's name, untrained on that text.
        after: by the model's name, trained on that text.
        agreement: by the model's name, on that text.
        reaches: by the model's name and the definition, mean distance that holds 90 %, over the
            second halves of several stretches of text.
    """

    fitted: dict[str, Fitted]
    text: str
    before: dict[str, Seen]
    after: dict[str, Seen]
    agreement: dict[str, RankAgreement]
    reaches: dict[str, dict[str, float]]


def run(key: Array, progress: Progress = silent, text: str | None = None) -> Experiment:
    """Trains an RNN, an LSTM and a GRU and measures their connectivity by all five definitions.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.
        text: to train on; None: the documentation that comes with Python.

    Returns:
        The outcome with ConnectivityData; about two minutes on two cores.
    """
    text = charlm.python_documentation().text if text is None else text
    training, held_out = charlm.split(text, 0.9, 0.1)
    vocab = charlm.Vocab.from_text(text)
    stretches = prose(held_out, LENGTH + 1, STRETCHES)
    fitted: dict[str, Fitted] = {}
    before, after = {}, {}
    agreement: dict[str, RankAgreement] = {}
    reaches: dict[str, dict[str, float]] = {}
    model_keys = jax.random.split(key, len(CELLS))
    for (name, cell), model_key in zip(CELLS.items(), model_keys, strict=True):
        config = charlm.Config(len(vocab), cell, hidden_size=96, num_layers=1)
        fitted[name] = fit(
            config, vocab, charlm.init(config, model_key),
            optax.chain(optax.clip_by_global_norm(1.0), optax.adam(4e-3)),
            training, progress, what=f"training the {name}", updates=UPDATES, batch_size=32,
            length=LENGTH,
        )  # fmt: skip
        found: list[dict[str, NDArray[np.float64]]] = []
        for number, stretch in enumerate(stretches):
            found.append(_matrices(fitted[name], fitted[name].params, stretch))
            progress(f"connectivity of the {name}", number + 1, STRETCHES)
        before[name] = _seen(fitted[name], fitted[name].untrained, stretches[0])
        after[name] = _seen(fitted[name], fitted[name].params, stretches[0], found[0])
        agreement[name] = rank_agreement(found[0], earliest=LENGTH // 2)
        reaches[name] = {
            definition: float(
                np.mean([reach(each[definition])[LENGTH // 2 :].mean() for each in found])
            )
            for definition in DEFINITIONS
        }
    measurements = tuple(
        Measurement(
            f"{name}: reach by {definition.replace('_', ' ')}",
            distance,
            "characters",
            "about 10" if name == "RNN" else "whole phrases",
        )
        for name in CELLS
        for definition, distance in reaches[name].items()
    )
    ratios = [reaches["LSTM"][each] / reaches["RNN"][each] for each in DEFINITIONS]
    between = {name: _off_diagonal(agreement[name]) for name in CELLS}
    measurements += tuple(
        Measurement(f"{name}: lowest rank agreement of two definitions", low)
        for name, (low, _) in between.items()
    )
    spans = {name: (min(each.values()), max(each.values())) for name, each in reaches.items()}
    farther = sum(ratio > 1 for ratio in ratios)
    verdict = (
        f"90 % of a prediction's connectivity lies within {spans['RNN'][0]:.1f} to "
        f"{spans['RNN'][1]:.1f} characters for the RNN, {spans['LSTM'][0]:.1f} to "
        f"{spans['LSTM'][1]:.1f} for the LSTM and {spans['GRU'][0]:.1f} to "
        f"{spans['GRU'][1]:.1f} for the GRU, depending on the definition; the LSTM reaches "
        f"farther than the RNN by {farther} of {len(ratios)}. The definitions order the "
        f"characters alike to a rank correlation of "
        f"{min(low for low, _ in between.values()):.2f} to "
        f"{max(high for _, high in between.values()):.2f}."
    )
    claim = "A plain RNN connects over about 10 characters, an LSTM over whole phrases."
    holds = farther == len(ratios) and spans["LSTM"][0] > 1.5 * spans["RNN"][0]
    data = ConnectivityData(fitted, stretches[0], before, after, agreement, reaches)
    return Experiment("connectivity", claim, measurements, bool(holds), verdict, data)


def _matrices(
    fitted: Fitted, params: charlm.Params, stretch: str
) -> dict[str, NDArray[np.float64]]:
    """The connectivity of a model on a stretch of text, by every definition."""
    tokens = jnp.asarray(fitted.vocab.encode(stretch))
    zero = charlm.zero_carry(fitted.config, params, ())
    return {
        name: np.asarray(
            connectivity_matrix(fitted.config, params, zero, tokens[:-1], tokens[1:], name),
            np.float64,
        )
        for name in DEFINITIONS
    }


def _seen(
    fitted: Fitted, params: charlm.Params, stretch: str,
    matrices: dict[str, NDArray[np.float64]] | None = None,
) -> Seen:  # fmt: skip
    """What a model made of a stretch of text; its matrices, where they are known."""
    tokens = jnp.asarray(fitted.vocab.encode(stretch))
    zero = charlm.zero_carry(fitted.config, params, ())
    trace = trace_model(fitted.config, params, zero, tokens[:-1], tokens[1:])
    carries = tuple(layer.carries for layer in trace.layers)
    return Seen(
        _matrices(fitted, params, stretch) if matrices is None else matrices,
        np.exp(-np.asarray(trace.losses, np.float64)),
        word_completions(fitted.config, params, fitted.vocab, carries, trace.logits),
    )


def prose(text: str, length: int, count: int) -> list[str]:
    """Stretches of a text that read as sentences, one of each of so many equal parts of it.

    Evenly spread, so that one odd passage does not decide. In each part the stretch with the most
    letters and single spaces is taken: indented code and tables say little about words.

    >>> prose("x = [1]; {2: 3}  # a word is a word", 9, 1)
    ['a word is']
    """
    plain = [
        a.isalpha() or (a in " ,.;" and b.isalpha())
        for a, b in zip(text, text[1:] + " ", strict=True)
    ]
    good = np.concatenate([[0], np.cumsum(plain)])
    edges = np.linspace(0, len(text), count + 1).astype(int)
    found = []
    for start, end in itertools.pairwise(edges):
        last = max(start + 1, min(end, len(text)) - length + 1)
        scores = good[start + length : last + length] - good[start:last]
        # It begins with a word, not in the middle of one.
        begins = [
            text[at].isalpha() and not text[at - 1 : at].isalpha() for at in range(start, last)
        ]
        best = start + int(np.argmax(np.where(begins, scores, -1)))
        found.append(text[best : best + length])
    return found


def _off_diagonal(agreement: RankAgreement) -> tuple[float, float]:
    pairs = agreement.correlations[~np.eye(len(agreement.definitions), dtype=bool)]
    return float(pairs.min()), float(pairs.max())
