"""How the processes of one training find each other: all come to process 0 and say who they are.

This is before JAX starts, whose own way to meet answers mistakes in C++: where nobody answers, a
process ends by SIGABRT, where the port is in use by SIGSEGV (jaxlib 0.10.2). Here each is a
sentence, and in all processes.
"""

import itertools
import socket
import time
from collections.abc import Iterable, Mapping, Sequence

from jaxrnn.command_line.peers import Introduction, Link, Peers, difference
from jaxrnn.errors import sentence

SECONDS_TO_COME = 45.0
SECONDS_TO_SPEAK = 5.0


def alone(cores: list[int]) -> Peers:
    """The one process that there is.

    >>> one = alone(cores=[0, 1, 2])
    >>> one.first, one.count, one.cores, one.gather("a value")
    (True, 1, 3, ['a value'])
    """
    return Peers(0, [Introduction(0, 1, socket.gethostname(), cores, {})], {})


def listen(host: str, port: int) -> socket.socket:
    """A socket for the other processes to connect to, from this machine only if host is localhost.

    Raises:
        OSError: the port is in use, or not to be had.
    """
    if host in ("localhost", "127.0.0.1"):
        return socket.create_server(("127.0.0.1", port))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def receive(server: socket.socket, own: Introduction, seconds: float = SECONDS_TO_COME) -> Peers:
    """Waits, in process 0, for all others.

    Args:
        server: of `listen`; it is closed.
        own: what process 0 is.
        seconds: to wait for them.

    Raises:
        ValueError: one has not come, or what it says does not fit; those that came say it too.
    """
    end = time.monotonic() + seconds
    there = {0: own}
    links: dict[int, Link] = {}
    fault = ""
    with server:
        while len(there) < own.processes and not fault:
            server.settimeout(max(0.01, end - time.monotonic()))
            try:
                link = Link(server.accept()[0])
            except TimeoutError:
                fault = _missing(own, there, seconds)
                break
            try:
                comes = Introduction(*link.read_one(SECONDS_TO_SPEAK)["comes"])
                fault = _misfit(own, comes, there)
            except (OSError, KeyError, TypeError):
                link.close()  # none of ours
                continue
            if fault:
                _refuse([link], fault)
            else:
                there[comes.process], links[comes.process] = comes, link
    everybody = [there[process] for process in sorted(there)]
    fault = fault or difference(everybody, [process.facts for process in everybody])
    if fault:
        _refuse(links.values(), fault)
        raise ValueError(fault)
    for link in links.values():
        link.send(welcome=everybody)
    return Peers(0, everybody, links)


def connect(
    addresses: Sequence[str], port: int, own: Introduction, seconds: float = SECONDS_TO_COME
) -> Peers:
    """Connects one of the others to process 0.

    Args:
        addresses: of process 0, tried in turn.
        port: on which it listens.
        own: what this process is.
        seconds: to wait for an answer. For the rest to come it waits for as long again.

    Raises:
        ValueError: nobody answers, or process 0 says what does not fit.
    """
    expected = "the address of process 0"
    where = f"{addresses[0]}:{port}"
    try:
        link = Link(reach(addresses, port, seconds))
    except OSError as error:
        why = error.strerror or error
        got = f"{where}, where nobody has answered for {seconds:.0f} seconds ({why})"
        raise ValueError(sentence("train", "--coordinator", expected, got)) from None
    try:
        link.send(comes=own)
        answer = link.read_one(seconds + SECONDS_TO_SPEAK)
        if "refused" not in answer:
            everybody = [Introduction(*process) for process in answer["welcome"]]
            return Peers(own.process, everybody, {0: link})
        fault = str(answer["refused"])
    except (OSError, KeyError, TypeError) as error:
        got = f"{where}, where something else answers, or it has ended ({error})"
        fault = sentence("train", "--coordinator", expected, got)
    link.close()
    raise ValueError(fault)


def reach(addresses: Sequence[str], port: int, seconds: float) -> socket.socket:
    """Connects to one of some addresses as soon as somebody listens there.

    Raises:
        OSError: nobody has for so long.
    """
    end = time.monotonic() + seconds
    for address in itertools.cycle(addresses):
        left = max(0.1, end - time.monotonic())
        try:
            return socket.create_connection((address, port), timeout=min(left, 10.0))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
    raise AssertionError


def _refuse(links: Iterable[Link], fault: str) -> None:
    for link in links:
        link.send(refused=fault)
        link.close()


def _missing(own: Introduction, there: Mapping[int, Introduction], seconds: float) -> str:
    missing = [str(process) for process in range(own.processes) if process not in there]
    return sentence(
        "train",
        "--num-processes",
        f"{own.processes} to come to process 0 on {own.host} within {seconds:.0f} seconds",
        f"{len(there)}: {', '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing",
    )


def _misfit(own: Introduction, comes: Introduction, there: Mapping[int, Introduction]) -> str:
    where = f"process {comes.process} on {comes.host}"
    if comes.processes != own.processes:
        rule = f"the same in all processes, {own.processes} in process 0 on {own.host}"
        return sentence("train", "--num-processes", rule, f"{comes.processes} in {where}")
    if comes.process in there:
        got = f"{comes.process} on {there[comes.process].host} and on {comes.host}"
        return sentence("train", "--process-id", "another number in each process", got)
    return ""
