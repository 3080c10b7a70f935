"""Bytes of a file as they were before it was compressed, whatever its name says."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple

from jaxrnn.errors import sentence

CHUNK = 2**15  # of compressed bytes
# Of what they become, which is a thousand times as much in gzip, a million times in bz2.
PLAIN_CHUNK = 2**20
# Of a zstd file, whose four bytes may become 2**17.
_ZSTD_CHUNK = 2**9
_HEAD = 512


class _Format(NamedTuple):
    """A way to compress: its name, how such a file begins, and what decompresses a stream."""

    name: str
    begins: tuple[bytes, ...]
    make: Callable[[], Any]


def _make_zstd() -> Any:
    if sys.version_info >= (3, 14):
        return import_module("compression.zstd").ZstdDecompressor()
    try:
        zstandard = import_module("zstandard")
    except ImportError:
        rule = "the package zstandard, which reads zstd files"
        hint = "pip install 'jaxrnn[zstd]', or zstd -d the file"
        raise ImportError(sentence("read_text", "TEXT", rule, "none installed", hint)) from None
    return _Zstd(zstandard.ZstdDecompressor().decompressobj())


class _Zstd:
    """The package's decompressor, with an end to how much it gives at once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.unconsumed_tail = self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    def decompress(self, data: bytes, most: int) -> bytes:
        parts, size, place = [], 0, 0
        while place < len(data) and size < most and not self.eof:
            parts.append(self._stream.decompress(data[place : place + _ZSTD_CHUNK]))
            size, place = size + len(parts[-1]), place + _ZSTD_CHUNK
        self.unconsumed_tail = b"" if self.eof else data[place:]
        self.unused_data = self._stream.unused_data + data[place:] if self.eof else b""
        return b"".join(parts)


FORMATS = (
    _Format("gzip", (b"\x1f\x8b\x08",), lambda: zlib.decompressobj(wbits=31)),
    # The first block, or the end of a file without any.
    _Format(
        "bz2",
        tuple(
            b"BZh%d" % level + block
            for level in range(1, 10)
            for block in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
        ),
        bz2.BZ2Decompressor,
    ),
    _Format("xz", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    # Or a frame that is to be skipped, in which pzstd keeps sizes.
    _Format(
        "zstd",
        (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),
        _make_zstd,
    ),
)
# What holds several files, and would be read as one strange text.
_ARCHIVES = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
)


def read_chunks(file: BinaryIO, name: str, argument: str) -> Iterator[bytes]:
    """The bytes of a file, decompressed where it begins as a compressed file does.

    Args:
        file: opened for reading; a pipe will do.
        name: for the sentences of errors.
        argument: what it was given as, for the same.

    Raises:
        ValueError: a compressed file that is cut short or damaged, or an archive of several files.
        ImportError: it is zstd, and nothing here reads that.
        OSError: it cannot be read.
    """
    head = _first(file, _HEAD)
    known = next((each for each in FORMATS if head.startswith(each.begins)), None)
    chunks = _rest(file, head, PLAIN_CHUNK if known is None else CHUNK)
    if known is not None:
        chunks = _decompressed(chunks, known, name, argument)
    begun = b""
    for chunk in chunks:
        if len(begun) < _HEAD:
            begun += chunk[:_HEAD]
            for place, magic, kind in _ARCHIVES:
                if begun[place:].startswith(magic):
                    rule = "a text, maybe compressed by gzip, bz2, xz or zstd"
                    hint = "unpack it and name the folder"
                    got = f"{name}, a {kind} archive"
                    raise ValueError(sentence("read_text", argument, rule, got, hint))
        yield chunk


def _first(file: BinaryIO, size: int) -> bytes:
    """The first bytes of a file that may give fewer at a time."""
    head = b""
    while len(head) < size and (more := file.read(size - len(head))):
        head += more
    return head


def _rest(file: BinaryIO, head: bytes, size: int) -> Iterator[bytes]:
    if head:
        yield head
    while chunk := file.read(size):
        yield chunk


def _decompressed(
    chunks: Iterator[bytes], known: _Format, name: str, argument: str
) -> Iterator[bytes]:
    """One stream after the other, as `cat a.gz b.gz` makes them."""
    stream, begun = known.make(), False

    def fault(what: str) -> ValueError:
        rule = f"a whole {known.name} file, as its first bytes say"
        return ValueError(sentence("read_text", argument, rule, f"{name}, which {what}"))

    for chunk in chunks:
        data, more = chunk, False
        while data or more:
            if stream.eof:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    break
                if not data.startswith(tuple(begin[:1] for begin in known.begins)):
                    raise fault("has something else behind it")
                stream, begun = known.make(), False
            try:
                plain = stream.decompress(data, PLAIN_CHUNK)
            except Exception as error:  # each module has an error of its own
                if isinstance(error, MemoryError):
                    raise
                raise fault(f"cannot be decompressed: {error}") from None
            begun = True
            if plain:
                yield plain
            data = stream.unused_data if stream.eof else getattr(stream, "unconsumed_tail", b"")
            more = len(plain) >= PLAIN_CHUNK and not stream.eof  # is held by the stream
    if begun and not stream.eof:
        raise fault("is cut short")
