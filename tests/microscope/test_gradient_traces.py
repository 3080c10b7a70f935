import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.charlm.losses import nats
from jaxrnn.microscope import gradient_traces
from jaxrnn.microscope.gradient_traces import (
    chosen_logits,
    input_gradients,
    state_gradients,
    weight_contributions,
)
from jaxrnn.microscope.interventions import input_vectors


def brute_force_losses(config, params, carry, xs, targets, at, change):
    """Losses of a plain loop in which `change` is added to the carries after step `at`."""
    losses = []
    for t, target in enumerate(targets):
        x, carries = xs[t], []
        for index, (layer, state) in enumerate(zip(params.layers, carry, strict=True)):
            state, _ = rnn.step(config.recurrent_cell, layer, state, x)
            if t == at:
                state = jax.tree.map(jnp.add, state, change[index])
            x = state.h
            carries.append(state)
        carry = tuple(carries)
        logits = x @ params.w_hy + params.b_y
        losses.append(jax.scipy.special.logsumexp(logits) - logits[target])
    return jnp.stack(losses)


@pytest.mark.parametrize("cell", sorted(rnn.CELLS))
def test_state_gradients_agree_with_brute_force(random_model, cell):
    config, params, carry, inputs, targets = random_model(cell)
    matrix = state_gradients(config, params, carry, inputs, targets)
    xs = input_vectors(config, params, inputs)
    nothing = charlm.zero_carry(config, params, ())
    for t in range(len(inputs)):
        rows = jax.jacfwd(
            lambda change, t=t: brute_force_losses(config, params, carry, xs, targets, t, change)
        )(nothing)
        jax.tree.map(
            lambda fast, slow, t=t: np.testing.assert_allclose(fast[:, t], slow, atol=1e-12),
            matrix,
            rows,
        )
        for leaf in jax.tree.leaves(matrix):
            assert not leaf[:t, t].any()
            assert leaf[-1, 0].any()


def test_state_gradients_agree_with_central_differences(random_model):
    config, params, carry, inputs, targets = random_model("gru", 1)
    matrix = state_gradients(config, params, carry, inputs, targets)[0].h
    xs = input_vectors(config, params, inputs)
    for t, unit in ((0, 0), (2, 3), (5, 1)):
        step = 1e-6 * jax.nn.one_hot(unit, 4, dtype=jnp.float64)
        up, down = (
            brute_force_losses(config, params, carry, xs, targets, t, (rnn.GRU.Carry(sign * step),))
            for sign in (1.0, -1.0)
        )
        np.testing.assert_allclose(matrix[:, t, unit], (up - down) / 2e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "loss"),
    [
        *((cell, charlm.cross_entropy) for cell in sorted(rnn.CELLS)),
        ("gru", charlm.last_cross_entropy),
    ],
)
def test_contributions_sum_to_the_gradient(random_model, cell, loss):
    config, params, carry, inputs, targets = random_model(cell, 2, embed_size=3)
    parts = weight_contributions(config, params, carry, inputs, targets, loss)

    def total(params):
        return loss(charlm.apply(config, params, carry, inputs)[1], targets)

    for part, whole in zip(
        jax.tree.leaves(parts), jax.tree.leaves(jax.grad(total)(params)), strict=True
    ):
        assert part.shape == (len(inputs), *whole.shape)
        assert (np.abs(part).reshape(len(inputs), -1).sum(axis=1) > 0).sum() >= (
            1 if loss is charlm.last_cross_entropy else len(inputs)
        )
        np.testing.assert_allclose(part.sum(axis=0), whole, rtol=1e-10, atol=1e-14)


def test_a_contribution_is_the_gradient_of_one_steps_copy(random_model):
    """The readout's share of step t is h_tᵀ (p_t − one-hot) / T, the equation of the readout."""
    config, params, carry, inputs, targets = random_model("elman", 1)
    parts = weight_contributions(config, params, carry, inputs, targets)
    _, hs = rnn.unroll(rnn.ELMAN, params.layers[0], carry[0], inputs)
    error = jax.nn.softmax(hs @ params.w_hy + params.b_y[None]) - jax.nn.one_hot(
        targets, 5, dtype=jnp.float64
    )
    np.testing.assert_allclose(
        parts.w_hy, jnp.einsum("th,tv->thv", hs, error) / len(inputs), atol=1e-14
    )


@pytest.mark.parametrize(
    ("cell", "embed_size", "score"), [("elman", None, nats), ("lstm", 3, chosen_logits)]
)
def test_input_gradients_agree_with_reverse_mode_through_unroll(
    random_model, cell, embed_size, score
):
    config, params, carry, inputs, targets = random_model(cell, 2, embed_size)
    xs = input_vectors(config, params, inputs)
    matrix = input_gradients(config, params, carry, xs, targets, score)

    def scores(xs):
        for layer, state in zip(params.layers, carry, strict=True):
            _, xs = rnn.unroll(config.recurrent_cell, layer, state, xs)
        return score(xs @ params.w_hy + params.b_y[None], targets)

    np.testing.assert_allclose(matrix, jax.jacrev(scores)(xs), atol=1e-13)
    assert matrix.shape == (6, 6, embed_size or 5)
    assert matrix[5, 0].any()


def test_chosen_logits():
    logits = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(chosen_logits(logits, jnp.array([2, 0])), [2.0, 3.0])


def test_limits_are_said(random_model, monkeypatch):
    config, params, carry, inputs, targets = random_model("gru", 1)
    with pytest.raises(ValueError, match=r"one stream \[T\].*jax.vmap"):
        state_gradients(config, params, carry, inputs[:, None], targets[:, None])
    monkeypatch.setattr(gradient_traces, "LARGEST", 100)
    with pytest.raises(ValueError, match="at most 100 numbers to return, got 144 for 6 steps"):
        state_gradients(config, params, carry, inputs, targets)
