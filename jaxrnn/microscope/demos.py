"""The demos: each runs an experiment and draws its page."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxrnn import charlm
from jaxrnn.microscope.experiments import binary, connectivity, gradients, order, parentheses
from jaxrnn.microscope.experiments.binary import BinaryData
from jaxrnn.microscope.experiments.connectivity import ConnectivityData
from jaxrnn.microscope.experiments.gradients import GradientsData
from jaxrnn.microscope.experiments.order import SENTENCES, TOKENS, OrderData
from jaxrnn.microscope.experiments.parentheses import ParenthesesData
from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.training_step import record


class Demo(NamedTuple):
    """A demo.

    Attributes:
        run: `(key, progress) -> Experiment`, and `text=` for those that read a text.
        page: `(Experiment) -> HTML`.
        reads_text: whether it can be given a text.
    """

    run: Callable[..., Experiment]
    page: Callable[[Experiment], str]
    reads_text: bool = False


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
    return stepper_page(recordings, characters, title=_title(experiment), text=_story(experiment))


def order_page(experiment: Experiment) -> str:
    """The stepper on one sentence; the loss is at its last word."""
    from jaxrnn.microscope.pages.stepper import stepper_page

    data: OrderData = experiment.data
    words = [TOKENS.index(word) for word in SENTENCES[1].split()]
    kind = [len(TOKENS) - 2] * len(words)
    recordings = {}
    for name, params in (("untrained", data.untrained), ("trained", data.params)):
        carry = charlm.zero_carry(data.config, params, ())
        recordings[name] = record(data.config, params, carry, words, kind, every_step=False)
    return stepper_page(recordings, TOKENS, title=_title(experiment), text=_story(experiment))


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
        layer_fields(data.trace.layers[0]),
        title=_title(experiment),
        description=_story(experiment),
        meanings=meanings,
    )


def gradients_page(experiment: Experiment) -> str:
    """Gradient flow of RNN, LSTM and GRU over training."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    data: GradientsData = experiment.data
    return gradient_flow_page(data.flows, title=_title(experiment), description=_story(experiment))


def connectivity_page_of(experiment: Experiment) -> str:
    """Connectivity of both models on the same text."""
    from jaxrnn.microscope.pages.connectivity import ConnectedModel, connectivity_page

    data: ConnectivityData = experiment.data
    models = {
        name: ConnectedModel(data.matrices[name], data.logits[name], data.agreement[name])
        for name in data.fitted
    }
    characters = next(iter(data.fitted.values())).vocab.characters
    return connectivity_page(
        data.text, models, characters, title=_title(experiment), description=_story(experiment)
    )


DEMOS: dict[str, Demo] = {
    "alternating": Demo(binary.run_alternating, binary_page),
    "counting": Demo(binary.run_counting, binary_page),
    "order": Demo(order.run, order_page),
    "parentheses": Demo(parentheses.run, parentheses_page),
    "gradients": Demo(gradients.run, gradients_page, reads_text=True),
    "connectivity": Demo(connectivity.run, connectivity_page_of, reads_text=True),
}


def run_demo(
    name: str, seed: int, progress: Callable[[str, int, int], None], text: str | None = None
) -> tuple[Experiment, str]:
    """Runs an experiment and draws its page.

    Args:
        name: a key of `DEMOS`.
        seed: of everything random.
        progress: is told of the work.
        text: for those that read one; None: the documentation that comes with Python.

    Returns:
        The outcome, and the page's HTML.
    """
    demo = DEMOS[name]
    given = {"text": text} if demo.reads_text else {}
    experiment = demo.run(jax.random.key(seed), progress, **given)
    progress("drawing", 0, 1)
    page = demo.page(experiment)
    progress("drawing", 1, 1)
    return experiment, page


def _title(experiment: Experiment) -> str:
    return experiment.name.replace("-", " ").capitalize()


def _story(experiment: Experiment) -> str:
    outcome = "It holds" if experiment.holds else "It does not hold"
    return f"Claimed: {experiment.claim} {outcome}: {experiment.verdict}"
