"""Bytes as token ids: those of a text's UTF-8, so that any text can be read and written.

A lone surrogate, which UTF-8 has no bytes for, has the three that its number would have.
"""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.vocabulary import check_ids, check_pieces, check_text

_ERRORS = "jaxrnn.surrogates_or_replacement"


@dataclass(frozen=True)
class ByteVocab:
    """The 256 bytes; the id of a byte is its value.

    One of the three kinds of `Tokenizer`, which says what its methods do. The file that a text is
    from may have any encoding; what is counted here is the text's UTF-8.

    >>> vocab = ByteVocab()
    >>> vocab.encode("né")
    array([110, 195, 169], dtype=int32)
    >>> vocab.decode([110, 195, 169]), vocab.decode([110, 195])
    ('né', 'n�')
    """

    kind: ClassVar[str] = "bytes"

    @classmethod
    def from_texts(cls, pieces: Iterable[str]) -> "ByteVocab":
        """The vocabulary, which is the same for every text; nothing is read."""
        check_pieces("ByteVocab.from_texts", pieces)
        return cls()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ByteVocab":
        """The vocabulary that `to_json` wrote."""
        return cls()

    def to_json(self) -> dict[str, Any]:
        """An object for `from_json`."""
        return {"kind": self.kind}

    def __len__(self) -> int:
        return 256

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and len(token) == 1 and token.isascii()

    @property
    def labels(self) -> tuple[str, ...]:
        """A character of ASCII, or a number such as \\xc3 for a byte that is only part of one."""
        return _LABELS

    def find(self, text: str) -> NDArray[np.int32]:
        """As `encode`: no text is without bytes."""
        return self.encode(text)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The bytes of a text's UTF-8, int32 [N].

        Raises:
            TypeError: anything but a string.
        """
        check_text("ByteVocab.encode", "text", text)
        return np.frombuffer(_utf8(text), np.uint8).astype(np.int32)

    def encoder(self) -> "_Encoder":
        """For a text that comes in pieces."""
        return _Encoder()

    def lengths(self, text: str) -> NDArray[np.int32]:
        """How many characters of a text end with each of its bytes: one with a character's last.

        >>> ByteVocab().lengths("né")
        array([1, 0, 1], dtype=int32)
        """
        data = np.frombuffer(_utf8(text), np.uint8)
        begins = np.append((data & 0xC0) != 0x80, True)
        return begins[1:].astype(np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of bytes; what is not UTF-8 becomes U+FFFD, the replacement character.

        Raises:
            ValueError: an id outside [0, 256), or more than one axis.
        """
        return _decoded(_bytes(ids))

    def decoder(self) -> "_Decoder":
        """For ids that come in pieces: a character is given once its last byte is there."""
        return _Decoder()


class _Encoder:
    def feed(self, piece: str) -> NDArray[np.int32]:
        return ByteVocab().encode(piece)

    def finish(self) -> NDArray[np.int32]:
        return np.zeros(0, np.int32)


class _Decoder:
    """Holds back up to three bytes, those of a character that is not complete."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, ids: ArrayLike) -> str:
        data = self._held + _bytes(ids)
        end = len(data) - _begun(data)
        self._held = data[end:]
        return _decoded(data[:end])

    def finish(self) -> str:
        held, self._held = self._held, b""
        return _decoded(held)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _bytes(ids: ArrayLike) -> bytes:
    return check_ids("ByteVocab.decode", ids, 256).astype(np.uint8).tobytes()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", _ERRORS)


def _begun(data: bytes) -> int:
    """How many bytes at the end are the beginning of a character that further bytes complete."""
    for size in range(1, min(3, len(data)) + 1):
        first, *rest = data[-size:]
        if first & 0xC0 == 0x80:
            continue
        needed = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
        if not 0xC2 <= first <= 0xF4 or needed <= size:
            return 0
        # The second byte's range rules out what is too long for its character or too large.
        least, most = {0xE0: (0xA0, 0xBF), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(
            first, (0x80, 0xBF)
        )
        return size if not rest or least <= rest[0] <= most else 0
    return 0


def _replace(error: UnicodeError) -> tuple[str, int]:
    """A surrogate's three bytes are the surrogate; anything else is replaced."""
    assert isinstance(error, UnicodeDecodeError)
    three = error.object[error.start : error.start + 3]
    try:
        return three.decode("utf-8", "surrogatepass"), error.start + 3
    except UnicodeDecodeError:
        return "\ufffd", error.end


codecs.register_error(_ERRORS, _replace)

_LABELS = tuple(chr(value) if value < 128 else f"\\x{value:02x}" for value in range(256))
