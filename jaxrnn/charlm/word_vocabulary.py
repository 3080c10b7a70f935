"""Words as token ids: the most frequent ones of a text, each with the space before it.

A token is one of

    a word: up to 64 letters, digits or underscores, together with the single space before it, if
        there is one; a longer word is several tokens
    any other character by itself: punctuation, a new line, a space that no word follows

so that the tokens of a text, one after the other, are the text, and a token depends on no more
than the 66 characters from its first on. "The cat, " is `The`, ` cat`, `,` and ` `. What is not
among the words kept is the unknown token, of which there are two, so that spaces stand even then:
`<unk>`, and ` <unk>` for a word with its space.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.settings import MOST_TOKENS, VOCAB_SIZE
from jaxrnn.charlm.vocabulary import PlainDecoder, check_ids, check_pieces, check_text
from jaxrnn.errors import sentence

UNKNOWN = ("<unk>", " <unk>")
# What a run's config.json can hold, whatever the words; as MOST_TOKENS.
MOST_CHARACTERS = 2**21
LONGEST = 64

_TOKEN = re.compile(rf" ?\w{{1,{LONGEST}}}|.", re.DOTALL)
_UNFINISHED = re.compile(rf" ?\w{{0,{LONGEST - 1}}}")


@dataclass(frozen=True)
class WordVocab:
    """Words and their ids: two unknown tokens, then the words in order.

    One of the three kinds of `Tokenizer`, which says what its methods do.

    Attributes:
        words: V − 2 different tokens, the most frequent first.

    Raises:
        TypeError: anything but strings.
        ValueError: a word that comes twice, is empty or too long, or too many of them.

    >>> vocab = WordVocab.from_texts(["the cat sat on ", "the mat: the end"], vocab_size=5)
    >>> vocab.words
    (' the', ' cat', ' end')
    >>> vocab.encode("on the cat")
    array([0, 2, 3], dtype=int32)
    >>> vocab.decode([0, 2, 3])
    '<unk> the cat'
    """

    words: tuple[str, ...]
    kind: ClassVar[str] = "words"

    def __post_init__(self) -> None:
        check_size("WordVocab", len(self))
        for word in self.words:
            check_text("WordVocab", "words", word)
        faults = [word for word in self.words if not 0 < len(word) <= LONGEST + 1]
        faults += [word for word in self.words if word in UNKNOWN or _has_hidden_surrogate(word)]
        faults += [word for word, times in Counter(self.words).items() if times > 1]
        if faults:
            rule = f"different words of 1 to {LONGEST + 1} characters"
            raise ValueError(sentence("WordVocab", "words", rule, ascii(faults[0])[:80]))
        if sum(map(len, self.words)) > MOST_CHARACTERS:
            rule = f"at most {MOST_CHARACTERS:,} characters in all words together"
            got = f"{sum(map(len, self.words)):,}"
            raise ValueError(sentence("WordVocab", "words", rule, got, "a smaller vocabulary"))

    @classmethod
    def from_texts(cls, pieces: Iterable[str], vocab_size: int = VOCAB_SIZE) -> "WordVocab":
        """The vocabulary of the most frequent tokens of a text that comes in pieces.

        Args:
            pieces: of the text; where it is cut makes no difference.
            vocab_size: the largest V, the two unknown tokens counted.

        Raises:
            TypeError: pieces that are no strings.
            ValueError: a size below 3 or above 262,144.
        """
        check_pieces("WordVocab.from_texts", pieces)
        check_size("WordVocab.from_texts", vocab_size)
        cutter, counts = _Cutter(), Counter[str]()
        for piece in pieces:
            counts.update(cutter.feed(piece))
        counts.update(cutter.finish())
        # Of equally frequent ones the first by code points, so that order in the text says nothing.
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return cls(tuple(word for word, _ in ordered[: vocab_size - len(UNKNOWN)]))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "WordVocab":
        """The vocabulary that `to_json` wrote.

        Raises:
            TypeError, ValueError: it is not one.
        """
        return cls(tuple(values["words"]))

    def to_json(self) -> dict[str, Any]:
        """An object for `from_json`."""
        return {"kind": self.kind, "words": list(self.words)}

    def __len__(self) -> int:
        return len(UNKNOWN) + len(self.words)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The text of every token."""
        return (*UNKNOWN, *self.words)

    def find(self, text: str) -> NDArray[np.int32]:
        """As `encode`: every text has a token, if only the unknown one."""
        return self.encode(text)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of a text, int32 [N].

        Raises:
            TypeError: anything but a string.
        """
        check_text("WordVocab.encode", "text", text)
        return self.ids_of(_TOKEN.findall(text))

    def ids_of(self, tokens: list[str]) -> NDArray[np.int32]:
        """The ids of tokens as a text is cut into them."""
        return np.fromiter(map(self._ids.__getitem__, tokens), np.int32, len(tokens))

    def encoder(self) -> "_Encoder":
        """For a text that comes in pieces: a word that a piece cuts is held back until it ends."""
        return _Encoder(self)

    def lengths(self, text: str) -> NDArray[np.int32]:
        """How many characters of a text end with each of its tokens: all of the token's.

        >>> WordVocab(()).lengths("the cat")
        array([3, 4], dtype=int32)
        """
        check_text("WordVocab.lengths", "text", text)
        tokens = _TOKEN.findall(text)
        return np.fromiter(map(len, tokens), np.int32, len(tokens))

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids; `<unk>` where one is unknown.

        Raises:
            ValueError: an id outside [0, V), or more than one axis.
        """
        labels = self.labels
        array = check_ids("WordVocab.decode", ids, len(self))
        return "".join([labels[index] for index in array.tolist()])

    def decoder(self) -> PlainDecoder:
        """For ids that come in pieces."""
        return PlainDecoder(self)

    @cached_property
    def _ids(self) -> "_Ids":
        return _Ids((word, index) for index, word in enumerate(self.words, len(UNKNOWN)))


class _Ids(dict[str, int]):
    """Ids by token; what is missing is unknown, with a space or without."""

    def __missing__(self, token: str) -> int:
        return int(token[0] == " " and len(token) > 1)


class _Cutter:
    """Cuts a text that comes in pieces into its tokens."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> list[str]:
        check_text("WordVocab", "pieces", piece)
        tokens: list[str] = _TOKEN.findall(self._held + piece)
        # The last one goes on in the next piece, if it is a word, or a space and a word follows.
        self._held = tokens.pop() if tokens and _UNFINISHED.fullmatch(tokens[-1]) else ""
        return tokens

    def finish(self) -> list[str]:
        held, self._held = self._held, ""
        return [held] if held else []


class _Encoder:
    def __init__(self, vocab: WordVocab) -> None:
        self._vocab = vocab
        self._cutter = _Cutter()

    def feed(self, piece: str) -> NDArray[np.int32]:
        return self._vocab.ids_of(self._cutter.feed(piece))

    def finish(self) -> NDArray[np.int32]:
        return self._vocab.ids_of(self._cutter.finish())


def check_size(function: str, vocab_size: object) -> None:
    """Raises ValueError unless a vocabulary of words can have this size."""
    least = len(UNKNOWN)
    if not isinstance(vocab_size, int) or not least <= vocab_size <= MOST_TOKENS:
        rule = f"a whole number from {least} to {MOST_TOKENS:,}, the {least} unknown tokens counted"
        got = f"{vocab_size:,}" if isinstance(vocab_size, int) else vocab_size
        raise ValueError(sentence(function, "vocab_size", rule, got))


def _has_hidden_surrogate(word: str) -> bool:
    """Whether JSON might take two of its characters for one."""
    return len(word) > 1 and any("\ud800" <= character <= "\udfff" for character in word)
