"""Tables and passages of text below a page's plots."""

import html
from collections.abc import Mapping, Sequence

from jaxrnn.microscope.pages.html import readable


def table(rows: Sequence[tuple[str, str]], heading: str = "") -> str:
    """Two columns: what was measured, and the value; nothing where there are no rows.

    >>> table([("p", "1 < 2")])
    '<table class="list"><tr><td>p</td><td class="number">1 &lt; 2</td></tr></table>'
    """
    if not rows:
        return ""
    return (
        (f"<h2>{html.escape(heading)}</h2>" if heading else "")
        + '<table class="list">'
        + "".join(
            f'<tr><td>{html.escape(name)}</td><td class="number">{html.escape(value)}</td></tr>'
            for name, value in rows
        )
        + "</table>"
    )


def passages(texts: Mapping[str, str]) -> str:
    """Texts to read, each under a heading that says what it is."""
    return "".join(
        f'<h2>{html.escape(name)}</h2><div class="text" tabindex="0">'
        f"{html.escape(''.join(map(readable, text)))}</div>"
        for name, text in texts.items()
    )
