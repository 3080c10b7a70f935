"""Optimizers against their equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import optimizers
from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line import main

STEPS = 5
RATE = 0.03


def gradients():
    generator = np.random.default_rng(0)
    return [generator.normal(size=(3, 2)) * 4 for _ in range(STEPS)]


def follow(optimizer):
    """The weights after each step, from ones."""
    weights = np.ones((3, 2))
    state = jax.jit(optimizer.init)(weights)
    seen = []

    @jax.jit
    def update(gradient, state, weights):
        updates, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), state

    for gradient in gradients():
        weights, state = update(gradient, state, weights)
        seen.append(np.asarray(weights))
    return seen


def by_hand(name, rho=None, weight_decay=0.0, change=lambda g: g):
    weights, square, momentum = np.ones((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    seen = []
    for step, gradient in enumerate(gradients(), 1):
        g = change(gradient)
        if name == "adagrad":
            square = square + g * g
            weights = weights - RATE * g / np.sqrt(square + 1e-8)
        elif name == "rmsprop":
            square = rho * square + (1 - rho) * g * g
            weights = weights - RATE * g / (np.sqrt(square) + 1e-8)
        elif name in ("adam", "adamw"):
            momentum = 0.9 * momentum + 0.1 * g
            square = rho * square + (1 - rho) * g * g
            mean, root = momentum / (1 - 0.9**step), np.sqrt(square / (1 - rho**step))
            weights = weights - RATE * (mean / (root + 1e-8) + weight_decay * weights)
        else:
            weights = weights - RATE * g
        seen.append(weights)
    return seen


@pytest.mark.parametrize(
    ("name", "options", "rho"),
    [
        ("adagrad", {}, None),
        ("rmsprop", {}, 0.95),
        ("rmsprop", {"decay_rate": 0.7}, 0.7),
        ("adam", {}, 0.999),
        ("adam", {"decay_rate": 0.8}, 0.8),
        ("adamw", {"weight_decay": 0.3}, 0.999),
        ("sgd", {}, None),
    ],
)
def test_named_optimizers_follow_their_equations(name, options, rho):
    optimizer = optimizers.make_optimizer(name, RATE, **options)
    expected = by_hand(name, rho, options.get("weight_decay", 0.0))
    np.testing.assert_allclose(follow(optimizer), expected, rtol=1e-12)


def test_karpathy_adagrad_is_clip_then_adagrad_from_zero():
    optimizer = optimizers.karpathy_adagrad(learning_rate=RATE, clip=1.5)
    expected = by_hand("adagrad", change=lambda g: np.clip(g, -1.5, 1.5))
    np.testing.assert_allclose(follow(optimizer), expected, rtol=1e-13)


def test_clipping_by_norm_keeps_the_direction():
    def scaled(g):
        return g * min(1.0, 2.0 / np.linalg.norm(g))

    optimizer = optimizers.make_optimizer("sgd", RATE, clip_norm=2.0)
    np.testing.assert_allclose(follow(optimizer), by_hand("sgd", change=scaled), rtol=1e-12)


def test_clipping_by_value_comes_before_clipping_by_norm():
    def both(g):
        g = np.clip(g, -1.0, 1.0)
        return g * min(1.0, 1.2 / np.linalg.norm(g))

    optimizer = optimizers.make_optimizer("sgd", RATE, clip_value=1.0, clip_norm=1.2)
    np.testing.assert_allclose(follow(optimizer), by_hand("sgd", change=both), rtol=1e-12)


def test_a_gradient_that_was_always_zero_moves_nothing():
    optimizer = optimizers.karpathy_adagrad()
    weights = jnp.array([2.0, 3.0])
    updates, _ = optimizer.update(jnp.array([0.0, 1.0]), optimizer.init(weights))
    np.testing.assert_allclose(updates, [0.0, -0.1 / np.sqrt(1 + 1e-8)], rtol=1e-14)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float64])
def test_every_optimizer_keeps_the_dtype_and_goes_downhill(name, dtype):
    rate = optimizers.make_schedule("constant", 0.1, total_steps=10, steps_per_epoch=3)
    optimizer = optimizers.make_optimizer(name, rate, clip_value=5.0, clip_norm=1.0)
    weights = jnp.full(3, 2.0, dtype)
    updates, _ = jax.jit(optimizer.update)(weights, optimizer.init(weights), weights)
    moved = optax.apply_updates(weights, updates)
    assert moved.dtype == dtype
    assert (moved < weights).all()


def test_epochs_is_the_schedule_of_char_rnn():
    rate = optimizers.make_schedule(
        "epochs", 2e-3, total_steps=10_000, steps_per_epoch=7, decay=0.97, decay_after=10
    )
    expected, current = [], 2e-3
    for iteration in range(1, 90):  # counted from 1; decays at the end of an epoch
        expected.append(current)
        if iteration % 7 == 0 and iteration / 7 >= 10:
            current *= 0.97
    np.testing.assert_allclose(rate(np.arange(89)), expected, rtol=1e-6)


def test_cosine_rises_then_falls_to_zero_at_the_end():
    rate = optimizers.make_schedule(
        "cosine", 0.5, total_steps=110, steps_per_epoch=5, warmup_steps=10
    )
    steps = np.arange(111)
    expected = 0.25 * (1 + np.cos(np.pi * np.clip((steps - 10) / 100, 0, 1)))
    expected *= np.minimum(1, (steps + 1) / 10)
    np.testing.assert_allclose(rate(steps), expected, rtol=1e-5, atol=1e-8)


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match="rmsprob"):
        optimizers.make_optimizer("rmsprob", 0.1)
    with pytest.raises(ValueError, match="linear"):
        optimizers.make_schedule("linear", 0.1, total_steps=1, steps_per_epoch=1)
    with pytest.raises(ValueError, match="adamw"):
        optimizers.make_optimizer("adam", 0.1, weight_decay=0.1)
    for rate in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="learning_rate: expected a number from 0 up"):
            optimizers.karpathy_adagrad(rate)


@pytest.mark.parametrize("clip", [0, 0.0, -5.0, float("nan")])
def test_karpathy_adagrad_always_clips(clip):
    with pytest.raises(ValueError, match=r"karpathy_adagrad: clip: expected a number above 0, got"):
        optimizers.karpathy_adagrad(0.1, clip=clip)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("decay_rate", 3), ("decay_rate", 1.0), ("decay_rate", -0.1), ("decay_rate", float("nan"))]
    + [(name, -1.0) for name in ("weight_decay", "clip_value", "clip_norm")],
)
def test_numbers_out_of_range_are_named(option, wrong):
    with pytest.raises(ValueError, match=f"make_optimizer: {option}: expected a number from 0"):
        optimizers.make_optimizer("adamw", 0.1, **{option: wrong})


@pytest.mark.parametrize("decay", [3, 1.01, 0.0, -0.5, float("nan")])
@pytest.mark.parametrize("name", optimizers.SCHEDULES)
def test_a_rate_cannot_grow_from_epoch_to_epoch(name, decay):
    with pytest.raises(ValueError, match="make_schedule: decay: expected a factor above 0 and at"):
        optimizers.make_schedule(name, 0.1, total_steps=9, steps_per_epoch=3, decay=decay)


def test_the_ends_of_the_ranges_are_allowed():
    by_default = follow(optimizers.make_optimizer("adagrad", RATE))
    unclipped = optimizers.make_optimizer("adagrad", RATE, clip_value=0, clip_norm=0)
    np.testing.assert_array_equal(follow(unclipped), by_default)
    rho_zero = follow(optimizers.make_optimizer("rmsprop", RATE, decay_rate=0.0))
    np.testing.assert_allclose(rho_zero, by_hand("rmsprop", 0.0), rtol=1e-6)
    rate = optimizers.make_schedule("epochs", 0.1, total_steps=90, steps_per_epoch=3, decay=1)
    np.testing.assert_array_equal(rate(np.arange(90)), np.float32(0.1))


def test_the_settings_default_is_an_optimizer_and_a_schedule():
    assert Settings().optimizer in optimizers.OPTIMIZERS
    assert Settings().schedule in optimizers.SCHEDULES


def test_the_help_of_train_names_them_all(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    # Spelled out there, so that help does not wait for JAX.
    *most, last = optimizers.OPTIMIZERS
    assert f"{', '.join(most)} or {last}" in shown
    for name in optimizers.SCHEDULES:
        assert name in shown.partition("--schedule NAME")[2][:150]
