"""Time in chunks: a scan over pieces that fit a cache, and a shorter last piece if need be."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn import tuning


class Chunked(NamedTuple):
    """Arrays [T, ...] cut into n chunks of K steps and a rest of r < K steps, T = n K + r.

    Attributes:
        whole: arrays [n, K, ...], or None where n = 0.
        rest: arrays [r, ...], or None where r = 0.
    """

    whole: Any
    rest: Any


def tuned_chunk(length: int, step_bytes: int) -> int:
    """Steps a chunk, K, for T = `length` steps with `step_bytes` of pre-activations each.

    As `tuning` has it for the platform: a divisor of T where there is one within a factor of two
    below the wish, so that no rest is left to compile for itself; on a CPU two chunks at least
    where T divides so.
    """
    tuned = tuning.here()
    wish = tuned.chunk_bytes // max(step_bytes, 1)
    wish = min(max(wish, tuned.shortest_chunk), tuned.longest_chunk)
    if length >= 2 * tuned.shortest_chunk:
        longest = min(wish, length // tuned.fewest_chunks)
        divisors = [k for k in range((longest + 1) // 2, longest + 1) if length % k == 0]
        if divisors:
            return divisors[-1]
    return max(min(length, wish), 1)


def split_time(arrays: Any, chunk_length: int) -> Chunked:
    """Cuts every array [T, ...] of a tree; `join_time` is its inverse."""
    length = jax.tree.leaves(arrays)[0].shape[0]
    count, rest = divmod(length, chunk_length)
    cut = count * chunk_length

    def whole(x: jax.Array) -> jax.Array:
        head = x if rest == 0 else x[:cut]
        return head.reshape(count, chunk_length, *x.shape[1:])

    return Chunked(
        jax.tree.map(whole, arrays) if count else None,
        jax.tree.map(lambda x: x[cut:], arrays) if rest else None,
    )


def join_time(chunks: Chunked) -> Any:
    """[n, K, ...] and [r, ...] -> [T, ...], for every array of the tree."""

    def flat(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

    if chunks.rest is None:
        return jax.tree.map(flat, chunks.whole)
    if chunks.whole is None:
        return chunks.rest
    return jax.tree.map(lambda w, r: jnp.concatenate([flat(w), r]), chunks.whole, chunks.rest)


def chunk_starts(first: Any, after: Any, chunk_length: int) -> Chunked:
    """The state before each chunk: `first`, then what stood `after` each chunk but the last.

    Args:
        first: arrays [...].
        after: arrays [T, ...], after each step.
        chunk_length: K.

    Returns:
        Arrays [n, ...] for the whole chunks, [...] for the rest.
    """
    length = jax.tree.leaves(after)[0].shape[0]
    count, rest = divmod(length, chunk_length)

    def at_ends(first: jax.Array, after: jax.Array) -> jax.Array:
        return jnp.concatenate([first[None], after[chunk_length - 1 :: chunk_length]])

    states = jax.tree.map(at_ends, first, after)
    return Chunked(
        jax.tree.map(lambda s: s[:count], states) if count else None,
        jax.tree.map(lambda s: s[count], states) if rest else None,
    )


def scan_chunks(
    body: Callable[[Any, Any], tuple[Any, Any]], state: Any, chunks: Chunked, reverse: bool = False
) -> tuple[Any, Chunked]:
    """`lax.scan` over the chunks, `body(state, chunk) -> (state, output)`, the rest in its place.

    Args:
        body: sees arrays [K, ...], and [r, ...] for the rest.
        state: carried from chunk to chunk.
        chunks: what is scanned over.
        reverse: from the last step to the first.

    Returns:
        (state after the last chunk, the outputs, Chunked like the inputs).
    """

    def scan_whole(state: Any) -> tuple[Any, Any]:
        if chunks.whole is None:
            return state, None
        return jax.lax.scan(body, state, chunks.whole, reverse=reverse)

    def run_rest(state: Any) -> tuple[Any, Any]:
        return (state, None) if chunks.rest is None else body(state, chunks.rest)

    if reverse:
        state, rest = run_rest(state)
        state, whole = scan_whole(state)
    else:
        state, whole = scan_whole(state)
        state, rest = run_rest(state)
    return state, Chunked(whole, rest)
