"""A run's settings as a TOML file that people read, change and pass to `jaxrnn train` again."""

import json
from collections.abc import Sequence
from typing import Any

from jaxrnn.charlm.corpus import PYTHON_DOCUMENTATION
from jaxrnn.charlm.settings import Settings

# Those of a machine rather than of a run.
LEFT_OUT = ("devices",)
HEAD = """\
# The settings of this run. `jaxrnn train --config FILE` starts another run with them, with whatever
# is changed here or named beside it. The run itself goes by config.json, not by this file.
"""


def settings_toml(settings: Settings, sources: Sequence[str]) -> bytes:
    """The file's content.

    What is None or empty is left out: TOML has no None, and it is that anyway where it is not said.

    Args:
        settings: of the run.
        sources: of its text; that of Python's documentation is left out, since it is the default.

    >>> print(settings_toml(Settings(), ["book.txt"]).decode().splitlines()[3:6])
    ['text = ["book.txt"]', 'model = "gru"', 'rnn_size = 192']
    """
    own = tuple(sources) == (PYTHON_DOCUMENTATION,)
    values: dict[str, Any] = {} if own else {"text": tuple(sources)}
    values |= {name: value for name, value in vars(settings).items() if name not in LEFT_OUT}
    lines = [
        f"{name} = {_value(value)}\n" for name, value in values.items() if value not in (None, ())
    ]
    # A file's name may be no text; the line is then one that TOML refuses, and says so.
    return (HEAD + "\n" + "".join(lines)).encode("utf-8", "backslashreplace")


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML string, but for characters beyond 2**16 and DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
