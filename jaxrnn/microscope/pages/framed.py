"""Several whole pages as the chapters of one: each keeps its own scripts, names and state.

A chapter is a page as its own maker made it, in a frame that is as tall as its content. What
several of them have in common (the plotting library, style sheets, scripts) is in the file once.
"""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxrnn.errors import sentence
from jaxrnn.microscope.pages.html import embedded_json, page, title_of
from jaxrnn.microscope.pages.shell import Story, closing, opening

_BLOCK = re.compile(r"(<script[ >].*?</script>|<style>.*?</style>)", re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Chapter(NamedTuple):
    """A page in a page.

    Attributes:
        name: what links call it: lower-case letters, digits and hyphens.
        heading: what it is about, in a word or two.
        made: its HTML, of `page`.
    """

    name: str
    heading: str
    made: str


def framed_page(
    chapters: Sequence[Chapter], story: Story, *, before: str = "", missing: Sequence[str] = ()
) -> str:
    """One page of several, with a table of contents.

    Args:
        chapters: in their order, under different names.
        story: the words of the whole.
        before: HTML between the opening and the contents.
        missing: sentences that say what is left out and why.

    Returns:
        HTML; `#NAME` links to a chapter, `#NAME?unit=3` to a state of it.

    Raises:
        ValueError: no chapters, or names that cannot be linked to.
    """
    names = [chapter.name for chapter in chapters]
    if not names or len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        rule = "one chapter or more, under different names of lower-case letters and hyphens"
        raise ValueError(sentence("framed_page", "chapters", rule, str(names)))
    blocks: dict[str, int] = {}
    made = []
    for chapter in chapters:
        # Odd places are the blocks, the others what stands between them.
        pieces = _BLOCK.split(chapter.made)
        parts: list[str | int] = list(pieces)
        parts[1::2] = [blocks.setdefault(block, len(blocks)) for block in pieces[1::2]]
        made.append(parts)
    contents = "".join(
        f'<li><a href="#{chapter.name}"><b>{html.escape(chapter.heading)}</b> '
        f"{html.escape(title_of(chapter.made))}</a></li>"
        for chapter in chapters
    )
    sections = "".join(
        f'<section class="chapter" id="{chapter.name}"><p class="running">'
        f"<b>{number}</b> {html.escape(chapter.heading)} "
        f'<a href="#contents">↑ Contents</a></p>'
        f'<iframe data-chapter="{chapter.name}" title="{html.escape(chapter.heading)}"></iframe>'
        "</section>"
        for number, chapter in enumerate(chapters, 1)
    )
    notes = "".join(f'<p class="note">{html.escape(each)}</p>' for each in missing)
    body = (
        f'{opening(story)}<main class="story framed">{before}'
        f'<nav id="contents" aria-label="Contents"><ol class="contents">{contents}</ol></nav>'
        f"{notes}{sections}{closing(story)}</main>"
        + embedded_json("chapters", {"blocks": [*blocks], "names": names, "pages": made})
    )
    return page(story.title, body, assets=("framed.css", "framed.js"))
