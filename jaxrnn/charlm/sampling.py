"""New text from a model: draw a character, feed it back, draw the next.

    p = softmax(logits / temperature), cut to the likeliest by top_k and top_p, then drawn from

A prime text goes through the same loop, its characters taking the place of drawn ones. Step n
of a text draws with `fold_in(key, n)`, so a text is the same however it is divided into calls,
and the beginning of a longer one.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.choosing import Choice, check_integer, choose, make_choice
from jaxrnn.charlm.vocabulary import Vocab, check_text
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
        temperature: above 1 more varied, below 1 more careful; 0, or less than the smallest
            normal number of the logits' dtype (1.2e-38 of float32), takes the likeliest (greedy).
        top_k: draws from the k likeliest characters only.
        top_p: draws from the fewest likeliest characters whose probabilities reach p; however
            small p is, from the likeliest.
        carry: what came before the prime, as `zero_carry(config, params, ())`; None: nothing.

    Returns:
        `length` characters, those after the prime.

    Raises:
        TypeError: `key` is no key, or what should be a number, of Python, NumPy or JAX, is none.
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
        TypeError, ValueError: as `sample`.
    """
    count, length = _check(config, vocab, key, count, length, prime)
    choice = make_choice(config, params, temperature, top_k, top_p)
    chunks = _generate(config, params, vocab, key, count, length, prime, choice, carry, None)
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
        TypeError, ValueError: as `sample`.
    """
    count, length = _check(config, vocab, key, 1, length, prime)
    choice = make_choice(config, params, temperature, top_k, top_p)
    chunks = _generate(
        config, params, vocab, key, count, length, prime, choice, carry, STREAM_STEPS
    )
    return (vocab.decode(tokens[:, 0]) for tokens in chunks)


def until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    """Pieces of text up to a string, which is left out; what comes after it is not asked for.

    Args:
        pieces: of a text, as `stream` returns them.
        stop: where the text ends, at least one character.

    Returns:
        Pieces; together they are the text before `stop` first stands in it, or all of it.

    Raises:
        TypeError: anything but a string to stop at.
        ValueError: an empty one.

    >>> "".join(until(["one, t", "wo, th", "ree"], ", th"))
    'one, two'
    """
    check_text("sample", "stop", stop)
    if not stop:
        raise ValueError(sentence("sample", "stop", "at least one character", repr(stop)))
    return _until(pieces, stop)


def _until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    held = ""
    for piece in pieces:
        held += piece
        text, found, _ = held.partition(stop)
        if found:
            yield text
            return
        # The end of what is here may be the beginning of the string.
        begun = next((n for n in range(len(stop) - 1, 0, -1) if held.endswith(stop[:n])), 0)
        yield held[: len(held) - begun]
        held = held[len(held) - begun :]
    yield held


def _check(
    config: model.Config, vocab: Vocab, key: Array, count: int, length: int, prime: str
) -> tuple[int, int]:
    """Checks everything else; `count` and `length` as Python's integers."""
    check_key("sample", key)
    check_text("sample", "prime", prime)
    if len(vocab) != config.vocab_size:
        raise ValueError(
            sentence("sample", "vocab", f"{config.vocab_size} characters", f"{len(vocab)}")
        )
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
    return check_integer("count", count, 1), check_integer("length", length, 0)


def _generate(
    config: model.Config,
    params: model.Params,
    vocab: Vocab,
    key: Array,
    count: int,
    length: int,
    prime: str,
    choice: Choice,
    carry: Any,
    steps: int | None,
) -> Iterator[NDArray[np.int32]]:
    """New tokens [n, count] at a time; n is `steps` a dispatch, or everything in one.

    What goes to the device and comes back is moved in so many words, as `jax.transfer_guard`
    may ask.
    """
    if prime:
        forced = np.broadcast_to(vocab.encode(prime)[:, None], (len(prime), count))
    else:
        first_key = jax.random.fold_in(key, jax.device_put(FIRST))
        forced = jax.device_get(_evenly(first_key, count, len(vocab)))
        yield forced[:length]
        length = max(0, length - 1)
    if not length:
        yield np.zeros((0, count), np.int32)
        return
    carry = _first_carry(config, params, carry, count)
    token = jax.device_put(forced[0])
    # A prime is the same for all texts; −1 stands where a character is drawn.
    given = np.concatenate([forced[1:, 0], np.full(length, -1, np.int32)])
    skip = len(given) - length
    size = steps or len(given)
    scale, share = jax.device_put((choice.temperature, choice.top_p))
    for start in range(0, len(given), size):
        now = given[start : start + size]
        padded = np.pad(now, (0, size - len(now)), constant_values=-1)
        carry, token, tokens = _steps(
            config, params, carry, token, key, *jax.device_put((np.int32(start), padded)),
            scale, share, greedy=choice.greedy, top_k=choice.top_k,
        )  # fmt: skip
        yield jax.device_get(tokens)[max(0, skip - start) : len(now)]


@functools.partial(jax.jit, static_argnames=("count", "vocab_size"))
def _evenly(key: Array, count: int, vocab_size: int) -> Array:
    """First tokens [1, count] that nothing comes before."""
    return jax.random.randint(key, (1, count), 0, vocab_size, jnp.int32)


@functools.partial(jax.jit, static_argnames="count")
def _first_carry(config: model.Config, params: model.Params, carry: Any, count: int) -> Any:
    """`carry`, or zeros where it is None, of every text."""
    if carry is None:
        carry = model.zero_carry(config, params, ())
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), carry)


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
        chosen = choose(step_key, logits, temperature, top_p, greedy=greedy, top_k=top_k)
        token = jnp.where(given < 0, chosen, given)
        return (carry, token), token

    (carry, token), tokens = jax.lax.scan(one_step, (carry, token), (keys, given))
    return carry, token, tokens
