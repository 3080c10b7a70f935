import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.streams import window


@pytest.mark.parametrize(("size", "batch", "length"), [(100, 3, 4), (97, 2, 8), (13, 3, 4)])
def test_windows_follow_each_other_in_every_stream(size, batch, length):
    tokens = np.arange(size)
    streams = charlm.make_streams(tokens, batch, length)
    count = charlm.number_of_windows(streams, length)
    assert count == (size - 1) // (batch * length)
    windows = [window(jnp.asarray(streams), index, length) for index in range(count)]
    inputs = np.concatenate([pair[0] for pair in windows])
    targets = np.concatenate([pair[1] for pair in windows])
    assert inputs.shape == (count * length, batch)
    assert inputs.dtype == np.int32
    # tokens are their own places, so each target is the place after its input
    np.testing.assert_array_equal(targets, inputs + 1)
    # a stream goes on from window to window, and the next stream where it ends
    np.testing.assert_array_equal(inputs.T.ravel(), np.arange(count * length * batch))


def test_ids_are_kept_in_the_smallest_type():
    assert charlm.make_streams(np.arange(256), 1, 5).dtype == np.uint8
    assert charlm.make_streams(np.arange(257), 1, 5).dtype == np.uint16
    assert charlm.make_streams(np.arange(70_000), 1, 5).dtype == np.uint32


def test_one_window_needs_one_more_token():
    assert charlm.make_streams(np.arange(13), 3, 4).shape == (3, 5)
    with pytest.raises(ValueError, match=r"at least 13 .* got 12"):
        charlm.make_streams(np.arange(12), 3, 4)


@pytest.mark.parametrize("size", [2, 3, 10, 50, 1000])
def test_the_sizes_that_the_error_suggests_do_fit(size):
    with pytest.raises(ValueError, match="batch size of") as caught:
        charlm.make_streams(np.arange(size), 64, 128)
    words = str(caught.value).rstrip(".").split()
    batch, length = int(words[words.index("of", words.index("a")) + 1]), int(words[-1])
    assert charlm.number_of_windows(charlm.make_streams(np.arange(size), batch, length), length) > 0


def test_ids_below_zero_are_refused_instead_of_wrapping():
    tokens = np.arange(40) % 5
    tokens[17] = -3
    with pytest.raises(
        ValueError, match=r"tokens: expected .* from 0 to .*, got -3 at position 17"
    ):
        charlm.make_streams(tokens, 2, 4)
    tokens[17] = 2**31  # a window's ids are int32
    with pytest.raises(ValueError, match=r"got 2,147,483,648 at position 17"):
        charlm.make_streams(tokens, 2, 4)
    tokens[17] = 2**31 - 1
    rows = charlm.make_streams(tokens, 1, 39)
    inputs, _ = window(jnp.asarray(rows), 0, 39)
    np.testing.assert_array_equal(inputs[:, 0], tokens[:39])
    with pytest.raises(TypeError, match=r"integer token ids .* got float64\[40\]"):
        charlm.make_streams(tokens / 2, 2, 4)


def test_sizes_below_one_are_refused():
    for batch, length in ((0, 4), (4, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            charlm.make_streams(np.arange(100), batch, length)
