"""What happens on accelerators, as far as a CPU can show it."""

from contextlib import nullcontext

import jax
import numpy as np
import pytest

from benchmarks import contest, worker
from benchmarks.agreement import relative_errors
from benchmarks.peers import PEERS
from benchmarks.peers.peer import JAX, Library, Peer, Prepared
from benchmarks.problems import LayerProblem, Size
from benchmarks.worker import Worker, WorkerFailure, device_environment, peer_commands

pytestmark = pytest.mark.integration

TINY = LayerProblem("elman", Size(2, 5, 3, 4))
PRECISION = {"highest": 3.0, None: 1.0}


def fake_peer(library=JAX):
    """Its results are the precision of products that it was asked in."""

    def results():
        precision = jax.config.jax_default_matmul_precision
        return {"hs": np.array([PRECISION[precision]])}

    def prepare(problem, device):
        return Prepared({"forward": lambda: 1.0}, results)

    return Peer("fake", "nothing", None, None, {"layer": prepare}, library=library)


def test_a_worker_refuses_to_compute_on_another_device_than_it_was_asked_for():
    commands = peer_commands(fake_peer(), "tpu")
    with pytest.raises(LookupError, match="JAX finds no tpu here, only cpu"):
        commands["prepare"](TINY)
    assert peer_commands(fake_peer(), "cpu")["prepare"](TINY) == {}


@pytest.mark.parametrize("serve", [worker.serve_peer, contest.serve_limit])
def test_workers_that_are_on_the_cpu_say_so_and_are_not_timed(serve):
    """As a second process on a TPU is: JAX there takes the CPU with no more than a warning."""
    argument = "jaxrnn" if serve is worker.serve_peer else True
    running = Worker(serve, (argument, "tpu"), device_environment("cpu"))
    try:
        with pytest.raises(WorkerFailure, match="JAX finds no tpu here, only cpu"):
            running.ask("prepare", *([TINY] if serve is worker.serve_peer else []))
    finally:
        running.close()


def test_pytorch_says_for_itself_where_it_is():
    peer = PEERS["torch"]
    assert peer.library is not JAX
    assert peer.environment["JAX_PLATFORMS"] == "cpu"
    torch = pytest.importorskip("torch")
    peer.library.require("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(LookupError, match="PyTorch finds no gpu here"):
            peer.library.require("gpu")
    with peer.library.highest():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


def test_agreement_is_of_products_in_float32_and_timing_of_those_in_use():
    commands = peer_commands(fake_peer(), "cpu")
    commands["prepare"](TINY)
    assert commands["results"](True) == {"hs": PRECISION["highest"]}
    assert commands["results"](False) == {"hs": PRECISION[None]}
    seen = []
    library = Library(lambda device: None, lambda: seen.append("highest") or nullcontext())
    commands = peer_commands(fake_peer(library), "gpu")
    commands["prepare"](TINY)
    commands["results"](True)
    assert seen == ["highest"]
    commands["sample"]("forward", 1)
    assert seen == ["highest"]


class FakeWorker:
    """In this process, on whatever it is told that it is on."""

    alive_at_once, alive_now = 0, ()

    def __init__(self, serve, arguments, environment):
        self.name, self.alive = arguments[0], True
        FakeWorker.alive_now.append(self)
        FakeWorker.alive_at_once = max(FakeWorker.alive_at_once, len(FakeWorker.alive_now))
        library = Library(lambda device: None, JAX.highest)
        self.commands = peer_commands(fake_peer(library), arguments[1])
        if serve is contest.serve_limit:
            self.commands["prepare"] = lambda: {"width": 1, "flops": 2.0}
            self.commands["sample"] = lambda quantity, calls: 0.5

    def ask(self, command, *arguments):
        assert self.alive
        return self.commands[command](*arguments)

    def sampler(self, quantity):
        return lambda calls: self.ask("sample", quantity, calls)

    def close(self):
        self.alive = False
        FakeWorker.alive_now.remove(self)


@pytest.fixture
def fake_workers(monkeypatch):
    monkeypatch.setattr(contest, "Worker", FakeWorker)
    FakeWorker.alive_at_once, FakeWorker.alive_now = 0, []
    return FakeWorker


@pytest.mark.parametrize(("platform", "at_once"), [("tpu", 1), ("cuda", 4)])
def test_an_exclusive_device_has_one_worker_at_a_time(fake_workers, platform, at_once):
    with contest.Contest(platform, ["jaxrnn", "autodiff", "numpy"], repeats=2) as running:
        records = running.run(TINY, ("forward",), limit=True)
    assert fake_workers.alive_at_once == at_once
    assert fake_workers.alive_now == []
    assert [r["peer"] for r in records if "absent" in r] == ["numpy"]
    timed = {r["peer"]: r for r in records if "seconds" in r}
    assert list(timed) == ["jaxrnn", "autodiff"]
    for record in timed.values():
        assert record["device"] == {"tpu": "tpu", "cuda": "gpu"}[platform]
        assert record.get("interleaved", True) is (platform == "cuda")
        assert record["matrix_product_flops_per_second"] == 4.0
        # Compared in float32's products; what is timed is noted beside it, and decides nothing.
        assert record["relative_errors"] == {"hs": 0.0}
        assert record["relative_errors_as_timed"] == relative_errors(
            {"hs": np.array([1.0])}, {"hs": np.array([3.0])}
        )


def test_on_a_cpu_the_compared_program_is_the_timed_one(fake_workers):
    with contest.Contest("cpu", ["jaxrnn"], repeats=2) as running:
        (record,) = running.run(TINY, ("forward",))
    assert record["relative_errors"] == {"hs": 0.0}
    assert "relative_errors_as_timed" not in record
    assert "interleaved" not in record


def test_the_probe_names_the_platform():
    assert worker.platform_of("cpu") == "cpu"
    assert worker.platform_of("tpu") is None
