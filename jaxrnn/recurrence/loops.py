"""How a loop over time is run: what `unroll(backend=)` names.

The driver has two loops, over a cell's step and over its transpose. Everything else (the inputs'
share, chunks of time, the weights' gradients) it does itself, whatever runs these two.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import jax

from jaxrnn import tuning
from jaxrnn.errors import sentence

Body = Callable[[Any, Any, Any, Any], tuple[Any, Any]]
"""`(params, fixed, state, now) -> (state, what the step leaves)`; closes over no array."""


class RunOverTime(Protocol):
    """`lax.scan` of a step, or what has its values."""

    def __call__(self, state: Any, xs: Any, /, *, reverse: bool = False) -> tuple[Any, Any]:
        """(state after the last step, what the steps left): `xs` and that have T in front."""


BACKENDS = ("scan", "kernel", "auto")


class Loop(Protocol):
    """A way to run a step over time; a value, as a cell is.

    Attributes:
        in_one_piece: whether it is at its best on the whole of T with the inputs projected before
            it; else time is cut, and the projection made at once, by what fits a cache.
    """

    in_one_piece: ClassVar[bool]

    def __call__(self, body: Body, params: Any, fixed: Any) -> RunOverTime:
        """What runs it, `(state, xs, reverse=False) -> (state, what the steps left)`.

        Args:
            body: one step.
            params: a cell's params.
            fixed: a tree of arrays [*B, N], the same at all steps.

        Returns:
            A function like `lax.scan` of the step: state is a tree of arrays [*B, N], xs of arrays
            [T, *B, N], or [T, *B] for what is true or false.
        """


@dataclasses.dataclass(frozen=True)
class Scan:
    """`lax.scan`."""

    in_one_piece: ClassVar[bool] = False

    def __call__(self, body: Body, params: Any, fixed: Any) -> RunOverTime:
        """As `Loop` has it; JAX traces the same function once for whole chunks and the rest."""

        def one_step(state: Any, now: Any) -> tuple[Any, Any]:
            return body(params, fixed, state, now)

        return functools.partial(jax.lax.scan, one_step, unroll=tuning.here().scan_unroll)


SCAN = Scan()


def loop_of(function: str, backend: Any) -> Loop:
    """The loop that a `backend` names.

    "auto" is decided by the platform that JAX runs on where the program is traced, so that on a
    platform without a kernel it is the scan and nothing else, bit for bit; Pallas is imported only
    where there is something for it to do.

    Raises:
        ValueError: it names none.
    """
    if not isinstance(backend, str) or backend not in BACKENDS:
        expected = ", ".join(f'"{name}"' for name in BACKENDS[:-1]) + f' or "{BACKENDS[-1]}"'
        raise ValueError(sentence(function, "backend", expected, repr(backend)))
    if backend == "scan" or (backend == "auto" and tuning.platform() != "tpu"):
        return SCAN
    from jaxrnn.recurrence.tpu_kernel import Kernel

    return Kernel(or_scan=backend == "auto")
