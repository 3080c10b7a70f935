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
    title, text = _BINARY[experiment.name]
    more = [in_one_paragraph(experiment)]
    return stepper_page(recordings, fitted.vocab.characters, title=title, text=text, more=more)


_BINARY = {
    "alternating": (
        "Three units learn to alternate, and need no memory for it",
        "They read 1010 and should expect 0101. Trained, the state flips between two opposite "
        "corners, but the character at hand already says which comes next.",
    ),
    "counting": (
        "Three units learn to count to two",
        "They read 1101 and should expect 1011: after a 1 comes a 1 or a 0, and only the state can "
        "tell which. Trained, it differs after the first 1 and after the second.",
    ),
}


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
        recordings,
        TOKENS,
        title="Word order reaches the answer through the state",
        text="“Are you good” and “you are good” hold the same words; what tells the question from "
        "the statement is the state that the words leave behind. The loss is at the last word, so "
        "the gradient of the first words comes back through w_hh.",
        more=[in_one_paragraph(experiment)],
    )
