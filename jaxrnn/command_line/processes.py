"""One training in several processes, of one machine or of many: how they start JAX, and end.

The command line says which processes belong together (`--coordinator` and its kin), or else the
cluster that started them, where JAX knows it. In the first case they meet before JAX starts
(`meeting`), in the second JAX brings them together and they meet then.
"""

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from jaxrnn.command_line import clusters, explained, in_options, meeting
from jaxrnn.command_line.peers import Introduction, Peers, SaidByAllError
from jaxrnn.errors import sentence

# From the first to the last process's devices and their first collective: two seconds on a CPU; of
# many GPUs not measured.
SECONDS_FOR_JAX = 120.0
SECONDS_TO_SHUT_DOWN = 20
SECONDS_FOR_NEWS = 3.0


class Start(NamedTuple):
    """What a command does around the moment at which JAX looks for its devices.

    Attributes:
        configure: before it; of (cores, processes or None where not yet known).
        check: as soon as it may look.
    """

    configure: Callable[[int, int | None], None]
    check: Callable[[], None]


class Place(NamedTuple):
    """What the command line says of this process.

    Attributes:
        host: of process 0.
        port: on which it listens.
        processes: how many there are.
        process: this one's number.
    """

    host: str
    port: int
    processes: int
    process: int

    @property
    def address(self) -> str:
        """Of process 0."""
        return f"{self.host}:{self.port}"


def place(coordinator: str | None, count: int | None, process: int | None) -> Place | None:
    """Reads `--coordinator`, `--num-processes` and `--process-id`.

    Returns:
        None for one process; there need not be the other two then.

    Raises:
        ValueError: one of them is missing, or is no number that fits.

    Example:
        >>> place("first-host:9000", 2, 1)
        Place(host='first-host', port=9000, processes=2, process=1)
    """
    said = {"--coordinator": coordinator, "--num-processes": count, "--process-id": process}
    missing = [option for option, value in said.items() if value is None]
    if len(missing) == len(said):
        return None
    if count is not None and count < 1:
        raise ValueError(sentence("train", "--num-processes", "at least 1", count))
    if count == 1 and process in (None, 0):
        return None
    if coordinator is None or count is None or process is None:
        given = " and ".join(option for option in said if option not in missing)
        hint = "--coordinator HOST:PORT --num-processes N --process-id I, in each of N processes"
        raise ValueError(sentence("train", missing[0], f"a value beside {given}", "none", hint))
    if not 0 <= process < count:
        rule = f"a number from 0 to {count - 1}, one below --num-processes"
        raise ValueError(sentence("train", "--process-id", rule, process))
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        rule = "HOST:PORT, the address of process 0"
        raise ValueError(sentence("train", "--coordinator", rule, coordinator))
    return Place(host.strip("[]"), int(port), count, process)


@contextmanager
def joined(
    place: Place | None, detect: bool, facts: Mapping[str, Any], start: Start
) -> Iterator[Peers]:
    """Brings the processes and their devices together for a `with` block.

    Whoever leaves the block by an exception ends all processes, each with a sentence.

    Args:
        place: of this process, if the command line says it.
        detect: else: whether a cluster may say it.
        facts: what has to be the same in all processes, by how a message calls it.
        start: how JAX starts.

    Yields:
        The processes.

    Raises:
        ValueError: they do not come together, or the facts differ.
    """
    cores = _cores()
    cluster = clusters.detected() if place is None and detect else None
    if place is not None:
        peers = _meet(place, cores, facts)
        with _all_or_none(peers):
            start.configure(peers.cores, peers.count)
            _start_jax(place, peers, start)
            yield peers
    elif cluster is not None:
        with _all_or_none(_start_in_cluster(cluster, cores, facts, start)) as peers:
            yield peers
    else:
        start.configure(len(cores), 1)
        start.check()
        yield meeting.alone(cores)


@contextmanager
def _all_or_none(peers: Peers) -> Iterator[Peers]:
    try:
        yield peers
        _part(peers)
    except SaidByAllError:
        _part(peers)
        raise
    except BaseException as error:
        if peers.count == 1:
            raise
        if _from_runtime(error):
            # A collective fails where another process is gone; which, will be known at once.
            peers.wait_for_news(SECONDS_FOR_NEWS)
        if not isinstance(error, Exception):
            peers.leave(type(error).__name__, 1)
        if os.environ.get("JAXRNN_TRACEBACK"):
            sys.excepthook(type(error), error, error.__traceback__)
        words, code = explained(error)
        words = in_options("train", words)
        peers.leave(words, code, own_words=words)


def _part(peers: Peers) -> None:
    import jax

    peers.close()
    # All is saved, and all have said so: who is lost from here on is not missed.
    with suppress(Exception):
        jax.distributed.shutdown()


def _from_runtime(error: BaseException) -> bool:
    """Whether XLA raised it: not always as a JaxRuntimeError, but its messages begin INTERNAL:."""
    return re.match(r"[A-Z_]+: ", str(error)) is not None


def _meet(place: Place, cores: list[int], facts: Mapping[str, Any]) -> Peers:
    own = Introduction(place.process, place.processes, socket.gethostname(), cores, dict(facts))
    if place.process > 0:
        return meeting.connect([place.host], place.port, own)
    try:
        server = meeting.listen(place.host, place.port)
    except OSError as error:
        rule = "a port of this host that is free"
        reason = "" if error.errno is None else f" ({os.strerror(error.errno)})"
        got = place.address + reason
        raise ValueError(sentence("train", "--coordinator", rule, got)) from None
    return meeting.receive(server, own)


def _start_jax(place: Place, peers: Peers, start: Start) -> None:
    # The port is free again, since all have come; but JAX ends by SIGSEGV where it is not.
    port = peers.gather(_free_port(place) if peers.first else None)[0]
    what = f"JAX's own connections, to {place.host}:{port} and between all hosts, are not made"
    with _in_time(peers, what):
        host = f"[{place.host}]" if ":" in place.host else place.host
        _initialize(
            f"{host}:{port}" if peers.first else f"127.0.0.1:{_forwarded(place.host, port)}",
            num_processes=place.processes,
            process_id=place.process,
            cluster_detection_method="deactivate",
            initialization_timeout=round(2 * SECONDS_FOR_JAX),
        )
        start.check()
        _told_by_first(b"here")


def _free_port(place: Place) -> int:
    for port in (place.port, 0):
        with suppress(OSError), meeting.listen(place.host, port) as server:
            return int(server.getsockname()[1])
    raise AssertionError


def _forwarded(host: str, port: int) -> int:
    """A port of this machine that leads to JAX's service in process 0.

    JAX's client ends this process by SIGABRT, with a page of C++, as soon as its connection ends.
    This one does not end, so that there is time to say in a sentence that process 0 is lost.
    """
    server = socket.create_server(("127.0.0.1", 0))

    def forward() -> None:
        while True:
            near, _ = server.accept()
            with suppress(OSError):
                far = meeting.reach([host], port, SECONDS_FOR_JAX)
                far.settimeout(None)
                threading.Thread(target=_pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=_pump, args=(far, near, False), daemon=True).start()

    threading.Thread(target=forward, daemon=True).start()
    return int(server.getsockname()[1])


def _pump(source: socket.socket, sink: socket.socket, to_the_end: bool) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
        if to_the_end:
            sink.shutdown(socket.SHUT_WR)


def _initialize(address: str | None = None, **more: Any) -> None:
    import jax

    # What it does at SIGTERM is `stop_requests`' to do, and it complains where process 0 is lost.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(address, shutdown_timeout_seconds=SECONDS_TO_SHUT_DOWN, **more)


def _start_in_cluster(
    cluster: dict[str, Any], cores: list[int], facts: Mapping[str, Any], start: Start
) -> Peers:
    import jax

    try:
        # How long it waits for the others is JAX's choice: a cluster may take minutes to start all.
        _initialize(**cluster)
    except Exception as error:  # whatever stands in the environment of a stranger's cluster
        rule = "the processes of the cluster that started this one, as JAX finds them"
        hint = "--num-processes 1 trains in this one alone; with --coordinator all is said"
        got = f"{type(error).__name__}: {error}"
        raise ValueError(sentence("train", "--num-processes", rule, got, hint)) from None
    start.configure(len(cores), None)
    start.check()
    process, count = jax.process_index(), jax.process_count()
    if count == 1:
        return meeting.alone(cores)
    own = Introduction(process, count, socket.gethostname(), cores, dict(facts))
    if process > 0:
        port, *addresses = _told_by_first(b"").decode().split(" ")
        return meeting.connect(addresses, int(port), own)
    server = meeting.listen("", 0)
    _told_by_first(" ".join([str(server.getsockname()[1]), *_own_addresses()]).encode())
    return meeting.receive(server, own)


def connect(devices: int) -> None:
    """Connects the devices that a training takes, where they are not all that there are."""
    import jax

    from jaxrnn.charlm import placement

    if jax.process_count() > 1 and devices < len(jax.devices()):
        mesh = placement.make_mesh(devices)
        assert mesh is not None
        _told_by_first(b"", list(mesh.devices.flat))


def _told_by_first(said: bytes, devices: list[Any] | None = None) -> bytes:
    """What process 0 says, by a collective over some devices, or all."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    devices = devices or jax.devices()
    mesh = jax.make_mesh(
        (len(devices),), ("all",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices
    )
    rows = np.zeros((len(devices), 256), np.uint8)
    if jax.process_index() == 0:
        rows[:, : len(said)] = list(said)
    divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("all"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    placed = jax.make_array_from_callback(rows.shape, divided, lambda index: rows[index])
    # The CPU's collectives say on standard output, from C++, that they are connected.
    try:
        with _no_output():
            sums = jax.jit(lambda rows: jnp.max(rows, axis=0), out_shardings=everywhere)(placed)
            told = np.asarray(sums.addressable_data(0))
    except Exception as error:
        if "Gloo" not in str(error):
            raise
        rule = "hosts that the others reach at what their own names resolve to"
        got = f"{_resolved(socket.gethostname())} ({str(error).splitlines()[0]})"
        hint = "the CPU's collectives need that; see /etc/hosts"
        raise ValueError(sentence("train", "--coordinator", rule, got, hint)) from None
    return told.tobytes().rstrip(b"\0")


def _resolved(name: str) -> str:
    try:
        return f"{name} at {socket.gethostbyname(name)}"
    except OSError:
        return f"{name}, which does not resolve"


@contextmanager
def _no_output() -> Iterator[None]:
    """Lets nothing through to standard output, from C++ either."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _in_time(peers: Peers, what: str) -> Iterator[None]:
    """Ends all processes with a sentence where the block takes too long: it may hang in C++."""
    words = sentence("train", "--coordinator", "hosts that reach each other", what)
    words += (
        f" Waited for {SECONDS_FOR_JAX:.0f} seconds; maybe a firewall lets through one port only."
    )
    timer = threading.Timer(SECONDS_FOR_JAX, peers.leave, (words, 2, words))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _own_addresses() -> list[str]:
    """By which other hosts may reach this one, the likeliest first."""
    found = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        # Sends nothing; the kernel chooses the interface that leads out.
        outward.connect(("192.0.2.1", 9))
        found.append(outward.getsockname()[0])
    with suppress(OSError):
        found.append(socket.gethostbyname(socket.gethostname()))
    return list(dict.fromkeys([*found, socket.gethostname()]))


def _cores() -> list[int]:
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))
