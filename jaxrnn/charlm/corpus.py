"""Reads a text and divides it into the part to train on and the part held out."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm.reading import Piece, Reader
from jaxrnn.charlm.sources import absolute
from jaxrnn.errors import sentence

PYTHON_DOCUMENTATION = "pydoc_data.topics"


class Tokens(NamedTuple):
    """A part of a text as token ids.

    Attributes:
        ids: [N], of any integer type; of a memory map perhaps.
        documents: int64 [D], the places at which a document starts; at 0 too.
    """

    ids: NDArray[np.integer]
    documents: NDArray[np.int64]


class Encoded(NamedTuple):
    """A text as token ids, in its parts.

    Attributes:
        train: to train on.
        validation: what follows; maybe nothing.
        release: gives back the memory of what was read, where it is a memory map's.
    """

    train: Tokens
    validation: Tokens
    release: Callable[[], None] = lambda: None


class Text(Protocol):
    """A text to train on, in memory (`Corpus`) or on disk (`text_index.TextIndex`)."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it came from."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the text and of where its documents start."""

    @property
    def characters(self) -> int:
        """How many."""

    def encode(self, vocab: Any, train_fraction: float, validation_fraction: float) -> Encoded:
        """The parts as `split` divides the text, each encoded by itself."""


@dataclass(frozen=True)
class Corpus:
    """A text and where it came from.

    Attributes:
        text: all characters.
        sources: files, folders and patterns, `-` or `pydoc_data.topics`.
        documents: the places at which a file begins.
    """

    text: str
    sources: tuple[str, ...]
    documents: tuple[int, ...] = (0,)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the text and its documents, to know the text again by."""
        digest = Digest()
        ends = [*self.documents[1:], len(self.text)]
        for start, end in zip(self.documents, ends, strict=True):
            digest.update(Piece(self.text[start:end], True))
        return digest.hexdigest()

    @property
    def characters(self) -> int:
        """How many the text has."""
        return len(self.text)

    def encode(self, vocab: Any, train_fraction: float, validation_fraction: float) -> Encoded:
        """The parts as `split` divides the text, each encoded by itself.

        Args:
            vocab: a tokenizer.
            train_fraction: as of `split`.
            validation_fraction: as of `split`.

        Raises:
            ValueError: as `split`, or a character that the tokenizer does not know.
        """
        ends = split_places(len(self.text), train_fraction, validation_fraction)
        return Encoded(self.tokens(vocab, 0, ends[0]), self.tokens(vocab, *ends))

    def tokens(self, vocab: Any, start: int, end: int) -> Tokens:
        """The characters from one place to another, each document encoded by itself."""
        within = [place for place in self.documents if start < place < end]
        ids, documents, length = [], [], 0
        for begin, stop in zip((start, *within), (*within, end), strict=True):
            documents.append(length)
            ids.append(vocab.encode(self.text[begin:stop]))
            length += len(ids[-1])
        return Tokens(np.concatenate(ids), np.array(documents, np.int64))


class Digest:
    """SHA-256 of a text that comes in pieces."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._begun = False

    def update(self, piece: Piece) -> bytes:
        """Takes the next piece, and returns its UTF-8."""
        if piece.begins and self._begun:
            self._sha256.update(b"\xff")  # no byte of UTF-8
        self._begun = True
        data = piece.text.encode("utf-8", "surrogatepass")
        self._sha256.update(data)
        return data

    def hexdigest(self) -> str:
        """Of all so far."""
        return self._sha256.hexdigest()


def read_text(
    path: str | Path | Sequence[str | Path],
    encoding: str = "utf-8",
    *,
    newlines: str = "unify",
    include: Sequence[str] = (),
    argument: str = "TEXT",
) -> Corpus:
    """Reads a text: a file, or several, one after the other.

    What is compressed by gzip, bz2, xz or zstd is read as what it was. A byte-order mark at the
    start of a file is dropped.

    Args:
        path: a file, a folder, whose files are read in the order of their names, a pattern such
            as `books/*.txt`, or `-`, standard input; or several of them.
        encoding: a codec's name, the same for all.
        newlines: `unify`: line ends become `\\n`, as Python's text files have it, so that a text
            is the same wherever it was written; `keep`: they stay as they are in the file.
        include: patterns of the names of those files of a folder that are wanted, e.g. `*.py`.
        argument: what the path is called where it was given, for the sentences of errors.

    Returns:
        The corpus.

    Raises:
        ValueError: a file is empty, is not text in this encoding (the message names the byte and
            its position), or is compressed and cut short or damaged; or there is no such encoding.
        OSError: a file cannot be read, or there is none.
        ImportError: a file is compressed by zstd, which nothing here reads.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    texts = list(map(str, paths))
    pieces = Reader(texts, encoding, newlines, include, argument)
    return join(pieces, list(map(absolute, texts)))


def join(pieces: Iterable[Piece], sources: Sequence[str]) -> Corpus:
    """A corpus of all pieces."""
    texts, documents, characters = [], [], 0
    for piece in pieces:
        if piece.begins:
            documents.append(characters)
        texts.append(piece.text)
        characters += len(piece.text)
    return Corpus("".join(texts), tuple(sources), tuple(documents))


def python_documentation() -> Corpus:
    """The language documentation that comes with Python, about 0.4 million characters.

    >>> python_documentation().text.count("statement") > 100
    True
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise ValueError(
            sentence(
                "train",
                "TEXT",
                "a text file, since this Python comes without pydoc_data",
                "none",
                "jaxrnn train FILE",
            )
        ) from None
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return Corpus(text, (PYTHON_DOCUMENTATION,))


def split(text: str, train_fraction: float, validation_fraction: float) -> tuple[str, str]:
    """The first part of a text for training, the part after it for validation.

    Args:
        text: N characters.
        train_fraction: share of the training part, in (0, 1].
        validation_fraction: share of the validation part; what is left over is not used.

    Returns:
        The training part and the validation part (which may be empty).

    Raises:
        ValueError: fractions below 0 or with a sum over 1.

    >>> split("abcdefghij", 0.5, 0.3)
    ('abcde', 'fgh')
    """
    end_of_training, end = split_places(len(text), train_fraction, validation_fraction)
    return text[:end_of_training], text[end_of_training:end]


def split_places(
    characters: int, train_fraction: float, validation_fraction: float
) -> tuple[int, int]:
    """Where the part to train on ends, and where that to validate on.

    Raises:
        ValueError: as `split`.
    """
    total = train_fraction + validation_fraction
    if not (0 < train_fraction <= 1 and validation_fraction >= 0 and total <= 1 + 1e-9):
        raise ValueError(
            sentence(
                "split",
                "fractions",
                "train in (0, 1], validation at least 0, together at most 1",
                f"{train_fraction} and {validation_fraction}",
            )
        )
    end_of_training = round(characters * train_fraction)
    return end_of_training, min(characters, round(characters * total))
