"""How a model would finish the word that it is in, after every character of a text."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxrnn.charlm import Config, Params, Vocab, apply
from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.surprise import softmax

Array = jax.Array

LONGEST = 14
"""Characters that a completion has at most."""


class Completion(NamedTuple):
    """One way on.

    Attributes:
        text: from the next character to the end of the word, at most `LONGEST` characters; a
            character that is in no word stands alone.
        probability: of all these characters together.
    """

    text: str
    probability: float


def word_completions(
    config: Config,
    params: Params,
    vocab: Vocab,
    carries: tuple[Any, ...],
    logits: ArrayLike,
    count: int = 3,
) -> list[list[Completion]]:
    """The likeliest next characters, each carried on to the end of its word, greedily.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        carries: a Carry a layer, fields [T, H]: the states after each character, of a trace.
        logits: [T, V], what was expected then.
        count: ways on after each character.

    Returns:
        T lists of `count` completions, the likeliest next character first.

    Raises:
        ValueError: more ways on than characters.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> from jaxrnn.microscope.traces import trace_model
        >>> vocab = charlm.Vocab.from_text("a cat")
        >>> config = charlm.Config(len(vocab), "gru", hidden_size=4, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> ids = jnp.asarray(vocab.encode("a cat"))
        >>> zero = charlm.zero_carry(config, params, ())
        >>> seen = trace_model(config, params, zero, ids[:-1], ids[1:])
        >>> carries = tuple(layer.carries for layer in seen.layers)
        >>> len(word_completions(config, params, vocab, carries, seen.logits, count=2))
        4
    """
    chances = softmax(np.asarray(logits))
    steps, size = chances.shape
    if not 1 <= count <= size:
        rule = f"1 to {size}, the characters of the vocabulary"
        raise ValueError(sentence("word_completions", "count", rule, count))
    first = np.argsort(-chances, axis=1, kind="stable")[:, :count]
    spread = jax.tree.map(lambda field: jnp.repeat(jnp.asarray(field), count, axis=0), carries)
    ids, each = _greedily(config, params, spread, jnp.asarray(first.reshape(-1), jnp.int32))
    rows = np.concatenate([first.reshape(1, -1), np.asarray(ids)]).T
    ps = np.concatenate([np.take_along_axis(chances, first, 1).reshape(1, -1), np.asarray(each)]).T
    found = [_to_the_end(vocab, row, p) for row, p in zip(rows, ps, strict=True)]
    return [found[step * count : (step + 1) * count] for step in range(steps)]


def _to_the_end(vocab: Vocab, ids: np.ndarray, chances: np.ndarray) -> Completion:
    text = vocab.decode(ids)
    length = 1
    while text[0].isalpha() and length < len(text) and text[length].isalpha():
        length += 1
    return Completion(text[:length], float(chances[:length].prod()))


def _greedily(
    config: Config, params: Params, carry: tuple[Any, ...], tokens: Array
) -> tuple[Array, Array]:
    """What is likeliest after the tokens, `LONGEST` − 1 times: ids and chances."""

    @jax.jit
    def all_steps(params: Params, carry: Any, tokens: Array) -> tuple[Array, Array]:
        def one(state: Any, _: None) -> tuple[Any, tuple[Array, Array]]:
            carry, tokens = state
            carry, logits = apply(config, params, carry, tokens[None])
            best = jnp.argmax(logits[0], axis=-1).astype(jnp.int32)
            chance = jnp.max(jax.nn.softmax(logits[0], axis=-1), axis=-1)
            return (carry, best), (best, chance)

        return jax.lax.scan(one, (carry, tokens), None, length=LONGEST - 1)[1]

    return all_steps(params, carry, tokens)
