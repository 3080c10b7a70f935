"""JSON that may come from a stranger: small, flat, every key once, every number finite.

`seal` adds to an object the checksum of its content, whatever its spacing and the order of its
keys; `unseal` gives the object back only where the checksum fits.
"""

import hashlib
import json
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from jaxrnn.charlm.files import BrokenFileError

# Brackets in a file, which bounds both its depth and the memory of a 3-byte object.
MOST_BRACKETS = 256
_CHECKSUM = "sha256"


def parse(data: bytes, name: object, most_brackets: int = MOST_BRACKETS) -> Any:
    """Reads JSON.

    Args:
        data: UTF-8.
        name: of the file, for messages.
        most_brackets: how many `[` and `{` there may be, those within strings counted too.

    Raises:
        BrokenFileError: it is not JSON, has a key twice, a number that is not finite, or too many
            brackets.
    """
    if data.count(b"[") + data.count(b"{") > most_brackets:
        raise BrokenFileError(f"{name} is too deep or has too many parts to be a run's.")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BrokenFileError(f"{name} is not the JSON that a run has: {what}.") from None


def checksum(content: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of what JSON says, independent of spacing and the order of keys.

    Raises:
        ValueError: a number that is not finite.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(content: Mapping[str, Any]) -> bytes:
    """A JSON file of the content and its checksum."""
    text = json.dumps({**content, _CHECKSUM: checksum(content)}, indent=2, allow_nan=False)
    return text.encode() + b"\n"


def unseal(content: Any, name: object, hint: str = "") -> dict[str, Any]:
    """The content without its checksum.

    Args:
        content: what `parse` returned.
        name: of the file, for messages.
        hint: a further sentence for them.

    Raises:
        BrokenFileError: no object, no checksum, or one that does not fit.
    """
    if not isinstance(content, dict):
        raise BrokenFileError(f"{name} is not the JSON that a run has: no object.")
    rest = {key: value for key, value in content.items() if key != _CHECKSUM}
    if content.get(_CHECKSUM) != checksum(rest):
        text = f"{name} was altered since it was written: its checksum does not fit. {hint}"
        raise BrokenFileError(text.strip())
    return rest


def check_fields(values: Mapping[str, Any], hints: Mapping[str, Any], name: object) -> None:
    """Checks that an object has exactly these fields, of these types.

    Args:
        values: the object.
        hints: type annotations by name.
        name: of the file, for messages.

    Raises:
        BrokenFileError: every field at fault is named.
    """
    faults = [f"no {key!r}" for key in hints if key not in values]
    faults += [f"an unknown {shorten(key)}" for key in values if key not in hints]
    faults += [
        f"{shorten(values[key])} as {key!r}"
        for key, hint in hints.items()
        if key in values and not fits(values[key], hint)
    ]
    if faults:
        more = f" and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise BrokenFileError(f"{name} is not what a run has: {', '.join(faults[:20])}{more}.")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says; an int is a float, a bool no number.

    >>> fits(3, float | None), fits(True, int), fits((8, 4), int | tuple[int, ...])
    (True, False, True)
    """
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(x, typing.get_args(hint)[0]) for x in value)
    if hint is float:
        # An int beyond 2**53 is not the float that it would become.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (isinstance(value, float) or abs(value) <= 2**53)
    if hint is None:
        return value is None
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def shorten(value: Any) -> str:
    """What a stranger wrote, in at most 60 printable characters."""
    text = ascii(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{shorten(key)} stands there twice")
        found[sys.intern(key)] = value  # the lines of metrics.jsonl share theirs
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value
