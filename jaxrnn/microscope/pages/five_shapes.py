"""The five shapes, each drawn with a task that was learned with it.

Inputs stand below, states in the middle, outputs above, time goes to the right, as in Karpathy's
figure (2015); what stands in the boxes is what the networks really read, held and said.
"""

import html
from collections.abc import Iterator, Sequence

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments.five_shapes import LearnedShape
from jaxrnn.microscope.experiments.five_shapes.task import percent
from jaxrnn.microscope.pages.html import page
from jaxrnn.microscope.pages.shell import Story, closing
from jaxrnn.microscope.pages.unrolled import sketch_svg, unrolled_svg

_SKETCHES = {
    "one to one": (1, (0,), (0,)),
    "one to many": (3, (0,), (0, 1, 2)),
    "many to one": (3, (0, 1, 2), (2,)),
    "many to many, aligned": (3, (0, 1, 2), (0, 1, 2)),
    "encoder to decoder": (5, (0, 1, 2), (3, 4)),
}
"""States, and at which of them something is read and something said."""

_MOMENTS = {"untrained": "Untrained", "in training": "In training", "trained": "Trained"}


def five_shapes_page(
    shapes: Sequence[LearnedShape],
    story: Story,
) -> str:
    """A page that draws networks of the five shapes at work, before and after training.

    Args:
        shapes: what `jaxrnn.microscope.experiments.five_shapes.learn` returned, one or more.
        story: the words of the page.

    Returns:
        HTML.

    Raises:
        ValueError: no shapes.
    """
    if not shapes:
        raise ValueError(sentence("five_shapes_page", "shapes", "one or more", "none"))
    body = f"""<header>
<h1>{html.escape(story.title)}</h1>
<p>{html.escape(story.lesson)}</p>
<nav class="sketches" aria-label="Shapes">{"".join(map(_overview, shapes))}</nav>
<p class="key"><span class="chip input">input</span> <span class="chip state">state</span>
<span class="chip output">output</span> <span class="quiet">Time goes to the right, from a
state of zeros. Every small square in a state is one unit, <b class="negative">orange</b> negative
and <b class="positive">blue</b> positive. Above an output stands its probability; a wrong one is
red and struck out, and the right one stands above it.</span></p>
</header>
<main>
{"".join(map(_section, shapes))}
{closing(story)}
</main>"""
    return page(
        story.title, body, assets=("plots.css", "five_shapes.css", "page.js", "five_shapes.js")
    )


def _identifier(shape: LearnedShape) -> str:
    return shape.task.name.replace(",", "").replace(" ", "-")


def _overview(shape: LearnedShape) -> str:
    name = shape.task.name
    drawn = sketch_svg(*_SKETCHES[name], feeds_back=shape.task.feeds_back)
    return (
        f'<a href="#{_identifier(shape)}">{drawn}<b>{html.escape(name)}</b>'
        f'<span class="quiet">{percent(shape.trained.right)} right</span></a>'
    )


def _section(shape: LearnedShape) -> str:
    task = shape.task
    moments = list(next(iter(shape.runs.values())))
    labels = "".join(
        _button("label", str(number), label, number == 0) for number, label in enumerate(shape.runs)
    )
    choices = "".join(
        _button("moment", moment, _MOMENTS[moment], moment == "trained") for moment in moments
    )
    runs = [run for of_label in shape.runs.values() for run in of_label.values()]
    steps = max(len(run.inputs) for run in runs)
    play = '<button type="button" class="play">▶ Play</button>' if steps > 1 else ""
    words = "".join(
        f'<p data-moment="{moment}"{_hidden(moment)}>{_words(shape, moment)}</p>'
        for moment in moments
    )
    return f"""<section id="{_identifier(shape)}">
<h2>{html.escape(task.name.capitalize())}</h2>
<p>{html.escape(task.story)}</p>
<div class="row labels" role="group" aria-label="Example">{labels}</div>
<div class="row"><span class="choice" role="group" aria-label="Moment">{choices}</span>
{play}</div>
<div class="figures">{"".join(_figures(shape))}</div>
{words}
<details><summary>In code</summary><pre>{html.escape(task.code)}</pre></details>
</section>
"""


def _figures(shape: LearnedShape) -> Iterator[str]:
    for number, (label, runs) in enumerate(shape.runs.items()):
        for moment, run in runs.items():
            hidden = " hidden" if number or moment != "trained" else ""
            yield (
                f'<figure data-label="{number}" data-moment="{moment}"{hidden}>'
                f"{unrolled_svg(run, label)}</figure>"
            )


def _words(shape: LearnedShape, moment: str) -> str:
    task = shape.task
    if moment == "untrained":
        text = f"Before training: {percent(shape.untrained.right)} {task.asked}."
    elif moment == "in training":
        text = (
            f"After {shape.updates} updates, as training sees it. Whatever the network says, it is "
            "fed the right symbol next (teacher forcing), so that all steps can be learned from "
            "at once. In use it is fed what it said."
        )
    else:
        text = (
            f"After {len(shape.losses):,} updates: {percent(shape.trained.right)} {task.asked}. "
            f"For comparison: {percent(shape.trained.baseline)} {task.baseline}."
        )
    return html.escape(text)


def _button(kind: str, value: str, text: str, pressed: bool) -> str:
    return (
        f'<button type="button" data-{kind}="{value}" aria-pressed="{str(pressed).lower()}">'
        f"{html.escape(text)}</button>"
    )


def _hidden(moment: str) -> str:
    return "" if moment == "trained" else " hidden"
