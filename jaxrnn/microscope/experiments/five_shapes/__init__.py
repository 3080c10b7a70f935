"""The five shapes of recurrent networks, a task learned with each ("Notes on recurrent networks").

    one to one           two bits                   exclusive or
    one to many          a digit                    its English name, spelled
    many to one          not very not good …        good or bad
    aligned              a number                   the number divided by 7, by long division
    encoder to decoder   a word                     the word backwards

The write-up holds that all five come from one cell's step, with no bias and from h₀ = 0. So it is
here: a GRU whose biases stay 0 and a readout without bias, always from the zero carry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn.microscope.experiments.five_shapes.reading import aligned, many_to_one, one_to_one
from jaxrnn.microscope.experiments.five_shapes.task import (
    Judgement,
    Run,
    Task,
    percent,
    without_biases,
)
from jaxrnn.microscope.experiments.five_shapes.writing import encoder_to_decoder, one_to_many
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent

Array = jax.Array

TASKS: tuple[Callable[[], Task], ...] = (
    one_to_one,
    one_to_many,
    many_to_one,
    aligned,
    encoder_to_decoder,
)
"""A task for each shape, in the order in which they are told of."""

DISPATCHES = 20
"""Updates are made in so many calls; after the first the model is kept, as one in training."""


class LearnedShape(NamedTuple):
    """One shape with its task, before and after training.

    Attributes:
        task: what was to be learned.
        untrained: how well it went before.
        trained: and after.
        losses: [N] nats, before each update.
        runs: for every label of the task, runs by the moment: "untrained", "in training" (where
            outputs are fed back in use: the right symbols are fed) and "trained".
        updates: updates before the run "in training".
        biases: the largest bias after training.
    """

    task: Task
    untrained: Judgement
    trained: Judgement
    losses: NDArray[np.float32]
    runs: dict[str, dict[str, Run]]
    updates: int
    biases: float


class FiveShapesData(NamedTuple):
    """What the experiment's page draws: the five shapes."""

    shapes: tuple[LearnedShape, ...]


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains a network on the task of each shape.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with FiveShapesData; about half a minute on two cores.
    """
    keys = jax.random.split(key, len(TASKS))
    shapes = tuple(learn(make(), key, progress) for make, key in zip(TASKS, keys, strict=True))
    measurements = []
    for shape in shapes:
        task = shape.task
        expected = f"at least {100 * task.enough:g}"
        measurements += [
            Measurement(f"{task.name}: {task.asked}", 100 * shape.trained.right, "%", expected),
            Measurement(
                f"{task.name}: for comparison, {task.baseline}",
                100 * shape.trained.baseline,
                "%",
            ),
        ]
    biases = max(shape.biases for shape in shapes)
    measurements.append(Measurement("largest bias of all", biases, "", "0"))
    learned = [shape.trained.right >= shape.task.enough for shape in shapes]
    failed = [shape.task.name for shape, well in zip(shapes, learned, strict=True) if not well]
    holds = all(learned) and biases == 0
    found = "; ".join(f"{shape.task.name}: {percent(shape.trained.right)}" for shape in shapes)
    outcome = f"Not learned: {'; '.join(failed)}" if failed else "All five are learned"
    verdict = (
        f"{outcome}. Right answers: {found}. Every bias stayed at {biases:g}: with one-hot inputs "
        "each row of w_xh can hold a bias."
    )
    claim = (
        "One cell's step, with no bias and from h₀ = 0, makes all five shapes: one to one, one to "
        "many, many to one, many to many aligned, encoder to decoder."
    )
    return Experiment(
        "five-shapes", claim, tuple(measurements), holds, verdict, FiveShapesData(shapes)
    )


def learn(
    task: Task, key: Array, progress: Progress = silent, updates: int | None = None
) -> LearnedShape:
    """Trains a model on one task, its biases held at 0, and looks at it before and after.

    Args:
        task: one of `TASKS`, made.
        key: a `jax.random.key`.
        progress: is told of the updates.
        updates: in place of the task's own number; a multiple of `DISPATCHES`.

    Returns:
        The judgements, the losses and the runs to look at.
    """
    updates = task.updates if updates is None else updates
    init_key, data_key = jax.random.split(key)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adam(optax.cosine_decay_schedule(task.rate, updates)),
    )

    def update(state: tuple[Any, Any], batch: tuple[Array, ...]) -> tuple[tuple[Any, Any], Array]:
        params, memory = state
        loss, gradient = jax.value_and_grad(task.loss)(params, batch)
        change, memory = optimizer.update(without_biases(gradient), memory, params)
        return (optax.apply_updates(params, change), memory), loss

    each = updates // DISPATCHES

    @jax.jit
    def train(state: tuple[Any, Any], batches: tuple[Array, ...]) -> tuple[tuple[Any, Any], Array]:
        return jax.lax.scan(update, state, batches, length=each)

    training, testing = np.random.default_rng(np.asarray(jax.random.key_data(data_key))).spawn(2)
    untrained = task.init(init_key)
    state, losses, kept = (untrained, optimizer.init(untrained)), [], untrained
    for dispatch in range(1, DISPATCHES + 1):
        drawn = [task.batch(training) for _ in range(each)]
        batches = tuple(jnp.asarray(np.stack(arrays)) for arrays in zip(*drawn, strict=True))
        state, latest = train(state, batches)
        losses.append(np.asarray(latest))
        kept = state[0] if dispatch == 1 else kept
        progress(f"learning {task.name}", dispatch * each, updates)
    trained = state[0]
    moments = {"untrained": task.show(untrained, False)}
    if task.feeds_back:
        moments["in training"] = task.show(kept, True)
    moments["trained"] = task.show(trained, False)
    return LearnedShape(
        task,
        task.judge(untrained, testing),
        task.judge(trained, testing),
        np.concatenate(losses),
        {
            label: {moment: runs[number] for moment, runs in moments.items()}
            for number, label in enumerate(task.labels)
        },
        each,
        _largest_bias(trained),
    )


def _largest_bias(params: Any) -> float:
    leaves = zip(jax.tree.leaves(params), jax.tree.leaves(without_biases(params)), strict=True)
    return max(float(np.max(np.abs(leaf - rest), initial=0)) for leaf, rest in leaves)
