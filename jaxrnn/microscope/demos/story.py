"""What every demo's page says of its experiment: the outcome and the rows of its table."""

from jaxrnn.microscope.experiments.record import Experiment


def title_of(experiment: Experiment) -> str:
    """The experiment's name as a heading."""
    return experiment.name.replace("-", " ").capitalize()


def outcome(experiment: Experiment) -> str:
    """Whether the claim held, in words."""
    return "It holds" if experiment.holds else "It does not hold"


def rows_of(experiment: Experiment) -> list[tuple[str, str]]:
    """What was measured, and the value with its unit."""
    return [
        (each.name, f"{each.value:.4g} {each.unit}".strip()) for each in experiment.measurements
    ]


def rows_with_expected(experiment: Experiment) -> list[tuple[str, str, str]]:
    """The same, and what was expected."""
    each = zip(rows_of(experiment), experiment.measurements, strict=True)
    return [(name, value, measured.expected) for (name, value), measured in each]


def story(experiment: Experiment) -> str:
    """Claim, outcome and verdict as a paragraph."""
    return f"Claimed: {experiment.claim} {outcome(experiment)}: {experiment.verdict}"


def story_in_numbers(experiment: Experiment) -> str:
    """For pages that have no table of what was measured."""
    measured = "; ".join(f"{name}: {value}" for name, value in rows_of(experiment))
    return f"{story(experiment)} Measured: {measured}."
