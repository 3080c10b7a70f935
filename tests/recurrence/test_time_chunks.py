import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import tuning
from jaxrnn.recurrence.time_chunks import (
    chunk_starts,
    join_time,
    scan_chunks,
    split_time,
    tuned_chunk,
)
from jaxrnn.tuning import MIB


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("chunk_length", [1, 2, 3, 7, 10])
def test_join_undoes_split(length, chunk_length):
    x = jnp.arange(2.0 * length).reshape(length, 2)
    np.testing.assert_array_equal(join_time(split_time(x, chunk_length)), x)


@pytest.mark.parametrize("chunk_length", [1, 2, 3, 7, 10])
def test_chunk_starts(chunk_length):
    x = jnp.arange(1.0, 8.0)
    starts = chunk_starts(jnp.zeros(()), x, chunk_length)
    found = [] if starts.whole is None else list(np.asarray(starts.whole))
    found += [] if starts.rest is None else [float(starts.rest)]
    assert found == [float(i) for i in range(0, 7, chunk_length)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunk_length", [1, 2, 3, 7, 10])
def test_scan_visits_chunks_in_order(chunk_length, reverse):
    x = jnp.arange(1.0, 8.0)

    def body(state, chunk):
        # A polynomial hash: any other order of the chunks gives another number.
        return state * 10 + jnp.sum(chunk), 2 * chunk

    state, doubled = scan_chunks(body, jnp.zeros(()), split_time(x, chunk_length), reverse)
    pieces = [np.sum(x[i : i + chunk_length]) for i in range(0, 7, chunk_length)]
    expected = 0.0
    for piece in reversed(pieces) if reverse else pieces:
        expected = expected * 10 + piece
    assert state == expected
    np.testing.assert_array_equal(join_time(doubled), 2 * x)


@pytest.mark.parametrize(
    ("length", "step_bytes", "expected"),
    [
        (25, 1600, 25),  # all of it fits, and 25 has no half
        (64, 1600, 32),  # all of it fits; two chunks take less memory
        (50, MIB // 10, 10),  # a divisor
        (100, MIB // 8, 5),  # 8 is none of 100's divisors
        (101, MIB // 8, 8),  # a prime length leaves a rest
        (4096, 1, 128),  # the longest
        (128, 100 * MIB, 8),  # the shortest
        (3, 100 * MIB, 3),
    ],
)
def test_chunk_length_on_a_cpu(length, step_bytes, expected, monkeypatch):
    monkeypatch.setattr(tuning, "here", lambda: tuning.CPU)
    assert tuned_chunk(length, step_bytes) == expected


@pytest.mark.parametrize(
    ("length", "step_bytes", "expected"),
    [
        (64, 1600, 64),  # the whole
        (100_000, 1600, 100_000),
        (1000, MIB, 250),  # a divisor of what fits the memory
        (1009, MIB, 256),  # a prime length leaves a rest
        (3, 1 << 30, 3),
    ],
)
def test_chunk_length_on_an_accelerator(length, step_bytes, expected, monkeypatch):
    monkeypatch.setattr(tuning, "here", lambda: tuning.GPU)
    assert tuned_chunk(length, step_bytes) == expected
