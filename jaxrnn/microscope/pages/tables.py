"""Tables and passages of text below a page's plots."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxrnn.microscope.pages.html import readable


def table(rows: Sequence[tuple[str, str]], heading: str = "") -> str:
    """What it is, and what there is to say of it; nothing where there are no rows.

    >>> table([("p", "1 < 2")])
    '<div class="wide"><table class="list"><tr><td>p</td><td>1 &lt; 2</td></tr></table></div>'
    """
    if not rows:
        return ""
    lines = (f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in rows)
    title = f"<h2>{html.escape(heading)}</h2>" if heading else ""
    return f'{title}<div class="wide"><table class="list">{"".join(lines)}</table></div>'


class Marked(NamedTuple):
    """A text with some of its stretches marked.

    Attributes:
        text: all of it.
        stretches: start, end, and what to say of each, which do not overlap.
    """

    text: str
    stretches: Sequence[tuple[int, int, str]]


def passages(texts: Mapping[str, str | Marked]) -> str:
    """Texts to read, each under a heading that says what it is.

    >>> passages({"It says": Marked("to be", [(3, 5, "twice")])})[-39:]
    '>to <mark title="twice">be</mark></div>'
    """
    return "".join(
        f'<h2>{html.escape(name)}</h2><div class="text" tabindex="0" role="region" '
        f'aria-label="{html.escape(name)}">{marked_text(text)}</div>'
        for name, text in texts.items()
    )


def marked_text(text: str | Marked) -> str:
    """A text as HTML, its stretches marked.

    >>> marked_text(Marked("a<b", [(1, 2, "less")]))
    'a<mark title="less">&lt;</mark>b'
    """
    if isinstance(text, str):
        return _shown(text)
    parts, last = [], 0
    for start, end, words in sorted(text.stretches):
        parts.append(_shown(text.text[last:start]))
        inside = _shown(text.text[start:end])
        parts.append(f'<mark title="{html.escape(words)}">{inside}</mark>')
        last = end
    return "".join(parts) + _shown(text.text[last:])


def _shown(text: str) -> str:
    return html.escape("".join(map(readable, text)))
