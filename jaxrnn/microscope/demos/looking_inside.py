"""Pages that look inside trained networks: five shapes, parentheses, gradients, connectivity."""

from jaxrnn.microscope.demos.story import outcome, rows_with_expected, story_in_numbers, title_of
from jaxrnn.microscope.experiments.five_shapes import FiveShapesData
from jaxrnn.microscope.experiments.gradients import GradientsData
from jaxrnn.microscope.experiments.how_far_back import ConnectivityData
from jaxrnn.microscope.experiments.parentheses import ParenthesesData
from jaxrnn.microscope.experiments.record import Experiment


def shapes_page(experiment: Experiment) -> str:
    """The five shapes, each a network at work, before and after training."""
    from jaxrnn.microscope.pages.five_shapes import five_shapes_page

    data: FiveShapesData = experiment.data
    return five_shapes_page(
        data.shapes,
        title="The five shapes of recurrent networks",
        claim=experiment.claim,
        verdict=f"{outcome(experiment)}. {experiment.verdict}",
        rows=rows_with_expected(experiment),
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
        title=title_of(experiment),
        description=story_in_numbers(experiment),
        meanings=meanings,
    )


def gradients_page(experiment: Experiment) -> str:
    """Gradient flow of RNN, LSTM and GRU over training."""
    from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page

    data: GradientsData = experiment.data
    return gradient_flow_page(
        data.flows, title=title_of(experiment), description=story_in_numbers(experiment)
    )


def connected_page(experiment: Experiment) -> str:
    """Connectivity of both models on the same text."""
    from jaxrnn.microscope.pages.connected_text import ConnectedModel, connectivity_page

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
        title=title_of(experiment),
        description=story_in_numbers(experiment),
    )
