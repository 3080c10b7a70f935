"""The two shapes that write, reading back what they wrote: one to many, encoder to decoder."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm.losses import nats
from jaxrnn.microscope.experiments.five_shapes.task import (
    CELL,
    START,
    STOP,
    TESTS,
    Array,
    Draw,
    Judgement,
    Model,
    Run,
    Task,
    init_model,
    integers,
    make_run,
    read,
    side_by_side,
)
from jaxrnn.networks import unroll, zero_carry
from jaxrnn.shapes import TeacherForcing, generate, sequence_mask, teacher_forcing

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 5
"""Letters of the longest name of a digit, and of the longest word that is turned round."""


class EncoderDecoder(NamedTuple):
    """Two models of equal H; the encoder says nothing, so its readout has no columns."""

    encoder: Model
    decoder: Model


def write(model: Model, carry: Any, first: Array, stop: int) -> tuple[Array, Array]:
    """Symbols [LONGEST + 1, B] until the stop, the likeliest at each step, and their lengths."""
    greedy = lambda h: jnp.argmax(h @ model.w_hy, axis=-1)  # noqa: E731
    return generate(
        CELL, model.params, carry, first, greedy, max_length=LONGEST + 1, stop=stop
    )[1:]  # fmt: skip


def one_to_many() -> Task:
    """A digit's English name: the digit is read once, and then every letter that was written."""
    letters = sorted(set("".join(NAMES)))
    symbols = [*"0123456789", *letters, STOP]
    stop, limit = len(symbols) - 1, LONGEST + 1
    digits = jnp.arange(10, dtype=jnp.int32)
    names, lengths = side_by_side([[symbols.index(letter) for letter in name] for name in NAMES])
    right = teacher_forcing(jnp.asarray(names), jnp.asarray(lengths), start=digits, stop=stop)
    shown = (7, 3, 0)

    def loss(model: Model, batch: tuple[Array, ...]) -> Array:
        losses = nats(read(model, right.inputs)[1], right.targets)
        return jnp.mean(losses, where=sequence_mask(right.lengths, limit))

    @jax.jit
    def spell(model: Model) -> TeacherForcing:
        said = write(model, zero_carry(CELL, model.params, (10,)), digits, stop)
        return teacher_forcing(*said, start=digits, stop=stop)

    def judge(model: Model, draw: Draw) -> Judgement:
        same = np.asarray(spell(model).targets)[:limit] == np.asarray(right.targets)
        return Judgement(float(np.mean(np.all(same, axis=0))), most_without_memory(NAMES) / 10)

    def show(model: Model, taught: bool) -> tuple[Run, ...]:
        said = right if taught else spell(model)
        hs, logits = read(model, said.inputs[:limit])
        runs = []
        for b in shown:
            count = min(int(said.lengths[b]), limit)
            run = make_run(
                [symbols[i] for i in np.asarray(said.inputs)[:count, b]],
                hs[:count, b],
                logits[:count, b],
                symbols,
                _until(count, [*NAMES[b], STOP]),
                asked=range(count),
                origins=["given", *["taught" if taught else "fed back"] * (count - 1)],
            )
            runs.append(run)
        return tuple(runs)

    return Task(
        name="one to many",
        story="A digit goes in, once; its English name comes out letter by letter, and the stop "
        f"symbol {STOP} when it is done. From the second step on, the network reads what it has "
        "just written (dashed).",
        code="carry, ys, lengths = rnn.generate(\n"
        "    net, params, zero, x, greedy, max_length=6, stop=STOP\n)",
        asked="of the 10 digits spelled right, the stop included",
        baseline="at most, if every letter followed from the letter before alone",
        enough=1.0,
        init=lambda key: init_model(key, len(symbols), 16, len(symbols)),
        batch=lambda draw: (),
        loss=loss,
        updates=300,
        rate=0.03,
        judge=judge,
        labels=tuple(str(digit) for digit in shown),
        show=show,
        feeds_back=True,
    )


def most_without_memory(words: Sequence[str]) -> int:
    """How many of the words can be spelled if a letter always has the same successor.

    >>> most_without_memory(["ab", "ac", "aba"])
    1
    """

    def spelled(chosen: Sequence[str]) -> bool:
        pairs = {pair for word in chosen for pair in itertools.pairwise([*word, STOP])}
        return len({letter for letter, _ in pairs}) == len(pairs)

    sizes = range(len(words), 0, -1)
    return next((n for n in sizes if any(map(spelled, itertools.combinations(words, n)))), 0)


def encoder_to_decoder() -> Task:
    """Words backwards: nothing can be said before all is read, and all must fit into the carry."""
    symbols = [*ALPHABET, STOP]
    # The decoder reads a start and never a stop, and says a stop and never a start: one id does.
    start = stop = len(ALPHABET)
    limit = LONGEST + 1
    shown = ("draw", "lived", "on")

    def backwards(words: Array, lengths: Array) -> Array:
        places = lengths[None] - 1 - jnp.arange(LONGEST, dtype=jnp.int32)[:, None]
        return jnp.take_along_axis(words, jnp.maximum(places, 0), axis=0)

    def batch(draw: Draw, shortest: int, count: int) -> tuple[NDArray[np.int32], ...]:
        """Words of random letters [LONGEST, B], none of those shown, and their lengths."""
        words = integers(draw, 0, len(ALPHABET) - 1, LONGEST, count)
        lengths = integers(draw, shortest, LONGEST, count)
        for word in shown:
            ids = np.array([[ALPHABET.index(letter)] for letter in word])
            same = np.all(words[: len(word)] == ids, axis=0) & (lengths == len(word))
            words[0] += np.where(same, 1, 0).astype(np.int32)
        return words, lengths

    def forced(words: Array, lengths: Array) -> TeacherForcing:
        return teacher_forcing(backwards(words, lengths), lengths, start=start, stop=stop)

    def encode(model: EncoderDecoder, words: Array, lengths: Array) -> tuple[Any, Array]:
        zero = zero_carry(CELL, model.encoder.params, lengths.shape)
        return unroll(CELL, model.encoder.params, zero, words, lengths=lengths)

    @jax.jit
    def decode(
        model: EncoderDecoder, words: Array, lengths: Array, inputs: Array
    ) -> tuple[Array, Array, Array]:
        carry, encoded = encode(model, words, lengths)
        _, hs = unroll(CELL, model.decoder.params, carry, inputs)
        return encoded, hs, hs @ model.decoder.w_hy

    def loss(model: EncoderDecoder, batch: tuple[Array, ...]) -> Array:
        words, lengths = batch
        right = forced(words, lengths)
        losses = nats(decode(model, words, lengths, right.inputs)[-1], right.targets)
        return jnp.mean(losses, where=sequence_mask(right.lengths, limit))

    @jax.jit
    def answer(
        model: EncoderDecoder, words: Array, lengths: Array, handed_over: bool
    ) -> TeacherForcing:
        carry, _ = encode(model, words, lengths)
        carry = jax.tree.map(lambda c: jnp.where(handed_over, c, jnp.zeros_like(c)), carry)
        first = jnp.full(lengths.shape, start, jnp.int32)
        said = write(model.decoder, carry, first, stop)
        return teacher_forcing(*said, start=start, stop=stop)

    def judge(model: EncoderDecoder, draw: Draw) -> Judgement:
        words, lengths = map(jnp.asarray, batch(draw, LONGEST, TESTS))
        targets = np.asarray(forced(words, lengths).targets)

        def share(handed_over: bool) -> float:
            said = np.asarray(answer(model, words, lengths, handed_over).targets)[:limit]
            return float(np.mean(np.all(said == targets, axis=0)))

        return Judgement(share(True), share(False))

    def show(model: EncoderDecoder, taught: bool) -> tuple[Run, ...]:
        ids = [[ALPHABET.index(letter) for letter in word] for word in shown]
        words, lengths = map(jnp.asarray, side_by_side(ids))
        said = forced(words, lengths) if taught else answer(model, words, lengths, True)
        inputs = said.inputs[:limit]
        encoded, hs, logits = map(np.asarray, decode(model, words, lengths, inputs))
        runs = []
        for b, word in enumerate(shown):
            size, count = len(word), min(int(said.lengths[b]), limit)
            fed = [symbols[i] for i in np.asarray(inputs)[1:count, b]]
            run = make_run(
                [*word, START, *fed],
                np.concatenate([encoded[:size, b], hs[:count, b]]),
                logits[:count, b],
                symbols,
                [""] * size + _until(count, [*reversed(word), STOP]),
                asked=range(size, size + count),
                origins=["given"] * (size + 1) + ["taught" if taught else "fed back"] * len(fed),
                encoded=size,
            )
            runs.append(run)
        return tuple(runs)

    def init_both(key: Array) -> EncoderDecoder:
        encoder_key, decoder_key = jax.random.split(key)
        decoder = init_model(decoder_key, len(symbols), 64, len(symbols))
        return EncoderDecoder(init_model(encoder_key, len(ALPHABET), 64, 0), decoder)

    return Task(
        name="encoder to decoder",
        story="A word goes into one network letter by letter. It says nothing, but hands its state "
        "(thick arrow) to a second network, which writes the word backwards, and the stop symbol "
        f"{STOP} when it is done. All that the second network knows of the word is that state.",
        code="carry, hs = rnn.unroll(net, params.encoder, zero, xs)\n"
        "carry, ys, lengths = rnn.generate(\n"
        "    net, params.decoder, carry, START, greedy, max_length=6, stop=STOP\n)",
        asked="of new words of 5 random letters written backwards, the stop included",
        baseline="by the same decoder, with zeros for the encoder's state",
        enough=0.95,
        init=init_both,
        batch=lambda draw: batch(draw, 1, 64),
        loss=loss,
        updates=1500,
        rate=0.01,
        judge=judge,
        labels=shown,
        show=show,
        feeds_back=True,
    )


def _until(count: int, wanted: Sequence[str]) -> list[str]:
    """The first `count` of what is wanted; empty after its end."""
    return [*wanted, *[""] * count][:count]
