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

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm.settings import MOST_TOKENS, VOCAB_SIZE
from jaxrnn.charlm.vocabulary import PlainDecoder, check_ids, check_pieces, check_text
from jaxrnn.charlm.words import LONGEST, Cutter, Table, Words, count_words
from jaxrnn.errors import sentence

UNKNOWN = ("<unk>", " <unk>")
# What a run's config.json can hold, whatever the words; as MOST_TOKENS.
MOST_CHARACTERS = 2**21


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
        if isinstance(self.words, str):
            raise TypeError(sentence("WordVocab", "words", "a tuple of words", "a text"))
        object.__setattr__(self, "words", tuple(self.words))
        check_size("WordVocab", len(self))
        for word in self.words:
            check_text("WordVocab", "words", word)
        if sum(map(len, self.words)) > MOST_CHARACTERS:
            rule = f"at most {MOST_CHARACTERS:,} characters in all words together"
            got = f"{sum(map(len, self.words)):,}"
            raise ValueError(sentence("WordVocab", "words", rule, got, "a smaller vocabulary"))
        faults = [word for word in self.words if word in UNKNOWN]
        faults += [word for word, times in Counter(self.words).items() if times > 1]
        faults += _not_cut_so(self.words)
        if faults:
            rule = f"different words of 1 to {LONGEST + 1} characters, each one token of a text"
            raise ValueError(sentence("WordVocab", "words", rule, ascii(faults[0])[:80]))

    @classmethod
    def from_texts(cls, pieces: Iterable[str], vocab_size: int = VOCAB_SIZE) -> "WordVocab":
        """The vocabulary of the most frequent tokens of a text that comes in pieces.

        Args:
            pieces: of the text; where it is cut makes no difference.
            vocab_size: the largest V, the two unknown tokens counted.

        Raises:
            TypeError: pieces that are no strings.
            ValueError: a size below 2 or above 262,144.
        """
        check_pieces("WordVocab.from_texts", pieces)
        check_size("WordVocab.from_texts", vocab_size)
        # Of equally frequent ones the first by code points, so that order in the text says nothing.
        ordered = sorted(count_words(pieces).items(), key=lambda pair: (-pair[1], pair[0]))
        words = (word.decode("utf-8", "surrogatepass") for word, _ in ordered)
        return cls(tuple(islice(words, vocab_size - len(UNKNOWN))))

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
        return token in self._known

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
        encoder = self.encoder()
        return np.concatenate((encoder.feed(text), encoder.finish()))

    def ids_of(self, words: Words) -> NDArray[np.int32]:
        """The ids of a text that is cut into words."""
        numbers = self._table.find(words)
        unknown = (numbers < 0).nonzero()[0]
        first = np.frombuffer(words.data, np.uint8)[words.starts[unknown]]
        spaced = (first == ord(" ")) & (words.sizes[unknown] > 1)
        numbers += len(UNKNOWN)
        numbers[unknown] = spaced
        return numbers

    def encoder(self) -> "_Encoder":
        """For a text that comes in pieces: a word that a piece cuts is held back until it ends."""
        return _Encoder(self)

    def lengths(self, text: str) -> NDArray[np.int32]:
        """How many characters of a text end with each of its tokens: all of the token's.

        >>> WordVocab(()).lengths("the cat")
        array([3, 4], dtype=int32)
        """
        check_text("WordVocab.lengths", "text", text)
        return _lengths(text).astype(np.int32)

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
    def _known(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def _table(self) -> Table:
        return Table([word.encode("utf-8", "surrogatepass") for word in self.words])


class _Encoder:
    def __init__(self, vocab: WordVocab) -> None:
        self._vocab = vocab
        self._cutter = Cutter()

    def feed(self, piece: str) -> NDArray[np.int32]:
        return self._ids(self._cutter.feed(piece))

    def finish(self) -> NDArray[np.int32]:
        return self._ids(self._cutter.finish())

    def _ids(self, cut: Iterable[Words]) -> NDArray[np.int32]:
        return np.concatenate([np.zeros(0, np.int32), *map(self._vocab.ids_of, cut)])


def check_size(function: str, vocab_size: object) -> None:
    """Raises ValueError unless a vocabulary of words can have this size."""
    least = len(UNKNOWN)
    if not isinstance(vocab_size, int) or not least <= vocab_size <= MOST_TOKENS:
        rule = f"a whole number from {least} to {MOST_TOKENS:,}, the {least} unknown tokens counted"
        got = f"{vocab_size:,}" if isinstance(vocab_size, int) else vocab_size
        raise ValueError(sentence(function, "vocab_size", rule, got))


def _lengths(text: str) -> NDArray[np.intp]:
    """Characters of each token of a text."""
    cutter = Cutter()
    parts = [words.characters for words in (*cutter.feed(text), *cutter.finish())]
    return np.concatenate(parts or [np.zeros(0, np.intp)])


def _not_cut_so(words: tuple[str, ...]) -> list[str]:
    """The first word that is not one token of a text, in a list; an empty list if all are."""
    # A comma is one whatever stands beside it.
    expected = np.ones(2 * len(words), np.intp)
    expected[::2] = [len(word) for word in words]
    found = _lengths("".join(f"{word}," for word in words))
    size = min(len(found), len(expected))
    places = (found[:size] != expected[:size]).nonzero()[0]
    return [words[places[0] // 2]] if len(places) else []
