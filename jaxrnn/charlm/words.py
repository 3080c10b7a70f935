"""Cuts a text into words and finds each among many: of all words at once what a dict does of one.

A word is here what `word_vocabulary` calls a token. Its characters stand in UTF-8 in columns of
eight bytes, numbers of 64 bits, so that two words are equal where their columns are; those of up
to eight bytes, 19 of 20 in English, have one column.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm.vocabulary import check_text, code_points

LONGEST = 64
_BLOCK = 2**18  # characters that are cut at once

_OTHER, _LETTER, _SPACE = range(3)


class Words(NamedTuple):
    """A text, cut into words.

    Attributes:
        data: the text as UTF-8.
        starts: the byte at which each word starts, [N].
        sizes: bytes of each, [N].
        characters: of each, [N].
    """

    data: bytes
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    characters: NDArray[np.intp]

    def texts(self, places: NDArray[np.intp]) -> list[bytes]:
        """The words at these places, as UTF-8."""
        data, starts = self.data, self.starts[places]
        ends = starts + self.sizes[places]
        return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


class Cutter:
    """Cuts a text that comes in pieces; wherever it was cut, the words are those of the whole."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> Iterator[Words]:
        """The words that are certain once this piece is there."""
        check_text("WordVocab", "pieces", piece)
        for first in range(0, len(piece), _BLOCK):
            text = self._held + piece[first : first + _BLOCK]
            words, classes = _cut(text)
            # The last one may go on in what follows: a word, or a space before one.
            size = int(words.characters[-1])
            head = classes[-size]
            open_ended = head != _OTHER and size - (head == _SPACE) < LONGEST
            self._held = text[-size:] if open_ended else ""
            yield Words(words.data, *(each[: len(each) - open_ended] for each in words[1:]))

    def finish(self) -> Iterator[Words]:
        """What was held back. The next piece begins another text."""
        held, self._held = self._held, ""
        if held:
            yield _cut(held)[0]


def _cut(text: str) -> tuple[Words, NDArray[np.uint8]]:
    """The words of a text that is not empty, and the classes of its characters."""
    data = text.encode("utf-8", "surrogatepass")
    codes = None if len(data) == len(text) else code_points(text)
    if codes is None:
        ascii_classes = _classes(128).tobytes() + bytes(128)
        classes = np.frombuffer(data.translate(ascii_classes), np.uint8)
    else:
        classes = _classes(sys.maxunicode + 1).take(codes, mode="clip")
    # A word starts at every character but a letter after a letter or a space; and the text ends.
    begins = np.ones(len(text) + 1, bool)
    np.logical_or(classes[1:] != _LETTER, classes[:-1] == _OTHER, out=begins[1:-1])
    bounds = begins.nonzero()[0]
    characters = np.diff(bounds)
    if characters.max() > LONGEST:
        bounds = _divide_long(bounds, characters, classes)
        characters = np.diff(bounds)
    if codes is None:
        return Words(data, bounds[:-1], characters, characters), classes
    more = (codes > 0x7F).view(np.uint8) + (codes > 0x7FF) + (codes > 0xFFFF)
    places = bounds + np.concatenate(([0], np.cumsum(more, dtype=np.intp)))[bounds]
    return Words(data, places[:-1], np.diff(places), characters), classes


def _divide_long(
    bounds: NDArray[np.intp], characters: NDArray[np.intp], classes: NDArray[np.uint8]
) -> NDArray[np.intp]:
    """Bounds of words, with those within words that are longer than a token may be."""
    more = [bounds]
    for place in (characters > LONGEST).nonzero()[0].tolist():
        start, end = bounds[place : place + 2].tolist()
        more.append(np.arange(start + (classes[start] == _SPACE) + LONGEST, end, LONGEST))
    return np.sort(np.concatenate(more))


@cache
def _classes(count: int) -> NDArray[np.uint8]:
    """Of the first code points."""
    letters = (_LETTER * chr(code).isalnum() for code in range(count))
    classes = np.fromiter(letters, np.uint8, count)
    classes[ord("_")], classes[ord(" ")] = _LETTER, _SPACE
    return classes


class Table:
    """Numbers of words, to be found of all words of a text at once."""

    def __init__(self, words: Sequence[bytes]) -> None:
        """Words, all different; the first one's number is 0."""
        joined = b"".join(words)
        sizes = np.fromiter(map(len, words), np.intp, len(words))
        starts = np.cumsum(sizes) - sizes
        self._parts: dict[int, _Part] = {}
        counts = _counts_of_columns(sizes)
        for count in np.unique(counts).tolist():
            numbers = (counts == count).nonzero()[0]
            columns = _columns(joined, starts[numbers], sizes[numbers], count)
            self._parts[count] = _Part(columns, numbers)

    def find(self, words: Words) -> NDArray[np.int32]:
        """The number of each word, int32 [N], with −1 where it is not in the table."""
        data, starts, sizes, _ = words
        if 1 in self._parts:
            numbers = self._parts[1].find(_columns(data, starts, sizes, 1))
        else:
            numbers = np.full(len(sizes), -1, np.int32)
        long = (sizes > 8).nonzero()[0]
        numbers[long] = -1
        counts = _counts_of_columns(sizes[long])
        for count in self._parts.keys() - {1}:
            places = long[counts == count]
            columns = _columns(data, starts[places], sizes[places], count)
            numbers[places] = self._parts[count].find(columns)
        return numbers


class _Part:
    """The words of a table that have equally many columns.

    They are known by their places among the columns. In the first level a word's slot is a hash of
    its columns; those whose slot another has taken are in the second level, with another hash, and
    so on. A word is found where its columns are those of the word in the slot, so that words of
    one hash are not taken for each other.
    """

    def __init__(self, columns: list[NDArray[np.uint64]], numbers: NDArray[np.intp]) -> None:
        self._columns = columns
        # The last is the number of the place −1.
        self._numbers = np.append(numbers, -1).astype(np.int32)
        self._levels: list[NDArray[np.int32]] = []
        rest = np.arange(len(numbers), dtype=np.int32)
        while len(rest):
            # In the first level at most an eighth of the slots is taken, in others one in 64, so
            # that there are seldom more than three, each of which costs time.
            size = 1 << ((64 if self._levels else 8) * len(rest) - 1).bit_length()
            level = np.full(size, -1, np.int32)
            slots = _slots([column[rest] for column in columns], len(self._levels), size)
            level[slots] = rest
            rest = rest[level[slots] != rest]
            self._levels.append(level)

    def find(self, columns: list[NDArray[np.uint64]]) -> NDArray[np.int32]:
        """The number of each word, −1 where it is not here."""
        places = self._find(columns, 0)
        for depth in range(1, len(self._levels)):
            rest = (places < 0).nonzero()[0]
            places[rest] = self._find([column[rest] for column in columns], depth)
        return self._numbers.take(places, mode="wrap")

    def _find(self, columns: list[NDArray[np.uint64]], depth: int) -> NDArray[np.int32]:
        level = self._levels[depth]
        # "clip" spares a check of bounds, and so half the time.
        places = level.take(_slots(columns, depth, len(level)), mode="clip")
        for known, column in zip(self._columns, columns, strict=True):
            places[known.take(places, mode="clip") != column] = -1
        return places


def _slots(columns: list[NDArray[np.uint64]], depth: int, count: int) -> NDArray[np.int64]:
    """The highest bits of the columns' sum, each times an odd number of its own."""
    factors = _factors(len(columns), depth)
    total: NDArray[np.uint64] = columns[0] * factors[0]
    for column, factor in zip(columns[1:], factors[1:], strict=True):
        total += column * factor
    total >>= np.uint64(65 - count.bit_length())
    return total.view(np.int64)


@cache
def _factors(count: int, depth: int) -> NDArray[np.uint64]:
    return np.random.default_rng(depth).integers(2**63, size=count, dtype=np.uint64) * 2 + 1


def _counts_of_columns(sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    """A power of two for each word, so that there are few different ones."""
    return _COLUMNS[(sizes + 7) // 8]


def _columns(
    data: bytes, starts: NDArray[np.intp], sizes: NDArray[np.intp], count: int
) -> list[NDArray[np.uint64]]:
    """The first columns of words, each [N], with zeros behind a word's end.

    A word of several characters has none in it, so that no two words have the same columns.
    """
    padded = data + bytes(8 * count)
    # Eight bytes from each byte on.
    views = np.ndarray(len(data) + 8 * count - 7, "<u8", padded, strides=(1,))
    columns = []
    for place in range(count):
        column = views[starts + 8 * place] if place else views[starts]
        column &= _MASKS.take(sizes - 8 * place if place else sizes, mode="clip")
        columns.append(column)
    return columns


_COLUMNS = np.array([1 << max(0, count - 1).bit_length() for count in range(LONGEST)])
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


def count_words(pieces: Iterable[str]) -> Counter[bytes]:
    """How often each word stands in a text that comes in pieces."""
    cutter, counts = Cutter(), _Counts()
    for piece in _joined(pieces):
        for words in cutter.feed(piece):
            counts.add(words)
    for words in cutter.finish():
        counts.add(words)
    return counts.total()


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """The text in pieces that are not small: each costs time, and the more, the more is known."""
    held, size = list[str](), 0
    for piece in pieces:
        check_text("WordVocab", "pieces", piece)
        held.append(piece)
        size += len(piece)
        if size >= _BLOCK:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


class _Counts:
    """Counts of words: those known by number, and others in a dict, until they are many."""

    def __init__(self) -> None:
        self._others = Counter[bytes]()
        self._known: list[bytes] = []
        self._times = np.zeros(0, np.int64)
        self._table = Table([])

    def add(self, words: Words) -> None:
        numbers = self._table.find(words)
        self._times += np.bincount(numbers + 1, minlength=len(self._known) + 1)[1:]
        self._others.update(words.texts((numbers < 0).nonzero()[0]))
        if len(self._others) > len(self._known):
            total = self.total()
            self._known = list(total)
            self._times = np.fromiter(total.values(), np.int64, len(total))
            self._table = Table(self._known)
            self._others.clear()

    def total(self) -> Counter[bytes]:
        """Of every word."""
        known = dict(zip(self._known, self._times.tolist(), strict=True))
        return Counter(known | self._others)  # a word is in one of them
