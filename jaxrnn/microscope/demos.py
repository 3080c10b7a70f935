"""The experiments with their pages, as `jaxrnn demo` runs them."""

from collections.abc import Callable

import jax

from jaxrnn import charlm
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments import EXPERIMENTS, Experiment, Progress
from jaxrnn.microscope.experiments.binary import BinaryData
from jaxrnn.microscope.experiments.connectivity import ConnectivityData
from jaxrnn.microscope.experiments.embedding_or_one_hot import EmbeddingData
from jaxrnn.microscope.experiments.five_shapes import FiveShapesData
from jaxrnn.microscope.experiments.gradients import GradientsData
from jaxrnn.microscope.experiments.last_or_every_step import LossData
from jaxrnn.microscope.experiments.online import LENGTH, PLACES, UNITS, OnlineData
from jaxrnn.microscope.experiments.order import SENTENCES, TOKENS, OrderData
from jaxrnn.microscope.experiments.parallel import LIMIT, ParallelData
from jaxrnn.microscope.experiments.parentheses import ParenthesesData
from jaxrnn.microscope.training_step import record

SHORTEST_TEXT = 20_000
"""Characters of the shortest text that the experiments can be run on."""


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
    more = [_story_in_numbers(experiment)]
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
        more=[_story_in_numbers(experiment)],
    )


def shapes_page(experiment: Experiment) -> str:
    """The five shapes, each a network at work, before and after training."""
    from jaxrnn.microscope.pages.five_shapes import five_shapes_page

    data: FiveShapesData = experiment.data
    return five_shapes_page(
        data.shapes,
        title="The five shapes of recurrent networks",
        claim=experiment.claim,
        verdict=f"{_outcome(experiment)}. {experiment.verdict}",
        rows=_rows_with_expected(experiment),
    )


def parentheses_page(experiment: Experiment) -> str:
    """Activations of the 15 units on text that they were not trained on."""
    from jaxrnn.microscope.pages.activations import activations_page, layer_fields

    data: ParenthesesData = experiment.data
    meanings = {
        finding.unit: f"{finding.meaning} (correlation {finding.confirmation:.2f}; the best "
        f"untrained unit {finding.untrained:.2f})"
        for finding in data.search.findings
        if finding.named
    }
    return activations_page(
        data.text[:-1],
        layer_fields(data.fitted.config.cells[0], data.trace.layers[0]),
        title=_title(experiment),
        description=_story_in_numbers(experiment),
        meanings=meanings,
    )


def gradients_page(experiment: Experiment) -> str:
    """Gradient flow of RNN, LSTM and GRU over training."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    data: GradientsData = experiment.data
    return gradient_flow_page(
        data.flows, title=_title(experiment), description=_story_in_numbers(experiment)
    )


def connected_page(experiment: Experiment) -> str:
    """Connectivity of both models on the same text."""
    from jaxrnn.microscope.pages.connectivity import ConnectedModel, connectivity_page

    data: ConnectivityData = experiment.data
    models = {
        name: ConnectedModel(data.matrices[name], data.logits[name], data.agreement[name])
        for name in data.fitted
    }
    characters = next(iter(data.fitted.values())).vocab.characters
    return connectivity_page(
        data.text,
        models,
        characters,
        title=_title(experiment),
        description=_story_in_numbers(experiment),
    )


def embedding_page(experiment: Experiment) -> str:
    """Losses of the contenders, a line a seed."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: EmbeddingData = experiment.data
    return curves_page(
        {each.name: [*charlm.bits(1.0) * each.losses] for each in data.contenders},
        title=_title(experiment),
        description=_story(experiment),
        y_label="training loss, bits a character",
        smooth=10,
        rows=_rows(experiment),
    )


def loss_page(experiment: Experiment) -> str:
    """What each model minimised, and what each writes."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: LossData = experiment.data
    return curves_page(
        {name: [charlm.bits(1.0) * fitted.losses] for name, fitted in data.fitted.items()},
        title=_title(experiment),
        description=_story(experiment),
        y_label="what is minimised, bits a character",
        smooth=25,
        rows=_rows(experiment),
        texts={f"With the loss at {name}, it writes": text for name, text in data.samples.items()},
    )


def parallel_page(experiment: Experiment) -> str:
    """Newton's iterates of three networks, and iterations against the exponent."""
    from jaxrnn.microscope.pages.newton import newton_page

    data: ParallelData = experiment.data
    return newton_page(
        data.settlings,
        data.trials,
        limit=LIMIT,
        title="Newton's method over time",
        claim=experiment.claim,
        verdict=f"{_outcome(experiment)}. {experiment.verdict}",
        rows=_rows_with_expected(experiment),
    )


def online_page(experiment: Experiment) -> str:
    """How many questions are answered right as learning goes on."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: OnlineData = experiment.data
    return curves_page(
        {
            f"{reader.name}, {reader.memory / 1024:.3g} KiB": [reader.right]
            for reader in data.readers
        },
        title="Learning while reading",
        description=(
            "Real-time recurrent learning (RTRL) carries along how much every parameter has "
            "influenced the state, so that a gradient is there at every step and nothing of the "
            "past is kept. Truncated backpropagation through time (BPTT) keeps the last steps and "
            f"runs back through them. Here a GRU of {UNITS} units reads letters; one of the first "
            f"{PLACES} of every {LENGTH} is marked, and in the end it is asked which it was."
        ),
        x_label="questions asked, an update after each",
        y_label="share of right answers",
        levels={"chance": 0.5},
        smooth=20,
        legend="below",
        caption=(
            "The share of right answers, a mean of 20 questions to 16 streams each, and beside "
            "each name the memory that the gradient takes. All four start from the same "
            "parameters, read the same letters and learn from every answer with the same optimizer."
        ),
        claim=experiment.claim,
        verdict=f"{_outcome(experiment)}. {experiment.verdict}",
        rows=_rows_with_expected(experiment),
        texts={
            "What a stream reads up to a question: which letter stood in brackets?": data.example
        },
    )


PAGES: dict[str, Callable[[Experiment], str]] = {
    "alternating": binary_page,
    "counting": binary_page,
    "order": order_page,
    "five-shapes": shapes_page,
    "parentheses": parentheses_page,
    "gradients": gradients_page,
    "connectivity": connected_page,
    "embedding-or-one-hot": embedding_page,
    "last-or-every-step": loss_page,
    "parallel": parallel_page,
    "online": online_page,
}
"""The page of every experiment."""


def run_demo(
    name: str, seed: int, progress: Progress, text: str | None = None
) -> tuple[Experiment, str]:
    """Runs an experiment and draws its page.

    Args:
        name: a key of `EXPERIMENTS`.
        seed: of everything random.
        progress: is told of the work.
        text: for the experiments that read one; None: the documentation that comes with Python.

    Returns:
        The outcome, and the page's HTML.

    Raises:
        ValueError: a text shorter than `SHORTEST_TEXT`.
    """
    if text is not None and len(text) < SHORTEST_TEXT:
        rule = f"at least {SHORTEST_TEXT:,} characters, to train on and to hold out"
        got = f"{len(text):,} characters"
        raise ValueError(sentence("demo", "--text", rule, got, "leave it out to use Python's own"))
    given = {} if text is None else {"text": text}
    experiment = EXPERIMENTS[name](jax.random.key(seed), progress, **given)
    progress("drawing", 0, 1)
    page = PAGES[name](experiment)
    progress("drawing", 1, 1)
    return experiment, page


def _rows(experiment: Experiment) -> list[tuple[str, str]]:
    return [
        (each.name, f"{each.value:.4g} {each.unit}".strip()) for each in experiment.measurements
    ]


def _rows_with_expected(experiment: Experiment) -> list[tuple[str, str, str]]:
    rows = zip(_rows(experiment), experiment.measurements, strict=True)
    return [(name, value, measured.expected) for (name, value), measured in rows]


def _title(experiment: Experiment) -> str:
    return experiment.name.replace("-", " ").capitalize()


def _outcome(experiment: Experiment) -> str:
    return "It holds" if experiment.holds else "It does not hold"


def _story(experiment: Experiment) -> str:
    return f"Claimed: {experiment.claim} {_outcome(experiment)}: {experiment.verdict}"


def _story_in_numbers(experiment: Experiment) -> str:
    """For pages that have no table of what was measured."""
    measured = "; ".join(f"{name}: {value}" for name, value in _rows(experiment))
    return f"{_story(experiment)} Measured: {measured}."
