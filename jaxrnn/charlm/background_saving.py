"""Checkpoints are written by a thread of its own, in order, while training goes on."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import jax
import numpy as np

from jaxrnn.charlm.journal import diverged
from jaxrnn.charlm.run_folder import Run


class Saver:
    """Writes the checkpoints of a run in the background; a context that ends when all are written.

    At most one checkpoint waits while training goes on: the next one waits for it, so memory holds
    one copy. What goes wrong in the thread is raised by the next call of `save` or `check`, or at
    the end.

    Args:
        run: whose checkpoints they are.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing: Future[None] | None = None

    def save(self, tree: Any, facts: Mapping[str, Any], best: bool) -> None:
        """Hands a checkpoint to the thread.

        Args:
            tree: arrays that nothing changes or donates from now on.
            facts: as `Run.save` takes them.
            best: whether no validation loss so far was lower.

        Raises:
            OSError, DivergedError: the checkpoint before could not be written.
        """
        self._finish()
        self._writing = self._thread.submit(self._write, tree, facts, best)

    def check(self) -> None:
        """Raises what went wrong in the thread, if anything did; does not wait."""
        if self._writing is not None and self._writing.done():
            self._finish()

    def _finish(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, tree: Any, facts: Mapping[str, Any], best: bool) -> None:
        arrays = jax.device_get(tree)
        # A step with a finite loss and gradient can still end in parameters that are not.
        if not all(np.isfinite(leaf).all() for leaf in _floats(arrays)):
            raise diverged(self.run, f"a parameter is not finite at step {facts['step']:,}")
        self.run.save(arrays, facts, best)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if error is None:
            self._finish()


def _floats(arrays: Any) -> list[Any]:
    """Floating-point arrays, bfloat16 among them, which NumPy counts as something else."""
    return [
        leaf for leaf in jax.tree.leaves(arrays) if jax.numpy.issubdtype(leaf.dtype, np.inexact)
    ]
