"""Characters as token ids: a vocabulary is the sorted distinct characters of a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence

CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Vocab:
    """Characters and their ids: the id of a character is its place in `characters`.

    One of the three kinds of `Tokenizer`, which says what its methods do.

    Attributes:
        characters: V distinct characters in the order of their code points.

    Raises:
        TypeError: anything but a string.
        ValueError: characters that are out of order or come twice.

    >>> vocab = Vocab.from_text("hello")
    >>> vocab.characters, len(vocab)
    ('ehlo', 4)
    >>> vocab.encode("hole")
    array([1, 3, 2, 0], dtype=int32)
    >>> vocab.decode([1, 3, 2, 0])
    'hole'
    """

    characters: str
    kind: ClassVar[str] = "characters"

    def __post_init__(self) -> None:
        check_text("Vocab", "characters", self.characters)
        if sorted(set(self.characters)) != list(self.characters):
            raise ValueError(
                sentence(
                    "Vocab",
                    "characters",
                    "distinct characters in the order of their code points",
                    f"{self.characters[:20]!r}",
                    "Vocab.from_text(text) makes a vocabulary of any text",
                )
            )

    @classmethod
    def from_text(cls, text: str) -> "Vocab":
        """The vocabulary of all characters in `text`."""
        check_text("Vocab.from_text", "text", text)
        return cls.from_texts([text])

    @classmethod
    def from_texts(cls, pieces: Iterable[str]) -> "Vocab":
        """The vocabulary of all characters in a text that comes in pieces."""
        check_pieces("Vocab.from_texts", pieces)
        seen = np.zeros(CODE_POINTS, np.bool_)
        ascii_seen = b""
        for piece in pieces:
            check_text("Vocab.from_texts", "pieces", piece)
            if piece.isascii():
                # What is left without those seen so far: 1 ns a character instead of 8.
                ascii_seen += bytes(set(piece.encode().translate(None, ascii_seen)))
            else:
                seen[code_points(piece)] = True
        seen[list(ascii_seen)] = True
        return cls(_text(np.flatnonzero(seen)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Vocab":
        """The vocabulary that `to_json` wrote.

        Raises:
            ValueError: it is not one.
        """
        vocab = cls("".join(sorted(values["characters"])))
        if vocab.to_json()["characters"] != values["characters"]:
            cls(values["characters"])  # says what is wrong with their order
            raise ValueError(sentence("Vocab", "characters", "lone surrogates first", "others"))
        return vocab

    def to_json(self) -> dict[str, Any]:
        """An object for `from_json`.

        JSON has an upper and a lower surrogate side by side as one character. The lower ones stand
        before all others, so that they never are; no other order changes.
        """
        lower = [character for character in self.characters if "\udc00" <= character <= "\udfff"]
        others = [character for character in self.characters if character not in set(lower)]
        return {"kind": self.kind, "characters": "".join(lower + others)}

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and character in self.characters

    @property
    def labels(self) -> str:
        """The characters."""
        return self.characters

    def find(self, text: str) -> NDArray[np.int32]:
        """Token ids [N] of N characters; −1 for those outside the vocabulary."""
        check_text("Vocab.find", "text", text)
        if text.isascii():
            ids = np.frombuffer(text.encode().translate(self._ascii_ids), np.int8)
            return ids.astype(np.int32)
        # A table instead of a search: 200 million characters a second instead of 20. That of bytes
        # makes indexing a text 2.7 times as fast as this one does.
        return self._ids.take(code_points(text), mode="clip")

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of a text.

        Args:
            text: N characters, all of them in the vocabulary.

        Returns:
            int32 [N].

        Raises:
            TypeError: anything but a string.
            ValueError: a character outside the vocabulary; the message names the first.
        """
        check_text("Vocab.encode", "text", text)
        return self._encode(text, 0)

    def _encode(self, text: str, before: int) -> NDArray[np.int32]:
        ids = self.find(text)
        if ids.size and ids.min() < 0:
            where = int(np.argmin(ids))
            raise ValueError(
                sentence(
                    "Vocab.encode",
                    "text",
                    f"the {len(self)} characters of the vocabulary only",
                    f"{text[where]!r} (U+{ord(text[where]):04X}) at position {before + where}",
                    f"the vocabulary is {self.characters!r}" if len(self) <= 128 else "",
                )
            )
        return ids

    def encoder(self) -> "_Encoder":
        """For a text that comes in pieces."""
        return _Encoder(self)

    def lengths(self, text: str) -> NDArray[np.int32]:
        """How many characters of a text end with each of its tokens: one."""
        return np.ones(len(text), np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids.

        Args:
            ids: [N] integers in [0, V).

        Returns:
            N characters.

        Raises:
            ValueError: an id outside [0, V), or more than one axis.
        """
        return _text(self._codes[check_ids("Vocab.decode", ids, len(self))])

    def decoder(self) -> "PlainDecoder":
        """For ids that come in pieces."""
        return PlainDecoder(self)

    @cached_property
    def _codes(self) -> NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def _ascii_ids(self) -> bytes:
        """The id of each byte: ASCII comes first in a vocabulary, so that it has ids below 128."""
        ids = np.full(256, -1, np.int8)
        codes = self._codes[self._codes < 128]
        ids[codes] = np.arange(len(codes))
        return ids.tobytes()

    @cached_property
    def _ids(self) -> NDArray[np.int32]:
        """The id of every code point up to the first after the largest, which stands for others."""
        ids = np.full(int(self._codes.max(initial=0)) + 2, -1, np.int32)
        ids[self._codes] = np.arange(len(self), dtype=np.int32)
        return ids


class _Encoder:
    """Of a `Vocab`: a position in an error is that in the whole text."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._before = 0

    def feed(self, piece: str) -> NDArray[np.int32]:
        check_text("Vocab.encode", "text", piece)
        ids = self._vocab._encode(piece, self._before)
        self._before += len(piece)
        return ids

    def finish(self) -> NDArray[np.int32]:
        self._before = 0
        return np.zeros(0, np.int32)


class PlainDecoder:
    """Of tokens that are whole characters or more: each piece is decoded by itself.

    Args:
        vocab: whose `decode` it is.
    """

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab

    def feed(self, ids: ArrayLike) -> str:
        """The text of further ids."""
        return str(self._vocab.decode(ids))

    def finish(self) -> str:
        """Nothing is ever held back."""
        return ""


def check_text(function: str, argument: str, text: object) -> None:
    """Raises TypeError unless it is a string."""
    if not isinstance(text, str):
        hint = ".decode() makes one of bytes" if isinstance(text, bytes) else ""
        raise TypeError(sentence(function, argument, "a string", type(text).__name__, hint))


def check_pieces(function: str, pieces: object) -> None:
    """Raises TypeError for a string where an iterable of strings belongs."""
    if isinstance(pieces, str | bytes) or not isinstance(pieces, Iterable):
        got = "one string" if isinstance(pieces, str) else type(pieces).__name__
        hint = "[text] has one piece" if isinstance(pieces, str) else ""
        raise TypeError(sentence(function, "pieces", "an iterable of strings", got, hint))


def check_ids(function: str, ids: ArrayLike, size: int) -> NDArray[np.integer]:
    """Token ids [N] as an array.

    Raises:
        ValueError: an id outside [0, size), or anything but integers of one axis.
    """
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(sentence(function, "ids", "integers of shape [N]", array))
    if array.size and not 0 <= array.min() <= array.max() < size:
        rule, got = f"ids from 0 to {size - 1}", f"ids from {array.min()} to {array.max()}"
        raise ValueError(sentence(function, "ids", rule, got))
    return array if array.size else array.astype(np.int32)


def code_points(text: str) -> NDArray[np.uint32]:
    """Of each character."""
    # One buffer instead of a Python loop.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _text(codes: NDArray[np.integer]) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
