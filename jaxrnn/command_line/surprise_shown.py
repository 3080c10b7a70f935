"""What a model wrote, as it stands or with the surprise of each token."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxrnn.charlm import Scored

# Nats from which a background is taken, and its number among a terminal's 256 colours: from none
# over yellow to red. 0.5 nats is a probability of 0.61, 5 nats of 0.007.
COLOURS = ((0.5, 230), (1.0, 229), (2.0, 222), (3.0, 215), (5.0, 203))
BLACK = 16
TABLE_HEAD = "token\tnats\n"


def has_colours(stream: object) -> bool:
    """Whether a stream is a terminal that is not asked to be plain (the convention NO_COLOR)."""
    is_terminal = getattr(stream, "isatty", lambda: False)()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def in_colours(written: "Scored") -> str:
    """The text, each token on a background by its surprisal."""
    return "".join(map(_coloured, written.tokens, written.surprisals.tolist()))


def legend() -> str:
    """What the backgrounds mean."""
    parts = [_coloured(f" {nats:g} ", nats) for nats, _ in COLOURS]
    return f"surprise in nats, from: {' '.join(parts)}"


def as_table(written: "Scored", labels: Sequence[str] | None = None) -> str:
    """A line for each token, `token<TAB>nats`; what does not print is escaped.

    Args:
        written: the text.
        labels: of bytes, what each is called: one that completes no character has no text.
    """
    lines = []
    for token, id_, nats in zip(*written, strict=True):
        nothing = labels is not None and (not token or "\ufffd" in token)
        shown = labels[id_] if labels and nothing else "".join(map(_escaped, token))
        lines.append(f"{shown}\t{nats:.4f}\n")
    return "".join(lines)


def _escaped(character: str) -> str:
    """As Python writes it in a string; an ideographic space, too, would look like nothing."""
    plain = character.isprintable() and character != "\\"
    return character if plain else ascii(character)[1:-1]


def _coloured(token: str, nats: float) -> str:
    colour = next((number for least, number in reversed(COLOURS) if nats >= least), None)
    if colour is None:
        return token
    # The end of a line has no background of its own: a space before it shows it.
    shown, end = (" ", token) if token in ("\n", "\r\n") else (token, "")
    return f"\x1b[38;5;{BLACK};48;5;{colour}m{shown}\x1b[0m{end}"
