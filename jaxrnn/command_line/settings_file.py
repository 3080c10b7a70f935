"""`--config FILE.toml`: the options of `jaxrnn train`, one per line, by their names.

    text = "book.txt"
    rnn_size = [256, 128]
    lr = 1e-3

A run keeps its own as `settings.toml`, written by `charlm.run_folder`.
"""

import argparse
import difflib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jaxrnn.command_line.train_settings import option
from jaxrnn.errors import sentence

# What is said on the command line, if at all: a file is data, and --import runs what it names.
NOT_IN_A_FILE = ("help", "import", "config", "resume")
LARGEST = 2**20


def read_settings(path: str, make_parser: Callable[[], argparse.ArgumentParser]) -> dict[str, Any]:
    """The options in a file, as the parser would have them from the command line.

    Args:
        path: of the file; of a folder, the `settings.toml` in it.
        make_parser: makes the parser; only what is given is in its namespace.

    Raises:
        ValueError: the file is not TOML, has tables, an unknown option or a value that the option
            does not take; the sentence names it.
        OSError: the file cannot be read.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "settings.toml"
    if not file.exists():
        got = f"{file}, which does not exist"
        hint = "of a folder, the settings.toml in it is read" if Path(path).is_dir() else ""
        raise FileNotFoundError(sentence("train", "--config", "a TOML file", got, hint))
    if file.stat().st_size > LARGEST:
        raise ValueError(_said(file, f"at most {LARGEST:,} bytes", f"{file.stat().st_size:,}"))
    try:
        # Some editors begin a file with a byte-order mark.
        values = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        got = f"the byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise ValueError(_said(file, "TOML, which is text in utf-8", got)) from None
    except (ValueError, RecursionError) as error:
        hint = 'a line is option = value, text in quotes: model = "lstm"'
        raise ValueError(_said(file, "TOML", " ".join(str(error).split()), hint)) from None
    parser = make_parser()
    actions = {
        flag.lstrip("-"): action
        for action in parser._actions
        if action.dest not in NOT_IN_A_FILE
        for flag in action.option_strings or [action.dest]
    }
    tables = [name for name, value in values.items() if isinstance(value, dict)]
    if tables:
        rule, got = "options alone", f"the table [{tables[0]}]"
        raise ValueError(_said(file, rule, got, "leave out the line, keep the options under it"))
    unknown = [name for name in values if _dashed(name) not in actions]
    if unknown:
        near = [
            close
            for name in unknown
            if name not in NOT_IN_A_FILE
            for close in difflib.get_close_matches(_dashed(name), list(actions), 1)
        ]
        meant = f"did you mean {', '.join(near).replace('-', '_')}?"
        hint = meant if near else "jaxrnn train --help names them"
        rule = f"options of jaxrnn train, but for {', '.join(NOT_IN_A_FILE)}"
        raise ValueError(_said(file, rule, ", ".join(map(repr, unknown)), hint))

    names: dict[str, str] = {}
    for name in values:
        before = names.setdefault(actions[_dashed(name)].dest, name)
        if before != name:
            got = f"{before} and {name}, which are one"
            raise ValueError(_said(file, "every option once", got))

    def refuse(message: str) -> NoReturn:
        raise ValueError(f"train: --config {file}: {message}")

    parser.error = refuse  # type: ignore[method-assign]
    words, positional = [], {}
    for name, value in values.items():
        action, text = actions[_dashed(name)], _as_text(value)
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise ValueError(_said(file, f"true or false as {name}", repr(value)))
            words += [option(name)] * value
        elif text is None:
            rule = f"a text, a number or a list of numbers as {name}"
            raise ValueError(_said(file, rule, str(value)))
        elif isinstance(action, argparse._AppendAction) and isinstance(value, list):
            words += [f"{option(name)}={each}" for each in value]
        elif action.option_strings:
            words.append(f"{option(name)}={text}")
        else:
            several = value if isinstance(value, list) else [value]
            positional[action.dest] = [str(each) for each in several]
    return vars(parser.parse_args(words)) | positional


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _as_text(value: Any) -> str | None:
    """As it would be typed; None for what has no such form."""
    if isinstance(value, list):
        parts = [_as_text(part) for part in value]
        return None if not parts or None in parts else ",".join(filter(None, parts))
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _said(file: Path, expected: str, got: str, hint: str = "") -> str:
    return sentence("train", "--config", expected, f"{got} in {file}", hint)
