"""What stands around a page's figures: the finding, what it teaches, what to try, the numbers.

A page is read from the top: its title is what was found, two sentences say what to look for, then
comes the figure with its caption and colour key, links that set it up ("Try this"), a table of
what was expected and measured, and more for those who go on reading.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode


class Measured(NamedTuple):
    """A row of the table: what was measured, what was expected of it, and whether it came out.

    Attributes:
        name: what it is.
        measured: the value with its unit.
        expected: what a claim or theory says; empty where nothing does.
        met: whether the value is as expected; None where that is not for a number to say.
    """

    name: str
    measured: str
    expected: str = ""
    met: bool | None = None


class Try(NamedTuple):
    """A link that sets the page's state.

    Attributes:
        words: what there is to see.
        state: values by the names that the page's script gives its state (`address` in page.js).
    """

    words: str
    state: Mapping[str, object]


@dataclass(frozen=True)
class Story:
    """The words of a page.

    Attributes:
        title: the finding, in a few words.
        lesson: two sentences that teach what to look for.
        claim: what was claimed, and by whom.
        verdict: what came out.
        holds: whether the claim held; None where nothing was claimed.
        rows: of the table.
        source: where the text and the model are from, in small print.
        tries: links that set the page's state; a page may add its own.
    """

    title: str
    lesson: str = ""
    claim: str = ""
    verdict: str = ""
    holds: bool | None = None
    rows: Sequence[Measured] = ()
    source: str = ""
    tries: Sequence[Try] = ()


def opening(story: Story) -> str:
    """The head of the page.

    >>> opening(Story("Three units learn to count"))
    '<header class="story"><h1>Three units learn to count</h1></header>'
    """
    return (
        f'<header class="story"><h1>{html.escape(story.title)}</h1>'
        + _paragraph(story.lesson, "lesson")
        + _paragraph(story.source, "quiet source")
        + "</header>"
    )


def figure(content: str, caption: str, *, key: str = "", name: str = "") -> str:
    """A figure: HTML, a caption in plain text, and the key to its colours (`colour_key`).

    Args:
        content: HTML.
        caption: plain text.
        key: HTML, above the content.
        name: an id.

    Returns:
        HTML.
    """
    named = f' id="{html.escape(name)}"' if name else ""
    words = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure{named}>{key}{content}{words}</figure>"


def colour_key(words: str, low: str, high: str, *, signed: bool = True, name: str = "") -> str:
    """What the colours of a text or a map stand for: a bar with its ends named.

    Args:
        words: what the colour is of.
        low: the value at the left end.
        high: the value at the right end.
        signed: colours around 0; False: from 0 up.
        name: the start of the ids `NAME-words`, `NAME-bar`, `NAME-low` and `NAME-high`, for
            scripts.

    Returns:
        HTML.
    """

    def named(part: str) -> str:
        return f' id="{name}-{part}"' if name else ""

    kind = "signed" if signed else "sizes"
    return (
        f'<p class="colour-key"><span{named("words")}>{html.escape(words)}</span> '
        f'<span class="key-bar"><span{named("low")}>{html.escape(low)}</span>'
        f'<span class="bar {kind}"{named("bar")} aria-hidden="true"></span>'
        f"<span{named('high')}>{html.escape(high)}</span></span></p>"
    )


def try_this(tries: Sequence[Try]) -> str:
    """Links that set the page's state.

    >>> try_this([Try("Unit 3", {"unit": 3})])
    '<nav class="tries" aria-label="Try this"><b>Try this</b><a href="#unit=3">Unit 3</a></nav>'
    """
    if not tries:
        return ""
    links = "".join(
        f'<a href="{html.escape(fragment(each.state))}">{html.escape(each.words)}</a>'
        for each in tries
    )
    return f'<nav class="tries" aria-label="Try this"><b>Try this</b>{links}</nav>'


def fragment(state: Mapping[str, object]) -> str:
    """The address's fragment of a state, `#` included; `address` in page.js reads it."""
    return "#" + urlencode({name: str(value) for name, value in state.items()})


def closing(story: Story) -> str:
    """What was claimed and found, and the table of expected and measured."""
    if not (story.claim or story.verdict or story.rows):
        return ""
    parts = [
        "<h2>What was expected, what was measured</h2>" if story.claim else "<h2>Measured</h2>"
    ]
    if story.claim:
        parts.append(f"<p><b>Claimed.</b> {html.escape(story.claim)}</p>")
    if story.verdict:
        outcome = {True: "It holds.", False: "It does not hold.", None: "Found."}[story.holds]
        parts.append(f"<p><b>{outcome}</b> {html.escape(story.verdict)}</p>")
    return f'<section class="measured">{"".join(parts)}{measured_table(story.rows)}</section>'


def measured_table(rows: Sequence[Measured]) -> str:
    """Expected, measured, verdict; columns that no row fills are left out.

    >>> measured_table([Measured("p", "1 < 2")])[-81:]
    '<th scope="row">P</th><td class="number">1 &lt; 2</td></tr></tbody></table></div>'
    """
    if not rows:
        return ""
    expected = any(row.expected for row in rows)
    judged = any(row.met is not None for row in rows)
    head = "<td></td>"
    head += '<th scope="col" class="number">Expected</th>' if expected else ""
    head += '<th scope="col" class="number">Measured</th>'
    head += '<th scope="col">Verdict</th>' if judged else ""
    lines = []
    for row in rows:
        cells = f'<th scope="row">{html.escape(upper_first(row.name))}</th>'
        cells += f'<td class="number">{html.escape(row.expected)}</td>' if expected else ""
        cells += f'<td class="number">{html.escape(row.measured)}</td>'
        if judged:
            word = {True: "✓ as expected", False: "✗ not so", None: ""}[row.met]
            cells += f'<td class="met-{str(row.met).lower()}">{word}</td>'
        lines.append(f"<tr>{cells}</tr>")
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Measurements">'
        f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
        "</table></div>"
    )


def upper_first(words: str) -> str:
    """With a capital first letter, as sentences and labels begin.

    >>> upper_first("loss at every step"), upper_first("")
    ('Loss at every step', '')
    """
    return words[:1].upper() + words[1:]


def _paragraph(words: str, kind: str) -> str:
    return f'<p class="{kind}">{html.escape(words)}</p>' if words else ""
