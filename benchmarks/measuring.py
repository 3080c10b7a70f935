"""Timing: interleaved samples, medians and quartiles.

A participant is timed in samples. A sample is the mean of as many calls as fill
`SAMPLE_SECONDS`, after one call that is not counted and that refills the caches which the
participants before it have used. Samples are taken in turn, A B C A B C ..., so that a slow
moment of the machine falls on everyone; each call blocks until its results are ready.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

SAMPLE_SECONDS = 0.02
REPEATS = 21
LEAST_REPEATS = 7
SECONDS_PER_ROUND_BEFORE_FEWER = 1.5

Name = TypeVar("Name", bound=Hashable)
Sampler = Callable[[int], float]
"""Runs that many calls and returns the mean seconds of a call."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median and quartiles over the samples."""

    median: float
    lower_quartile: float
    upper_quartile: float
    repeats: int
    calls_per_repeat: int

    @classmethod
    def of(cls, samples: list[float], calls: int) -> "Timing":
        """Summarises samples.

        >>> Timing.of([3.0, 1.0, 2.0], calls=1)
        Timing(median=2.0, lower_quartile=1.5, upper_quartile=2.5, repeats=3, calls_per_repeat=1)
        """
        if len(samples) == 1:
            lower = middle = upper = samples[0]
        else:
            lower, middle, upper = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(middle, lower, upper, len(samples), calls)

    def as_dict(self) -> dict[str, float]:
        """The fields, for a JSON record."""
        return asdict(self)


def mean_seconds(call: Callable[[], float | None], calls: int, warm_up: bool = True) -> float:
    """Mean seconds of a call, after one that is not counted where `warm_up` is set.

    A call that returns a number has timed itself (compilation does: only part of what it does
    is of interest), and that number is taken.
    """
    if warm_up:
        call()
    total = 0.0
    for _ in range(calls):
        start = time.perf_counter()
        own = call()
        total += time.perf_counter() - start if own is None else own
    return total / calls


def calls_that_fill(sampler: Sampler, sample_seconds: float = SAMPLE_SECONDS) -> int:
    """How many calls a sample needs, from a first timing of one call and a second of several."""
    once = sampler(1)
    if once >= sample_seconds:
        return 1
    several = sampler(max(1, int(sample_seconds / 4 / once)))
    return max(1, round(sample_seconds / several))


def interleave(
    samplers: Mapping[Name, Sampler],
    repeats: int | None = None,
    progress: Callable[[], None] = lambda: None,
    sample_seconds: float = SAMPLE_SECONDS,
) -> tuple[dict[Name, Timing], dict[Name, Exception]]:
    """Times participants in turn.

    Args:
        samplers: name → sampler.
        repeats: samples of each; without it `REPEATS`, or fewer (never under `LEAST_REPEATS`)
            where one round over all participants takes longer than
            `SECONDS_PER_ROUND_BEFORE_FEWER`.
        progress: called after each sample.
        sample_seconds: what a sample lasts at least.

    Returns:
        Timings by name, and the exceptions of those that failed; whoever fails drops out and
        the others go on.
    """
    failures: dict[Name, Exception] = {}
    calls: dict[Name, int] = {}
    round_seconds = 0.0
    for name, sampler in samplers.items():
        try:
            calls[name] = calls_that_fill(sampler, sample_seconds)
            start = time.perf_counter()
            sampler(calls[name])
            round_seconds += time.perf_counter() - start
        except Exception as failure:  # whatever a peer raises is that peer's result
            failures[name] = failure
    if repeats is None:
        fits = REPEATS * SECONDS_PER_ROUND_BEFORE_FEWER / max(round_seconds, 1e-9)
        repeats = max(LEAST_REPEATS, min(REPEATS, int(fits)))
    samples: dict[Name, list[float]] = {name: [] for name in calls if name not in failures}
    for _ in range(repeats):
        for name in list(samples):
            try:
                samples[name].append(samplers[name](calls[name]))
            except Exception as failure:
                failures[name] = failure
                del samples[name]
            progress()
    return {name: Timing.of(taken, calls[name]) for name, taken in samples.items()}, failures
