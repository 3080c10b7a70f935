"""Generation: what models of several texts write on the way, and greedily and drawn in the end."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.repetition import Loop
from jaxrnn.microscope.pages.html import embedded_json, page, readable
from jaxrnn.microscope.pages.shell import Story, closing, opening, try_this, upper_first
from jaxrnn.microscope.pages.tables import Marked, marked_text


class Writer(NamedTuple):
    """A model that writes.

    Attributes:
        name: what kind of text it was trained on.
        source: where that is from.
        right: what the measure of its samples counts, in words.
        samples: what it wrote at each moment of training.
        shares: the share of each sample that is right.
        written: what the trained model writes, by how, e.g. "greedy".
        loops: where that begins to go round, by the same names; None where it does not.
        shares_written: the share of it that is right, by the same names.
    """

    name: str
    source: str
    right: str
    samples: Sequence[str]
    shares: Sequence[float]
    written: Mapping[str, str]
    loops: Mapping[str, Loop | None]
    shares_written: Mapping[str, float]


def generation_page(writers: Sequence[Writer], moments: Sequence[str], story: Story) -> str:
    """A page of several models that write, beside each other.

    Args:
        writers: with as many samples as there are moments, written in the same ways.
        moments: names of the moments of training, the last one the trained model.
        story: the words of the page.

    Returns:
        HTML; it needs no Bokeh.

    Raises:
        ValueError: no writers, or writers that do not fit the moments.
    """
    if not writers or any(len(writer.samples) != len(moments) for writer in writers):
        rule = f"one writer or more, each with {len(moments)} samples"
        got = str([len(writer.samples) for writer in writers])
        raise ValueError(sentence("generation_page", "writers", rule, got))
    ways = [*writers[0].written]
    data = {
        "moments": list(moments),
        "writers": [
            {
                "name": writer.name,
                "samples": ["".join(map(readable, sample)) for sample in writer.samples],
                "shares": list(writer.shares),
            }
            for writer in writers
        ],
    }
    columns = "".join(
        f'<section class="column"><h3>{html.escape(upper_first(writer.name))}</h3>'
        f'<p class="quiet">From {html.escape(writer.source)}.</p>'
        f'<div class="text" id="sample-{number}" tabindex="0" role="region" '
        f'aria-label="Sample of {html.escape(writer.name)}"></div>'
        f'<p class="meter"><span class="meter-bar" aria-hidden="true"><span id="bar-{number}">'
        f'</span></span><span id="share-{number}"></span> of the {html.escape(writer.right)}</p>'
        f"{_steps(number, writer.shares, moments)}</section>"
        for number, writer in enumerate(writers)
    )
    rows = "".join(_row(writer, ways) for writer in writers)
    body = _BODY.format(
        opening=opening(story),
        last=len(moments) - 1,
        columns=columns,
        tries=try_this(story.tries),
        ways=rows,
        closing=closing(story),
        data=embedded_json("generation", data),
    )
    return page(
        story.title,
        body,
        assets=("plots.css", "generation.css", "page.js", "generation.js"),
    )


def _steps(number: int, shares: Sequence[float], moments: Sequence[str]) -> str:
    """The shares through training as bars; the page's script lights the one that is shown."""
    bars = "".join(
        f'<span data-moment="{at}" style="height:{100 * share:.0f}%" '
        f'title="{html.escape(moment)}: {share:.0%}"></span>'
        for at, (share, moment) in enumerate(zip(shares, moments, strict=True))
    )
    return f'<div class="steps" id="steps-{number}" aria-hidden="true">{bars}</div>'


def _row(writer: Writer, ways: Sequence[str]) -> str:
    cells = "".join(
        f'<section class="column"><h4>{html.escape(upper_first(way))}</h4>'
        f'<div class="text" tabindex="0" role="region" '
        f'aria-label="{html.escape(f"{writer.name}, {way}")}">'
        f"{marked_text(_turns(writer.written[way], writer.loops[way]))}</div>"
        f'<p class="quiet">{html.escape(_verdict(writer, way))}</p></section>'
        for way in ways
    )
    return f'<h3>{html.escape(upper_first(writer.name))}</h3><div class="columns">{cells}</div>'


def _turns(text: str, loop: Loop | None) -> Marked:
    """Every second turn of a loop is marked, so that turns can be told apart."""
    if loop is None:
        return Marked(text, [])
    starts = range(loop.start, len(text), 2 * loop.period)
    turns = [
        (start, min(start + loop.period, len(text)), f"turn {2 * number + 1}")
        for number, start in enumerate(starts)
    ]
    return Marked(text, turns)


def _verdict(writer: Writer, way: str) -> str:
    loop, share = writer.loops[way], writer.shares_written[way]
    right = f"{share:.0%} of the {writer.right}"
    if loop is None:
        return f"No loop. {right}."
    characters = "one character" if loop.period == 1 else f"{loop.period} characters"
    return f"A loop of {characters}, entered after {loop.start:,}. {right}."


_BODY = """{opening}
<main class="story">
<h2>Learning to write</h2>
<div class="row">
<button id="play" type="button">▶ Train</button>
<label class="wide-range">Training
<input id="moment" type="range" min="0" max="{last}" value="{last}"></label>
<b id="moment-name" role="status"></b>
</div>
<div class="columns">{columns}</div>
<p class="quiet">All samples of a model are drawn with the same random numbers; what changes from
moment to moment is the model. The small bars are the shares through training.</p>
{tries}
<h2>The likeliest, or drawn?</h2>
<p>Each trained model writes the same way three times: always the likeliest character (greedy), and
drawn from its predictions, sharpened (temperature 0.5) and as they are (temperature 1). Where a
text goes round in a loop, every second turn is marked.</p>
{ways}
{closing}
</main>
{data}"""
