"""`jaxrnn sample RUN --interactive`: a person and a model write a text in turns."""

import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from jaxrnn.command_line.stop_requests import Interruption

if TYPE_CHECKING:
    from jaxrnn.charlm import Sampling, Scored
    from jaxrnn.charlm.turns import Turns

PROMPT = "> "
WELCOME = (
    "Type a text and the model goes on from it; an empty line: on from where it stopped. Ctrl-C "
    "stops the writing, Ctrl-D ends. :help tells more."
)
HELP = """\
:temperature X   from now on
:length N        tokens a turn, from now on
:reset           forgets the text; the model is where it began
A backslash at the end of a line is a new line in the text. A text that begins with : is typed
with two of them."""


def converse(
    turns: "Turns", sampling: "Sampling", begin: Callable[[], None], show: Callable[["Scored"], str]
) -> None:
    """Reads lines from standard input and has each continued, to the end of the input.

    Args:
        turns: the text.
        sampling: how the model writes its turns.
        begin: reads what comes before the first line, at the start and after a reset.
        show: what to write of a piece.

    Raises:
        TypeError, ValueError: `sampling` is none.
    """
    turns.check(**sampling)
    begin()
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are no text become characters that the model does not know.
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  # input() then edits lines and remembers them
        _say(WELCOME)
    with Interruption() as interruption:
        while True:
            try:
                with interruption.prompt():
                    text = _ask()
            except KeyboardInterrupt:
                _say("")
                continue
            except EOFError:
                if sys.stdin.isatty():
                    _say("")
                return
            if text.startswith(":") and not text.startswith("::"):
                sampling = _obey(text, turns, sampling, begin)
                continue
            try:
                turns.read(text[1:] if text.startswith("::") else text)
            except ValueError as error:
                _say(f"not read: {_without_function(error)}")
                continue
            for piece in turns.write(**sampling):
                sys.stdout.write(show(piece))
                sys.stdout.flush()
                if interruption():
                    break
            sys.stdout.write("\n")
            sys.stdout.flush()


def _ask() -> str:
    """A line, or several that backslashes join.

    Raises:
        EOFError: there is none.
    """
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    text = ""
    while True:
        if at_terminal:
            line = input(PROMPT)
        else:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            line = line.removesuffix("\n")
        text += line
        if not text.endswith("\\"):
            return text
        text = text[:-1] + "\n"


def _obey(line: str, turns: "Turns", sampling: "Sampling", begin: Callable[[], None]) -> "Sampling":
    """Does what a line that begins with a colon says; how the model writes from now on."""
    command, _, value = line[1:].strip().partition(" ")
    changed = sampling.copy()
    try:
        if command == "reset" and not value:
            turns.reset()
            begin()
        elif command == "temperature":
            changed["temperature"] = _number(command, value)
        elif command == "length":
            length = _number(command, value)
            changed["length"] = int(length) if length.is_integer() else length  # type: ignore
        elif command == "help" and not value:
            _say(HELP)
        else:
            _say(f"expected one of :temperature X, :length N, :reset, :help, got {line!r}.")
        turns.check(**changed)
    except (TypeError, ValueError) as error:
        _say(_without_function(error))
        return sampling
    return changed


def _number(command: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f":{command}: expected a number, got {value!r}.") from None


def _without_function(error: Exception) -> str:
    said = str(error).removeprefix("sample: ")
    return said.removeprefix("prime: ")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
