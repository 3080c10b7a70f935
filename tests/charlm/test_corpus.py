import hashlib

import pytest

from jaxrnn.charlm import corpus


def test_reads_text_with_any_line_ends_and_no_byte_order_mark(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffone\r\ntwo\rthrée\n".encode())
    assert corpus.read_text(path).text == "one\ntwo\nthrée\n"
    assert corpus.read_text(path).sources == (str(path),)
    assert corpus.read_text(path, newlines="keep").text == "one\r\ntwo\rthrée\n"
    with pytest.raises(ValueError, match="newlines: expected one of unify, keep"):
        corpus.read_text(path, newlines="drop")


def test_encodings(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("thrée".encode("latin-1"))
    with pytest.raises(ValueError, match=r"0xe9 at position 3 .*--encoding latin-1"):
        corpus.read_text(path)
    assert corpus.read_text(path, "latin-1").text == "thrée"
    with pytest.raises(ValueError, match="'utf-9'"):
        corpus.read_text(path, "utf-9")


def test_what_is_no_text_is_said(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        corpus.read_text(tmp_path / "empty")
    with pytest.raises(ValueError, match="empty"):
        corpus.read_text(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        corpus.read_text(tmp_path / "none")


def test_the_digest_tells_texts_apart():
    first, second = corpus.Corpus("ab", ("x",)), corpus.Corpus("b", ("x",))
    assert first.sha256 != second.sha256
    assert first.sha256 == corpus.Corpus("ab", ("y",)).sha256
    assert first.sha256 == hashlib.sha256(b"ab").hexdigest()
    digests = {corpus.Corpus("abc", ("x",), (0, *more)).sha256 for more in ((), (1,), (2,), (1, 2))}
    assert len(digests) == 4


def test_split_is_in_order_and_complete():
    text = "".join(map(str, range(10))) * 10
    training, validation = corpus.split(text, 0.9, 0.1)
    assert training + validation == text
    assert len(training) == 90
    assert corpus.split(text, 1.0, 0.0) == (text, "")
    assert [len(part) for part in corpus.split(text, 0.95, 0.05)] == [95, 5]
    with pytest.raises(ValueError, match="together at most 1"):
        corpus.split(text, 0.9, 0.2)
    with pytest.raises(ValueError, match="together at most 1"):
        corpus.split(text, 0.0, 0.2)


def test_python_documentation_is_there():
    documentation = corpus.python_documentation()
    assert len(documentation.text) > 300_000
    assert "import" in documentation.text
