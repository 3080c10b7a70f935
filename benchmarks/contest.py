"""One problem, many peers: prepare, compare, then time in turn, and write a record of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from benchmarks.agreement import Disagreement, compare, relative_errors, tolerance
from benchmarks.environment import available_memory, installed_version
from benchmarks.matmul_limit import LIMIT, serve_limit
from benchmarks.measuring import interleave
from benchmarks.peers import PEERS
from benchmarks.peers.peer import DEVICE_OF
from benchmarks.problems import Arrays
from benchmarks.worker import Worker, WorkerFailure, device_environment, serve_peer

Record = dict[str, Any]
THE_LIMIT = (LIMIT, "product")
EXCLUSIVE = ("tpu",)
"""Devices that one process at a time has. There one worker lives at a time, and no samples can be
taken in turn: a peer is timed from its first sample to its last, and then the next."""
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
    """Workers of the peers on one device; they live as long as this does, or as the device allows.

    Args:
        platform: cpu, cuda, rocm or tpu.
        peers: names; those that cannot run here are left out by `absent`.
        quick: whether sizes are tiny and times do not matter.
        repeats: samples of each participant, None to decide by how long they take.
    """

    def __init__(
        self, platform: str, peers: Iterable[str], quick: bool = False, repeats: int | None = None
    ) -> None:
        self.platform, self.device = platform, DEVICE_OF[platform]
        self.peers = tuple(peers)
        self.quick = quick
        self.repeats = 2 if quick and repeats is None else repeats
        self.exclusive = self.device in EXCLUSIVE
        self._workers: dict[str, Worker] = {}
        self._limit: dict[str, float] | None = None
        self._rate: float | None = None

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        while self._workers:
            self._workers.popitem()[1].close()

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
            if self.exclusive:
                self._close()
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
        need, available = problem.least_bytes(), available_memory()
        if self.device == "cpu" and need > available:
            sentence = (
                f"does not fit the memory: needs at least {need / 2**30:.1f} GiB, "
                f"{available / 2**30:.1f} GiB are available"
            )
            return [self._record(problem, name, None, error=sentence) for name in self.peers]
        records: list[Record] = []
        references: dict[str, Arrays] = {}
        rounds = [quantities] if together and quantities else [(each,) for each in quantities]
        # The matrix product is one more of those that take turns, or comes before them.
        rate = self._rate_by_itself() if limit and self.exclusive else None
        for names in [(name,) for name in self.peers] if self.exclusive else [self.peers]:
            ready = self._ready(names, problem, references, records, progress)
            for in_turn in rounds:
                progress(f"timing {', '.join(each.replace('_', ' + ') for each in in_turn)}")
                records += self._timed(problem, in_turn, ready, limit, rate)
            if not quantities:
                records += [self._record(problem, name, None, **ready[name]) for name in ready]
        return records

    def _record(self, problem: Any, peer: str, quantity: str | None, **fields: Any) -> Record:
        return {
            "problem": problem.label(),
            "device": self.device,
            **problem.describe(),
            "peer": peer,
            "quantity": quantity,
            **({"interleaved": False} if self.exclusive else {}),
            **fields,
        }

    def _ready(
        self,
        names: Sequence[str],
        problem: Any,
        references: dict[str, Arrays],
        records: list[Record],
        progress: Callable[[str], None],
    ) -> dict[str, dict[str, Any]]:
        """Peers that have prepared the problem and agree, with their facts; records the others."""
        ready: dict[str, dict[str, Any]] = {}
        for name in names:
            reason = absent(name, self.platform, problem)
            if reason is not None:
                records.append(self._record(problem, name, None, absent=reason))
                continue
            progress(f"{name}: preparing and comparing")
            try:
                ready[name] = self._prepare(name, problem, references)
            except (WorkerFailure, Disagreement) as failure:
                records.append(self._record(problem, name, None, error=str(failure)))
        return ready

    def _timed(
        self,
        problem: Any,
        in_turn: Sequence[str],
        ready: dict[str, dict[str, Any]],
        limit: bool,
        rate: float | None,
    ) -> list[Record]:
        """Records of these quantities; takes those who fail out of `ready`."""
        samplers = {
            (name, quantity): self.worker(name).sampler(quantity)
            for name in ready
            for quantity in in_turn
        }
        if limit and samplers and not self.exclusive:
            samplers[THE_LIMIT] = self._limit_sampler()
        timings, failures = self._interleave(samplers)
        if THE_LIMIT in timings and self._limit is not None:
            rate = self._limit["flops"] / timings.pop(THE_LIMIT).median
        failures.pop(THE_LIMIT, None)
        records = []
        for (name, quantity), timing in timings.items():
            fields: Record = {"seconds": timing.as_dict(), **ready[name]}
            flops = problem.flops(quantity)
            if flops is not None:
                fields["flops_per_second"] = flops / timing.median
                if rate is not None:
                    fields["matrix_product_flops_per_second"] = rate
            records.append(self._record(problem, name, quantity, **fields))
        for (name, quantity), dropped in failures.items():
            records.append(self._record(problem, name, quantity, error=str(dropped)))
            ready.pop(name, None)
        return records

    def _interleave(self, samplers: Mapping[Any, Any]) -> Any:
        return interleave(samplers, self.repeats, sample_seconds=0.0 if self.quick else 0.02)

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
            expected, bound = references[maths], tolerance(problem)
            facts["relative_errors"] = compare(self._results(worker), expected, bound)
            if self.device != "cpu":
                as_timed = worker.ask("results", False)
                facts["relative_errors_as_timed"] = relative_errors(as_timed, expected)
        if maths != problem.cell:
            facts["maths"] = maths
        return facts

    def _results(self, worker: Worker) -> Arrays:
        """What is compared: of products in float32, which are what a CPU makes anyway."""
        results: Arrays = worker.ask("results", self.device != "cpu")
        return results

    def _reference(self, problem: Any) -> Arrays:
        """What everyone, ours too, must agree with, from a process of its own."""
        name = problem.reference
        worker = self._get(f"{name} as reference", serve_peer, name, PEERS[name].environment)
        try:
            worker.ask("prepare", problem)
            results = self._results(worker)
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

    def _rate_by_itself(self) -> float | None:
        """Of the matrix product, timed alone, once; None where it fails."""
        if self._rate is None:
            try:
                timings, _ = self._interleave({THE_LIMIT: self._limit_sampler()})
            except WorkerFailure:
                return None
            if self._limit is not None and THE_LIMIT in timings:
                self._rate = self._limit["flops"] / timings[THE_LIMIT].median
        return self._rate


def absent(name: str, platform: str, problem: Any) -> str | None:
    """Why a peer takes no part, None if it does."""
    peer = PEERS[name]
    if not peer.runs_on(platform):
        return f"does not run on {platform}"
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
