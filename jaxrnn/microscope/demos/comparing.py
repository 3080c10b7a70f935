"""Pages of curves that are compared: two inputs, two losses, Newton's method, online learning."""

from jaxrnn import charlm
from jaxrnn.microscope.demos.story import outcome, rows_of, rows_with_expected, story, title_of
from jaxrnn.microscope.experiments.embedding_or_one_hot import EmbeddingData
from jaxrnn.microscope.experiments.last_or_every_step import LossData
from jaxrnn.microscope.experiments.online import LENGTH, PLACES, UNITS, OnlineData
from jaxrnn.microscope.experiments.parallel import LIMIT, ParallelData
from jaxrnn.microscope.experiments.record import Experiment


def embedding_page(experiment: Experiment) -> str:
    """Losses of the contenders, a line a seed."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: EmbeddingData = experiment.data
    return curves_page(
        {each.name: [*charlm.bits(1.0) * each.losses] for each in data.contenders},
        title=title_of(experiment),
        description=story(experiment),
        y_label="training loss, bits a character",
        smooth=10,
        rows=rows_of(experiment),
    )


def loss_page(experiment: Experiment) -> str:
    """What each model minimised, and what each writes."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: LossData = experiment.data
    return curves_page(
        {name: [charlm.bits(1.0) * fitted.losses] for name, fitted in data.fitted.items()},
        title=title_of(experiment),
        description=story(experiment),
        y_label="what is minimised, bits a character",
        smooth=25,
        rows=rows_of(experiment),
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
        verdict=f"{outcome(experiment)}. {experiment.verdict}",
        rows=rows_with_expected(experiment),
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
        verdict=f"{outcome(experiment)}. {experiment.verdict}",
        rows=rows_with_expected(experiment),
        texts={
            "What a stream reads up to a question: which letter stood in brackets?": data.example
        },
    )
