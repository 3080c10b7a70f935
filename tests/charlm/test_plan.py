"""From a setting to what it does: the plan of a run, its optimizer, its rates and its weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.plan import first_params, make_plan
from jaxrnn.charlm.runs import Run
from jaxrnn.charlm.settings import Settings
from jaxrnn.optimizers import make_optimizer

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
WINDOWS = 132
RATE = 0.03
# Nothing is on but what a test switches on.
PLAIN = Settings(
    model="elman",
    rnn_size=16,
    num_layers=1,
    seq_length=10,
    batch_size=4,
    optimizer="sgd",
    learning_rate=RATE,
    schedule="constant",
    warmup_steps=0,
    weight_decay=0.0,
    grad_clip=0.0,
    grad_clip_norm=0.0,
    max_steps=1000,
)


def run_of(**changes):
    settings = dataclasses.replace(PLAIN, **changes)
    return Run(None, settings, charlm.Vocab.from_text(TEXT), ("text",), "")


def plan_of(**changes):
    return make_plan(run_of(**changes), Corpus(TEXT, ("text",)))


def follow(optimizer):
    """The weights after each of three steps, from ones."""
    weights = jnp.ones((3, 2))
    state = optimizer.init(weights)
    seen = []
    for gradient in np.random.default_rng(0).normal(size=(3, 3, 2)) * [[[4.0]], [[0.2]], [[9.0]]]:
        updates, state = optimizer.update(jnp.asarray(gradient), state, weights)
        weights = optax.apply_updates(weights, updates)
        seen.append(np.asarray(weights))
    return np.stack(seen)


@pytest.mark.parametrize(
    ("name", "settings", "options"),
    [
        ("rmsprop", {"decay_rate": 0.6}, {"decay_rate": 0.6}),
        ("adam", {"decay_rate": 0.6}, {"decay_rate": 0.6}),
        ("adamw", {"weight_decay": 0.4}, {"weight_decay": 0.4}),
        ("sgd", {"grad_clip": 1.5}, {"clip_value": 1.5}),
        ("sgd", {"grad_clip_norm": 2.5}, {"clip_norm": 2.5}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_the_optimizer_is_told_reaches_it(name, settings, options):
    seen = follow(plan_of(optimizer=name, **settings).optimizer)
    expected = follow(make_optimizer(name, RATE, **options))
    without = follow(make_optimizer(name, RATE))
    assert np.abs(expected - without).max() > 1e-3
    # the plan's rate is a float32
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    np.testing.assert_allclose(follow(plan_of(optimizer=name).optimizer), without, rtol=1e-6)


@pytest.mark.parametrize(
    ("max_steps", "max_epochs", "warmup_steps", "rising"),
    [
        (1000, None, 40, 40),
        (1000, None, 100, 100),
        (1000, None, 400, 100),  # a tenth of the run
        (60, None, 100, 6),
        (9, None, 100, 0),
        (None, 0.5, 100, 6),  # of 66 windows
        (1000, 0.5, 100, 6),
    ],
)
def test_the_rate_rises_over_a_tenth_of_the_run_at_most(
    max_steps, max_epochs, warmup_steps, rising
):
    plan = plan_of(max_steps=max_steps, max_epochs=max_epochs, warmup_steps=warmup_steps)
    steps = np.arange(plan.total_steps)
    expected = RATE * np.minimum(1, (steps + 1) / max(1, rising))
    np.testing.assert_allclose(plan.schedule(steps), expected, rtol=1e-6)


def test_epochs_are_those_of_the_text():
    plan = plan_of(
        schedule="epochs", max_steps=800, learning_rate_decay=0.5, learning_rate_decay_after=3
    )
    assert charlm.number_of_windows(plan.streams, 10) == WINDOWS
    steps = np.arange(800)
    expected = RATE * 0.5 ** np.maximum(0, steps // WINDOWS - 2)
    np.testing.assert_allclose(plan.schedule(steps), expected, rtol=1e-6)


def test_the_cosine_ends_where_the_run_does():
    plan = plan_of(schedule="cosine", max_steps=200, warmup_steps=15)
    steps = np.arange(201)
    expected = RATE * 0.5 * (1 + np.cos(np.pi * np.clip((steps - 15) / 185, 0, 1)))
    expected *= np.minimum(1, (steps + 1) / 15)
    np.testing.assert_allclose(plan.schedule(steps), expected, rtol=1e-5, atol=1e-8)


def test_the_optimizer_follows_the_schedule():
    plan = plan_of(max_steps=20, warmup_steps=2)
    updates, state = [], plan.optimizer.init(jnp.ones(()))
    for _ in range(3):
        update, state = plan.optimizer.update(jnp.ones(()), state)
        updates.append(float(update))
    np.testing.assert_allclose(updates, [-RATE / 2, -RATE, -RATE], rtol=1e-6)


def matrices(initializer):
    run = run_of(initializer=initializer, embed_size=12, dtype="float64")
    leaves = jax.tree.leaves(jax.jit(lambda: first_params(run))())
    return [np.asarray(leaf) for leaf in leaves if leaf.ndim == 2]


def test_the_initializer_draws_every_weight_matrix():
    uniform, normal = matrices("uniform:0.08"), matrices("normal:0.01")
    assert len(uniform) == len(normal) == 4  # w_xh, w_hh, w_hy, embedding
    for weights in uniform:
        assert weights.size > 190
        assert -0.08 <= weights.min() < -0.07
        assert 0.07 < weights.max() < 0.08
        # standard errors: at most 0.0034 of the mean, 3 % of the deviation
        assert abs(weights.mean()) < 0.0135
        np.testing.assert_allclose(weights.std(), 0.08 / np.sqrt(3), rtol=0.2)
    for weights in normal:
        assert abs(weights.mean()) < 0.003
        np.testing.assert_allclose(weights.std(), 0.01, rtol=0.2)
