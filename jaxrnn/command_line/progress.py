"""What a training run shows: a bar in a terminal, plain lines elsewhere."""

import math
import sys
import time
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows the records of `charlm.training_loop.train`.

    Args:
        tokens: in one step.
        total: steps in the run.
        start: the step at which it begins or resumes.
        token: what one token is called.
    """

    def __init__(self, tokens: int, total: int, start: int, token: str = "character") -> None:
        self.tokens = tokens
        self.token = token
        self.total = total
        self.step = start
        self.validation = ""
        self.next_line = time.monotonic()
        self.bar = _bar(total * tokens, start * tokens, token) if sys.stderr.isatty() else None

    def show(self, record: dict[str, Any]) -> None:
        """Shows one record."""
        if "loss" in record:
            self._show_loss(record)
        elif "validation_loss" in record:
            loss = record["validation_loss"]
            self.validation = f", validation {loss:.3f}"
            best = " (best so far)" if record["best"] else ""
            self._write(
                f"step {record['step']:,}: validation {loss:.4f} nats, "
                f"{loss / math.log(2):.4f} bits a {self.token}{best}"
            )
        else:
            rule = "-" * 72
            self._write(f"{rule}\n{record['sample'].strip()}\n{rule}")

    def _show_loss(self, record: dict[str, Any]) -> None:
        loss = record["loss"]
        text = f"loss {loss:.3f} nats, {loss / math.log(2):.3f} bits a {self.token}"
        steps, self.step = record["step"] - self.step, record["step"]
        if self.bar is not None:
            self.bar.set_postfix_str(text + self.validation, refresh=False)
            self.bar.update(steps * self.tokens)
        elif time.monotonic() >= self.next_line or self.step == self.total:
            self.next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            print(
                f"step {self.step:,} of {self.total:,}: {text}, "
                f"{record['tokens_per_second']:,} {self.token}s a second",
                flush=True,
            )

    def _write(self, text: str) -> None:
        if self.bar is not None:
            self.bar.write(text)
        else:
            print(text, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()


def _bar(total: int, initial: int, token: str) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        print(
            'Plain lines instead of a progress bar: tqdm is missing; pip install "jaxrnn[app]" '
            "brings it.",
            file=sys.stderr,
        )
        return None
    return tqdm(
        total=total,
        initial=initial,
        unit={"character": "char"}.get(token, token),
        unit_scale=True,
        dynamic_ncols=True,
        bar_format="{percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}, {rate_fmt}, {postfix}",
    )
