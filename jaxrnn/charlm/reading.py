"""A text from files, piece by piece: decompressed, decoded, line ends as they are wanted."""

import codecs
import io
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple, Protocol

from jaxrnn.charlm.decompression import read_chunks
from jaxrnn.charlm.settings import NEWLINES
from jaxrnn.charlm.sources import STANDARD_INPUT, Source, find_files, in_words
from jaxrnn.errors import sentence


class Piece(NamedTuple):
    """Some characters of a text, and whether a document, which is a file, begins with them."""

    text: str
    begins: bool


class _Decoder(Protocol):
    def decode(self, data: bytes, final: bool = False) -> str: ...

    def getstate(self) -> tuple[bytes, int]: ...


class Reader:
    """A text that is read as it is iterated over, in `Piece`s.

    A byte-order mark at the start of a file is dropped. Files follow each other with nothing in
    between; an empty one that was not named itself is passed over.

    Args:
        texts: as of `find_files`.
        encoding: a codec's name.
        newlines: `unify`: the line ends `\\r\\n` and `\\r` become `\\n`; `keep`: they stay.
        include: as of `find_files`.
        argument: what the texts were given as, for the sentences of errors.
        own: as of `find_files`.

    Attributes:
        files: those with anything in them that were read so far.
        line_ends: those met other than `\\n`, where they are unified.

    Raises:
        ValueError: a file is not text in this encoding (the message names it, the byte and its
            position), was named and is empty, is cut short or damaged, or there is nothing in any
            of them; there is no such encoding; or as `find_files`.
        OSError: a file cannot be read; or as `find_files`.
    """

    def __init__(
        self,
        texts: Sequence[str],
        encoding: str = "utf-8",
        newlines: str = "unify",
        include: Sequence[str] = (),
        argument: str = "TEXT",
        own: bool = False,
    ) -> None:
        if newlines not in NEWLINES:
            rule = f"one of {', '.join(NEWLINES)}"
            raise ValueError(sentence("read_text", "newlines", rule, repr(newlines)))
        self.texts = texts
        self.files = 0
        self.line_ends: set[str] = set()
        self._encoding, self._unify, self._argument = encoding, newlines == "unify", argument
        self._files = partial(find_files, texts, include, argument, own)

    def __iter__(self) -> Iterator[Piece]:
        self._check_encoding()
        characters = 0
        for source in self._files():
            begins = True
            for text in self._read(source):
                self.files += begins
                yield Piece(text, begins)
                characters += len(text)
                begins = False
            if begins and source.named:
                raise self._empty(source.path)
        if not characters:
            raise self._empty(in_words(self.texts))

    def _read(self, source: Source) -> Iterator[str]:
        if source.path == STANDARD_INPUT:
            yield from self._decoded(sys.stdin.buffer, "standard input")
        else:
            with open(source.path, "rb") as file:
                yield from self._decoded(file, source.path)

    def _decoded(self, file: BinaryIO, name: str) -> Iterator[str]:
        decoder: _Decoder = codecs.getincrementaldecoder(self._encoding)()
        ends = io.IncrementalNewlineDecoder(None, translate=True) if self._unify else None
        before, first = 0, True
        for chunk, last in _with_last(read_chunks(file, name, self._argument)):
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, last)
            except UnicodeError as error:
                raise self._undecodable(error, before - held, name) from None
            before += len(chunk)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
            if ends is not None:
                text = ends.decode(text, last)
            if text:
                yield text
        if ends is not None and ends.newlines is not None:
            met = ends.newlines
            self.line_ends |= set((met,) if isinstance(met, str) else met) - {"\n"}

    def _check_encoding(self) -> None:
        try:
            b" ".decode(self._encoding)
            codecs.getincrementaldecoder(self._encoding)
        except UnicodeError:
            return
        except (LookupError, ValueError):
            rule = "the name of a codec that Python knows"
            hint = "utf-8, latin-1 and utf-16 are some"
            raise ValueError(
                sentence("read_text", "encoding", rule, repr(self._encoding), hint)
            ) from None

    def _undecodable(self, error: UnicodeError, offset: int, name: str) -> ValueError:
        got, likely = f"{name}, which is none ({error})", "latin-1"
        if isinstance(error, UnicodeDecodeError):
            position = offset + error.start
            got = f"the byte 0x{error.object[error.start]:02x} at position {position} of {name}"
            if position == 0 and error.object.startswith(
                (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            ):
                likely = "utf-16, as its first two bytes say"
        hint = f"name the file's encoding, for example --encoding {likely}"
        if self._argument.startswith("-"):
            hint = ""  # it is no file, and there is no such option beside it
        elif list(self.texts) not in ([name], [STANDARD_INPUT]):
            hint = "all files have one encoding; --include '*.txt' chooses those of a folder"
        rule = f"text in {self._encoding}"
        return ValueError(sentence("read_text", self._argument, rule, got, hint))

    def _empty(self, name: str) -> ValueError:
        got = f"{'standard input' if name == STANDARD_INPUT else name}, empty"
        return ValueError(sentence("read_text", self._argument, "at least one character", got))


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk, and whether it is the last; a file without bytes has an empty one."""
    held = next(chunks, b"")
    for chunk in chunks:
        yield held, False
        held = chunk
    yield held, True
