"""Pages that look inside trained networks: five shapes, parentheses, gradients, connectivity."""

from jaxrnn.microscope.demos.story import story_of
from jaxrnn.microscope.experiments.five_shapes import FiveShapesData
from jaxrnn.microscope.experiments.gradients import GradientsData
from jaxrnn.microscope.experiments.how_far_back import ConnectivityData
from jaxrnn.microscope.experiments.parentheses import ParenthesesData
from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.measurements.probes import standard_probes
from jaxrnn.microscope.pages.shell import Try

_NUMBERS = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six"}

TYPED = "( ( 0 ( 3 ( 4 4 ) ) 2 ) ) "
"""What stands in the box for typing at first: up to the full depth and down again."""


def shapes_page(experiment: Experiment) -> str:
    """The five shapes, each a network at work, before and after training."""
    from jaxrnn.microscope.pages.five_shapes import five_shapes_page

    data: FiveShapesData = experiment.data
    lesson = (
        "A recurrent network carries a state from step to step; what it can be used for depends "
        "on when it reads and when it answers. These are the five usual shapes, each a small "
        "network at work, with what it really read, held and said."
    )
    story = story_of(
        experiment,
        "One cell, five shapes of network",
        "One cell, five shapes of network, not all of them learned",
        lesson,
    )
    return five_shapes_page(data.shapes, story)


def parentheses_page(experiment: Experiment) -> str:
    """Activations of the 15 units on text that they were not trained on."""
    from jaxrnn.microscope.pages.activations import Typing, activations_page, layer_fields
    from jaxrnn.microscope.pages.typed_text import model_for_typing
    from jaxrnn.microscope.pages.unit_gallery import named_meanings
    from jaxrnn.microscope.pages.whole_text import WholeText

    data: ParenthesesData = experiment.data
    fitted, text = data.fitted, data.text[:-1]
    probes = {probe.name: probe for probe in standard_probes(text)}
    counting = sum(each.named and each.probe == "depth" for each in data.search.findings)
    story = story_of(
        experiment,
        f"{_NUMBERS.get(counting, str(counting))} of fifteen units count the open brackets",
        "Fifteen units try to count the open brackets",
        "To know what may come next in this language, a network has to know how deep the "
        "parentheses are nested. Nobody told it that there is such a thing as depth.",
    )
    return activations_page(
        text,
        layer_fields(fitted.config.cells[0], data.trace.layers[0]),
        story,
        meanings=named_meanings(data.search.findings),
        tracks=[probes[name] for name in ("depth", "'4'", "' '") if name in probes],
        whole=WholeText(data.searched, data.searched_states, 0, len(data.searched)),
        typing=Typing(model_for_typing(fitted.config, fitted.params, fitted.vocab, 0, TYPED)),
    )


def gradients_page(experiment: Experiment) -> str:
    """Gradient flow of RNN, LSTM and GRU over training."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    data: GradientsData = experiment.data
    story = story_of(
        experiment,
        "A plain RNN's gradient dies on the way back; gates keep it alive",
        "Gates, not singular values, decide how far a gradient gets",
        "To learn from what it read long ago, a network needs a gradient that reaches back that "
        "far. Each line below follows it back from the loss: on this scale, a straight line down "
        "is a loss by the same factor at every step.",
    )
    return gradient_flow_page(data.flows, story)


def connected_page(experiment: Experiment) -> str:
    """Connectivity of all models on the same text, a panel each, before and after training."""
    from jaxrnn.microscope.pages.side_by_side import Compared, Moment, side_by_side_page

    data: ConnectivityData = experiment.data
    models = {
        name: Compared(Moment(*data.before[name]), Moment(*data.after[name]), data.agreement[name])
        for name in data.fitted
    }
    story = story_of(
        experiment,
        "An LSTM looks farther back than a plain RNN",
        f"An LSTM looks {_how_much_farther(data)} farther back than a plain RNN",
        "Before every character a network bets on what comes next. The colours show which "
        "earlier characters its bet hung on: the stronger the colour, the more the prediction "
        "would have changed with them.",
        tries=[Try("The same before training", {"training": "before"})],
    )
    return side_by_side_page(data.text, models, story)


def _how_much_farther(data: ConnectivityData) -> str:
    """In a word, where the claim does not hold."""
    farther = [
        data.reaches["LSTM"][name] > data.reaches["RNN"][name] for name in data.reaches["RNN"]
    ]
    return "hardly" if any(farther) else "no"
