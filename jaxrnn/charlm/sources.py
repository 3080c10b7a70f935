"""Which files a text is made of: named ones, patterns, folders, standard input."""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from errno import ELOOP
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from jaxrnn.errors import sentence

STANDARD_INPUT = "-"


class Source(NamedTuple):
    """A file of a text.

    Attributes:
        path: of the file, or `-`.
        named: whether it was named itself, not found by a pattern or in a folder.
    """

    path: str
    named: bool


def absolute(text: str) -> str:
    """How a run keeps what it was given, so that it finds it from anywhere."""
    if text == STANDARD_INPUT:
        return text
    if glob.has_magic(text) and not os.path.lexists(text):
        # The folder's own name is no pattern, whatever is in it.
        return os.path.normpath(os.path.join(glob.escape(os.getcwd()), text))
    return os.path.abspath(text)


def in_words(sources: Sequence[str]) -> str:
    """The sources of a text, for people.

    >>> in_words(["a.txt"]), in_words(["-"]), in_words(["a", "b", "c", "d"])
    ('a.txt', 'standard input', 'a, b and 2 more')
    """
    names = ["standard input" if name == STANDARD_INPUT else name for name in sources]
    if len(names) > 3:
        return f"{names[0]}, {names[1]} and {len(names) - 2} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def find_files(
    texts: Sequence[str], include: Sequence[str] = (), argument: str = "TEXT", own: bool = False
) -> Iterator[Source]:
    """The files of a text, one after the other, each once, also one that several patterns find.

    The texts come in their order, what a pattern finds in the order of its names. In a folder,
    files and folders come in the order of their names (by code points), a folder's files in its
    place; hidden ones (`.git`) are left out, and links to folders are not followed.

    Args:
        texts: each a file, a folder, a pattern such as `books/*.txt`, or `-`, standard input.
        include: patterns of the names of the files that are wanted of a folder, such as `*.py`;
            one with a slash is of the path within the folder. None at all: every file.
        argument: what the texts were given as, for the sentences of errors.
        own: whether they are what a run, maybe a stranger's, says of its text: then fifos and
            devices are refused.

    Raises:
        FileNotFoundError: a file that is not there, or a pattern or folder without any.
        ValueError: a file that was named twice; `include` and no folder; or a fifo or a device.
        OSError: a folder cannot be read.
    """
    seen: dict[str, Source] = {}
    folders = False
    for text in texts:
        if text == STANDARD_INPUT:
            found = iter([Source(text, True)])
        elif _is_there(text):
            folders |= os.path.isdir(text)
            found = _in_place(text, include, argument, own)
        else:
            matches = _matches(text) if glob.has_magic(text) else []
            if not matches:
                what = "which no file fits" if glob.has_magic(text) else "which does not exist"
                got = f"{text}, {what}"
                hint = "in a pattern a [ of a name is written [[]" if "[" in text else ""
                raise FileNotFoundError(
                    sentence("read_text", argument, "an existing text file", got, hint)
                )
            folders |= any(map(os.path.isdir, matches))
            found = (
                source._replace(named=False)
                for match in matches
                for source in _in_place(match, include, argument, own)
            )
        for source in found:
            real = os.path.realpath(source.path) if source.path != STANDARD_INPUT else source.path
            before = seen.setdefault(real, source)
            if before is source:
                yield source
            elif before.named and source.named:
                again = f"{in_words([source.path])} twice"
                if before.path != source.path:
                    again = f"{before.path} and {source.path}, which are one file"
                raise ValueError(sentence("read_text", argument, "different texts", again))
    if include and not folders:
        rule, got = "a folder among the texts, whose files it chooses", in_words(texts)
        raise ValueError(sentence("read_text", "include", rule, got))


def _matches(pattern: str) -> list[str]:
    """What is there of a pattern, in order; hidden files only where it says so."""
    path = Path(pattern)
    parts = path.relative_to(path.anchor).parts
    hidden = any(part.startswith(".") for part in parts)
    literal = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    base = Path(path.anchor, *parts[:literal])
    fitting = _fitting(base, parts[literal:], hidden)
    found = {each for each in fitting if each.is_file() or each.is_dir()}
    return [str(each) for each in sorted(found, key=lambda each: each.parts)]


def _fitting(folder: Path, parts: Sequence[str], hidden: bool) -> Iterator[Path]:
    """What is there of a pattern's parts.

    Not Python's own `glob`, which is silent of folders that it cannot read, and whose ** goes round
    and round where links do.
    """
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first != "**" and not glob.has_magic(first):
        if _is_there(folder / first):
            yield from _fitting(folder / first, rest, hidden)
        return
    if not folder.is_dir():
        return
    if first == "**":
        yield from _fitting(folder, rest, hidden)
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(".") and not hidden:
            continue
        if first == "**":
            if entry.is_dir(follow_symlinks=False):
                yield from _fitting(folder / entry.name, parts, hidden)
        elif fnmatchcase(entry.name, first):
            yield from _fitting(folder / entry.name, rest, hidden)


def _is_there(path: str | Path) -> bool:
    """Unlike `os.path.lexists` it does not say no where nobody may look.

    Raises:
        PermissionError: nobody may.
    """
    try:
        os.lstat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    return True


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A link to itself leads to none, as one to nothing does."""
    try:
        return entry.is_file()
    except OSError as error:
        if error.errno != ELOOP:
            raise
        return False


def _in_place(text: str, include: Sequence[str], argument: str, own: bool) -> Iterator[Source]:
    if os.path.isdir(text):
        empty = True
        for path in _walk(Path(text), "", include):
            empty = False
            yield Source(path, False)
        if empty:
            which = f" that fit {' or '.join(include)}" if include else ""
            rule = f"a folder with files{which}"
            hint = "hidden files, and folders behind links, do not count"
            raise FileNotFoundError(
                sentence("read_text", argument, rule, f"{text}, which has none", hint)
            )
        return
    if own and not stat.S_ISREG(os.stat(text).st_mode):
        rule = "a regular file as the text of a run"
        raise ValueError(sentence("read_text", argument, rule, f"{text}, which is none"))
    yield Source(text, True)


def _walk(folder: Path, within: str, include: Sequence[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = f"{within}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from _walk(folder / entry.name, f"{path}/", include)
        elif _is_file(entry) and _wanted(entry.name, path, include):
            yield entry.path


def _wanted(name: str, path: str, include: Sequence[str]) -> bool:
    """A hidden file only where a pattern says so."""
    if not include:
        return not name.startswith(".")
    return any(
        fnmatchcase(path if "/" in pattern else name, pattern)
        and (pattern.rpartition("/")[2].startswith(".") or not name.startswith("."))
        for pattern in include
    )
