"""Tables and passages of text below a page's plots."""

import html
from collections.abc import Mapping, Sequence

from jaxrnn.microscope.pages.html import readable


def table(rows: Sequence[tuple[str, ...]], heading: str = "", columns: Sequence[str] = ()) -> str:
    """What was measured, the value, and perhaps more; nothing where there are no rows.

    >>> table([("p", "1 < 2")])
    '<table class="list"><tr><td>p</td><td class="number">1 &lt; 2</td></tr></table>'
    """
    if not rows:
        return ""

    def row(tag: str, cells: Sequence[str]) -> str:
        first, *others = map(html.escape, cells)
        numbers = "".join(f'<{tag} class="number">{other}</{tag}>' for other in others)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    return (
        (f"<h2>{html.escape(heading)}</h2>" if heading else "")
        + '<table class="list">'
        + (row("th", columns) if columns else "")
        + "".join(row("td", cells) for cells in rows)
        + "</table>"
    )


def findings(claim: str, verdict: str, rows: Sequence[tuple[str, ...]]) -> str:
    """What was claimed and found, and a table of what was measured beside what was expected."""
    said = [("Claimed", claim), ("Found", verdict)]
    text = "".join(f"<h2>{head}</h2><p>{html.escape(words)}</p>" for head, words in said if words)
    return text + table(rows, "Measured", ("", "measured", "expected"))


def passages(texts: Mapping[str, str]) -> str:
    """Texts to read, each under a heading that says what it is."""
    return "".join(
        f'<h2>{html.escape(name)}</h2><div class="text" tabindex="0">'
        f"{html.escape(''.join(map(readable, text)))}</div>"
        for name, text in texts.items()
    )
