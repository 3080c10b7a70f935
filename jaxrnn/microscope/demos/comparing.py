"""Pages of curves that are compared: two inputs, two losses, Newton's method, online learning."""

from jaxrnn import charlm
from jaxrnn.microscope.demos.story import story_of
from jaxrnn.microscope.experiments.embedding_or_one_hot import EmbeddingData
from jaxrnn.microscope.experiments.last_or_every_step import LossData
from jaxrnn.microscope.experiments.online import LENGTH, PLACES, UNITS, OnlineData
from jaxrnn.microscope.experiments.parallel import LIMIT, ParallelData
from jaxrnn.microscope.experiments.record import Experiment


def embedding_page(experiment: Experiment) -> str:
    """Losses of the contenders, a line a seed."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: EmbeddingData = experiment.data
    story = story_of(
        experiment,
        "An embedding table helps a character model to read",
        "Memory matters; an embedding table hardly does",
        "A character can go into a network as a one-hot vector or as a row of a learned table, "
        "its embedding. The third model has one-hot inputs and its memory cut at every character: "
        "the gap between it and the others is what memory is worth.",
    )
    return curves_page(
        {each.name: [*charlm.bits(1.0) * each.losses] for each in data.contenders},
        story,
        y_label="training loss, bits a character",
        smooth=10,
        caption="The loss on the windows that are learned from, a mean of 10 updates, one line a "
        "seed. Lower is better.",
    )


def loss_page(experiment: Experiment) -> str:
    """What each model minimised, and what each writes."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: LossData = experiment.data
    story = story_of(
        experiment,
        "A loss at every step teaches more than one at the last",
        "A loss at the last step keeps up with one at every step",
        "A window of text can be learned from once, at its end, or at each of its characters. The "
        "work is the same; the number of lessons is not.",
    )
    return curves_page(
        {name: [charlm.bits(1.0) * fitted.losses] for name, fitted in data.fitted.items()},
        story,
        y_label="what is minimised, bits a character",
        smooth=25,
        caption="What each model minimises, a mean of 25 updates. The two are judged by the same "
        "measures in the table below.",
        texts={f"With the loss at {name}, it writes": text for name, text in data.samples.items()},
    )


def parallel_page(experiment: Experiment) -> str:
    """Newton's iterates of three networks, and iterations against the exponent."""
    from jaxrnn.microscope.pages.newton import newton_page

    data: ParallelData = experiment.data
    story = story_of(
        experiment,
        "A network that forgets can be run all at once",
        "Whether a network can be run all at once is not decided by its exponent alone",
        "A recurrent network is run step by step, since each state needs the one before. Newton's "
        "method over time guesses the states of all steps, replaces every step by a straight line "
        "through its guess, and solves those lines for all steps at once; the solution is the "
        "next guess.",
    )
    return newton_page(data.settlings, data.trials, story, limit=LIMIT)


def online_page(experiment: Experiment) -> str:
    """How many questions are answered right as learning goes on."""
    from jaxrnn.microscope.pages.curves import curves_page

    data: OnlineData = experiment.data
    story = story_of(
        experiment,
        "Learning while reading finds what lies beyond the window",
        "Learning while reading finds no more than the window shows",
        "Real-time recurrent learning (RTRL) carries along how much every parameter has "
        "influenced the state, so that a gradient is there at every step and nothing of the "
        "past is kept. Truncated backpropagation through time (BPTT) keeps the last steps and "
        "runs back through them.",
        source=f"A GRU of {UNITS} units reads letters; one of the first {PLACES} of every "
        f"{LENGTH} is marked, and in the end it is asked which it was.",
    )
    return curves_page(
        {
            f"{reader.name}, {reader.memory / 1024:.3g} KiB": [reader.right]
            for reader in data.readers
        },
        story,
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
        texts={
            "What a stream reads up to a question: which letter stood in brackets?": data.example
        },
    )
