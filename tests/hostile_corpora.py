"""Bytes that nobody would call a text, seeded: what `jaxrnn train` is given all the same."""

import codecs
import unicodedata

# Of single characters to texts that the tiny models of the tests can be trained on.
LENGTHS = (0, 1, 2, 3, 39, 40, 41, 44, 45, 46, 60, 100, 600, 2000)

ODD_CHARACTERS = (
    "\x00\x01\x07\x08\x0b\x0c\x1b\x7f\x80\x85\xa0\xad\u0300\u200b\u200d\u200e\u202e\u2028\u2029"
    "\u2066\ufeff\ufffd\ufffe\uffff\U0001f600\U000e0001\U0010ffff\r\n\t \"'<>&\\"
)
ODD_BYTES = (
    b"\xef\xbb\xbf",  # byte-order marks: UTF-8,
    b"\xff\xfe",  # UTF-16,
    b"\xfe\xff",
    b"\xff\xfe\x00\x00",  # UTF-32
    b"\xed\xa0\x80",  # surrogates
    b"\xed\xbf\xbf",
    b"\xc0\x80",  # too long a way to write NUL
    b"\xe2\x82",  # cut short
    b"\xf0\x9f\x99",
    b"\xf4\x90\x80\x80",  # above U+10FFFF
    b"\xf8\x88\x80\x80\x80",
    b"\x80",  # a continuation of nothing
    b"\xfe",
    b"\x00",
    b"\x1a",
    b"\r\n",
    b"\r",
    b"\n\r",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\x93NUMPY",
)
ENCODINGS = (
    "utf-8",
    "latin-1",
    "ascii",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "utf-7",
    "utf-8-sig",
    "cp1252",
    "cp037",
    "shift_jis",
    "gb18030",
    "hz",
    "iso2022_jp",
    "unicode_escape",
    "raw_unicode_escape",
    "punycode",
    "idna",
    "undefined",
    "hex",
    "rot13",
    "zlib",
    "",
    "none-such",
    "ütf-8",
    "utf-8\n",
    "../utf_8",
)


def corpora(generator, count):
    """Yields (bytes, encoding), of each kind in turn."""
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        yield kind(generator)


def _length(generator):
    return int(generator.choice(LENGTHS))


def _bytes(generator):
    return generator.bytes(_length(generator)), _encoding(generator)


def _encoding(generator, others=0.3):
    return str(generator.choice(ENCODINGS)) if generator.random() < others else "utf-8"


def _odd_text(generator):
    pool = ODD_CHARACTERS + "abcdefgh" * int(generator.integers(0, 4))
    return "".join(generator.choice(list(pool), _length(generator)))


def _odd_characters(generator):
    return _odd_text(generator).encode(), "utf-8"


def _text_with_odd_bytes(generator):
    text = bytearray(b"the quick brown fox jumps over the lazy dog\n" * 30)[: _length(generator)]
    for _ in range(int(generator.integers(1, 4))):
        place = int(generator.integers(0, len(text) + 1))
        text[place:place] = ODD_BYTES[int(generator.integers(len(ODD_BYTES)))]
    return bytes(text), _encoding(generator)


def _only_odd_bytes(generator):
    count = int(generator.integers(0, 300))
    return b"".join(ODD_BYTES[i] for i in generator.integers(0, len(ODD_BYTES), count)), _encoding(
        generator
    )


def _one_character(generator):
    character = str(generator.choice(list(ODD_CHARACTERS + "aé")))
    return (character * _length(generator)).encode(), "utf-8"


def _line_ends(generator):
    ends = generator.choice(["\r", "\n", "\r\n", "\n\r", "a", " "], _length(generator))
    return "".join(ends).encode(), "utf-8"


def _one_huge_line(generator):
    size = int(generator.choice([20_000, 200_000]))
    return generator.choice(list(b"abc \t"), size).astype("u1").tobytes(), "utf-8"


def _many_characters(generator):
    start, count = int(generator.integers(32, 0xD000)), int(generator.choice([300, 1000]))
    characters = [chr(number) for number in range(start, start + count)]
    return "".join(generator.choice(characters, 2000)).encode(), "utf-8"


def _combining(generator):
    marks = [chr(n) for n in range(0x300, 0x370) if unicodedata.combining(chr(n))]
    return ("e" + "".join(generator.choice(marks, _length(generator)))).encode(), "utf-8"


def _another_encoding(generator):
    encoding = str(generator.choice(["utf-16", "utf-32", "utf-7", "shift_jis", "gb18030", "cp037"]))
    text = "日本語 text, 12345; ".encode(encoding, "replace") * int(generator.integers(1, 60))
    named = encoding if generator.random() < 0.5 else _encoding(generator)
    return text[: len(text) - int(generator.integers(0, 2))], named


def _escapes(generator):
    parts = (r"\ud800", r"\udfff", r"\x00", r"\N{DIGIT ONE}", r"\U0010ffff", r"\u", "+2AA-", "a\n")
    text = "".join(generator.choice(parts, _length(generator)))
    named = ("unicode_escape", "raw_unicode_escape", "utf-7", "utf-8")
    return text.encode(), str(generator.choice(named))


def _cut_character(generator):
    text = ("é🙂ש" * _length(generator)).encode()
    return text[int(generator.integers(0, 3)) : len(text) - int(generator.integers(0, 4))], "utf-8"


def _marks_before(generator):
    mark = generator.choice([codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
    return bytes(mark) * int(generator.integers(1, 3)) + _odd_text(generator).encode(), "utf-8"


KINDS = (
    _bytes,
    _odd_characters,
    _text_with_odd_bytes,
    _only_odd_bytes,
    _one_character,
    _line_ends,
    _many_characters,
    _combining,
    _another_encoding,
    _escapes,
    _cut_character,
    _marks_before,
    _one_huge_line,
)
