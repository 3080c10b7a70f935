"""Pages on which one training step is stepped through: alternating, counting, order."""

from jaxrnn import charlm
from jaxrnn.microscope.demos.story import in_one_paragraph
from jaxrnn.microscope.experiments.binary import BinaryData
from jaxrnn.microscope.experiments.order import SENTENCES, TOKENS, OrderData
from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.training_step import record


def binary_page(experiment: Experiment) -> str:
    """The stepper, untrained and trained, on one window of ones and zeros."""
    from jaxrnn.microscope.pages.stepper import stepper_page

    data: BinaryData = experiment.data
    config, fitted = data.fitted.config, data.fitted
    tokens = fitted.vocab.encode(data.text)
    zero = charlm.zero_carry(config, fitted.untrained, ())
    recordings = {
        name: record(config, params, carry, tokens[:-1], tokens[1:])
        for name, params, carry in (
            ("untrained", fitted.untrained, zero),
            ("trained", fitted.params, data.carry),
        )
    }
    characters = fitted.vocab.characters
    return stepper_page(
        recordings, characters, title=_title(experiment), text=in_one_paragraph(experiment)
    )


def _title(experiment: Experiment) -> str:
    return experiment.name.capitalize()


def order_page(experiment: Experiment) -> str:
    """The stepper on one sentence; the loss is at its last word."""
    from jaxrnn.microscope.pages.stepper import stepper_page

    data: OrderData = experiment.data
    words = [TOKENS.index(word) for word in SENTENCES[1].split()]
    kind = [len(TOKENS) - 2] * len(words)
    recordings = {}
    for name, params in (("untrained", data.untrained), ("trained", data.params)):
        carry = charlm.zero_carry(data.config, params, ())
        recordings[name] = record(
            data.config, params, carry, words, kind, loss="last_cross_entropy"
        )
    return stepper_page(
        recordings, TOKENS, title=_title(experiment), text=in_one_paragraph(experiment)
    )
