"""JSON from strangers: what is read, what is refused, and what a checksum covers."""

import json

import pytest

from jaxrnn.charlm import strict_json
from jaxrnn.charlm.files import BrokenFileError

CONTENT = {"a": [1, 2.5, None, True], "b": {"é\ud800": "\U0001f642["}, "c": 0.1 + 0.2}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands there twice"),
        (b'{"x": {"a": 1, "a": 1}}', "'a' stands there twice"),
        (b'{"a": NaN}', "NaN is no finite number"),
        (b'{"a": -Infinity}', "-Infinity is no finite number"),
        (b'{"a": 1e999}', "1e999 is no finite number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b"[" * 200, "Expecting value"),
        (b"[" * 300, "too deep"),
        (b"[]" * 300, "too many parts"),
        (b'{"a": "\xff"}', "can't decode byte 0xff"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b"", "Expecting value"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": 1', "delimiter"),
    ],
)
def test_what_is_refused(data, words):
    with pytest.raises(BrokenFileError, match=r"^name is ") as caught:
        strict_json.parse(data, "name")
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_deep_json_within_the_brackets_that_are_allowed():
    with pytest.raises(BrokenFileError, match="nested too deeply"):
        strict_json.parse(b"[" * 100_000 + b"]" * 100_000, "name", most_brackets=10**6)


def test_a_seal_covers_the_content_and_not_its_spacing():
    data = strict_json.seal(CONTENT)
    assert strict_json.unseal(strict_json.parse(data, "name"), "name") == CONTENT
    content = json.loads(data)
    turned = json.dumps(dict(reversed(content.items()))).encode()
    assert strict_json.unseal(strict_json.parse(turned, "name"), "name") == CONTENT
    for change in ({"c": 0.3}, {"d": 1}, {"a": [1, 2.5, None, 1]}, {"sha256": "0" * 64}):
        with pytest.raises(BrokenFileError, match=r"name was altered .* Do this\.$"):
            strict_json.unseal(content | change, "name", "Do this.")
    for wrong in ([], 3, None, {}, {"a": 1}):
        with pytest.raises(BrokenFileError, match="name"):
            strict_json.unseal(wrong, "name")


def test_every_bit_that_changes_the_content_is_found():
    data = strict_json.seal({"value": 1.5, "list": [1, 2]})
    for place in range(len(data)):
        for bit in range(8):
            altered = bytearray(data)
            altered[place] ^= 1 << bit
            try:
                found = strict_json.unseal(strict_json.parse(bytes(altered), "name"), "name")
            except BrokenFileError:
                continue
            assert found == {"value": 1.5, "list": [1, 2]}  # white space, a capital E of a number


def test_numbers_that_are_not_finite_are_not_written():
    with pytest.raises(ValueError, match="Out of range"):
        strict_json.seal({"a": float("nan")})


@pytest.mark.parametrize(
    ("value", "hint", "fitting"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        (1, float, True),
        (2**53 + 1, float, False),
        (False, float, False),
        (None, float | None, True),
        (None, float, False),
        ((1, 2), int | tuple[int, ...], True),
        ((1, True), int | tuple[int, ...], False),
        ([1, 2], int | tuple[int, ...], False),
        ("a", str, True),
        (["a"], str, False),
        (1, bool, False),
    ],
)
def test_what_fits_an_annotation(value, hint, fitting):
    assert strict_json.fits(value, hint) is fitting


def test_all_fields_at_fault_are_named():
    hints = {"a": int, "b": str, "c": float}
    strict_json.check_fields({"a": 1, "b": "", "c": 2}, hints, "name")
    with pytest.raises(BrokenFileError) as caught:
        strict_json.check_fields({"b": ["x" * 99], "c": 10**99, "d\n": 1}, hints, "name")
    message = str(caught.value)
    assert "no 'a', an unknown 'd\\n', ['xxx" in message
    assert "a huge number as 'c'" in message
    assert len(message) < 250
    with pytest.raises(BrokenFileError, match="and 980 more"):
        strict_json.check_fields({str(n): 0 for n in range(1000)}, {}, "name")
