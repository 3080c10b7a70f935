"""Windows of a text for truncated backpropagation through time.

A text is cut into B streams that lie side by side; a window is the next T characters of every
stream, and its targets are the same characters shifted by one. Row b of window w follows row b
of window w − 1, so that the carry can pass from window to window. After the last window the
streams start over, and there the carry goes back to zero.

    streams [B, W·T + 1]     stream b = tokens[b·W·T : (b + 1)·W·T + 1]

Streams are a view of the tokens, which may lie in a memory map: nothing is read before it is used.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_size

LARGEST_ID = 2**31 - 1  # a window's are int32


class Part(NamedTuple):
    """Consecutive windows of streams: all of them, or those that are trained on next.

    Attributes:
        streams: [B, W·T + 1].
        resets: bool [B, W·T], where a document starts; None: nowhere.
        step: the training step whose window is the first of these.
        window: that window's number in the whole streams; at 0 they start over.
    """

    streams: Any
    resets: Any = None
    step: ArrayLike = 0
    window: ArrayLike = 0


def make_streams(tokens: ArrayLike, batch_size: int, length: int) -> NDArray[np.integer]:
    """Cuts tokens into `batch_size` contiguous streams of whole windows.

    Args:
        tokens: [N] token ids, from 0 up.
        batch_size: B, streams side by side.
        length: T, steps in a window.

    Returns:
        [B, W·T + 1] with W = ⌊(N − 1) / (B·T)⌋ windows, in the smallest unsigned type that
        holds the ids: one byte a character for up to 256 characters. Up to B·T − 1 tokens at
        the end are left out. It is a read-only view, and of uint8 and uint16 tokens one without
        a copy, so that those of a memory map are not read here.

    Raises:
        ValueError: an id below 0 or above 2³¹ − 1, anything but one axis, a size that is no integer
            of at least 1, or fewer than B·T + 1 tokens, so not even one window. (How large the
            vocabulary is, is not known here: an id above it makes logits and losses NaN.)
        TypeError: tokens that are not integers.

    >>> make_streams(range(10), batch_size=2, length=2)
    array([[0, 1, 2, 3, 4],
           [4, 5, 6, 7, 8]], dtype=uint8)
    """
    for name, size in (("batch_size", batch_size), ("length", length)):
        check_size("make_streams", name, size)
    ids = token_ids("make_streams", tokens)
    small = ids.dtype in (np.uint8, np.uint16)
    if ids.size and not small and not 0 <= ids.min() <= ids.max() <= LARGEST_ID:
        where = int(((ids < 0) | (ids > LARGEST_ID)).argmax())
        rule, got = f"token ids from 0 to {LARGEST_ID:,}", f"{int(ids[where]):,}"
        raise ValueError(sentence("make_streams", "tokens", rule, f"{got} at position {where:,}"))
    windows = (len(ids) - 1) // (batch_size * length)
    if windows < 1:
        fitting = sizes_that_fit(len(ids), batch_size, length)
        smaller = f", or a batch size of {fitting[0]} with windows of {fitting[1]}"
        raise ValueError(
            sentence(
                "make_streams",
                "tokens",
                f"at least {batch_size * length + 1:,} (batch size {batch_size} x window "
                f"{length} + 1)",
                f"{len(ids):,}",
                f"a longer text{smaller if fitting[1] else ''}",
            )
        )
    if not small:
        largest = int(ids.max())
        kind = np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.uint32
        ids = ids.astype(kind)
    span = windows * length
    return np.lib.stride_tricks.sliding_window_view(ids, span + 1)[::span][:batch_size]


def make_resets(
    documents: ArrayLike, batch_size: int, span: int, first: int = 0, count: int | None = None
) -> NDArray[np.bool_]:
    """Where in the streams of a text a document starts.

    Args:
        documents: [D] places in the text, in order.
        batch_size: B.
        span: W·T, the places of a stream.
        first: the place in each stream from which on they are wanted.
        count: how many of them; None: to the end.

    Returns:
        bool [B, count].

    >>> make_resets([0, 3, 7], batch_size=2, span=4).astype(int)
    array([[1, 0, 0, 1],
           [0, 0, 0, 1]])
    """
    count = span - first if count is None else count
    starts = np.asarray(documents, np.int64)
    resets = np.zeros((batch_size, count), bool)
    begins = span * np.arange(batch_size) + first
    lows, highs = np.searchsorted(starts, (begins, begins + count))
    for row, begin, low, high in zip(resets, begins, lows, highs, strict=True):
        row[starts[low:high] - begin] = True
    return resets


def document_places(
    function: str, documents: ArrayLike | None, tokens: int
) -> NDArray[np.int64] | None:
    """Places at which documents start, checked.

    Args:
        function: for the sentence.
        documents: [D] places, or None.
        tokens: N of the text.

    Raises:
        TypeError: places that are not integers.
        ValueError: anything but one axis, places that are not in order, or outside [0, N).
    """
    if documents is None:
        return None
    rule = f"places from 0 to {tokens - 1:,} in order, integers [D]"
    places = _integers(function, "documents", rule, documents).astype(np.int64)
    late = (np.diff(places, prepend=0) < 0).nonzero()[0]
    if len(late):
        got = f"{places[late[0]]:,} after {places[late[0] - 1]:,}" if late[0] else f"{places[0]:,}"
        raise ValueError(sentence(function, "documents", rule, got))
    if len(places) and places[-1] >= tokens:
        raise ValueError(sentence(function, "documents", rule, f"{places[-1]:,}"))
    return places


def token_ids(function: str, tokens: ArrayLike) -> NDArray[np.integer]:
    """Tokens [N] as an array of integers of whatever size.

    Args:
        function: for the sentence.
        tokens: [N], maybe none.

    Raises:
        TypeError: tokens that are not integers.
        ValueError: anything but one axis.
    """
    hint = "Vocab.encode(text) makes them of a text"
    return _integers(function, "tokens", "integer token ids [N]", tokens, hint)


def _integers(
    function: str, argument: str, rule: str, values: ArrayLike, hint: str = ""
) -> NDArray[np.integer]:
    """Values [N], maybe none, as an array of integers of whatever size; else raises by the rule."""
    try:
        numbers = np.asarray(values)
    except ValueError:
        raise ValueError(sentence(function, argument, rule, "lists of several lengths")) from None
    if not numbers.size:
        numbers = numbers.astype(np.int32)  # NumPy takes an empty list for floats
    if numbers.dtype.kind not in "iu":
        got = "a text" if numbers.dtype.kind in "SU" else numbers
        raise TypeError(sentence(function, argument, rule, got, hint))
    if numbers.ndim != 1:
        raise ValueError(sentence(function, argument, f"{rule}, one axis", numbers))
    return numbers


def number_of_windows(streams: jax.Array | NDArray[np.integer], length: int) -> int:
    """W, the windows of T = `length` steps in streams [B, W·T + 1]."""
    return (streams.shape[1] - 1) // length


def window(streams: jax.Array, index: jax.Array | int, length: int) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets of one window.

    Args:
        streams: [B, W·T + 1].
        index: w in [0, W).
        length: T.

    Returns:
        Inputs and targets, both int32 [T, B], targets one character later.

    >>> inputs, targets = window(jnp.asarray(make_streams(range(10), 2, 2)), 1, 2)
    >>> inputs.tolist(), targets.tolist()
    ([[2, 6], [3, 7]], [[3, 7], [4, 8]])
    """
    start = jnp.asarray(index, jnp.int32) * length
    rows = jax.lax.dynamic_slice_in_dim(streams, start, length + 1, axis=1)
    tokens = rows.T.astype(jnp.int32)
    return tokens[:-1], tokens[1:]


def window_resets(resets: Any, index: jax.Array | int, length: int) -> Any:
    """The resets [T, B] of one window, of those of the streams [B, W·T]; None of None."""
    if resets is None:
        return None
    start = jnp.asarray(index, jnp.int32) * length
    return jax.lax.dynamic_slice_in_dim(resets, start, length, axis=1).T


def sizes_that_fit(tokens: int, batch_size: int, length: int) -> tuple[int, int]:
    """Batch size and length, at most those wanted, that leave some windows; zeros if none do.

    >>> sizes_that_fit(1000, batch_size=50, length=50), sizes_that_fit(1, batch_size=50, length=50)
    ((4, 50), (0, 0))
    """
    if tokens < 2:
        return 0, 0
    length = min(length, tokens - 1, max(8, (tokens - 1) // 4))
    return max(1, min(batch_size, (tokens - 1) // (4 * length))), length
