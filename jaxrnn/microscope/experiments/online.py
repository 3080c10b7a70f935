"""Learning while reading: a dependency that reaches past what truncated backpropagation keeps.

A GRU reads letters. One of the first few of every forty is marked; at the end it is asked which it
was, and learns from its answer at once. Real-time recurrent learning (Williams and Zipser 1989)
carries the influence of its parameters along; truncated backpropagation keeps the last steps, as
many as fit the same memory, and the mark is never among them.
"""

import bisect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn.cells import GRU
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.networks import init, rtrl_gradient, rtrl_init, rtrl_step, unroll, zero_carry

Array = jax.Array

LENGTH = 40
"""Steps from one question to the next."""
PLACES = 5
"""The marked letter is one of so many at the beginning."""
UNITS = 4
STREAMS = 16
UPDATES = 500
LAST = 100
"""Updates at the end over which answers are counted."""
DISPATCHES = 20
KEEPING = 3.0
"""The bias of the update gate at the start: σ(3) = 0.95 of the state stays at a step."""


class Reader(NamedTuple):
    """One way to learn.

    Attributes:
        name: what it is.
        memory: bytes that the gradient takes beside parameters and state.
        right: [UPDATES], the share of right answers at every question, before it learned from it.
    """

    name: str
    memory: int
    right: NDArray[np.float64]


class OnlineData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        readers: real-time recurrent learning, SnAp-1, truncated at equal memory, not truncated.
        window: steps that the third keeps.
        example: what a stream reads from one question to the next, the marked letter in brackets.
    """

    readers: tuple[Reader, Reader, Reader, Reader]
    window: int
    example: str


class _Weights(NamedTuple):
    """GRU parameters, and the answer's w_hy [H, 2] and b_y [2]."""

    cell: Any
    w_hy: Array
    b_y: Array


Read = Callable[[_Weights, Any, Array, Array], tuple[Any, Any, Array]]
"""(weights, state, xs [T, B, 4], answer [B]) → (gradient, state, which answers were right)."""


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains the same network on the same text in four ways, an update at every question.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with OnlineData; about a quarter of a minute on one core.
    """
    weights_key, text_key = jax.random.split(key)
    weights = _first_weights(weights_key)
    cell = weights.cell
    carry = zero_carry(GRU, cell, (STREAMS,))
    exact = rtrl_init(GRU, cell, carry)
    diagonal = rtrl_init(GRU, cell, carry, approximation="snap1")
    memory = _bytes(exact.influence)
    window = bisect.bisect_right(range(1, LENGTH + 1), memory, key=lambda w: _kept(cell, carry, w))
    ways: dict[str, tuple[int, Read, Any]] = {
        "RTRL": (memory, _online, exact),
        "SnAp-1": (_bytes(diagonal.influence), _online, diagonal),
        f"BPTT, last {window} steps":
            (_kept(cell, carry, window), _truncated(window), carry),
        f"BPTT, all {LENGTH} steps":
            (_kept(cell, carry, LENGTH), _truncated(LENGTH), carry),
    }  # fmt: skip
    found = []
    for name, (taken, read, state) in ways.items():
        right = _learn(read, weights, state, text_key, progress, name)
        found.append(Reader(name, taken, right))
    readers = (found[0], found[1], found[2], found[3])
    share = [float(reader.right[-LAST:].mean()) for reader in readers]
    learned = ("1", "near 1", "0.5, chance", "1")
    measurements = (
        *(
            Measurement(f"right of the last {LAST} answers: {reader.name}", value, "", expected)
            for reader, value, expected in zip(readers, share, learned, strict=True)
        ),
        *(
            Measurement(f"memory of its gradient: {reader.name}", reader.memory / 1024, "KiB", said)
            for reader, said in zip(
                readers, ("the same at any length", "less", "at most RTRL's", "more"), strict=True
            )
        ),
    )
    holds = share[0] > 0.98 and share[2] < 0.6
    percent = [f"{100 * value:.1f} %".replace(".0 ", " ") for value in share]
    verdict = (
        f"{LENGTH - PLACES} to {LENGTH - 1} steps lie between the marked letter and the question. "
        f"Learning as it reads, the network comes to answer {percent[0]} right, and with SnAp-1, "
        f"which follows what a weight does to its own unit alone, {percent[1]}; with the last "
        f"{window} steps, all that fit the same memory, {percent[2]}: no gradient reaches the step "
        f"at which the letter was marked. All {LENGTH} steps bring {percent[3]}, for "
        f"{readers[3].memory / memory:.1f} times the memory, which grows with the dependency."
    )
    claim = (
        "Real-time recurrent learning learns a dependency that is longer than the window which "
        "truncated backpropagation can keep in the same memory (Williams and Zipser 1989)."
    )
    data = OnlineData(readers, window, _example(text_key))
    return Experiment("online", claim, measurements, holds, verdict, data)


def _first_weights(key: Array) -> _Weights:
    cell_key, answer_key = jax.random.split(key)
    cell = init(GRU, cell_key, input_size=4, hidden_size=UNITS, dtype=jnp.float32)
    gate = jnp.arange(3 * UNITS) // UNITS  # r, z, n
    cell = cell._replace(b_h=jnp.where(gate == 1, jnp.float32(KEEPING), cell.b_h))
    w_hy = 0.1 * jax.random.normal(answer_key, (UNITS, 2), jnp.float32)
    return _Weights(cell, w_hy, jnp.zeros(2, jnp.float32))


def episode(key: Array) -> tuple[Array, Array]:
    """Letters up to a question, for every stream: (xs [T, B, 4], which letter was marked [B]).

    Of an input the first two numbers are the letter, the third marks it, the fourth is the
    question, which comes with no letter.
    """
    letter_key, place_key = jax.random.split(key)
    letters = jax.random.bernoulli(letter_key, 0.5, (LENGTH, STREAMS))
    place = jax.random.randint(place_key, (STREAMS,), 0, PLACES)
    steps = jnp.arange(LENGTH)[:, None]
    marked = steps == place[None]
    asked = jnp.broadcast_to(steps == LENGTH - 1, letters.shape)
    xs = jnp.stack([letters & ~asked, ~letters & ~asked, marked, asked], axis=-1)
    return xs.astype(jnp.float32), jnp.any(letters & marked, axis=0).astype(jnp.int32)


def _example(key: Array) -> str:
    xs, _ = episode(key)
    words = []
    for a, _, marked, asked in np.asarray(xs[:, 0], bool):
        letter = "?" if asked else "a" if a else "b"
        words.append(f"[{letter}]" if marked else letter)
    return " ".join(words)


def _learn(
    read: Read, weights: _Weights, state: Any, key: Array, progress: Progress, name: str
) -> NDArray[np.float64]:
    """[UPDATES], the share of right answers; the state is never put back, nor the text repeated."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.015))

    def one_update(now: tuple[Any, Any, Any], key: Array) -> tuple[tuple[Any, Any, Any], Array]:
        weights, memory, state = now
        gradient, state, right = read(weights, state, *episode(key))
        updates, memory = optimizer.update(gradient, memory, weights)
        return (optax.apply_updates(weights, updates), memory, state), jnp.mean(right)

    dispatch = jax.jit(lambda now, keys: jax.lax.scan(one_update, now, keys))
    now, shares = (weights, optimizer.init(weights), state), []
    keys = jax.random.split(key, UPDATES).reshape(DISPATCHES, -1)
    for number, some in enumerate(keys, 1):
        now, right = dispatch(now, some)
        shares.append(np.asarray(right, np.float64))
        progress(name, number * len(right), UPDATES)
    return np.concatenate(shares)


def _online(weights: _Weights, state: Any, xs: Array, answer: Array) -> tuple[Any, Any, Array]:
    """Reads step by step; the gradient at the question comes from the influence alone."""

    def one_step(state: Any, x: Array) -> tuple[Any, None]:
        return rtrl_step(GRU, weights.cell, state, x)[0], None

    state, _ = jax.lax.scan(one_step, state, xs)
    gradient, (d_h, right) = _answered(weights, state.carry.h, answer)
    return gradient._replace(cell=rtrl_gradient(GRU, state, d_h)), state, right


def _truncated(window: int) -> Read:
    """Runs back from the question through the last steps, and no further."""

    def read(weights: _Weights, carry: Any, xs: Array, answer: Array) -> tuple[Any, Any, Array]:
        carry, _ = unroll(GRU, weights.cell, carry, xs[: LENGTH - window])
        # `carry` is a constant here, so that this is the gradient cut off.
        last, back = jax.vjp(lambda p: unroll(GRU, p, carry, xs[-window:])[0], weights.cell)
        gradient, (d_h, right) = _answered(weights, last.h, answer)
        (d_cell,) = back(GRU.Carry(d_h))
        return gradient._replace(cell=d_cell), last, right

    return read


def _answered(weights: _Weights, h: Array, answer: Array) -> tuple[_Weights, tuple[Array, Array]]:
    """(gradient of the answer's weights, (∂L/∂h, which answers were right))."""

    def loss(weights: _Weights, h: Array) -> tuple[Array, Array]:
        logits = jnp.matmul(h, weights.w_hy) + weights.b_y[None]
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, answer)
        return jnp.mean(nats), jnp.argmax(logits, -1) == answer

    (gradient, d_h), right = jax.grad(loss, (0, 1), has_aux=True)(weights, h)
    return gradient, (d_h, right)


def _kept(cell: Any, carry: Any, window: int) -> int:
    """Bytes that `unroll` keeps of so many steps for its gradient, the inputs among them."""
    xs = jax.ShapeDtypeStruct((window, STREAMS, 4), jnp.float32)

    def back(cell: Any, carry: Any, xs: Array) -> Any:
        return jax.vjp(lambda p: unroll(GRU, p, carry, xs)[0].h, cell)[1]

    return _bytes(jax.eval_shape(back, cell, carry, xs)) - _bytes(cell)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
