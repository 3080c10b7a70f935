"""The text that a run was trained on, in its parts."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrnn.charlm import files, text_index
from jaxrnn.charlm.corpus import (
    PYTHON_DOCUMENTATION,
    Corpus,
    Digest,
    Tokens,
    join,
    python_documentation,
    split_places,
)
from jaxrnn.charlm.reading import Piece, Reader
from jaxrnn.charlm.run_folder import Run
from jaxrnn.errors import sentence

# Tokens of a part of a text on disk that are made a text again: its first ones.
MOST_READ = 2**22


class OwnPart(NamedTuple):
    """A part of a run's text.

    Attributes:
        text: its characters, of a text on disk the first ones.
        tokens: the same as ids, and where among them a document starts.
        whole: whether that is all of it.
    """

    text: str
    tokens: Tokens
    whole: bool


class Parts(NamedTuple):
    """A run's text; any part but the first may be empty.

    Attributes:
        train: what it was trained on.
        validation: what follows, by which the best checkpoint was chosen.
        rest: what follows that, which nothing was chosen by: a test part.
    """

    train: OwnPart
    validation: OwnPart
    rest: OwnPart


def own_parts(run: Run, place: str, hint: str) -> Parts:
    """Reads a run's text where it was when the run began, or in the run's index of it.

    Args:
        run: the run.
        place: for the sentence: a command and what it lacks a text for.
        hint: what to do where the text is not there.

    Raises:
        ValueError: the text is not where it was, or is another one now; or the run was imported.
    """
    if run.indexed:
        return Parts(*_indexed(run))
    command, _, argument = place.partition(": ")
    if not run.sources:
        rule, got = "a text, since the run was imported without its own", "none"
        raise ValueError(sentence(command, argument, rule, got, hint))
    try:
        whole = read_own(run)
    except OSError:
        rule, got = "the text of the run where it was", f"{run.source}, which is gone"
        raise ValueError(sentence(command, argument, rule, got, hint)) from None
    if whole.sha256 != run.sha256:
        rule, got = "the text that the run was trained on", f"{run.source}, which has changed"
        raise ValueError(sentence(command, argument, rule, got, hint))
    settings = run.settings
    ends = split_places(len(whole.text), settings.train_frac, settings.val_frac)
    bounds = zip((0, *ends), (*ends, len(whole.text)), strict=True)
    return Parts(
        *(OwnPart(whole.text[a:b], whole.tokens(run.vocab, a, b), True) for a, b in bounds)
    )


def read_own(run: Run) -> Corpus:
    """Reads the text that a run names as its own; whether it still is that, its hash says.

    The run may come from a stranger, so a fifo or a device is not opened, as it is where a person
    names one, and no more is read than the run says that there is.

    Raises:
        ValueError: as `Reader`; or what is there is no regular file.
        OSError: as `Reader`.
    """
    if run.sources == (PYTHON_DOCUMENTATION,):
        return python_documentation()
    settings = run.settings
    reader = Reader(run.sources, settings.encoding, settings.newlines, settings.include, own=True)
    return join(at_most(reader, run), run.sources)


def is_text_of(run: Run, pieces: Iterable[Piece]) -> bool:
    """Whether a text, which may be larger than memory, is a run's."""
    digest, left = Digest(), run.characters
    for piece in pieces:
        left -= len(piece.text)
        if left < 0:
            return False
        digest.update(piece)
    return digest.hexdigest() == run.sha256


def at_most(pieces: Iterable[Piece], run: Run) -> Iterator[Piece]:
    """The pieces, to where they are more than a run's text, and one character of the one there.

    So what is too long is seen to be another text, and not read.
    """
    files.check_memory(Path(run.source), run.characters)
    left = run.characters
    for piece in pieces:
        if len(piece.text) > left:
            yield piece._replace(text=piece.text[: left + 1])
            return
        left -= len(piece.text)
        yield piece


def _indexed(run: Run) -> Iterator[OwnPart]:
    index = text_index.index_of(run)
    for ids, documents in index.parts:
        first = np.array(ids[:MOST_READ])
        tokens = Tokens(first, documents[documents < len(first)])
        yield OwnPart(run.vocab.decode(first), tokens, len(first) == len(ids))
    index.release()
