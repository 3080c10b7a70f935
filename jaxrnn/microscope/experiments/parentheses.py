"""The parenthesis language learned to its floor, and what its cells do ("Playing with recurrent
networks").

A GRU with 15 units reads parentheses at most 4 deep. What it can reach is known exactly, 0.70249
bits a character, so "learned" is a distance. What its cells mean is searched for by measurement,
with the same search in the untrained twin beside it.
"""

from typing import NamedTuple

import jax
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.languages import (
    entropy_rate_bits,
    generate,
    ideal_losses_bits,
    parentheses,
)
from jaxrnn.microscope.measurements.probes import standard_probes
from jaxrnn.microscope.measurements.unit_search import UnitSearch, search_units
from jaxrnn.microscope.traces import ModelTrace, trace_text

Array = jax.Array

UNITS = 15
UPDATES = 4000
NETWORKS = 20
"""Untrained ones, whose 300 units together are the null distribution of the search."""
SHOWN = 400
"""Characters of the trace that the page draws."""


class ParenthesesData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        fitted: the GRU and its training.
        floor: bits a character.
        bits: of the model on fresh text, minus the luck of that text: floor + excess.
        text: SHOWN + 1 characters that it was not trained on.
        trace: of the trained model on that text.
        untrained_trace: of the untrained twin on it.
        search: what each unit encodes, on `searched`, which `text` begins.
        searched: 8,000 characters.
        searched_states: [8000, UNITS], h on them.
    """

    fitted: Fitted
    floor: float
    bits: float
    text: str
    trace: ModelTrace
    untrained_trace: ModelTrace
    search: UnitSearch
    searched: str
    searched_states: NDArray[np.float32]


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains the GRU, measures its distance to the floor, and searches its units.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with ParenthesesData; about 15 seconds on two cores.
    """
    weights_key, text_key, test_key, search_key = jax.random.split(key, 4)
    language = parentheses()
    vocab = charlm.Vocab("".join(language.alphabet))
    config = charlm.Config(len(vocab), "gru", hidden_size=UNITS, num_layers=1)
    rate = optax.cosine_decay_schedule(2e-2, UPDATES)
    fitted = fit(
        config, vocab, charlm.init(config, weights_key),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
        generate(language, text_key, 400_000), progress, what="learning parentheses",
        updates=UPDATES, batch_size=32, length=64,
    )  # fmt: skip
    test = generate(language, test_key, 50_000)
    seen = trace_text(config, fitted.params, vocab, test)
    ideal = ideal_losses_bits(language, test)[1:]
    excess = float(np.asarray(seen.losses, np.float64).mean() / np.log(2) - ideal.mean())
    floor = entropy_rate_bits(language)

    progress("searching the units", 0, 1)
    stretch = test[:8000]
    states = np.asarray(seen.layers[0].carries.h)[: len(stretch)]
    untrained = [fitted.untrained] + [
        charlm.init(config, each) for each in jax.random.split(search_key, NETWORKS - 1)
    ]
    search = search_units(
        states,
        standard_probes(stretch),
        search_key,
        untrained=[
            np.asarray(trace_text(config, params, vocab, stretch + test[8000]).layers[0].carries.h)
            for params in untrained
        ],
    )
    progress("searching the units", 1, 1)
    depth = max(
        (abs(each.confirmation) for each in search.findings if each.probe == "depth"), default=0.0
    )
    named = [finding for finding in search.findings if finding.named]
    twin_named = sum(finding.named for finding in search.untrained_findings)
    measurements = (
        Measurement("floor", floor, "bits a character", "0.70249"),
        Measurement(
            "excess over the floor on fresh text", excess, "bits a character", "below 0.01"
        ),
        Measurement(
            "units that encode more than untrained ones do", len(named), "of 15", "above 0"
        ),
        Measurement("the same in an untrained network", twin_named, "of 15", "below 1"),
        Measurement("strongest correlation of a unit with the depth", depth, "", "above 0.7"),
    )
    holds = 0 <= round(excess, 3) < 0.01 and depth > 0.7
    strongest = "; ".join(
        f"unit {each.unit} follows: {each.meaning} (r = {each.confirmation:+.2f}, best untrained "
        f"unit {each.untrained:.2f})"
        for each in named[:3]
    ).replace("-", "−")
    verdict = (
        f"The GRU is {excess:.4f} bits a character above the floor of {floor:.5f}. "
        f"By measurement, {strongest or 'no unit has a name'}."
    )
    claim = (
        "A GRU with 15 units learns the parenthesis language, and single units of it can be read: "
        "one follows how deep the parentheses are nested."
    )
    text = test[: SHOWN + 1]
    data = ParenthesesData(
        fitted, floor, floor + excess, text,
        trace_text(config, fitted.params, vocab, text),
        trace_text(config, fitted.untrained, vocab, text),
        search, stretch, states,
    )  # fmt: skip
    return Experiment("parentheses", claim, measurements, bool(holds), verdict, data)
