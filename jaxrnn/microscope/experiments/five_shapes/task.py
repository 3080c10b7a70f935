"""What the five tasks are made of: a model without biases, a task, and a run to look at."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.cells import GRU
from jaxrnn.networks import init, unroll, zero_carry

Array = jax.Array
Draw = np.random.Generator
"""Data are drawn by NumPy: to compile JAX's generator for each task took as long as to train."""

CELL = GRU
STOP, START = "■", "▸"
TESTS = 1000
"""Fresh sequences that a model is judged on."""


class Model(NamedTuple):
    """A cell's parameters, the biases 0, and a readout without bias.

    Attributes:
        params: of `CELL`.
        w_hy: [H, V].
    """

    params: Any
    w_hy: Array


class Run(NamedTuple):
    """One sequence on its way through a network, step by step.

    Attributes:
        inputs: T of them, what was read.
        origins: T, where each input came from: "given", "fed back" or "taught".
        hs: [T, H].
        outputs: T, what was said; empty where nothing is asked.
        wanted: T, what was right; empty where nothing is asked, and after the right end.
        chances: [T], the probability of what was said; NaN where nothing is asked.
        encoded: steps of the encoder, 0 where there is none.
    """

    inputs: tuple[str, ...]
    origins: tuple[str, ...]
    hs: NDArray[np.float32]
    outputs: tuple[str, ...]
    wanted: tuple[str, ...]
    chances: NDArray[np.float32]
    encoded: int = 0


class Judgement(NamedTuple):
    """How well a model does.

    Attributes:
        right: the share of right answers, on sequences that it was not trained on where there are
            any.
        baseline: the share to compare it with, mostly what could be had without memory.
    """

    right: float
    baseline: float


class Task(NamedTuple):
    """A task for one of the shapes.

    Attributes:
        name: of the shape.
        story: what goes in and what comes out.
        code: the shape in lines of Python, in the names `rnn`, `net`, `params`, `zero`, `readout`.
        asked: what `Judgement.right` counts.
        baseline: what `Judgement.baseline` counts.
        enough: the least `right` that counts as learned.
        init: from a key to parameters.
        batch: draws sequences to train on, as a tuple of arrays.
        loss: from parameters and a batch to nats.
        updates: of Adam.
        rate: the learning rate at first; it falls to 0 along a cosine.
        judge: how well parameters do on sequences that it draws.
        labels: of the runs to look at.
        show: from parameters, and whether the right symbols are fed, to a run for each label.
        feeds_back: whether outputs are fed back in use, so that there is teacher forcing.
    """

    name: str
    story: str
    code: str
    asked: str
    baseline: str
    enough: float
    init: Callable[[Array], Any]
    batch: Callable[[Draw], tuple[NDArray[np.int32], ...]]
    loss: Callable[[Any, tuple[Array, ...]], Array]
    updates: int
    rate: float
    judge: Callable[[Any, Draw], Judgement]
    labels: tuple[str, ...]
    show: Callable[[Any, bool], tuple[Run, ...]]
    feeds_back: bool = False


def init_model(key: Array, input_size: int, hidden_size: int, outputs: int) -> Model:
    """A cell's parameters with biases 0, and a readout drawn from N(0, 0.1²)."""
    cell_key, readout_key = jax.random.split(key)
    params = without_biases(init(CELL, cell_key, input_size, hidden_size))
    return Model(params, 0.1 * jax.random.normal(readout_key, (hidden_size, outputs), jnp.float32))


def without_biases(tree: Any) -> Any:
    """Zeros in every field whose name starts with `b_`, of parameters or of their gradient."""

    def kept(path: tuple[Any, ...], leaf: Array) -> Array:
        return jnp.zeros_like(leaf) if getattr(path[-1], "name", "").startswith("b_") else leaf

    return jax.tree_util.tree_map_with_path(kept, tree)


@jax.jit
def read(model: Model, xs: Array) -> tuple[Array, Array]:
    """Reads sequences from the zero carry: hs [T, B, H] and logits [T, B, V]."""
    zero = zero_carry(CELL, model.params, xs.shape[1:2])
    _, hs = unroll(CELL, model.params, zero, xs)
    return hs, hs @ model.w_hy


def integers(draw: Draw, low: int, high: int, *shape: int) -> NDArray[np.int32]:
    """Random int32 from `low` to `high`, both included."""
    return draw.integers(low, high, shape, dtype=np.int32, endpoint=True)


def side_by_side(
    sequences: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sequences of ids as one array [T, B], padded with 0, and their lengths [B]."""
    ids = np.zeros((max(map(len, sequences)), len(sequences)), np.int32)
    for b, sequence in enumerate(sequences):
        ids[: len(sequence), b] = sequence
    return ids, np.array([len(sequence) for sequence in sequences], np.int32)


def make_run(
    inputs: Sequence[str],
    hs: ArrayLike,
    logits: ArrayLike,
    symbols: Sequence[str],
    wanted: Sequence[str],
    *,
    asked: Sequence[int],
    origins: Sequence[str] = (),
    encoded: int = 0,
) -> Run:
    """A run from its arrays.

    Args:
        inputs: T texts.
        hs: [T, H].
        logits: [T − encoded, V].
        symbols: V of them.
        wanted: T texts.
        asked: the steps at which something is said.
        origins: T of them; none: everything was given.
        encoded: steps of the encoder, which says nothing.

    Returns:
        The run, the likeliest symbols as its outputs.
    """
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    p = shifted / shifted.sum(axis=-1, keepdims=True)
    outputs, chances = [""] * len(inputs), np.full(len(inputs), np.nan, np.float32)
    for t in asked:
        outputs[t] = symbols[int(p[t - encoded].argmax())]
        chances[t] = p[t - encoded].max()
    given = origins or ["given"] * len(inputs)
    states = np.asarray(hs, np.float32)
    return Run(tuple(inputs), tuple(given), states, tuple(outputs), tuple(wanted), chances, encoded)


def percent(share: float) -> str:
    """A share for reading; less than all is never written as 100.

    >>> [percent(share) for share in (1.0, 0.9996, 0.9949, 0.3, 0.0)]
    ['100 %', '99.9 %', '99.5 %', '30 %', '0 %']
    """
    rounded = round(100 * share, 1)
    return f"{min(rounded, 99.9) if share < 1 else rounded:g} %"


def best_table(inputs: ArrayLike, answers: ArrayLike) -> float:
    """The share that is right if each input always gets the answer that is commonest for it.

    >>> best_table([0, 0, 0, 1], [5, 5, 6, 6])
    0.75
    """
    counts = np.zeros((np.max(inputs) + 1, np.max(answers) + 1))
    np.add.at(counts, (np.ravel(inputs), np.ravel(answers)), 1)
    return float(counts.max(axis=1).sum() / counts.sum())
