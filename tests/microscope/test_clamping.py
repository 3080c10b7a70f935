import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.measurements.clamping import (
    Clamp,
    clamped_losses,
    clamped_sample,
    clamping_effects,
)


def loop_losses(config, params, carry, inputs, targets, clamps):
    losses = []
    for token, target in zip(inputs, targets, strict=True):
        x, carries = token, []
        for index, (layer, state) in enumerate(zip(params.layers, carry, strict=True)):
            state, _ = rnn.step(config.cells[0], layer, state, x)
            for clamp in clamps:
                if clamp.layer == index:
                    held = getattr(state, clamp.field).at[clamp.unit].set(clamp.value)
                    state = state._replace(**{clamp.field: held})
            x = state.h
            carries.append(state)
        carry = tuple(carries)
        losses.append(-jax.nn.log_softmax(x @ params.w_hy + params.b_y)[target])
    return np.array(losses)


@pytest.mark.parametrize(
    "clamps",
    [
        [],
        [Clamp(0, 1, 0.7), Clamp(1, 3, -0.2)],
        [Clamp(0, 2, 1.5, "c"), Clamp(0, 2, 0.1, "h")],
    ],
)
def test_clamped_losses_agree_with_a_loop(random_model, clamps):
    config, params, carry, inputs, targets = random_model("lstm", 2)
    losses = clamped_losses(config, params, carry, inputs, targets, clamps)
    expected = loop_losses(config, params, carry, inputs, targets, clamps)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_effects_are_one_unit_at_a_time(random_model):
    config, params, carry, inputs, targets = random_model("gru", 2)
    effects = clamping_effects(config, params, carry, inputs, targets, layer=1, value=0.4)
    whole = loop_losses(config, params, carry, inputs, targets, []).mean()
    for unit in range(4):
        held = loop_losses(config, params, carry, inputs, targets, [Clamp(1, unit, 0.4)]).mean()
        assert effects[unit] == pytest.approx(held - whole, abs=1e-12)
    assert np.abs(effects).min() > 1e-4


@pytest.mark.parametrize("embed_size", [None, 3])
def test_samples_without_clamps_are_the_models_own(random_model, embed_size):
    config, params, *_ = random_model("lstm", 2, embed_size)
    vocab = charlm.Vocab("abcde")
    for temperature in (0, 0.8):
        arguments = {"length": 40, "prime": "bad", "temperature": temperature}
        own = charlm.sample(config, params, vocab, jax.random.key(5), **arguments)
        assert clamped_sample(config, params, vocab, jax.random.key(5), [], **arguments) == own


def test_a_clamp_changes_what_is_written(random_model):
    """Unit 0 of the top layer votes for `e` alone: held high, nothing else is written."""
    config, params, *_ = random_model("gru", 1)
    w_hy = params.w_hy.at[0].set(jnp.array([0.0, 0, 0, 0, 50]))
    params = params._replace(w_hy=w_hy)
    vocab = charlm.Vocab("abcde")
    written = clamped_sample(
        config, params, vocab, jax.random.key(0), [Clamp(0, 0, 1.0)], length=30, prime="a"
    )
    assert written == "e" * 30
    silenced = clamped_sample(
        config, params, vocab, jax.random.key(0), [Clamp(0, 0, -1.0)], length=30, prime="a"
    )
    assert "e" not in silenced


@pytest.mark.parametrize(
    ("clamp", "words"),
    [
        (Clamp(2, 0), "layer: expected 0 to 1, got 2"),
        (Clamp(0, 4), "unit: expected 0 to 3, got 4"),
        (Clamp(0, 0, 0.0, "c"), "field: expected one of h, got c"),
    ],
)
def test_units_that_do_not_exist(random_model, clamp, words):
    config, params, carry, inputs, targets = random_model("gru", 2)
    with pytest.raises(ValueError, match=words):
        clamped_losses(config, params, carry, inputs, targets, [clamp])


def test_samples_that_cannot_be(random_model):
    config, params, *_ = random_model("gru", 1)
    vocab = charlm.Vocab("abcde")
    for arguments, words in (
        ({"prime": ""}, "prime: expected at least one character"),
        ({"prime": "z"}, "'z'"),
        ({"prime": "a", "length": 0}, "length: expected at least 1"),
        ({"prime": "a", "temperature": -1.0}, "temperature: expected at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            clamped_sample(config, params, vocab, jax.random.key(0), [], **arguments)
