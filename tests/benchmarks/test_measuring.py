import time

import pytest

from benchmarks import measuring


def test_samples_are_taken_in_turn():
    order = []

    def sampler(name):
        def sample(calls):
            order.append(name)
            return 1.0

        return sample

    measuring.interleave({"a": sampler("a"), "b": sampler("b")}, repeats=3)
    assert order[-6:] == ["a", "b"] * 3


def test_who_fails_drops_out_and_the_others_go_on():
    taken = []

    def failing(calls):
        taken.append(calls)
        if len(taken) > 3:
            raise ValueError("broken")
        return 1.0

    timings, failures = measuring.interleave(
        {"good": lambda calls: 2.0, "bad": failing, "worse": lambda calls: 1 / 0}, repeats=5
    )
    assert list(timings) == ["good"]
    assert timings["good"] == measuring.Timing(2.0, 2.0, 2.0, repeats=5, calls_per_repeat=1)
    assert str(failures["bad"]) == "broken"
    assert isinstance(failures["worse"], ZeroDivisionError)


def test_median_and_quartiles():
    timing = measuring.Timing.of([5.0, 1.0, 2.0, 4.0, 3.0], calls=7)
    assert timing == measuring.Timing(3.0, 2.0, 4.0, repeats=5, calls_per_repeat=7)


def test_calls_fill_the_sample():
    assert measuring.calls_that_fill(lambda calls: 0.001, sample_seconds=0.02) == 20
    assert measuring.calls_that_fill(lambda calls: 0.5, sample_seconds=0.02) == 1


def test_slow_rounds_are_repeated_less_often():
    now = iter(range(0, 10**6, 10))
    clock = pytest.MonkeyPatch()
    clock.setattr(time, "perf_counter", lambda: float(next(now)))
    try:
        timings, _ = measuring.interleave({"slow": lambda calls: 10.0})
    finally:
        clock.undo()
    assert timings["slow"].repeats == measuring.LEAST_REPEATS


def test_one_call_is_not_counted_and_a_call_may_time_itself():
    seconds = iter([100.0, 1.0, 2.0])
    assert measuring.mean_seconds(lambda: next(seconds), calls=2) == 1.5
