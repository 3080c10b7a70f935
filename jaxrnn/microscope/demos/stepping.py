"""Pages on which one training step is stepped through: alternating, counting, order."""

from jaxrnn import charlm
from jaxrnn.microscope.demos.story import in_one_paragraph, story_of
from jaxrnn.microscope.experiments.binary import BinaryData
from jaxrnn.microscope.experiments.order import KINDS, SENTENCES, TOKENS, OrderData
from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.measurements.surprise import softmax
from jaxrnn.microscope.traces import trace_model
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
    """The three sentences beside each other, and the stepper on one of them."""
    from jaxrnn.microscope.pages.framed import Chapter, framed_page
    from jaxrnn.microscope.pages.sentences import Reading, sentences_page
    from jaxrnn.microscope.pages.shell import Story
    from jaxrnn.microscope.pages.stepper import stepper_page

    data: OrderData = experiment.data
    moments = {"before training": data.untrained, "after": data.params}
    seen = {
        name: trace_model(
            data.config,
            params,
            charlm.zero_carry(data.config, params, len(SENTENCES)),
            data.traces.inputs,
            data.traces.targets,
        )
        for name, params in moments.items()
    }
    readings = [
        Reading(
            sentence.split(),
            {name: trace.layers[0].carries.h[:, at] for name, trace in seen.items()},
            {name: softmax(trace.logits[-1])[at, -len(KINDS) :] for name, trace in seen.items()},
        )
        for at, sentence in enumerate(SENTENCES)
    ]
    words = [TOKENS.index(word) for word in SENTENCES[1].split()]
    kind = [len(TOKENS) - 2] * len(words)
    recordings = {}
    for name, params in (("untrained", data.untrained), ("trained", data.params)):
        carry = charlm.zero_carry(data.config, params, ())
        recordings[name] = record(
            data.config, params, carry, words, kind, loss="last_cross_entropy"
        )
    stepper = stepper_page(
        recordings,
        TOKENS,
        title="Word order reaches the answer through the state",
        text="“Are you good” and “you are good” hold the same words; what tells the question from "
        "the statement is the state that the words leave behind. The loss is at the last word, so "
        "the gradient of the first words comes back through w_hh.",
    )
    sentences = sentences_page(
        readings,
        KINDS,
        Story(
            "One bag of words, three ways through it",
            "The state after each word is three numbers. The words are the same, their order is "
            "not, and the last state tells which it was. Answers and words share one "
            "vocabulary; what the three answers leave of 1 goes to words.",
        ),
    )
    story = story_of(
        experiment,
        "Three units see the order of words",
        "Three units see the order of words, not always right",
        "“You are good” states, “are you good” asks, “good you are” does neither, and all three "
        "hold the same words. Whatever only counts words gives all three the same answer.",
    )
    return framed_page(
        [
            Chapter("sentences", "Three sentences", sentences),
            Chapter("stepper", "Step by step", stepper),
        ],
        story,
    )
