"""The views of a trained run: each reads a text with the run's model and makes a page of it.

A view is a measurement (in `measurements`), a page of it (in `pages`), perhaps a still picture (in
`figures`), a function here that joins them, and one row in `VIEWS`: the command line, its help and
its checks follow. `subject` has the run and the stretch of text that all of them look at.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxrnn.microscope.views.subject import Stretch, Subject, View


class ListedView(NamedTuple):
    """A row of `VIEWS`.

    Attributes:
        summary: what it shows, in one line.
        options: of `jaxrnn show`, those that mean something to it.
        function: where it is, `module.function` in this folder; imported when it is called.
    """

    summary: str
    options: tuple[str, ...]
    function: str

    def load(self) -> "Callable[..., View]":
        """The view's function."""
        module, _, name = self.function.rpartition(".")
        found: Callable[..., View] = getattr(import_module(f"{__name__}.{module}"), name)
        return found

    def __call__(
        self,
        subjects: "Sequence[Subject]",
        stretch: "Stretch",
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> "View":
        """The view of these runs."""
        return self.load()(subjects, stretch, progress)


_STRETCH = ("text", "encoding", "from", "to")

VIEWS = {
    "story": ListedView(
        "all of it on one page: training, units, gradients, connectivity, surprises, copying",
        ("text", "encoding", "from", "layer"),
        "story.story_view",
    ),
    "activations": ListedView(
        "units over time on the text, and what they encode",
        (*_STRETCH, "layer", "units"),
        "activations.activations_view",
    ),
    "connectivity": ListedView(
        "which earlier characters or words mattered for each prediction",
        (*_STRETCH, "definition"),
        "connectivity.connectivity_view",
    ),
    "gradient-flow": ListedView(
        "what is left of the gradient, step by step back, over training",
        (*_STRETCH, "layer"),
        "gradient_flow.gradient_flow_view",
    ),
    "training": ListedView("loss curves and samples", (), "training.training_view"),
    "stepper": ListedView(
        "one training step line by line: forward, backward, update",
        (*_STRETCH, "units"),
        "stepper.stepper_view",
    ),
    "gates": ListedView(
        "how much of the time each gate is nearly open and nearly closed",
        _STRETCH,
        "gates.gates_view",
    ),
    "surprise": ListedView(
        "where the loss is, and what would have prevented the errors",
        _STRETCH,
        "surprise.surprise_view",
    ),
    "clamping": ListedView(
        "what depends on each unit: the loss and the text without it",
        (*_STRETCH, "layer", "units", "value"),
        "clamping.clamping_view",
    ),
    "copying": ListedView(
        "how much of a sample stands in the training text word for word",
        (),
        "copying.copying_view",
    ),
}
"""Every view by name: `VIEWS[name](subjects, stretch, progress)` returns a View."""
