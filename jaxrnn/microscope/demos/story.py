"""The words of a demo's page: a title for either outcome, the lesson, and the table."""

from collections.abc import Sequence

from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.pages.shell import Measured, Story, Try


def story_of(
    experiment: Experiment,
    title: str,
    otherwise: str,
    lesson: str,
    *,
    source: str = "",
    tries: Sequence[Try] = (),
) -> Story:
    """The story of an experiment.

    Args:
        experiment: the outcome.
        title: the finding, where the claim held.
        otherwise: the finding, where it did not.
        lesson: two sentences that teach what to look for.
        source: where text and models are from.
        tries: links that set the page's state.

    Returns:
        The words of its page.
    """
    return Story(
        title if experiment.holds else otherwise,
        lesson,
        claim=experiment.claim,
        verdict=experiment.verdict,
        holds=experiment.holds,
        rows=[
            Measured(each.name, f"{each.value:.4g} {each.unit}".strip(), each.expected, each.met)
            for each in experiment.measurements
        ],
        source=source,
        tries=tries,
    )


def in_one_paragraph(experiment: Experiment) -> str:
    """Claim, outcome, verdict and numbers: for the pages that have no table of their own."""
    outcome = "It holds" if experiment.holds else "It does not hold"
    measured = "; ".join(
        f"{each.name}: {each.value:.4g} {each.unit}".strip() for each in experiment.measurements
    )
    return f"Claimed: {experiment.claim} {outcome}: {experiment.verdict} Measured: {measured}."
