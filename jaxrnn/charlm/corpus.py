"""Reads a text and divides it into the part to train on and the part held out."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from jaxrnn.charlm import files
from jaxrnn.errors import sentence

PYTHON_DOCUMENTATION = "pydoc_data.topics"


@dataclass(frozen=True)
class Corpus:
    """A text and where it came from.

    Attributes:
        text: all characters, with line ends as `\\n`.
        source: the path of the file, or `pydoc_data.topics`.
    """

    text: str
    source: str

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the text, by which a resumed run knows its text again."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def read_text(path: str | Path, encoding: str = "utf-8", argument: str = "TEXT") -> Corpus:
    """Reads a text file.

    A byte-order mark is dropped and line ends become `\\n`, as Python's text files have it.

    Args:
        path: the file.
        encoding: a codec's name.
        argument: what the path is called where it was given, for the sentences of errors.

    Returns:
        The corpus.

    Raises:
        ValueError: the file is empty, or is not text in this encoding (the message names the
            byte and its position), or nobody knows the encoding.
        OSError: the file cannot be read; a directory is said to be one.
    """
    path = Path(path)
    if path.is_dir():
        hint = "name one file in it"
        raise IsADirectoryError(
            sentence("read_text", argument, "a text file", f"the directory {path}", hint)
        )
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        got = f"{path}, which does not exist"
        raise FileNotFoundError(
            sentence("read_text", argument, "an existing text file", got)
        ) from None
    return decode(raw, encoding, str(path), argument, str(path.resolve()))


def read_source(source: str, encoding: str) -> Corpus:
    """Reads the text that a run names as its own.

    The run may come from a stranger, so a fifo or a device is not opened, as it is where a person
    names one, and no more is read than there is memory for.

    Args:
        source: of a `Corpus`.
        encoding: a codec's name.

    Raises:
        ValueError: as `read_text`; or what is there is no regular file.
        OSError: as `read_text`.
    """
    if source == PYTHON_DOCUMENTATION:
        return python_documentation()
    status = os.stat(source)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        rule = "a regular file as the text of a run"
        raise ValueError(sentence("read_source", "TEXT", rule, f"{source}, which is none"))
    files.check_memory(Path(source), status.st_size)
    return read_text(source, encoding)


def decode(
    raw: bytes, encoding: str, name: str, argument: str = "TEXT", source: str | None = None
) -> Corpus:
    """Text from bytes, as `read_text` reads it.

    Args:
        raw: the bytes.
        encoding: a codec's name.
        name: what they are from, for the sentences of errors.
        argument: what that is called where it was given.
        source: of the corpus; None: the name.

    Raises:
        ValueError: as `read_text`.
    """
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        got = f"the byte 0x{raw[error.start]:02x} at position {error.start} of {name}"
        hint = "name the file's encoding, for example --encoding latin-1"
        raise ValueError(
            sentence("read_text", argument, f"text in {encoding}", got, hint)
        ) from None
    except LookupError:
        rule, hint = "the name of a codec that Python knows", "utf-8, latin-1 and utf-16 are some"
        raise ValueError(sentence("read_text", "encoding", rule, repr(encoding), hint)) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        got = f"{name}, empty"
        raise ValueError(sentence("read_text", argument, "at least one character", got))
    return Corpus(text, source or name)


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
    return Corpus("\n\n".join(topics[name] for name in sorted(topics)), PYTHON_DOCUMENTATION)


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
    end_of_training = round(len(text) * train_fraction)
    end_of_validation = min(len(text), round(len(text) * total))
    return text[:end_of_training], text[end_of_training:end_of_validation]
