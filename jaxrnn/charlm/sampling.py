"""New text from a model: draw a character, feed it back, draw the next.

    p = softmax(logits / temperature), cut to the likeliest by top_k and top_p, then drawn from

A prime text goes through the same loop, its characters taking the place of drawn ones. Step n
of a text draws with `fold_in(key, n)`, so a text is the same however it is divided into calls,
and the beginning of a longer one.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_key

Array = jax.Array

# Steps a dispatch when streaming: small enough for text to flow in a terminal, large enough that
# Python costs little (at 30 µs a step, a dispatch of 32 takes 1 ms).
STREAM_STEPS = 32

# The number of the key of a first character that nothing comes before; no step has it, since a
# text has fewer than 2³¹.
FIRST = np.uint32(2**32 - 1)


def sample(
    config: model.Config,
    params: model.Params,
    vocab: Vocab,
    key: Array,
    length: int = 200,
    prime: str = "",
    temperature: float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    carry: Any = None,
) -> str:
    """A text that continues `prime`.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        length: characters to write.
        prime: what comes before the text; the empty prime means a first character drawn evenly.
        temperature: above 1 more varied, below 1 more careful; 0 takes the likeliest (greedy).
        top_k: draws from the k likeliest characters only.
        top_p: draws from the fewest likeliest characters whose probabilities reach p.
        carry: what came before the prime, as `zero_carry(config, params, ())`; None: nothing.

    Returns:
        `length` characters, those after the prime.

    Raises:
        TypeError: `key` is no key.
        ValueError: a prime with a character outside the vocabulary, or a number out of range.

    Example:
        >>> import jax
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> len(sample(config, params, vocab, jax.random.key(1), length=20, prime="ab"))
        20
    """
    return sample_many(
        config,
        params,
        vocab,
        key,
        1,
        length,
        prime,
        temperature,
        top_k=top_k,
        top_p=top_p,
        carry=carry,
    )[0]


def sample_many(
    config: model.Config,
    params: model.Params,
    vocab: Vocab,
    key: Array,
    count: int,
    length: int = 200,
    prime: str = "",
    temperature: float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    carry: Any = None,
) -> list[str]:
    """Several texts that continue `prime`, side by side as one batch, in one dispatch.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        count: texts.
        length: characters to write of each.
        prime: as in `sample`.
        temperature: as in `sample`.
        top_k: as in `sample`.
        top_p: as in `sample`.
        carry: as in `sample`.

    Returns:
        `count` texts of `length` characters.

    Raises:
        ValueError: as `sample`.
    """
    _check(config, vocab, key, count, length, prime, temperature, top_k, top_p)
    chunks = _generate(
        config, params, vocab, key, count, length, prime, temperature, top_k, top_p, carry, None
    )
    return [vocab.decode(row) for row in np.concatenate(list(chunks), axis=0).T]


def stream(
    config: model.Config,
    params: model.Params,
    vocab: Vocab,
    key: Array,
    length: int = 200,
    prime: str = "",
    temperature: float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    carry: Any = None,
) -> Iterator[str]:
    """The text of `sample`, piece by piece as it comes, for terminals.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        length: characters to write.
        prime: as in `sample`.
        temperature: as in `sample`.
        top_k: as in `sample`.
        top_p: as in `sample`.
        carry: as in `sample`.

    Returns:
        Pieces of text; together they are what `sample` returns for the same arguments.

    Raises:
        ValueError: as `sample`.
    """
    _check(config, vocab, key, 1, length, prime, temperature, top_k, top_p)
    chunks = _generate(
        config, params, vocab, key, 1, length, prime, temperature, top_k, top_p, carry, STREAM_STEPS
    )
    return (vocab.decode(tokens[:, 0]) for tokens in chunks)


def _check(
    config: model.Config,
    vocab: Vocab,
    key: Array,
    count: int,
    length: int,
    prime: str,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> None:
    check_key("sample", key)
    if len(vocab) != config.vocab_size:
        raise ValueError(
            sentence("sample", "vocab", f"{config.vocab_size} characters", f"{len(vocab)}")
        )
    for name, value, least in (("length", length, 0), ("count", count, 1)):
        if value < least:
            raise ValueError(sentence("sample", name, f"at least {least}", value))
    if not 0 <= temperature < float("inf"):
        raise ValueError(sentence("sample", "temperature", "a number from 0 up", temperature))
    if top_k is not None and top_k < 1:
        raise ValueError(sentence("sample", "top_k", "at least 1", top_k))
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(sentence("sample", "top_p", "above 0 and at most 1", top_p))
    unknown = sorted(set(prime) - set(vocab.characters))
    if unknown:
        raise ValueError(
            sentence(
                "sample",
                "prime",
                f"the {len(vocab)} characters that the model knows",
                f"{', '.join(map(repr, unknown))} in {prime!r}",
                f"it knows {vocab.characters!r}" if len(vocab) <= 128 else "",
            )
        )


def _generate(
    config: model.Config,
    params: model.Params,
    vocab: Vocab,
    key: Array,
    count: int,
    length: int,
    prime: str,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    carry: Any,
    steps: int | None,
) -> Iterator[NDArray[np.int32]]:
    """New tokens [n, count] at a time; n is `steps` a dispatch, or everything in one."""
    if prime:
        forced = vocab.encode(prime)
    else:
        first_key = jax.random.fold_in(key, FIRST)
        forced = np.asarray(jax.random.randint(first_key, (1, count), 0, len(vocab), jnp.int32))
        yield forced[:length]
        length = max(0, length - 1)
    if carry is None:
        carry = model.zero_carry(config, params, ())
    carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), carry)
    token = jnp.broadcast_to(jnp.asarray(forced[0]), (count,))
    free = np.full(length, -1, np.int32)
    given = np.concatenate([forced[1:], free]) if prime else free
    skip = len(given) - length
    if not length:
        yield np.zeros((0, count), np.int32)
        return
    size = steps or len(given)
    for start in range(0, len(given), size):
        now = given[start : start + size]
        padded = np.pad(now, (0, size - len(now)), constant_values=-1)
        carry, token, tokens = _steps(
            config,
            params,
            carry,
            token,
            key,
            jnp.asarray(start, jnp.int32),
            padded,
            jnp.asarray(temperature or 1.0, params.w_hy.dtype),
            None if top_p is None else jnp.asarray(top_p, jnp.float32),
            greedy=temperature == 0,
            top_k=None if top_k is None else min(top_k, len(vocab)),
        )
        yield np.asarray(tokens)[max(0, skip - start) : len(now)]


@functools.partial(jax.jit, static_argnames=("greedy", "top_k"))
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
) -> tuple[Any, Array, Array]:
    """Takes n steps from `token` [count] on; given [n] forces a token where it is not −1."""
    positions = start + jnp.arange(given.shape[0], dtype=jnp.int32)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, positions)

    def one_step(loop: tuple[Any, Array], now: tuple[Array, Array]) -> tuple[Any, Array]:
        carry, token = loop
        step_key, given = now
        carry, logits = model.step(config, params, carry, token)
        if greedy:
            drawn = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        else:
            logits = keep_likeliest(logits / temperature.astype(logits.dtype), top_k, top_p)
            drawn = jax.random.categorical(step_key, logits).astype(jnp.int32)
        token = jnp.where(given < 0, drawn, given)
        return (carry, token), token

    (carry, token), tokens = jax.lax.scan(one_step, (carry, token), (keys, given))
    return carry, token, tokens


def keep_likeliest(logits: Array, top_k: int | None, top_p: Array | float | None) -> Array:
    """Logits with −∞ for all but the likeliest; of equal ones, none is cut while one is kept.

    Args:
        logits: [..., V].
        top_k: keeps the k largest; None: all.
        top_p: of those, keeps the fewest whose probabilities add up to p or more; None: all.

    Returns:
        [..., V].

    >>> import jax.numpy as jnp
    >>> logits = jnp.log(jnp.array([0.5, 0.1, 0.3, 0.1]))
    >>> jnp.isfinite(keep_likeliest(logits, 3, None)).tolist()
    [True, True, True, True]
    >>> jnp.isfinite(keep_likeliest(logits, None, 0.7)).tolist()
    [True, False, True, False]

    Source: top-k Fan, Lewis and Dauphin (2018); top-p, "nucleus", Holtzman et al. (2020).
    """
    lowest = jnp.asarray(-jnp.inf, logits.dtype)
    if top_k is not None:
        smallest = jax.lax.top_k(logits, top_k)[0][..., -1:]
        logits = jnp.where(logits < smallest, lowest, logits)
    if top_p is not None:
        descending = jnp.flip(jnp.sort(logits, axis=-1), axis=-1)
        probabilities = jax.nn.softmax(descending, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        kept = before < jnp.asarray(top_p, logits.dtype)
        smallest = jnp.min(
            jnp.where(kept, descending, jnp.asarray(jnp.inf, logits.dtype)), axis=-1, keepdims=True
        )
        logits = jnp.where(logits < smallest, lowest, logits)
    return logits
