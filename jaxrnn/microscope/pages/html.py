"""The shell that all pages share, and how data and text get into a page safely."""

import base64
import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn.charlm.files import UnsavedError, write_atomically

# Characters that are invisible or steer the direction of text are shown as a picture or as their
# number, so that a corpus cannot rearrange the page.
_PICTURES = {"\n": "↵", "\t": "⇥", " ": "␣", "\r": "␍", "\x7f": "␡"}


def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return resources.files("jaxrnn.microscope.pages").joinpath("assets", name).read_text("utf-8")


def page(title: str, body: str, *, head: str = "", assets: Sequence[str] = ()) -> str:
    """A whole page.

    Args:
        title: plain text; it is escaped here.
        body: HTML of the body.
        head: more HTML for the head.
        assets: names of further `.css` and `.js` files in `assets/` to put in.

    Returns:
        HTML text in UTF-8.
    """
    styles = "".join(asset(name) for name in ("page.css", *assets) if name.endswith(".css"))
    scripts = "".join(
        f"<script>\n{asset(name)}</script>\n" for name in assets if name.endswith(".js")
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{styles}</style>\n{head}</head>\n"
        f"<body>\n{body}\n{scripts}</body>\n</html>\n"
    )


def title_of(made: str) -> str:
    """The title of a page that `page` made.

    >>> title_of(page("1 < 2", ""))
    '1 < 2'
    """
    return html.unescape(made.partition("<title>")[2].partition("</title>")[0])


def with_way_back(made: str, href: str, words: str) -> str:
    """A page that `page` made, with a link above everything.

    >>> "<body>\\n<nav" in with_way_back(page("One", "<p>1</p>"), "index.html", "All")
    True
    """
    link = f'<a href="{html.escape(href)}">{html.escape(words)}</a>'
    return made.replace("<body>\n", f'<body>\n<nav class="way-back">← {link}</nav>\n', 1)


def embedded_json(element_id: str, value: Any) -> str:
    """A script element that holds JSON, for `JSON.parse(element.textContent)`.

    `<`, `>` and `&` are written as escapes, so that nothing in the data ends the element.

    >>> embedded_json("data", {"text": "</script>"})
    '<script type="application/json" id="data">{"text":"\\\\u003c/script\\\\u003e"}</script>'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{element_id}">{text}</script>'


def packed(array: Any) -> dict[str, Any]:
    """An array as JSON: its shape, and float32 little-endian in base64 (`unpack` in page.js)."""
    values = np.asarray(array, "<f4")
    return {"shape": values.shape, "f4": base64.b64encode(values.tobytes()).decode("ascii")}


def visible(token: str) -> str:
    """A character or a word as a page shows it by itself: what has no picture gets one.

    >>> [visible(c) for c in ("a", "\\n", " ", "\\x00", "\\u202e", "é", "you")]
    ['a', '↵', '␣', '␀', 'U+202E', 'é', 'you']
    """
    return "".join(map(_visible, token))


def readable(token: str) -> str:
    """A character or a word in running text: spaces stay, a new line is shown and breaks the line.

    >>> [readable(c) for c in ("a", " ", "\\n", "\\t", "\\u202e", " cat")]
    ['a', ' ', '↵\\n', '⇥', 'U+202E', ' cat']
    """
    return "".join(map(_readable, token))


def _readable(character: str) -> str:
    if character == " ":
        return " "
    return "↵\n" if character == "\n" else _visible(character)


def _visible(character: str) -> str:
    if character in _PICTURES:
        return _PICTURES[character]
    if ord(character) < 32:
        return chr(0x2400 + ord(character))
    # isprintable() is false for format characters (which steer direction), surrogates and
    # code points that are not assigned.
    if not character.isprintable():
        return f"U+{ord(character):04X}"
    return character


def options(names: Iterable[str]) -> str:
    """The options of a select; their values count from 0.

    >>> options(["h", "<c>"])
    '<option value="0">h</option><option value="1">&lt;c&gt;</option>'
    """
    return "".join(f'<option value="{i}">{html.escape(n)}</option>' for i, n in enumerate(names))


def write_page(path: str | Path, text: str) -> Path:
    """Writes a page.

    Args:
        path: the file; its folder is made where it is missing.
        text: what a maker of a page returned.

    Returns:
        The path.
    """
    # What is no character (the bytes of a name that is not UTF-8) is shown as its number.
    return write_file(path, text.encode("utf-8", "backslashreplace"))


def write_file(path: str | Path, data: bytes) -> Path:
    """Writes a file whole or not at all: what was there before stays where the disk is full.

    Args:
        path: the file; its folder is made where it is missing. A link is followed.
        data: all of it.

    Returns:
        The path.

    Raises:
        UnsavedError: it could not be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.resolve()
        if place.exists() and not place.is_file():
            place.write_bytes(data)  # a fifo or a device, which a new file is not put in place of
        else:
            write_atomically(place, data)
    except OSError as error:
        kept = "; the file that was there is kept" if path.exists() else ""
        raise UnsavedError(
            f"{path} could not be written: {error.strerror or error}{kept}.", error
        ) from error
    return path
