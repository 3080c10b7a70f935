"""The loop that writes: draw a token, feed it back, draw the next.

    p = softmax(logits / temperature), cut to the likeliest by top_k and top_p, then drawn from

A prime goes through the same loop, its tokens taking the place of drawn ones. Step n of a text
draws with `fold_in(key, n)`, so a text is the same however it is divided into calls, and the
beginning of a longer one.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.choosing import Choice, choose
from jaxrnn.charlm.losses import nats
from jaxrnn.errors import describe, sentence

Array = jax.Array

# Steps a dispatch when streaming: small enough for text to flow in a terminal, large enough that
# Python costs little (at 30 µs a step, a dispatch of 32 takes 1 ms).
STREAM_STEPS = 32

# The number of the key of a first token that nothing comes before; no step has it, since a text
# has fewer than 2³¹.
FIRST = np.uint32(2**32 - 1)


class Chunk(NamedTuple):
    """What one dispatch made of n steps, w of which wrote.

    Attributes:
        ids: new tokens [w, B].
        nats: −ln p of each by the model as it is, at temperature 1; None if not asked for.
        carry: before the first token of `read`.
        read: [m, B], what led from that carry to the last new token, which ends it.
    """

    ids: NDArray[np.int32]
    nats: NDArray[Any] | None
    carry: Any
    read: NDArray[np.int32]


def generate(
    config: model.Config,
    params: model.Params,
    key: Array,
    choice: Choice,
    prime: NDArray[np.int32],
    length: int,
    carry: Any,
    *,
    count: int,
    steps: int | None,
    scored: bool,
) -> Iterator[Chunk]:
    """`count` texts side by side, some tokens at a time.

    What goes to the device and comes back is moved in so many words, as `jax.transfer_guard`
    may ask.

    Args:
        config: the model.
        params: its parameters.
        key: a `jax.random.key`.
        choice: how tokens are chosen.
        prime: [P] token ids that come before all of the texts; of none, a first token is drawn
            evenly.
        length: tokens to write.
        carry: of one text, before the prime; None: zeros.
        count: B.
        steps: a dispatch; None: everything in one.
        scored: whether to give −ln p.
    """
    _check_carry(config, params, carry)
    carry = _first_carry(config, params, carry, count)
    if len(prime):
        first = np.broadcast_to(prime[0], (1, count))
    else:
        first_key = jax.random.fold_in(key, jax.device_put(FIRST))
        first = jax.device_get(_evenly(first_key, count, config.vocab_size))
        even = np.full_like(first, math.log(config.vocab_size), np.float64)
        yield Chunk(first[:length], even[:length] if scored else None, carry, first[:length])
        length = max(0, length - 1)
    if not length:
        if len(prime):
            read = np.broadcast_to(prime[:, None], (len(prime), count))
            none = np.zeros((0, count))
            yield Chunk(none.astype(np.int32), none if scored else None, carry, read)
        return
    token = jax.device_put(first[0])
    # A prime is the same for all texts; −1 stands where a token is drawn.
    given = np.concatenate([prime[1:], np.full(length, -1, np.int32)])
    skip = len(given) - length
    size = steps or len(given)
    scale, share = jax.device_put((choice.temperature, choice.top_p))
    for start in range(0, len(given), size):
        now = given[start : start + size]
        padded = np.pad(now, (0, size - len(now)), constant_values=-1)
        before, last = carry, first
        carry, token, made = _steps(
            config, params, carry, token, key, *jax.device_put((np.int32(start), padded)),
            scale, share, greedy=choice.greedy, top_k=choice.top_k, scored=scored,
        )  # fmt: skip
        tokens, values = jax.device_get(made)
        new = slice(max(0, skip - start), len(now))
        first = tokens[len(now) - 1 :][:1]
        read = np.concatenate([last, tokens[: len(now)]])
        yield Chunk(tokens[new], None if values is None else values[new], before, read)


@functools.partial(jax.jit, static_argnames=("count", "vocab_size"))
def _evenly(key: Array, count: int, vocab_size: int) -> Array:
    """First tokens [1, count] that nothing comes before."""
    return jax.random.randint(key, (1, count), 0, vocab_size, jnp.int32)


def _check_carry(config: model.Config, params: model.Params, carry: Any) -> None:
    if carry is None:
        return
    zeros = jax.eval_shape(lambda params: model.zero_carry(config, params, ()), params)
    if jax.tree.map(jnp.shape, carry) != jax.tree.map(jnp.shape, zeros):
        rule = "that of one text, without a batch"
        got = ", ".join(describe(leaf) for leaf in jax.tree.leaves(carry)) or "nothing"
        hint = "charlm.zero_carry(config, params, ()) has its shapes"
        raise ValueError(sentence("sample", "carry", rule, got, hint))


@functools.partial(jax.jit, static_argnames="count")
def _first_carry(config: model.Config, params: model.Params, carry: Any, count: int) -> Any:
    """`carry`, or zeros where it is None, of every text."""
    if carry is None:
        carry = model.zero_carry(config, params, ())
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), carry)


@functools.partial(jax.jit, static_argnames=("greedy", "top_k", "scored"))
def _steps(
    config: model.Config,
    params: model.Params,
    carry: Any,
    token: Array,
    key: Array,
    start: Array,
    given: Array,
    temperature: Array,
    top_p: Array | None,
    *,
    greedy: bool,
    top_k: int | None,
    scored: bool,
) -> tuple[Any, Array, tuple[Array, Array | None]]:
    """Takes n steps from `token` [count] on; given [n] forces a token where it is not −1."""
    positions = start + jnp.arange(given.shape[0], dtype=jnp.int32)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, positions)

    def one_step(loop: tuple[Any, Array], now: tuple[Array, Array]) -> tuple[Any, Any]:
        carry, token = loop
        step_key, given = now
        carry, logits = model.step(config, params, carry, token)
        chosen = choose(step_key, logits, temperature, top_p, greedy=greedy, top_k=top_k)
        token = jnp.where(given < 0, chosen, given)
        return (carry, token), (token, nats(logits, token) if scored else None)

    (carry, token), made = jax.lax.scan(one_step, (carry, token), (keys, given))
    return carry, token, made
