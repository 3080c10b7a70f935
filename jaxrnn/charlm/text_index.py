"""A text on disk, as token ids: for one that is larger than memory, or cannot be read again.

Beside a run's config.json stand

    text.tokens       the ids of the parts, one after the other, as little-endian numbers of the
                      smallest unsigned type that holds the vocabulary
    text.documents    int64: where in its part a document starts, part after part
    text.json         the manifest: which text, how many of what, and the checksums of both files

They are written once, the manifest last: without it, or where it does not fit, there is no index.
The text is read once, whatever it comes from. Its characters are counted, hashed and laid aside,
then encoded with the vocabulary that they have made. Training reads windows out of a memory map.
"""

import hashlib
import mmap
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import files, strict_json
from jaxrnn.charlm.corpus import Corpus, Digest, Encoded, Tokens, join, split_places
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.charlm.reading import Piece
from jaxrnn.charlm.run_folder import Run
from jaxrnn.charlm.tokenizers import Tokenizer, tokenizer_from_json

# Characters of a text that is held in memory: about 0.4 GB while it is read and encoded. A longer
# one is indexed.
IN_MEMORY = 2**25
PARTS = ("train", "validation", "rest")

TOKENS, DOCUMENTS, MANIFEST = "text.tokens", "text.documents", "text.json"
_ASIDE = f".text.characters{files.TEMPORARY}"
_LARGEST_MANIFEST = 2**25
_BLOCK = 2**24


class Division(NamedTuple):
    """What an index depends on beside the text.

    Attributes:
        vocab: the tokenizer.
        train_fraction: as of `corpus.split`.
        validation_fraction: as of `corpus.split`.
    """

    vocab: Tokenizer
    train_fraction: float
    validation_fraction: float

    def key(self, sha256: str) -> str:
        """By which the index of a text is known."""
        fractions = [self.train_fraction, self.validation_fraction]
        facts = {"vocabulary": self.vocab.to_json(), "fractions": fractions, "text": sha256}
        return strict_json.checksum(facts)


@dataclass(frozen=True)
class TextIndex:
    """An index, open.

    Attributes:
        sources: of the text.
        sha256: of the text, as `Corpus.sha256` has it.
        characters: of the text.
        parts: ids and documents of the three parts.
        release: tells the system that what was read of the map need not stay in memory.
    """

    sources: tuple[str, ...]
    sha256: str
    characters: int
    parts: tuple[Tokens, Tokens, Tokens]
    release: Callable[[], None]

    def encode(self, vocab: Any, train_fraction: float, validation_fraction: float) -> Encoded:
        """The parts, which were encoded when the index was made, with just these arguments."""
        return Encoded(self.parts[0], self.parts[1], self.release)


def read_or_index(
    pieces: Iterable[Piece],
    sources: Sequence[str],
    folder: Path,
    divide: Callable[[Iterable[str]], Division],
    keep: bool,
) -> tuple[Corpus | TextIndex, Tokenizer]:
    """Reads a text into memory, or where it is too long for that, into an index in a folder.

    Args:
        pieces: of the text; read once.
        sources: where they come from.
        folder: of the run.
        divide: makes the vocabulary of the text's pieces, and says how it is divided.
        keep: whether there is to be an index however short the text is.

    Returns:
        The text and its vocabulary.

    Raises:
        ValueError: what reading the pieces or making the vocabulary raises.
        OSError: the index cannot be written; nothing of it is left.
    """
    aside = _Aside(folder / _ASIDE, 0 if keep else IN_MEMORY)
    try:
        texts = aside.passing(pieces)
        division = divide(texts)
        for _ in texts:  # a vocabulary that does not depend on the text has not read it
            pass
        if aside.file is None:
            return join(aside.held, sources), division.vocab
        _write(folder, aside, division)
    finally:
        aside.close()
    index, _ = open_index(folder, sources, aside.digest.hexdigest(), division)
    return index, division.vocab


class _Aside:
    """The characters of a text while it is read: in memory, and once they are too many in a file.

    Attributes:
        file: or None.
        held: the pieces, while there is no file.
        lengths: bytes of each piece in the file.
        digest: of the text.
        documents: the characters at which they start.
        characters: so far.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.most = path, most
        self.file: BinaryIO | None = None
        self.held: list[Piece] = []
        self.lengths: list[int] = []
        self.digest = Digest()
        self.documents: list[int] = []
        self.characters = 0

    def passing(self, pieces: Iterable[Piece]) -> Iterator[str]:
        """The pieces' texts, as they pass by."""
        for piece in pieces:
            if piece.begins:
                self.documents.append(self.characters)
            self.characters += len(piece.text)
            data = self.digest.update(piece)
            if self.file is None:
                self.held.append(piece)
                if self.characters > self.most:
                    self.path.unlink(missing_ok=True)
                    self.file = open(self.path, "x+b")  # noqa: SIM115
                    if os.name == "posix":  # so that it goes with the process, however that ends
                        self.path.unlink()
                    for held in self.held:
                        self._write(held.text.encode("utf-8", "surrogatepass"))
                    self.held.clear()
            else:
                self._write(data)
            yield piece.text

    def again(self) -> Iterator[str]:
        """The pieces' texts once more, out of the file."""
        assert self.file is not None
        self.file.seek(0)
        for length in self.lengths:
            yield self.file.read(length).decode("utf-8", "surrogatepass")

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        assert self.file is not None
        try:
            self.file.write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path.parent)) from error
        self.lengths.append(len(data))


def _write(folder: Path, aside: _Aside, division: Division) -> None:
    """Encodes what was laid aside, and writes the three files."""
    train, validation = division.train_fraction, division.validation_fraction
    parts = [0, *split_places(aside.characters, train, validation)]
    kind = _kind(len(division.vocab))
    tokens, documents = [0, 0, 0], [[], [], []]  # type: tuple[list[int], list[list[int]]]

    def encoded() -> Iterator[bytes]:
        encoder, part, place = division.vocab.encoder(), 0, 0
        # What is encoded by itself: a part, or a document in it.
        starts = deque(sorted({*aside.documents, *parts} - {aside.characters}))

        def written(ids: NDArray[np.int32]) -> bytes:
            tokens[part] += len(ids)
            return ids.astype(kind).tobytes()

        for text in aside.again():
            done = 0
            while done < len(text):
                if starts and place == starts[0]:
                    yield written(encoder.finish())
                    part = bisect_right(parts, starts.popleft()) - 1
                    documents[part].append(tokens[part])
                step = min(len(text) - done, (starts[0] if starts else aside.characters) - place)
                yield written(encoder.feed(text[done : done + step]))
                done, place = done + step, place + step
        yield written(encoder.finish())

    facts = {
        "key": division.key(aside.digest.hexdigest()),
        "vocabulary": division.vocab.to_json(),
        "fractions": list(division[1:]),
        "characters": aside.characters,
        "tokens_sha256": _write_hashed(folder / TOKENS, encoded()),
        "documents_sha256": _write_hashed(
            folder / DOCUMENTS, (np.array(each, "<i8").tobytes() for each in documents)
        ),
        "tokens": tokens,
        "documents": list(map(len, documents)),
    }
    files.write_atomically(folder / MANIFEST, strict_json.seal(facts))


def index_of(run: Run) -> TextIndex:
    """The index of a run's text.

    Raises:
        BrokenFileError: as `open_index`, or there is none.
    """
    return open_index(run.path, run.sources, run.sha256, _division_of(run))[0]


def index_again(run: Run, pieces: Iterable[Piece]) -> Corpus | TextIndex:
    """Makes the index of a run's text anew, from that text.

    Raises:
        OSError: as `read_or_index`.
    """
    remove_index(run.path)
    divide = lambda _: _division_of(run)  # noqa: E731
    return read_or_index(pieces, run.sources, run.path, divide, keep=True)[0]


def _division_of(run: Run) -> Division:
    return Division(run.vocab, run.settings.train_frac, run.settings.val_frac)


def open_index(
    folder: Path, sources: Sequence[str], sha256: str, division: Division | None = None
) -> tuple[TextIndex, Tokenizer]:
    """Opens the index of a run's text, once all of it is as it was written.

    Args:
        folder: of the run.
        sources: of the text.
        sha256: of the text.
        division: that the index was made with; None: that which it names.

    Returns:
        The index and the vocabulary.

    Raises:
        BrokenFileError: it is not there, damaged, or that of another text, vocabulary or division.
    """
    path = folder / MANIFEST
    try:
        data = files.read_bytes(path, _LARGEST_MANIFEST)
    except FileNotFoundError:
        raise BrokenFileError(f"{path} is not there, the index of the run's text.") from None
    facts = strict_json.unseal(strict_json.parse(data, path), path)
    hints = dict.fromkeys(("key", "tokens_sha256", "documents_sha256"), str)
    lists = {"tokens": list, "documents": list}
    others = {"characters": int, "vocabulary": dict, "fractions": list}
    strict_json.check_fields(facts, hints | others | lists, path)
    try:
        vocab = tokenizer_from_json(facts["vocabulary"], path)
    except ValueError as error:
        raise BrokenFileError(f"{path} has no vocabulary. {error}") from None
    if division is None:
        division = Division(vocab, *facts["fractions"])
    for name in lists:
        numbers = facts[name]
        whole = all(strict_json.fits(number, int) and number >= 0 for number in numbers)
        if len(numbers) != len(PARTS) or not whole:
            raise BrokenFileError(f"{path} has no three counts of {name}.")
    if facts["key"] != division.key(sha256):
        raise BrokenFileError(f"{path} is the index of another text, vocabulary or division.")
    kind = _kind(len(division.vocab))
    tokens = _Map(folder / TOKENS, kind, sum(facts["tokens"]), facts["tokens_sha256"])
    largest = tokens.check(len(division.vocab))
    if largest >= len(division.vocab):
        raise BrokenFileError(f"{tokens.path} has ids outside of the vocabulary.")
    starts = _Map(
        folder / DOCUMENTS, np.dtype("<i8"), sum(facts["documents"]), facts["documents_sha256"]
    )
    starts.check(None)
    ids = _parted(tokens.array, facts["tokens"])
    train, validation, rest = map(Tokens, ids, _parted(starts.array, facts["documents"]))
    parts = (train, validation, rest)
    index = TextIndex(tuple(sources), sha256, facts["characters"], parts, tokens.release)
    return index, vocab


def remove_index(folder: Path) -> None:
    """Removes an index, or what is there of it."""
    for name in (MANIFEST, TOKENS, DOCUMENTS):
        (folder / name).unlink(missing_ok=True)


class _Map:
    """A file of numbers, mapped into memory.

    Attributes:
        path: of the file.
        array: [N].
    """

    def __init__(self, path: Path, kind: np.dtype[Any], count: int, sha256: str) -> None:
        self.path, self._sha256 = path, sha256
        try:
            with open(files.open_regular(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != count * kind.itemsize:
                    rule = f"{count * kind.itemsize:,} bytes"
                    raise BrokenFileError(f"{path} has {size:,} bytes, where it had {rule}.")
                # An empty file cannot be mapped.
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else None
        except FileNotFoundError:
            raise BrokenFileError(f"{path} is not there, which {MANIFEST} names.") from None
        self.array: NDArray[Any] = np.frombuffer(self._map or b"", kind)

    def check(self, size: int | None) -> int:
        """Compares the checksum.

        Args:
            size: of the vocabulary; None: the numbers are no ids.

        Returns:
            The largest id.
        """
        digest, largest = hashlib.sha256(), -1
        for first in range(0, len(self.array), _BLOCK):
            block = self.array[first : first + _BLOCK]
            digest.update(block.data)
            if size is not None:
                largest = max(largest, int(block.max()))
            self.release()
        if digest.hexdigest() != self._sha256:
            raise BrokenFileError(f"{self.path} was altered since it was written.")
        return largest

    def release(self) -> None:
        """Leaves what was read to the system's own cache."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _write_hashed(path: Path, data: Iterable[bytes]) -> str:
    """Writes a file atomically; its SHA-256."""
    digest = hashlib.sha256()

    def passing() -> Iterator[bytes]:
        for part in data:
            digest.update(part)
            yield part

    files.write_atomically(path, passing())
    return digest.hexdigest()


def _parted(array: NDArray[Any], counts: Sequence[int]) -> list[NDArray[Any]]:
    return np.split(array, np.cumsum(counts)[:-1])


def _kind(vocab_size: int) -> np.dtype[Any]:
    return np.dtype("u1" if vocab_size <= 2**8 else "<u2" if vocab_size <= 2**16 else "<u4")
