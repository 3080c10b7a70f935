"""Beam search: the likeliest texts, found by keeping the K likeliest beginnings at each step.

    score(y) = Σ_t ln p(y_t | prime, y_<t)
    rank(y)  = score(y) / ((5 + |y|) / 6)^α          α = 0: the score itself

All K texts are one batch. A step extends each by every token and keeps the K of best rank among
the K·V; the carry of a text kept is gathered from the one that it extends. A text that has come
to the stop keeps its place in the beam, as it is, as long as its rank does.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.choosing import check_integer, check_number
from jaxrnn.charlm.sampling import Scored, before, check_texts, token_texts
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.charlm.writing import LENGTH
from jaxrnn.errors import sentence
from jaxrnn.precision import accumulator

Array = jax.Array


class Beam(NamedTuple):
    """A text that a beam search found.

    Attributes:
        written: the text and its surprisals.
        log_probability: Σ ln p in nats, of the text and of the stop where one ended it.
    """

    written: Scored
    log_probability: float


class _Search(NamedTuple):
    """K texts of up to L tokens, best rank first.

    Attributes:
        step: how many steps are done.
        carry: fields [K, ...], after all tokens but the last.
        token: [K], the last token.
        score: [K], Σ ln p; −∞ where there are fewer than K texts.
        size: [K], tokens that count.
        place: [K], how much of the stop the end of the text is.
        tokens: [L, K], made by each step.
        parents: [L, K], which text of the step before each one extends.
        nats: [L, K], −ln p of the tokens.
    """

    step: Array
    carry: Any
    token: Array
    score: Array
    size: Array
    place: Array
    tokens: Array
    parents: Array
    nats: Array


def beam_search(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    prime: str,
    *,
    width: int = 8,
    length: int = LENGTH,
    stop: str | None = None,
    length_penalty: float = 0.0,
    carry: Any = None,
) -> tuple[Beam, ...]:
    """The likeliest texts that continue a prime, as far as a beam of K finds them.

    A beam of 1 is greedy; one that holds all texts of that length, V^length, is exhaustive. In
    between, the likeliest text may have a beginning that is not among the K likeliest. Likely
    texts are dull ones and often go in circles: for text to read, draw it (`sample`).

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        prime: what comes before the texts, at least one character.
        width: K, texts kept at each step.
        length: tokens to write.
        stop: a text ends before this one, which counts to its probability; None: all have the
            same length.
        length_penalty: α; above 0, longer texts rank better than their probability. Changes
            something only beside `stop`.
        carry: what came before the prime, as `zero_carry(config, params, ())`; None: nothing.

    Returns:
        Up to `width` beams, best rank first; fewer where there are no more texts.

    Raises:
        TypeError: what should be a number or a text is none.
        ValueError: a prime or stop that is empty or has a character outside the vocabulary, or a
            number out of range.

    Example:
        >>> import jax
        >>> from jaxrnn.charlm import Vocab
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> found = beam_search(config, params, vocab, "ab", width=3, length=5)
        >>> len(found), found[0].log_probability >= found[1].log_probability
        (3, True)

    Source: Lowerre, The HARPY speech recognition system (1976); the length penalty Wu et al.,
    Google's neural machine translation system (2016), equation 14.
    """
    check_texts("beam_search", config, vocab, prime, stop)
    if not prime:
        hint = "nothing tells which first character is likely"
        rule = "at least one character"
        raise ValueError(sentence("beam_search", "prime", rule, repr(prime), hint))
    width = check_integer("width", width, 1, "beam_search")
    length = check_integer("length", length, 0, "beam_search")
    penalty = float(check_number("length_penalty", length_penalty, "beam_search"))
    if not 0 <= penalty < float("inf"):
        rule = "a number from 0 up"
        raise ValueError(sentence("beam_search", "length_penalty", rule, penalty))
    table = None if stop is None else _table_of(vocab, stop)
    exponent = accumulator(params.w_hy.dtype).type(penalty)
    inputs = jax.device_put((vocab.encode(prime), table, exponent))
    search = _search(config, params, carry, *inputs, width=width, length=length)
    found = jax.device_get(search._replace(carry=None))
    final = None if table is None else len(table) - 1
    ranked = [_follow(vocab, found, row, final, stop) for row in range(width)]
    return tuple(beam for beam in ranked if np.isfinite(beam.log_probability))


def stop_table(stop: NDArray[np.int32], vocab_size: int) -> NDArray[np.int32]:
    """How much of a stop the end of a text is, by how much it was and the next token.

    Args:
        stop: [S] token ids, at least one.
        vocab_size: V.

    Returns:
        [S + 1, V]; the last row, the whole stop, leads to itself.

    Source: Knuth, Morris and Pratt (1977).

    >>> stop_table(np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [2, 0], [2, 3], [3, 3]]
    """
    table = np.zeros((len(stop) + 1, vocab_size), np.int32)
    table[0, stop[0]] = 1
    shorter: int = 0  # where the text without its first token stands
    for place in range(1, len(stop)):
        table[place] = table[shorter]
        table[place, stop[place]] = place + 1
        shorter = int(table[shorter, stop[place]])
    table[len(stop)] = len(stop)
    return table


def _table_of(vocab: Tokenizer, stop: str) -> NDArray[np.int32]:
    """`stop_table` of a text; where tokens are words, by the characters of each."""
    if vocab.kind != "words":
        return stop_table(vocab.encode(stop), len(vocab))
    numbers = {character: number for number, character in enumerate(sorted(set(stop)))}
    by_character = stop_table(
        np.array([numbers[character] for character in stop], np.int32), len(numbers) + 1
    )
    table = np.tile(np.arange(len(stop) + 1, dtype=np.int32)[:, None], len(vocab))
    for token, label in enumerate(vocab.labels):
        for character in label:
            table[:, token] = by_character[table[:, token], numbers.get(character, len(numbers))]
    return table


def _follow(
    vocab: Tokenizer, found: _Search, row: int, final: int | None, stop: str | None
) -> Beam:
    """The text that ends in a row, from its last token back."""
    steps = int(found.step)
    ids = np.zeros(steps, np.int32)
    nats = np.zeros(steps)
    at = row
    for step in range(steps - 1, -1, -1):
        ids[step], nats[step] = found.tokens[step, at], found.nats[step, at]
        at = int(found.parents[step, at])
    size, decoder = int(found.size[row]), vocab.decoder()
    texts = token_texts(decoder, ids[:size])
    if texts:
        texts = (*texts[:-1], texts[-1] + decoder.finish())
    written = Scored(texts, ids[:size], nats[:size])
    if stop is not None and found.place[row] == final:
        written = before(written, stop)
    return Beam(written, float(found.score[row]))


@functools.partial(jax.jit, static_argnames=("width", "length"))
def _search(
    config: model.Config,
    params: model.Params,
    carry: Any,
    prime: Array,
    table: Array | None,
    penalty: Array,
    *,
    width: int,
    length: int,
) -> _Search:
    """Reads the prime [P] and looks for texts; `table` as of `stop_table`, [S + 1, V]."""
    if carry is None:
        carry = model.zero_carry(config, params, ())
    if len(prime) > 1:
        carry, _ = model.apply(config, params, carry, prime[:-1])
    score = jnp.full(width, -jnp.inf, accumulator(params.w_hy.dtype)).at[0].set(0)
    counts = jnp.zeros(width, jnp.int32)
    made = jnp.zeros((max(length, 1), width), jnp.int32)  # JAX refuses to index no rows at all
    start = _Search(
        step=jnp.zeros((), jnp.int32),
        carry=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), carry),
        token=jnp.broadcast_to(prime[-1], width),
        score=score,
        size=counts,
        place=counts,
        tokens=made,
        parents=made,
        nats=made.astype(score.dtype),
    )

    def ended(search: _Search) -> Array:
        return search.place == (-1 if table is None else len(table) - 1)

    def one_step(search: _Search) -> _Search:
        carry, logits = model.step(config, params, search.carry, search.token)
        vocab_size = logits.shape[-1]
        done = ended(search)
        ln_p = jax.nn.log_softmax(logits, axis=-1)
        # A text that has ended goes on as itself alone.
        itself = jnp.full(vocab_size, -jnp.inf, ln_p.dtype).at[0].set(0)
        ln_p = jnp.where(done[:, None], itself, ln_p)
        scores = search.score[:, None] + ln_p
        size = search.size + (~done).astype(jnp.int32)
        ranks = scores / (((5 + size.astype(scores.dtype)) / 6) ** penalty)[:, None]
        flat = jax.lax.top_k(ranks.reshape(-1), width)[1]
        parent, token = flat // vocab_size, flat % vocab_size
        place = search.place[parent]
        if table is not None:
            place = table[place, token]
        return _Search(
            step=search.step + 1,
            carry=jax.tree.map(lambda leaf: leaf[parent], carry),
            token=token,
            score=scores.reshape(-1)[flat],
            size=size[parent],
            place=place,
            tokens=search.tokens.at[search.step].set(token),
            parents=search.parents.at[search.step].set(parent),
            nats=search.nats.at[search.step].set(-ln_p.reshape(-1)[flat]),
        )

    def unfinished(search: _Search) -> Array:
        return (search.step < length) & ~jnp.all(ended(search))

    return jax.lax.while_loop(unfinished, one_step, start)
