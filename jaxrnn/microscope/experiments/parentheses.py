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
        search: what each unit encodes, on 8,000 other characters.
    """

    fitted: Fitted
    floor: float
    bits: float
    text: str
    trace: ModelTrace
    untrained_trace: ModelTrace
    search: UnitSearch


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
    twin = trace_text(config, fitted.untrained, vocab, stretch + test[8000])
    search = search_units(
        np.asarray(seen.layers[0].carries.h)[: len(stretch)],
        standard_probes(stretch),
        search_key,
        untrained=twin.layers[0].carries.h,
    )
    progress("searching the units", 1, 1)
    named = [finding for finding in search.findings if finding.named]
    beyond = [each for each in named if abs(each.confirmation) > each.untrained + 0.1]
    twin_named = sum(finding.named for finding in search.untrained_findings)
    measurements = (
        Measurement("floor", floor, "bits a character", "0.70249"),
        Measurement(
            "excess over the floor on fresh text", excess, "bits a character", "below 0.01"
        ),
        Measurement("units with a name that holds on the other half", len(named), "of 15"),
        Measurement("units of the untrained twin with one", twin_named, "of 15"),
        Measurement("named units that beat every unit of the twin by 0.1", len(beyond), "of 15"),
    )
    holds = 0 <= round(excess, 3) < 0.01
    strongest = "; ".join(
        f"unit {each.unit} is {each.meaning} (r = {each.confirmation:.2f}, best untrained unit "
        f"{each.untrained:.2f})"
        for each in (beyond or named)[:3]
    )
    verdict = (
        f"The GRU is {excess:.4f} bits a character above the floor of {floor:.5f}. "
        f"By measurement, {strongest or 'no unit has a name'}."
    )
    claim = (
        "A GRU with 15 units learns the parenthesis language; single cells can be read off the "
        "heat map by eye."
    )
    text = test[: SHOWN + 1]
    data = ParenthesesData(
        fitted, floor, floor + excess, text,
        trace_text(config, fitted.params, vocab, text),
        trace_text(config, fitted.untrained, vocab, text),
        search,
    )  # fmt: skip
    return Experiment("parentheses", claim, measurements, bool(holds), verdict, data)
