"""All experiments' pages in one folder, with an index of cards: a site that can be put on the web.

A page is written as soon as it is made, so that whatever stops the rest, what is done is kept; the
index is written last, of all that is there.
"""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxrnn.microscope.demos import run_demo
from jaxrnn.microscope.demos.pictures import picture_of
from jaxrnn.microscope.experiments import EXPERIMENTS, Experiment, Progress
from jaxrnn.microscope.pages.html import page, title_of, with_way_back, write_page

INDEX = "index.html"


class Card(NamedTuple):
    """What the index says of a page.

    Attributes:
        name: of the experiment.
        title: of its page, the finding.
        verdict: what came out, in a sentence or two.
        holds: whether the claim held.
        picture: a small SVG; empty where the experiment has none.
    """

    name: str
    title: str
    verdict: str
    holds: bool
    picture: str = ""


class Failed(NamedTuple):
    """An experiment that did not come to its page, and why."""

    name: str
    reason: Exception


def write_demos(
    folder: Path, seed: int, progress: Progress, names: Sequence[str] | None = None
) -> Iterator[Card | Failed]:
    """Runs experiments one after the other and writes their pages into a folder.

    Args:
        folder: made where it is missing; pages of the same names in it are replaced.
        seed: of everything random.
        progress: is told of the work.
        names: keys of `EXPERIMENTS`; None: all.

    Yields:
        A Card as each page is there, or a Failed.
    """
    for name in EXPERIMENTS if names is None else names:
        try:
            experiment, made = run_demo(name, seed, progress)
            write_page(folder / f"{name}.html", with_way_back(made, INDEX, "All experiments"))
        except Exception as error:
            yield Failed(name, error)
        else:
            yield card_of(experiment, made)


def card_of(experiment: Experiment, made: str) -> Card:
    """The card of an experiment and its page."""
    return Card(
        experiment.name,
        title_of(made),
        experiment.verdict,
        experiment.holds,
        picture_of(experiment),
    )


def index_page(cards: Sequence[Card], missing: Sequence[str] = ()) -> str:
    """The page that leads to all others.

    Args:
        cards: of the pages that are there.
        missing: names of the experiments that did not come to their page.

    Returns:
        HTML.
    """
    drawn = "".join(
        f'<a class="card" href="{html.escape(card.name)}.html">'
        f'<span class="picture" aria-hidden="true">{card.picture}</span>'
        f"<h2>{html.escape(card.title)}</h2><p>{html.escape(_first_sentences(card.verdict))}</p>"
        f'<p class="met-{str(card.holds).lower()}">'
        f"{'✓ The claim holds' if card.holds else '✗ The claim does not hold'}"
        f'<span class="quiet"> · {html.escape(card.name)}</span></p></a>'
        for card in cards
    )
    left_out = (
        f'<p class="note">Not there: {html.escape(", ".join(missing))}. '
        "<code>jaxrnn demo NAME</code> makes a page alone.</p>"
        if missing
        else ""
    )
    title = "What recurrent networks do, seen from inside"
    lesson = (
        "Each page is an experiment: a small network is trained, its inside is drawn, and a claim "
        "that is told of recurrent networks is put to the test. All numbers come from the run "
        "that made the page; hover, step and play."
    )
    body = (
        f'<header class="story"><h1>{title}</h1><p class="lesson">{lesson}</p></header>'
        f'<main class="story">{left_out}<div class="cards">{drawn}</div>'
        '<p class="quiet">Made by <code>jaxrnn demo all</code>; each page is one file and needs '
        "no network.</p></main>"
    )
    return page(title, body, assets=("index.css",))


LONGEST_VERDICT = 220
"""Characters of a verdict on a card, cut at the end of a sentence or clause."""


def _first_sentences(verdict: str) -> str:
    """As much of a verdict as a card has room for.

    >>> _first_sentences("It holds.")
    'It holds.'
    """
    if len(verdict) <= LONGEST_VERDICT:
        return verdict
    head = verdict[:LONGEST_VERDICT]
    for end in (". ", "; ", ", ", " "):
        if (at := head.rfind(end)) > LONGEST_VERDICT // 3:
            return head[:at].rstrip(".;,") + ("." if end == ". " else " …")
    return head + " …"
