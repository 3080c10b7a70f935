"""What a peer is: a library that can run the same layer, and how to make it do so."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.problems import Arrays

DEVICES = ("cpu", "gpu", "tpu")
DEVICE_OF = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}
"""JAX's name of a platform → device."""


@dataclass(frozen=True)
class Library:
    """What a worker asks of the library that computes; both are called in the worker.

    Attributes:
        require: raises LookupError where the library does not find that device.
        highest: a block in which products of float32 are float32's, on every device.
    """

    require: Callable[[str], None]
    highest: Callable[[], AbstractContextManager[Any]]


def _require_of_jax(device: str) -> None:
    # Where another process has the TPU, or a driver is missing, JAX takes the CPU with a warning.
    import jax

    if jax.default_backend() != device:
        raise LookupError(f"JAX finds no {device} here, only {jax.default_backend()}")


def _highest_of_jax() -> AbstractContextManager[Any]:
    import jax

    block: AbstractContextManager[Any] = jax.default_matmul_precision("highest")
    return block


JAX = Library(_require_of_jax, _highest_of_jax)


@dataclass(frozen=True)
class Prepared:
    """A peer that has a problem in front of it, weights and inputs in its own layout.

    Attributes:
        quantities: name → a call that does the work and blocks until its results are ready. It
            returns None, or the seconds where it times a part of its work itself.
        results: the outputs and gradients in jaxrnn's names and layout, to be compared.
        warm_up: whether a sample begins with a call that is not counted.
        facts: anything else worth a place in the record (bytes, threads).
    """

    quantities: Mapping[str, Callable[[], float | None]]
    results: Callable[[], Arrays]
    facts: Mapping[str, Any] = field(default_factory=dict)
    warm_up: bool = True


@dataclass(frozen=True)
class Peer:
    """One competitor.

    Attributes:
        name: as in `--peers` and in the records.
        path: what of the library is used, for the notes under a table.
        distribution: what has to be installed, None for nothing.
        cells: cell asked for → the cell of `jaxrnn.CELLS` whose mathematics it computes. Where
            the two differ the record says so, and the agreement is checked with the latter.
            None stands for every cell.
        prepare: kind of problem → function of (problem, device) that returns a `Prepared`. It
            runs in the peer's own process and imports its library there.
        devices: where it runs.
        platforms: JAX's names of these devices where it does not run on all of them: cuda, not
            rocm. None: on all.
        library: what computes.
        environment: variables that its process starts with.
        declines: problem → why the peer leaves it out, None if it does not.
    """

    name: str
    path: str
    distribution: str | None
    cells: Mapping[str, str] | None
    prepare: Mapping[str, Callable[[Any, str], Prepared]]
    devices: tuple[str, ...] = DEVICES
    platforms: tuple[str, ...] | None = None
    library: Library = JAX
    environment: Mapping[str, str] = field(default_factory=dict)
    declines: Callable[[Any], str | None] = lambda problem: None

    def maths(self, cell: str) -> str | None:
        """The cell whose mathematics this peer computes when asked for `cell`, None for none."""
        return cell if self.cells is None else self.cells.get(cell)

    def runs_on(self, platform: str) -> bool:
        """Whether it runs on cpu, cuda, rocm or tpu."""
        named = self.platforms is None or platform in self.platforms
        return named and DEVICE_OF[platform] in self.devices
