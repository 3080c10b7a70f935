"""The experiments: each trains what it needs and says what was claimed, measured and found.

An experiment is a module here with a function `(key, progress)` that returns an `Experiment`, a
page of it in `demos`, and one row in `EXPERIMENTS`: `jaxrnn demo`, its help and its checks follow.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from jaxrnn.microscope.experiments.record import (
    Experiment,
    Measurement,
    Progress,
    report,
    silent,
)


class ListedExperiment(NamedTuple):
    """A row of `EXPERIMENTS`.

    Attributes:
        summary: what it tries, in one line.
        function: what runs it, `module.function` in this folder; imported when it is called.
        page: what draws its page, `module.function` in `jaxrnn/microscope/demos`.
        picture: what draws its small picture for the index, in the same folder.
        reads_text: whether it takes a text, `text=`.
    """

    summary: str
    function: str
    page: str
    picture: str
    reads_text: bool = False

    def load(self) -> Callable[..., Experiment]:
        """The function that runs it."""
        found: Callable[..., Experiment] = _named(__name__, self.function)
        return found

    def load_page(self) -> Callable[[Experiment], str]:
        """The function that draws its page."""
        found: Callable[[Experiment], str] = _named("jaxrnn.microscope.demos", self.page)
        return found

    def load_picture(self) -> Callable[[Any], str]:
        """The function that draws its small picture from the outcome's data."""
        found: Callable[[Any], str] = _named("jaxrnn.microscope.demos", self.picture)
        return found

    def __call__(self, key: Any, progress: Progress = silent, **given: Any) -> Experiment:
        """Runs it: `key` is a `jax.random.key`; `text=` where it reads one."""
        return self.load()(key, progress, **given)


def _named(package: str, path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"{package}.{module}"), name)


EXPERIMENTS = {
    "alternating": ListedExperiment(
        "1010…: three units learn it, and need no memory",
        "binary.run_alternating",
        "stepping.binary_page",
        "pictures.states",
    ),
    "counting": ListedExperiment(
        "110110…: three units learn it by memory",
        "binary.run_counting",
        "stepping.binary_page",
        "pictures.states",
    ),
    "order": ListedExperiment(
        "word order, which a bag of words cannot see",
        "order.run",
        "stepping.order_page",
        "pictures.answers",
    ),
    "five-shapes": ListedExperiment(
        "one to one, one to many, many to one, aligned, encoder to decoder: a task each",
        "five_shapes.run",
        "looking_inside.shapes_page",
        "pictures.shapes",
    ),
    "parentheses": ListedExperiment(
        "a GRU with 15 units, its distance to the exact floor, what its units encode",
        "parentheses.run",
        "looking_inside.parentheses_page",
        "pictures.units",
    ),
    "gradients": ListedExperiment(
        "vanishing gradients of RNN, LSTM and GRU over training",
        "gradients.run",
        "looking_inside.gradients_page",
        "pictures.flows",
        reads_text=True,
    ),
    "lstm": ListedExperiment(
        "the LSTM's two states: gates at work, why c keeps what h loses, the way back",
        "lstm.run",
        "writing_and_keeping.lstm_page",
        "pictures.memory",
    ),
    "connectivity": ListedExperiment(
        "how far back the predictions of an RNN, an LSTM and a GRU look",
        "how_far_back.run",
        "looking_inside.connected_page",
        "pictures.connected",
        reads_text=True,
    ),
    "embedding-or-one-hot": ListedExperiment(
        "whether a character model reads better through an embedding table",
        "embedding_or_one_hot.run",
        "comparing.embedding_page",
        "pictures.contenders",
        reads_text=True,
    ),
    "last-or-every-step": ListedExperiment(
        "a loss at the last step only against one at every step",
        "last_or_every_step.run",
        "comparing.loss_page",
        "pictures.two_losses",
        reads_text=True,
    ),
    "generation": ListedExperiment(
        "three kinds of text: samples through training, greedy and drawn, loops",
        "generation.run",
        "writing_and_keeping.generation_page",
        "pictures.loops",
    ),
    "parallel": ListedExperiment(
        "Newton's method over time, and the Lyapunov exponent that decides it",
        "parallel.run",
        "comparing.parallel_page",
        "pictures.newton",
    ),
    "online": ListedExperiment(
        "learning while reading: RTRL past the window of truncated backpropagation",
        "online.run",
        "comparing.online_page",
        "pictures.readers",
    ),
}
"""Every experiment by name: `EXPERIMENTS[name](key, progress)` returns an Experiment."""

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "ListedExperiment",
    "Measurement",
    "Progress",
    "report",
    "silent",
]
