"""What ids mean, as JSON: a kind, and what that kind needs."""

from collections.abc import Mapping
from typing import Any

from jaxrnn.charlm import strict_json
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.errors import sentence

CHARACTERS = "characters"


def describe_vocabulary(function: str, vocab: Any) -> dict[str, Any]:
    """A vocabulary as JSON has it.

    >>> describe_vocabulary("charlm_to_onnx", Vocab.from_text("hello"))
    {'kind': 'characters', 'characters': 'ehlo'}
    """
    if not isinstance(vocab, Vocab):
        got = type(vocab).__name__
        raise TypeError(sentence(function, "vocab", "a jaxrnn.charlm.Vocab", got))
    return {"kind": CHARACTERS, "characters": vocab.characters}


def read_vocabulary(said: Any, name: str) -> Vocab:
    """The vocabulary that JSON says.

    Raises:
        BrokenFileError: it is none; the sentence names the file.
    """
    kind = said.get("kind") if isinstance(said, Mapping) else None
    if kind != CHARACTERS:
        found = strict_json.shorten(kind)
        raise BrokenFileError(f"{name} has a vocabulary of the kind {found}, where {CHARACTERS!r} "
                              "is known.")  # fmt: skip
    strict_json.check_fields(said, {"kind": str, "characters": str}, name)
    try:
        return Vocab(said["characters"])
    except ValueError as error:
        raise BrokenFileError(f"{name} has no vocabulary. {error}") from None
