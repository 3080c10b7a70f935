"""On how many devices a training runs: what was asked for, what there is, and what pays."""

import argparse
from typing import TYPE_CHECKING

from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line.arguments import whole_number
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.command_line.peers import Peers

ALL = "all"

# Measured on two cores, milliseconds a window with one device and with two: the default, 2 x 192
# GRU, 53 and 37; char-rnn's 2 x 128 LSTM 41 and 25 to 36; 2 x 512 LSTM 550 and 590, since its large
# products use both cores by themselves.
LARGEST_DIVIDED = 400
FEWEST_STREAMS = 4
MOST_CORES = 8


def devices(text: str) -> int | str:
    """A number of devices, or all.

    >>> devices("2"), devices("all")
    (2, 'all')
    """
    try:
        return ALL if text == ALL else whole_number(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected a number, or {ALL}, got {text}") from None


def cores_that_pay(settings: Settings, cores: int, processes: int = 1) -> int:
    """Into how many parts, one a core, a process's share of the batch is best divided on a CPU.

    The largest divisor of the share that leaves each part a few streams; 1 for a large model.

    Args:
        settings: of the run.
        cores: that this process has.
        processes: which share the batch.
    """
    if max(settings.sizes) > LARGEST_DIVIDED:
        return 1
    share = settings.batch_size // settings.accumulate // processes
    most = min(cores, MOST_CORES, share // FEWEST_STREAMS)
    return max((n for n in range(1, most + 1) if share % n == 0), default=1)


def cpu_devices(
    settings: Settings,
    asked: int | str | None,
    kept: int | None,
    cores: int,
    processes: int | None,
) -> int:
    """How many devices JAX should make of the CPU in this process.

    Args:
        settings: of the run; what they say of devices is not read.
        asked: on the command line.
        kept: those of the run that goes on.
        cores: that this process has.
        processes: how many there are; None: not yet known, so that there have to be enough.
    """
    if asked == ALL:
        return cores
    if isinstance(asked, int):
        return max(1, asked // (processes or 1))
    if processes is None:
        return min(cores, MOST_CORES)
    if kept is not None:
        return max(1, min(cores, kept // processes))
    return cores_that_pay(settings, cores, processes)


def choose(settings: Settings, asked: int | str | None, kept: int | None, peers: "Peers") -> int:
    """The number of devices of all processes together; all of them must call it.

    Args:
        settings: of the run; what they say of devices is not read.
        asked: on the command line.
        kept: those of the run that goes on.
        peers: the processes.

    Raises:
        ValueError: there are not as many, or they do not divide the batch.
    """
    import jax

    counts: list[int] = peers.gather(jax.local_device_count())
    here = min(counts)
    processes = peers.count
    parts = settings.batch_size // settings.accumulate
    if parts % processes:
        by = f", times --accumulate {settings.accumulate}" if settings.accumulate > 1 else ""
        rule = f"a multiple of {processes * settings.accumulate}, the number of processes{by}"
        raise ValueError(sentence("train", "--batch-size", rule, settings.batch_size))
    if asked == ALL:
        if here != max(counts):
            got = f"{', '.join(map(str, counts))} in {processes} processes"
            raise ValueError(sentence("train", "--devices", "as many in every process", got))
        return here * processes
    if isinstance(asked, int):
        if asked % processes:
            rule = f"a multiple of {processes}, the number of processes"
            raise ValueError(sentence("train", "--devices", rule, asked))
        if asked > here * processes:
            where = "" if processes == 1 else f", {here} in each of {processes} processes"
            rule = f"at most the {here * processes} that JAX has here{where}"
            raise ValueError(sentence("train", "--devices", rule, asked))
        return asked
    largest = processes * max(n for n in range(1, here + 1) if parts // processes % n == 0)
    if kept is not None:
        there = kept % processes == 0 and kept <= here * processes
        if not there:
            peers.say(
                f"The run was trained on {_in_words(kept)}; here it goes on with {largest}: the "
                "same text in the same order, and numbers that differ by rounding."
            )
        return kept if there else largest
    if jax.default_backend() == "cpu":
        cores = min(peers.gather(min(peers.cores, here)))
        return processes * cores_that_pay(settings, cores, processes)
    return 1 if processes == 1 else largest


def _in_words(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices} devices"
