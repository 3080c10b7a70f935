"""The three shapes that answer while they read: one to one, many to one, aligned."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.charlm.losses import nats
from jaxrnn.microscope.experiments.five_shapes.task import (
    CELL,
    TESTS,
    Array,
    Draw,
    Judgement,
    Model,
    Run,
    Task,
    best_table,
    init_model,
    integers,
    make_run,
    read,
    side_by_side,
)
from jaxrnn.networks import step, zero_carry
from jaxrnn.shapes import last_outputs

DIVISOR = 7


def one_to_one() -> Task:
    """Exclusive or: no memory is needed, only a layer between input and output."""
    bits = np.array([(1, 0), (0, 1), (1, 1), (0, 0)])
    xs = jnp.asarray(np.eye(2, dtype=np.float32)[bits].reshape(4, 4))
    answers = bits[:, 0] ^ bits[:, 1]

    @jax.jit
    def answer(model: Model) -> tuple[Array, Array]:
        _, h = step(CELL, model.params, zero_carry(CELL, model.params, (4,)), xs)
        return h, h @ model.w_hy

    def loss(model: Model, batch: tuple[Array, ...]) -> Array:
        return jnp.mean(nats(answer(model)[1], jnp.asarray(answers)))

    def judge(model: Model, draw: Draw) -> Judgement:
        said = np.argmax(answer(model)[1], axis=-1)
        return Judgement(float(np.mean(said == answers)), 3 / 4)

    def show(model: Model, taught: bool) -> tuple[Run, ...]:
        hs, logits = map(np.asarray, answer(model))
        return tuple(
            make_run([f"{a} {b}"], h[None], row[None], "01", [str(a ^ b)], asked=[0])
            for (a, b), h, row in zip(bits, hs, logits, strict=True)
        )

    return Task(
        name="one to one",
        story="Two bits go in; out comes whether they differ (exclusive or). Nothing is "
        "remembered: every pair of bits is a run of its own, one step from the zero state.",
        code="carry, h = rnn.step(net, params, zero, x)\ny = readout(h)",
        asked="of the 4 pairs of bits answered right",
        baseline="at most, by a linear map (Minsky and Papert 1969)",
        enough=1.0,
        init=lambda key: init_model(key, 4, 16, 2),
        batch=lambda draw: (),
        loss=loss,
        updates=300,
        rate=0.05,
        judge=judge,
        labels=tuple(f"{a} {b}" for a, b in bits),
        show=show,
    )


def many_to_one() -> Task:
    """Every `not` turns the sentence round; its last word is good or bad."""
    words, verdicts = ("not", "very", "good", "bad"), ("bad", "good")
    shown = ("not very good", "very good", "not not very bad", "very not not not bad")

    def batch(draw: Draw, least: int, most: int, count: int) -> tuple[NDArray[np.int32], ...]:
        """Sentences with `least` to `most` words before the last: xs [T, B], lengths, answers."""
        before = integers(draw, least, most, count)
        early = np.arange(most + 1)[:, None] < before
        drawn, last = integers(draw, 0, 1, most + 1, count), integers(draw, 2, 3, 1, count)
        turns = np.sum((drawn == 0) & early, axis=0, dtype=np.int32)
        return np.where(early, drawn, last), before + 1, (turns + (last[0] == 2)) % 2

    @jax.jit
    def answer(model: Model, xs: Array, lengths: Array) -> Array:
        return last_outputs(read(model, xs)[0], lengths) @ model.w_hy

    def loss(model: Model, batch: tuple[Array, ...]) -> Array:
        xs, lengths, answers = batch
        return jnp.mean(nats(answer(model, xs, lengths), answers))

    def judge(model: Model, draw: Draw) -> Judgement:
        xs, lengths, answers = batch(draw, 9, 16, TESTS)
        said = np.argmax(answer(model, jnp.asarray(xs), jnp.asarray(lengths)), axis=-1)
        last = xs[lengths - 1, np.arange(TESTS)]
        return Judgement(float(np.mean(said == answers)), best_table(last, answers))

    def show(model: Model, taught: bool) -> tuple[Run, ...]:
        sentences = [text.split() for text in shown]
        ids, lengths = side_by_side([[words.index(word) for word in s] for s in sentences])
        hs, logits = read(model, jnp.asarray(ids))
        runs = []
        for b, (sentence, length) in enumerate(zip(sentences, lengths.tolist(), strict=True)):
            good = (sentence.count("not") + (sentence[-1] == "good")) % 2
            wanted = [""] * (length - 1) + [verdicts[good]]
            states, rows = hs[:length, b], logits[:length, b]
            runs.append(make_run(sentence, states, rows, verdicts, wanted, asked=[length - 1]))
        return tuple(runs)

    return Task(
        name="many to one",
        story="A sentence goes in word by word, and after its last word one answer comes out: good "
        "or bad, where every “not” turns the meaning round. Sentences have different lengths; each "
        "is read out at its own last word.",
        code="carry, hs = rnn.unroll(net, params, zero, xs)\n"
        "y = readout(rnn.last_outputs(hs, lengths))",
        asked="of new sentences of 10 to 17 words right (trained on 1 to 9 words)",
        baseline="from the last word alone",
        enough=0.95,
        init=lambda key: init_model(key, len(words), 16, len(verdicts)),
        batch=lambda draw: batch(draw, 0, 8, 64),
        loss=loss,
        updates=500,
        rate=0.02,
        judge=judge,
        labels=shown,
        show=show,
    )


def aligned() -> Task:
    """Long division by 7: a digit of the quotient for every digit; the remainder is remembered."""
    shown = ("945", "100000", "4567")

    def batch(draw: Draw, length: int, count: int) -> tuple[NDArray[np.int32], ...]:
        """Random numbers, their digits [T, B], and the digits of their quotients [T, B]."""
        xs = integers(draw, 0, 9, length, count)
        answers, remainder = np.empty_like(xs), np.zeros(count, np.int32)
        for t, digit in enumerate(xs):
            answers[t], remainder = np.divmod(10 * remainder + digit, DIVISOR)
        return xs, answers

    def loss(model: Model, batch: tuple[Array, ...]) -> Array:
        xs, answers = batch
        return jnp.mean(nats(read(model, xs)[1], answers))

    def judge(model: Model, draw: Draw) -> Judgement:
        xs, answers = batch(draw, 12, TESTS)
        said = np.argmax(read(model, jnp.asarray(xs))[1], axis=-1)
        return Judgement(float(np.mean(said == answers)), best_table(xs, answers))

    def show(model: Model, taught: bool) -> tuple[Run, ...]:
        xs, _ = side_by_side([[int(digit) for digit in number] for number in shown])
        hs, logits = read(model, jnp.asarray(xs))
        return tuple(
            make_run(
                number,
                hs[: len(number), b],
                logits[: len(number), b],
                "0123456789",
                str(int(number) // DIVISOR).zfill(len(number)),
                asked=range(len(number)),
            )
            for b, number in enumerate(shown)
        )

    return Task(
        name="many to many, aligned",
        story=f"A number goes in digit by digit, and divided by {DIVISOR} it comes out digit by "
        "digit, as in long division on paper: 7 goes into 9 once and leaves 2, into 24 three times "
        "and leaves 3, into 35 five times. The remainder is what must be kept from step to step.",
        code="carry, hs = rnn.unroll(net, params, zero, xs)\nys = readout(hs)",
        asked="of the digits of the quotient right, for numbers of 12 digits (trained on 8)",
        baseline="from each digit alone",
        enough=0.95,
        init=lambda key: init_model(key, 10, 64, 10),
        batch=lambda draw: batch(draw, 8, 64),
        loss=loss,
        updates=1200,
        rate=0.02,
        judge=judge,
        labels=tuple(f"{number} ÷ {DIVISOR}" for number in shown),
        show=show,
    )
