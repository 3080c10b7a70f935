"""A text as its model reads it: token by token, each with what a person sees of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import Tokenizer
from jaxrnn.charlm.settings import TOKENS


@dataclass(frozen=True)
class Tokens:
    """A text, or a part of one, in tokens.

    Attributes:
        text: C characters.
        kind: of the tokens: characters, bytes or words.
        ids: [N]; −1 for a character that the model does not know.
        labels: N strings, a token each: of characters, the text itself.
        lengths: [N], how many characters end with each token.
    """

    text: str
    kind: str
    ids: NDArray[np.int32]
    labels: Sequence[str]
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        """What one token is called."""
        return TOKENS[self.kind]

    @property
    def names(self) -> str:
        """What several are called."""
        return f"{self.name}s"

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """[N], how many characters of the text are complete after each token."""
        return np.cumsum(self.lengths, dtype=np.int64)

    @cached_property
    def characters(self) -> NDArray[np.int64]:
        """[N], the place of the last character that each token is, or is a part of."""
        return self.ends - (self.lengths > 0)

    def first_text(self, start: int) -> str:
        """The text of a token, or the character that it is a part of."""
        last = int(self.characters[start]) + 1
        return self.text[min(int(self.ends[start] - self.lengths[start]), last - 1) : last]

    def part(self, start: int, end: int) -> "Tokens":
        """Tokens `start` to `end`, which is not one of them.

        Its text has a character that the beginning cuts, and has none that the end cuts.
        """
        before, last = (int(self.ends[at - 1]) if at else 0 for at in (start, end))
        return Tokens(
            self.text[before:last],
            self.kind,
            self.ids[start:end],
            self.labels[start:end],
            self.lengths[start:end],
        )


def tokens_of(tokenizer: Tokenizer, text: str) -> Tokens:
    """A text in tokens, of which some may be unknown characters."""
    ids, kind = tokenizer.find(text), tokenizer.kind
    labels: Sequence[str] = text
    if kind != "characters":
        labels = [tokenizer.labels[index] for index in ids.tolist()]
    return Tokens(text, kind, ids, labels, tokenizer.lengths(text))
