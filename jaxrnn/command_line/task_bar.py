"""Progress of a command that does several things: a bar in a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Any


class TaskBar:
    """Shows `(what, done, total)` on standard error; `bar(what, done, total)` is called often."""

    def __init__(self) -> None:
        self.what = ""
        self.bar: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows how far a task is."""
        if what != self.what:
            self._begin(what, total)
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)

    def _begin(self, what: str, total: int) -> None:
        self.close()
        self.what = what
        if not sys.stderr.isatty():
            print(f"{what} …", file=sys.stderr, flush=True)
            return
        try:
            from tqdm import tqdm
        except ImportError:
            print(f"{what} …", file=sys.stderr, flush=True)
            return
        self.bar = tqdm(
            desc=what,
            total=total,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}",
        )

    def close(self) -> None:
        """Ends the bar of the task."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def __enter__(self) -> "TaskBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
