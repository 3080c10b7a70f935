"""The windows that a run trains on next, on their device before they are asked for."""

import numpy as np

from jaxrnn.charlm.placement import Mesh
from jaxrnn.charlm.plan import Plan
from jaxrnn.charlm.streams import Part, make_resets, number_of_windows
from jaxrnn.charlm.training import place

# Tokens of streams that lie on the device as a whole. Others are read dispatch by dispatch.
ON_DEVICE = 2**25


class Supply:
    """Hands out the windows of a run's streams, which may be in memory or in a memory map.

    Args:
        plan: of the run.
        length: T.
        mesh: of `make_mesh`.
    """

    def __init__(self, plan: Plan, length: int, mesh: Mesh | None) -> None:
        self._plan, self._length, self._mesh = plan, length, mesh
        self._windows = number_of_windows(plan.streams, length)
        self._ahead: tuple[int, Part] | None = None
        self._whole = None
        if plan.streams.size <= ON_DEVICE:
            self._whole = place(mesh, self._read(0, 0, self._windows))
            plan.release()

    def next(self, step: int) -> tuple[Part, int]:
        """The windows from a step on, and on how many of them to train in one dispatch."""
        count = self._plan.next_stop(step) - step
        if self._whole is not None:
            return self._whole, count
        if self._ahead is None or self._ahead[0] != step:
            self.read_ahead(step)
        assert self._ahead is not None
        # A part ends where the streams start over.
        return self._ahead[1], min(count, self._windows - step % self._windows)

    def read_ahead(self, step: int) -> None:
        """Reads what a later `next` hands out, while the device computes."""
        if self._whole is None and step < self._plan.total_steps:
            first = step % self._windows
            part = self._read(step, first, min(self._plan.dispatch, self._windows))
            self._ahead = step, place(self._mesh, part)
            self._plan.release()

    def _read(self, step: int, first: int, count: int) -> Part:
        """The windows from `first` on, as many as asked for; behind the last one comes nothing."""
        start, size = first * self._length, count * self._length
        streams = self._plan.streams[:, start : start + size + 1]
        lacking = size + 1 - streams.shape[1]
        if lacking:
            streams = np.pad(streams, ((0, 0), (0, lacking)))
        resets = None
        if self._plan.documents is not None:
            span = self._windows * self._length
            resets = make_resets(self._plan.documents, len(streams), span, start, size)
        return Part(np.ascontiguousarray(streams), resets, np.int32(step), np.int32(first))
