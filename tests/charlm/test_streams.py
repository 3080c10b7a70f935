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


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        # Before all else, so also of a text that is too short.
        ([-1], r"token ids from 0 to 2,147,483,647, got -1 at position 0"),
        ([0, 1, 2**33], r"got 8,589,934,592 at position 2"),
        (np.array([0, 2**63], np.uint64), r"got 9,223,372,036,854,775,808 at position 1"),
        ([2**70], r"integer token ids \[N\], got object\[1\]"),
        ([0.5, 1.0], r"integer token ids \[N\], got float64\[2\]"),
        ([True] * 20, r"integer token ids \[N\], got bool\[20\]"),
        ("a text of characters", r"got a text\. Hint: Vocab\.encode"),
        (list("characters"), r"got a text"),
        (None, r"integer token ids"),
        (7, r"one axis, got int64\[\]"),
        ([[1, 2], [3, 4]], r"one axis, got int64\[2, 2\]"),
        ([[1, 2], [3]], r"got lists of several lengths"),
        ([], r"at least 9 .*, got 0\. Hint: a longer text"),
        (np.zeros(0), r"at least 9 .*, got 0"),
    ],
)
def test_what_are_no_tokens_is_said(tokens, said):
    with pytest.raises((TypeError, ValueError), match=rf"^make_streams: tokens: expected .*{said}"):
        charlm.make_streams(tokens, 2, 4)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "2", None])
def test_sizes_that_are_no_integers_of_at_least_one_are_refused(wrong):
    for name, sizes in (("batch_size", (wrong, 4)), ("length", (4, wrong))):
        with pytest.raises(ValueError, match=f"{name}: expected an integer of at least 1, got"):
            charlm.make_streams(np.arange(100), *sizes)
    assert charlm.make_streams(jnp.arange(9), np.int64(2), np.int32(4)).shape == (2, 5)
