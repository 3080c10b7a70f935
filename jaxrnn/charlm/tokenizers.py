"""Texts as token ids, and back: characters, bytes or words.

A model knows ids only; a tokenizer says what they stand for. There are three kinds, each a class
with the methods of `Tokenizer`:

    characters    `Vocab`: the characters of the training text
    bytes         `ByteVocab`: the 256 bytes of UTF-8; any text can be read
    words         `WordVocab`: the most frequent words, with an unknown token for the others
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.charlm import strict_json
from jaxrnn.charlm.byte_vocabulary import ByteVocab
from jaxrnn.charlm.settings import VOCAB_SIZE
from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.charlm.word_vocabulary import WordVocab
from jaxrnn.errors import sentence


class Encoder(Protocol):
    """Encodes a text that comes in pieces.

    All that `feed` returned, and last what `finish` returns, are the ids of the whole text,
    wherever it was cut. What it holds back of a piece is at most a word.
    """

    def feed(self, piece: str) -> NDArray[np.int32]:
        """The ids [n] that are certain once this piece is there.

        Raises:
            ValueError: as `Tokenizer.encode`; the position is that in the whole text.
        """

    def finish(self) -> NDArray[np.int32]:
        """The ids [n] of what was held back. The next piece begins another text."""


class Decoder(Protocol):
    """Decodes ids that come in pieces; no piece of text ends within a character.

    All that `feed` returned, and last what `finish` returns, are what `decode` makes of all ids.
    """

    def feed(self, ids: ArrayLike) -> str:
        """The text that is certain once these ids [n] are there."""

    def finish(self) -> str:
        """The text of what was held back, which is no whole character. Then it begins anew."""


class Tokenizer(Protocol):
    """Text as token ids in [0, V), and back.

    `decode(encode(text)) == text` for every text without unknown characters or words. A text that
    is divided, into a part to train on and one to validate on or into documents, is divided in
    characters, and each part is encoded by itself (`Encoder.finish` where a part ends).
    """

    @property
    def kind(self) -> str:
        """A key of `KINDS`."""

    @property
    def labels(self) -> Sequence[str]:
        """V strings, what a person sees of each token; no two are equal."""

    def __len__(self) -> int:
        """V."""

    def __contains__(self, token: object) -> bool:
        """Whether this text is one of the tokens."""

    def encode(self, text: str) -> NDArray[np.int32]:
        """Token ids of a text, int32 [N].

        Raises:
            TypeError: anything but a string.
            ValueError: there is no token for it; the message names the first character.
        """

    def find(self, text: str) -> NDArray[np.int32]:
        """As `encode`, with −1 where there is no token for a character."""

    def encoder(self) -> Encoder:
        """Encodes a text that comes in pieces."""

    def lengths(self, text: str) -> NDArray[np.int32]:
        """How many characters of a text end with each of its tokens, [N]; together all of them."""

    def decode(self, ids: ArrayLike) -> str:
        """The text of token ids [N].

        Raises:
            ValueError: an id outside [0, V), or more than one axis.
        """

    def decoder(self) -> Decoder:
        """Decodes ids that come in pieces."""

    def to_json(self) -> dict[str, Any]:
        """An object that `tokenizer_from_json` makes it of again."""


class Kind(NamedTuple):
    """A kind of tokens.

    Attributes:
        from_texts: makes the tokenizer of an iterable of pieces of a text; that of words also
            takes `vocab_size`.
        from_json: makes it of what `to_json` returned.
        fields: of that object, by name, with their types.
    """

    from_texts: Callable[..., Tokenizer]
    from_json: Callable[[dict[str, Any]], Tokenizer]
    fields: Mapping[str, type]


KINDS = {
    Vocab.kind: Kind(Vocab.from_texts, Vocab.from_json, {"characters": str}),
    ByteVocab.kind: Kind(ByteVocab.from_texts, ByteVocab.from_json, {}),
    WordVocab.kind: Kind(WordVocab.from_texts, WordVocab.from_json, {"words": list}),
}


def make_tokenizer(kind: str, pieces: Iterable[str], vocab_size: int | None = None) -> Tokenizer:
    """The tokenizer of a text.

    Args:
        kind: characters, bytes or words.
        pieces: of the text, which is read once; where it is cut makes no difference.
        vocab_size: the most words, the two unknown tokens counted; None: 5,000. Characters and
            bytes have no such choice.

    Raises:
        TypeError: pieces that are not strings.
        ValueError: another kind, or a size that is out of range or beside characters or bytes.

    >>> make_tokenizer("words", ["one two, one t", "wo three"], vocab_size=5).labels
    ('<unk>', ' <unk>', ' two', ' one', ' three')
    """
    if kind not in KINDS:
        rule = f"one of {', '.join(KINDS)}"
        raise ValueError(sentence("make_tokenizer", "kind", rule, repr(kind)))
    if kind == WordVocab.kind:
        return WordVocab.from_texts(pieces, VOCAB_SIZE if vocab_size is None else vocab_size)
    if vocab_size is not None:
        rule = f"none beside {kind}, which the text decides"
        raise ValueError(sentence("make_tokenizer", "vocab_size", rule, vocab_size))
    return KINDS[kind].from_texts(pieces)


def unknown_characters(tokenizer: Tokenizer, text: str) -> list[str]:
    """The different characters of a text for which there is no token, in order."""
    return sorted({text[place] for place in np.flatnonzero(tokenizer.find(text) < 0)})


def tokenizer_from_json(values: Any, name: object) -> Tokenizer:
    """The tokenizer that a run's config.json has.

    Args:
        values: what `to_json` returned, from a stranger.
        name: of the file, for messages.

    Raises:
        ValueError: it is no such object.

    >>> tokenizer_from_json(Vocab("abc").to_json(), "config.json") == Vocab("abc")
    True
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        rule = f"a kind of tokens, one of {', '.join(KINDS)}"
        got = strict_json.shorten(kind)
        raise ValueError(sentence("open_run", "vocabulary", rule, got))
    known = KINDS[kind]
    strict_json.check_fields(values, {"kind": str, **known.fields}, name)
    try:
        return known.from_json(values)
    except TypeError as error:
        raise ValueError(str(error)) from None
