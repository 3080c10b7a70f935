"""One problem, many peers: prepare, compare, then time in turn, and write a record of each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from benchmarks.agreement import TOLERANCE, Disagreement, compare
from benchmarks.environment import available_memory, installed_version
from benchmarks.matmul_limit import LIMIT, serve_limit
from benchmarks.measuring import interleave
from benchmarks.peers import PEERS
from benchmarks.problems import Arrays
from benchmarks.worker import Worker, WorkerFailure, device_environment, serve_peer

Record = dict[str, Any]
THE_LIMIT = (LIMIT, "product")
NOT_INSTALLED = "is not installed; pip install 'jaxrnn[bench]' brings all peers"


class Problem(Protocol):
    """What a contest needs to know of a problem; `replace` must work on it."""

    cell: str
    kind: str
    compared: bool
    reference: str

    def label(self) -> str:
        """A name for people, the same in every run."""

    def describe(self) -> dict[str, Any]:
        """What tells this problem from others, for the record."""

    def flops(self, quantity: str) -> int | None:
        """Matrix-product operations of a quantity, None where that means nothing."""

    def least_bytes(self) -> int:
        """Bytes without which no peer can run it."""


class Contest:
    """Workers of the peers on one device; they live as long as this does.

    Args:
        device: cpu, gpu or tpu.
        peers: names; those that cannot run here are left out by `absent`.
        quick: whether sizes are tiny and times do not matter.
        repeats: samples of each participant, None to decide by how long they take.
    """

    def __init__(
        self, device: str, peers: Iterable[str], quick: bool = False, repeats: int | None = None
    ) -> None:
        self.device = device
        self.peers = tuple(peers)
        self.quick = quick
        self.repeats = 2 if quick and repeats is None else repeats
        self._workers: dict[str, Worker] = {}
        self._limit: dict[str, float] | None = None

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def worker(self, name: str) -> Worker:
        """The peer's worker."""
        return self._get(name, serve_peer, name, PEERS[name].environment)

    def _get(
        self,
        key: str,
        serve: Callable[..., None],
        argument: Any,
        environment: Mapping[str, str] | None = None,
    ) -> Worker:
        """The worker of that key; a new one if there is none or the last has died."""
        if key not in self._workers or not self._workers[key].alive:
            variables = device_environment(self.device) | dict(environment or {})
            self._workers[key] = Worker(serve, (argument, self.device), variables)
        return self._workers[key]

    def run(
        self,
        problem: Any,
        quantities: tuple[str, ...],
        progress: Callable[[str], None] = lambda _: None,
        limit: bool = False,
        together: bool = False,
    ) -> list[Record]:
        """Runs one problem.

        Args:
            problem: a `Problem`.
            quantities: what is timed.
            progress: told what is going on.
            limit: whether the matrix-product rate is measured along.
            together: whether samples of all quantities are taken in turn, so that these can be
                compared with each other; else one quantity comes after the other.

        Returns:
            A record for each peer and quantity: timing, or `error`, or `absent` with the reason.
        """
        records: list[Record] = []

        def record(peer: str, quantity: str | None, **fields: Any) -> None:
            records.append(
                {
                    "problem": problem.label(),
                    "device": self.device,
                    **problem.describe(),
                    "peer": peer,
                    "quantity": quantity,
                    **fields,
                }
            )

        need, available = problem.least_bytes(), available_memory()
        if self.device == "cpu" and need > available:
            sentence = (
                f"does not fit the memory: needs at least {need / 2**30:.1f} GiB, "
                f"{available / 2**30:.1f} GiB are available"
            )
            for name in self.peers:
                record(name, None, error=sentence)
            return records

        ready: dict[str, dict[str, Any]] = {}
        references: dict[str, Arrays] = {}
        for name in self.peers:
            reason = absent(name, self.device, problem)
            if reason is not None:
                record(name, None, absent=reason)
                continue
            progress(f"{name}: preparing and comparing")
            try:
                ready[name] = self._prepare(name, problem, references)
            except (WorkerFailure, Disagreement) as failure:
                record(name, None, error=str(failure))

        rounds = [quantities] if together and quantities else [(each,) for each in quantities]
        for in_turn in rounds:
            samplers = {
                (name, quantity): self.worker(name).sampler(quantity)
                for name in ready
                for quantity in in_turn
            }
            if limit and samplers:
                samplers[THE_LIMIT] = self._limit_sampler()
            progress(f"timing {', '.join(each.replace('_', ' + ') for each in in_turn)}")
            timings, failures = interleave(
                samplers, self.repeats, sample_seconds=0.0 if self.quick else 0.02
            )
            rate = None
            if THE_LIMIT in timings and self._limit is not None:
                rate = self._limit["flops"] / timings.pop(THE_LIMIT).median
            failures.pop(THE_LIMIT, None)
            for (name, quantity), timing in timings.items():
                fields: Record = {"seconds": timing.as_dict(), **ready[name]}
                flops = problem.flops(quantity)
                if flops is not None:
                    fields["flops_per_second"] = flops / timing.median
                    if rate is not None:
                        fields["matrix_product_flops_per_second"] = rate
                record(name, quantity, **fields)
            for (name, quantity), dropped in failures.items():
                record(name, quantity, error=str(dropped))
                ready.pop(name, None)
        if not quantities:
            for name, facts in ready.items():
                record(name, None, **facts)
        return records

    def _prepare(self, name: str, problem: Any, references: dict[str, Arrays]) -> dict[str, Any]:
        """Prepares a peer and compares it with ours of the same mathematics."""
        maths = PEERS[name].maths(problem.cell)
        if maths is None:
            raise WorkerFailure(f"has no {problem.cell}")
        same_maths = replace(problem, cell=maths)
        if problem.compared and maths not in references:
            references[maths] = self._reference(same_maths)
        worker = self.worker(name)
        facts: dict[str, Any] = worker.ask("prepare", same_maths)
        if problem.compared:
            got = worker.ask("results")
            facts["relative_errors"] = compare(got, references[maths], TOLERANCE[self.device])
        if maths != problem.cell:
            facts["maths"] = maths
        return facts

    def _reference(self, problem: Any) -> Arrays:
        """What everyone, ours too, must agree with, from a process of its own."""
        name = problem.reference
        worker = self._get(f"{name} as reference", serve_peer, name, PEERS[name].environment)
        try:
            worker.ask("prepare", problem)
            results: Arrays = worker.ask("results")
        except WorkerFailure as failure:
            raise WorkerFailure(f"cannot be compared: the reference {failure}") from failure
        finally:
            if worker.alive:
                worker.ask("forget")
        return results

    def _limit_sampler(self) -> Callable[[int], float]:
        worker = self._get(LIMIT, serve_limit, self.quick)
        if self._limit is None:
            self._limit = worker.ask("prepare")
        return worker.sampler("product")


def absent(name: str, device: str, problem: Any) -> str | None:
    """Why a peer takes no part, None if it does."""
    peer = PEERS[name]
    if device not in peer.devices:
        return f"does not run on {device}"
    if problem.kind not in peer.prepare:
        return f"takes no part in {problem.kind}"
    if peer.maths(problem.cell) is None:
        return f"has no {problem.cell}"
    declined = peer.declines(problem)
    if declined is not None:
        return declined
    if peer.distribution is not None and installed_version(peer.distribution) is None:
        return f"{peer.distribution} {NOT_INSTALLED}"
    return None
