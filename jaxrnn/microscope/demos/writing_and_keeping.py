"""Pages of what a state keeps and of what a model writes: the LSTM's two states, generation."""

from jaxrnn.microscope.demos.story import story_of
from jaxrnn.microscope.experiments.generation import Kind
from jaxrnn.microscope.experiments.lstm import LETTERS, LstmData
from jaxrnn.microscope.experiments.record import Experiment
from jaxrnn.microscope.pages.shell import Try

OFFERED = 8
"""Units of the LSTM that can be chosen."""


def lstm_page(experiment: Experiment) -> str:
    """Gates at work on four lines, what the states still say, and the gradient on its way back."""
    from jaxrnn.microscope.pages.two_states import two_states_page

    data: LstmData = experiment.data
    lines = data.text.splitlines(keepends=True)
    steps = len(lines[0])
    story = story_of(
        experiment,
        "An LSTM keeps a letter in c, and its gradient comes back the same way",
        "An LSTM tries to keep a letter in c",
        "An LSTM has two states: the memory c, to which it adds and which it scales but never "
        "multiplies by a matrix, and the output h, what it shows of c. A letter in brackets has "
        "to be remembered past others that look just like it; the gates decide which one goes "
        "into c, and nothing else in the line does.",
        source="A text made for it: [b]dacab:b, the letter in brackets again after the colon.",
        tries=[
            Try("The letter is written", {"step": 1}),
            Try("A letter that is not", {"step": steps // 2}),
            Try("The question", {"step": steps - 3}),
            Try("Another letter", {"line": 1}),
            Try("A unit that keeps less", {"unit": data.memory[OFFERED - 1]}),
        ],
    )
    return two_states_page(
        lines,
        data.fields,
        data.memory[:OFFERED],
        data.readable,
        data.gradients,
        data.moments,
        story,
        chance=1 / len(LETTERS),
        units_caption="The units to choose from are those whose c says most of the letter.",
    )


def generation_page(experiment: Experiment) -> str:
    """What three models wrote through training, and write greedily and drawn."""
    from jaxrnn.microscope.pages import generation

    kinds: tuple[Kind, ...] = experiment.data
    names = {0.0: "greedy", 0.5: "temperature 0.5", 1.0: "temperature 1"}
    writers = [
        generation.Writer(
            kind.name,
            kind.source,
            kind.right,
            kind.samples,
            kind.shares,
            {names[heat]: text for heat, text in kind.written.items()},
            {names[heat]: loop for heat, loop in kind.loops.items()},
            {names[heat]: share for heat, share in kind.shares_written.items()},
        )
        for kind in kinds
    ]
    counts = kinds[0].fitted.moments
    moments = ["before training", *(f"after {count:,} updates" for count in counts[1:])]
    story = story_of(
        experiment,
        "Always taking the likeliest character goes round in circles",
        "Always taking the likeliest character mostly goes round in circles",
        "A character model says how likely each next character is; to write, one is taken and "
        "the model reads it as if it had always been there. First it learns which characters "
        "there are, then their spaces and short words, then longer ones.",
        tries=[
            Try(moment[:1].upper() + moment[1:], {"moment": number})
            for number, moment in enumerate(moments)
            if number in (0, 1, 3)
        ],
    )
    return generation.generation_page(writers, moments, story)
