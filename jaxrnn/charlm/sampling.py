"""New text from a model: one text or several, whole or as it comes, with surprisals or without.

The loop itself is in `generating`; here are its ends, text in and text out.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Unpack

import jax
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.choosing import check_integer, make_choice
from jaxrnn.charlm.generating import STREAM_STEPS, Chunk, generate
from jaxrnn.charlm.tokenizers import Decoder, Tokenizer, unknown_characters
from jaxrnn.charlm.vocabulary import check_text
from jaxrnn.charlm.writing import Asked, Sampling, complete
from jaxrnn.errors import sentence
from jaxrnn.recurrence.checks import check_key

Array = jax.Array


class Scored(NamedTuple):
    """A text, or a piece of one, and how much each of its tokens surprised its model.

    Attributes:
        tokens: N strings that together are the text: that of a byte which is only a part of a
            character is empty, and its last byte has the character; the last word may be cut by
            a stop.
        ids: [N] their ids.
        surprisals: [N] nats, −ln p of each by the model as it is: at temperature 1, with nothing
            cut. What `charlm.surprisals` gives for the same text after the same prime.
    """

    tokens: tuple[str, ...]
    ids: NDArray[np.int32]
    surprisals: NDArray[np.float64]

    @property
    def text(self) -> str:
        """The tokens, joined."""
        return "".join(self.tokens)


def sample(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    **sampling: Unpack[Sampling],
) -> str:
    """A text that continues a prime.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        sampling: the keywords of `Sampling`: length=500, prime="", temperature=1.0, top_k=None,
            top_p=None, stop=None, carry=None.

    Returns:
        The text of `length` tokens, those after the prime, or fewer, what is before `stop`.

    Raises:
        TypeError: `key` is no key, what should be a number, of Python, NumPy or JAX, is none, or
            there is no keyword of that name.
        ValueError: a prime or stop with a character outside the vocabulary, an empty stop, or a
            number out of range.

    Example:
        >>> import jax
        >>> from jaxrnn.charlm import Vocab
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> len(sample(config, params, vocab, jax.random.key(1), length=20, prime="ab"))
        20
    """
    return sample_many(config, params, vocab, key, 1, **sampling)[0]


def sample_many(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    count: int,
    **sampling: Unpack[Sampling],
) -> list[str]:
    """Several texts that continue a prime, side by side as one batch.

    Without a stop they are written in one dispatch; with one, until each has come to it.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        count: texts.
        sampling: the keywords of `Sampling`, as in `sample`.

    Returns:
        `count` texts.

    Raises:
        TypeError, ValueError: as `sample`.
    """
    count = check_integer("count", count, 1)
    asked = check_asked(config, vocab, key, complete("sample", sampling))
    steps = None if asked.stop is None else STREAM_STEPS
    texts, decoders = [""] * count, [vocab.decoder() for _ in range(count)]
    for chunk in _chunks(config, params, vocab, key, asked, count=count, steps=steps):
        rows = zip(decoders, chunk.ids.T, strict=True)
        more = [decoder.feed(row) for decoder, row in rows]
        texts = [text + new for text, new in zip(texts, more, strict=True)]
        if asked.stop is not None and all(asked.stop in text for text in texts):
            break
    texts = [text + decoder.finish() for text, decoder in zip(texts, decoders, strict=True)]
    return texts if asked.stop is None else [text.partition(asked.stop)[0] for text in texts]


def stream(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    **sampling: Unpack[Sampling],
) -> Iterator[str]:
    """The text of `sample`, piece by piece as it comes, for terminals.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        sampling: the keywords of `Sampling`, as in `sample`.

    Returns:
        Pieces of text; together they are what `sample` returns for the same arguments.

    Raises:
        TypeError, ValueError: as `sample`.
    """
    asked = check_asked(config, vocab, key, complete("sample", sampling))
    chunks = _chunks(config, params, vocab, key, asked)
    return ("".join(piece.tokens) for piece in pieces(vocab, chunks, asked.stop))


def sample_scored(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    **sampling: Unpack[Sampling],
) -> Scored:
    """The text of `sample` with the surprisal of each token.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        sampling: the keywords of `Sampling`, as in `sample`.

    Returns:
        A `Scored`; its `text` is what `sample` returns for the same arguments.

    Raises:
        TypeError, ValueError: as `sample`.

    Example:
        >>> import jax
        >>> from jaxrnn.charlm import Vocab
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> written = sample_scored(config, params, vocab, jax.random.key(1), length=3, prime="a")
        >>> len(written.text), written.surprisals.shape
        (3, (3,))
    """
    return _joined(stream_scored(config, params, vocab, key, **sampling))


def sample_many_scored(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    count: int,
    **sampling: Unpack[Sampling],
) -> list[Scored]:
    """The texts of `sample_many` with the surprisal of each token.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        count: texts.
        sampling: the keywords of `Sampling`, as in `sample`.

    Returns:
        `count` of `Scored`; their texts are what `sample_many` returns for the same arguments.

    Raises:
        TypeError, ValueError: as `sample`.

    Example:
        >>> import jax
        >>> from jaxrnn.charlm import Vocab
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> both = sample_many_scored(config, params, vocab, jax.random.key(1), 2, length=3)
        >>> [written.surprisals.shape for written in both]
        [(3,), (3,)]
    """
    count = check_integer("count", count, 1)
    asked = check_asked(config, vocab, key, complete("sample", sampling))
    made = list(_chunks(config, params, vocab, key, asked, count=count, steps=None, scored=True))
    columns = [[_column(chunk, at) for chunk in made] for at in range(count)]
    return [_joined(pieces(vocab, column, asked.stop)) for column in columns]


def stream_scored(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    **sampling: Unpack[Sampling],
) -> Iterator[Scored]:
    """The text of `sample_scored`, piece by piece as it comes.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; consumed.
        sampling: the keywords of `Sampling`, as in `sample`.

    Returns:
        Pieces; together they are what `sample_scored` returns for the same arguments.

    Raises:
        TypeError, ValueError: as `sample`.
    """
    asked = check_asked(config, vocab, key, complete("sample", sampling))
    return pieces(vocab, _chunks(config, params, vocab, key, asked, scored=True), asked.stop)


def check_asked(config: model.Config, vocab: Tokenizer, key: Array, asked: Asked) -> Asked:
    """The same with Python's integer as its length; what `make_choice` checks is left to it.

    Raises:
        TypeError, ValueError: as `sample`.
    """
    check_key("sample", key)
    check_texts("sample", config, vocab, asked.prime, asked.stop)
    return asked._replace(length=check_integer("length", asked.length, 0))


def check_texts(
    function: str, config: model.Config, vocab: Tokenizer, prime: str, stop: str | None
) -> None:
    """Raises TypeError or ValueError unless the model knows both texts."""
    if len(vocab) != config.vocab_size:
        raise ValueError(
            sentence(function, "vocab", f"{config.vocab_size} {vocab.kind}", f"{len(vocab)}")
        )
    for name, text in (("prime", prime), ("stop", stop)):
        if text is None and name == "stop":
            continue
        check_text(function, name, text)
        assert text is not None
        unknown = unknown_characters(vocab, text)
        if unknown:
            rule = f"the {len(vocab)} characters that the model knows"
            got = f"{', '.join(map(repr, unknown))} in {text!r}"
            hint = f"it knows {vocab.labels!r}" if len(vocab) <= 128 else ""
            raise ValueError(sentence(function, name, rule, got, hint))
    if stop == "":
        raise ValueError(sentence(function, "stop", "at least one character", repr(stop)))


def _chunks(
    config: model.Config,
    params: model.Params,
    vocab: Tokenizer,
    key: Array,
    asked: Asked,
    *,
    count: int = 1,
    steps: int | None = STREAM_STEPS,
    scored: bool = False,
) -> Iterator[Chunk]:
    choice = make_choice(config, params, asked.temperature, asked.top_k, asked.top_p)
    return generate(
        config, params, key, choice, vocab.encode(asked.prime), asked.length, asked.carry,
        count=count, steps=steps, scored=scored,
    )  # fmt: skip


def pieces(vocab: Tokenizer, chunks: Iterable[Chunk], stop: str | None) -> Iterator[Scored]:
    """One text, chunk by chunk, up to a stop, which is left out.

    What may be the beginning of the stop, or of a character, is held back until it is known; what
    comes after the stop is not asked for. Surprisals are NaN where the chunks have none.
    """
    decoder = vocab.decoder()
    held = Scored((), np.zeros(0, np.int32), np.zeros(0))
    for chunk in chunks:
        ids = chunk.ids[:, 0]
        nats = np.full(len(ids), np.nan) if chunk.nats is None else chunk.nats[:, 0]
        held = Scored(
            held.tokens + token_texts(decoder, ids),
            np.concatenate([held.ids, ids]),
            np.concatenate([held.surprisals, nats]),
        )
        text = held.text
        if stop is not None and stop in text:
            yield before(held, stop)
            return
        ends = range(len(stop or "") - 1, 0, -1)
        begun = next((n for n in ends if text.endswith((stop or "")[:n])), 0)
        piece = _whole(held, len(text) - begun)
        yield piece
        held = _part(held, slice(len(piece.tokens), None))
    if held.tokens:
        *most, last = held.tokens
        held = held._replace(tokens=(*most, last + decoder.finish()))
        yield held if stop is None else before(held, stop)


def token_texts(decoder: Decoder, ids: NDArray[np.int32]) -> tuple[str, ...]:
    """What each id adds to the text."""
    return tuple(decoder.feed(ids[at : at + 1]) for at in range(len(ids)))


def before(written: Scored, stop: str) -> Scored:
    """What stands before a stop, where there is one: a token that it begins in is cut."""
    characters = written.text.find(stop)
    if characters < 0:
        return written
    count = int(np.searchsorted(_ends(written), characters)) + 1 if characters else 0
    kept = _part(written, slice(count))
    tokens = [*kept.tokens]
    if tokens:
        tokens[-1] = tokens[-1][: len(tokens[-1]) - (len(kept.text) - characters)]
    return kept._replace(tokens=tuple(tokens))


def _column(chunk: Chunk, at: int) -> Chunk:
    """One text of several, for `pieces`."""
    nats = None if chunk.nats is None else chunk.nats[:, at : at + 1]
    return chunk._replace(ids=chunk.ids[:, at : at + 1], nats=nats)


def _joined(found: Iterable[Scored]) -> Scored:
    found = list(found)
    return Scored(
        tuple(token for piece in found for token in piece.tokens),
        np.concatenate([np.zeros(0, np.int32), *(piece.ids for piece in found)]),
        np.concatenate([np.zeros(0), *(piece.surprisals for piece in found)]),
    )


def _whole(written: Scored, characters: int) -> Scored:
    """The tokens that lie within the first characters, up to the last that completes one."""
    count = int(np.searchsorted(_ends(written), characters, side="right"))
    while count and not written.tokens[count - 1]:
        count -= 1
    return _part(written, slice(count))


def _ends(written: Scored) -> NDArray[np.int64]:
    """The characters up to the end of each token."""
    return np.cumsum([len(token) for token in written.tokens], dtype=np.int64)


def _part(written: Scored, which: slice) -> Scored:
    return Scored(written.tokens[which], written.ids[which], written.surprisals[which])
