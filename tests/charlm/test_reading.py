"""Which files make a text, in which order, and how their bytes become characters."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import decompression, reading
from jaxrnn.charlm.sources import find_files

TEXT = "Ein Käfer,\nzwei Käfer, 三 Käfer, 🪲\n" * 300


def zstd(data):
    return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)


COMPRESS = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zstd": zstd}


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("chunk", [5, 2**15])
def test_compressed_by_content_whatever_the_name(tmp_path, monkeypatch, name, chunk):
    monkeypatch.setattr(decompression, "CHUNK", chunk)
    data = COMPRESS[name](TEXT.encode())
    (tmp_path / "text.txt").write_bytes(data)
    assert charlm.read_text(tmp_path / "text.txt").text == TEXT
    # One after the other, as `cat` makes them.
    (tmp_path / "two").write_bytes(data + COMPRESS[name](b"more"))
    assert charlm.read_text(tmp_path / "two").text == TEXT + "more"


def test_a_name_makes_no_archive(tmp_path):
    (tmp_path / "text.gz").write_text("plain")
    assert charlm.read_text(tmp_path / "text.gz").text == "plain"


@pytest.mark.parametrize("name", COMPRESS)
def test_archives_cut_short_or_damaged_are_said_to_be(tmp_path, name):
    path = tmp_path / "text"
    generator = np.random.default_rng(0)
    data = COMPRESS[name](generator.integers(32, 127, 3000, np.uint8).tobytes())
    half = len(data) // 2
    altered = (
        data[:half] + bytes(byte ^ 0xFF for byte in data[half : half + 40]) + data[half + 40 :]
    )
    for bad, said in (
        (data[:-3], "is cut short"),
        (data[:half], "is cut short"),
        (altered, "cannot be decompressed|is cut short|has something else behind it"),
        (data + b"abc", "has something else behind it"),
    ):
        path.write_bytes(bad)
        with pytest.raises(
            ValueError, match=f"expected a whole {name} file, .*text, which ({said})"
        ):
            charlm.read_text(path)


@pytest.mark.parametrize("name", COMPRESS)
def test_what_becomes_much_comes_in_parts(tmp_path, name):
    size = 40 * decompression.PLAIN_CHUNK + 7
    (tmp_path / "text").write_bytes(COMPRESS[name](b"a" * size) + COMPRESS[name](b"b"))
    with open(tmp_path / "text", "rb") as file:
        parts = list(decompression.read_chunks(file, "text", "TEXT"))
    assert b"".join(parts) == b"a" * size + b"b"
    # The package zstandard gives all that 512 bytes become.
    most = 2**17 * decompression._ZSTD_CHUNK // 4 if name == "zstd" else 0
    assert max(map(len, parts)) <= decompression.PLAIN_CHUNK + most


def test_frames_of_zstd_that_are_to_be_skipped(tmp_path):
    skipped = b"\x52\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    data = COMPRESS["zstd"](TEXT.encode())
    for content in (skipped + data, data + skipped, data + skipped + skipped + data):
        (tmp_path / "text").write_bytes(content)
        assert charlm.read_text(tmp_path / "text").text == TEXT * content.count(data)


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"PK\x03\x04", "zip"), (b"x" * 257 + b"ustar", "tar"), (b"Rar!\x1a\x07", "rar")],
)
def test_archives_of_many_files_are_named(tmp_path, head, kind):
    for data in (head + b"\n" * 1000, gzip.compress(head + b"\n" * 1000)):
        (tmp_path / "text").write_bytes(data)
        with pytest.raises(ValueError, match=f"got .*text, a {kind} archive. Hint: unpack it"):
            charlm.read_text(tmp_path / "text", "latin-1")


def test_without_a_reader_of_zstd_a_sentence(tmp_path):
    (tmp_path / "text").write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    code = (
        "import sys; sys.modules['zstandard'] = None; sys.modules['compression.zstd'] = None\n"
        f"from jaxrnn import charlm; charlm.read_text({str(tmp_path / 'text')!r})"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: read_text: TEXT: expected " in ended.stderr.splitlines()[-1]
    assert "pip install 'jaxrnn[zstd]'" in ended.stderr or sys.version_info >= (3, 14)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16", "utf-8-sig", "gb18030", "utf-7", "utf-32-le"]
)
def test_where_chunks_end_makes_no_difference(tmp_path, monkeypatch, encoding):
    text = TEXT[:200].replace("\n", "\r\n") + "\r\rend\r"
    (tmp_path / "text").write_bytes(text.encode(encoding))
    for size in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(decompression, "_HEAD", size)
        monkeypatch.setattr(decompression, "PLAIN_CHUNK", size)
        for newlines, expected in (
            ("keep", text),
            ("unify", text.replace("\r\n", "\n").replace("\r", "\n")),
        ):
            reader = reading.Reader([str(tmp_path / "text")], encoding, newlines)
            assert "".join(piece.text for piece in reader) == expected
            assert reader.line_ends == ({"\r", "\r\n"} if newlines == "unify" else set())


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("data", "encoding", "byte", "position"),
    [
        (b"abc\xc3\xa9\xff", "utf-8", "ff", 5),
        (b"abc\xe2\x82", "utf-8", "e2", 3),
        (b"abc\xe2\x82x", "utf-8", "e2", 3),
        ("abc".encode("utf-16-le") + b"\x00\xdc", "utf-16-le", "00", 6),
        (b"abc\x81", "shift_jis", "81", 3),
    ],
)
def test_the_byte_and_the_file_that_are_no_text(
    tmp_path, monkeypatch, size, data, encoding, byte, position
):
    monkeypatch.setattr(decompression, "_HEAD", size)
    monkeypatch.setattr(decompression, "PLAIN_CHUNK", size)
    (tmp_path / "a").write_bytes("abc".encode(encoding))
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(
        ValueError, match=f"the byte 0x{byte} at position {position} of .*/b\\. Hint"
    ):
        charlm.read_text(tmp_path, encoding)


@pytest.mark.parametrize(
    ("data", "argument", "hint"),
    [
        (b"caf\xe9", "TEXT", "for example --encoding latin-1"),
        (b"\xff\xfea\x00", "TEXT", "for example --encoding utf-16, as its first two bytes say"),
        (b"\xfe\xff\x00a", "TEXT", "for example --encoding utf-16, as its first two bytes say"),
        (b"a\xff\xfe", "TEXT", "for example --encoding latin-1"),
        (b"caf\xe9", "--prime", ""),
    ],
)
def test_what_to_try_with_bytes_that_are_no_text(tmp_path, data, argument, hint):
    (tmp_path / "text").write_bytes(data)
    with pytest.raises(ValueError, match="the byte 0x") as caught:
        list(reading.Reader([str(tmp_path / "text")], argument=argument))
    assert str(caught.value).partition(" Hint: ")[2].endswith(hint)
    assert bool(hint) == ("Hint" in str(caught.value))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a/z.py", "a/y.txt", "a.txt", "c/d/e.py", ".git/x.py", "c/.hidden.py"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (tmp_path / "texts" / "empty.txt").touch()
    (tmp_path / "texts" / "c" / "loop").symlink_to("..")
    (tmp_path / "texts" / "link.py").symlink_to("a/z.py")
    os.mkfifo(tmp_path / "texts" / "fifo.py")
    return tmp_path / "texts"


def names(folder, *texts, include=()):
    found = find_files(texts or [str(folder)], include)
    return [os.path.relpath(source.path, folder) for source in found]


def test_folders_are_walked_in_the_order_of_names(folder):
    everything = ["a/y.txt", "a/z.py", "a.txt", "b.txt", "c/d/e.py", "empty.txt"]
    assert names(folder) == everything  # what the link leads to has been read already
    assert names(folder, include=["*.py"]) == ["a/z.py", "c/d/e.py"]
    assert names(folder, include=["a/*", "e*.py"]) == ["a/y.txt", "a/z.py", "c/d/e.py"]
    assert names(folder, include=[".h*"]) == ["c/.hidden.py"]


def test_patterns_and_files_come_in_their_order_each_once(folder):
    at = lambda name: str(folder / name)  # noqa: E731
    assert names(folder, at("c"), at("*.txt"), at("a")) == [
        "c/d/e.py", "a.txt", "b.txt", "empty.txt", "a/y.txt", "a/z.py",
    ]  # fmt: skip
    assert names(folder, at("b.txt"), at("**/*.py"), at("b*")) == ["b.txt", "a/z.py", "c/d/e.py"]


def test_a_file_that_is_named_twice_is_no_text_of_two(folder):
    at = lambda name: str(folder / name)  # noqa: E731
    with pytest.raises(ValueError, match=r"TEXT: expected different texts, got .*b\.txt twice\."):
        names(folder, at("b.txt"), at("a.txt"), at("b.txt"))
    with pytest.raises(ValueError, match=r"link\.py and .*z\.py, which are one file"):
        names(folder, at("link.py"), at("a/z.py"))
    with pytest.raises(ValueError, match="standard input twice"):
        names(folder, "-", "-")


def test_patterns_with_folders_in_them(folder):
    at = lambda name: str(folder / name)  # noqa: E731
    assert names(folder, at("*/y.txt")) == ["a/y.txt"]
    assert names(folder, at("**/d/*")) == ["c/d/e.py"]
    assert names(folder, at("**/.h*.py")) == ["c/.hidden.py"]
    assert names(folder, at("?.txt")) == ["a.txt", "b.txt"]
    assert names(folder, at("**/.git/*")) == [".git/x.py"]
    (folder / "self").symlink_to("self")
    (folder / "nowhere").symlink_to("gone")
    assert len(names(folder)) == 6


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_folders_that_cannot_be_read_are_not_passed_over(folder):
    (folder / "c").chmod(0)
    try:
        for text in ("", "**/*.py", "c/*.py", "c/d/e.py"):
            with pytest.raises(PermissionError):
                list(find_files([str(folder / text)]))
    finally:
        (folder / "c").chmod(0o700)


def test_a_text_of_files_and_where_each_begins(folder):
    corpus = charlm.read_text([folder / "b.txt", folder], include=["*.txt"])
    assert corpus.text == "b.txt\na/y.txt\na.txt\n"
    assert corpus.documents == (0, 6, 14)
    assert corpus.sources == (str(folder / "b.txt"), str(folder))


def test_no_files(folder):
    (folder / "none").mkdir()
    for texts, include, said in (
        (["none"], (), "expected a folder with files, got .*none, which has none"),
        ([""], ["*.c"], r"files that fit \*.c, got"),
        (["*.c"], (), r"got .*\*\.c, which no file fits"),
        (["b.txt", "gone"], (), "gone, which does not exist"),
        (["b.txt"], ["*.py"], "include: expected a folder among the texts"),
        (["b.txt", "empty.txt"], (), "got .*empty.txt, empty"),
    ):
        with pytest.raises((OSError, ValueError), match=said):
            charlm.read_text([folder / text for text in texts], include=include)


def test_a_run_of_a_stranger_opens_no_fifo(folder):
    with pytest.raises(ValueError, match="a regular file as the text of a run"):
        list(find_files([str(folder / "fifo.py")], own=True))


def test_standard_input_comes_in_small_parts(monkeypatch):
    class Pipe(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    for data in (TEXT.encode(), gzip.compress(TEXT.encode())):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(data)))
        assert charlm.read_text("-").text == TEXT


def test_deflate_alone_is_no_gzip(tmp_path):
    (tmp_path / "text").write_bytes(zlib.compress(b"text"))
    with pytest.raises(ValueError, match="the byte 0x9c at position 1"):
        charlm.read_text(tmp_path / "text")
