import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.charlm.losses import nats
from jaxrnn.microscope import gradient_traces
from jaxrnn.microscope.traces.gradient_traces import (
    chosen_logits,
    input_gradients,
    state_gradients,
    weight_contributions,
)
from jaxrnn.microscope.traces.interventions import input_vectors


def losses_of_a_plain_loop(config, params, carry, xs, targets, changes):
    """Losses of an unrolled Python loop in which changes[layer][t] is added to the carry at t."""
    losses = []
    for t, target in enumerate(targets):
        x, carries = xs[t], []
        for layer, state, change in zip(params.layers, carry, changes, strict=True):
            state, _ = rnn.step(config.cells[0], layer, state, x)
            state = jax.tree.map(lambda value, added, t=t: value + added[t], state, change)
            x = state.h
            carries.append(state)
        carry = tuple(carries)
        logits = x @ params.w_hy + params.b_y
        losses.append(jax.scipy.special.logsumexp(logits) - logits[target])
    return jnp.stack(losses)


@pytest.mark.parametrize("cell", cells("lstm", "gru_reset_before"))
def test_state_gradients_agree_with_brute_force(random_model, cell):
    config, params, carry, inputs, targets = random_model(cell, length=4)
    matrix = state_gradients(config, params, carry, inputs, targets)

    @jax.jit
    @jax.jacrev
    def brute_force(changes):
        xs = input_vectors(config, params, inputs)
        return losses_of_a_plain_loop(config, params, carry, xs, targets, changes)

    nothing = jax.tree.map(lambda x: jnp.zeros((4, *x.shape)), carry)
    for fast, slow in zip(
        jax.tree.leaves(matrix), jax.tree.leaves(brute_force(nothing)), strict=True
    ):
        np.testing.assert_allclose(fast, slow, atol=1e-12)
        assert fast[-1, 0].any()
        assert not np.asarray(fast)[np.triu_indices(4, 1)].any()


def test_state_gradients_agree_with_central_differences(random_model):
    config, params, carry, inputs, targets = random_model("gru", 1, length=4)
    matrix = state_gradients(config, params, carry, inputs, targets)[0].h
    xs = input_vectors(config, params, inputs)

    @jax.jit
    def losses(change):
        changes = (rnn.GRU.Carry(change),)
        return losses_of_a_plain_loop(config, params, carry, xs, targets, changes)

    for t, unit in ((0, 0), (2, 3), (3, 1)):
        change = np.zeros((4, 4))
        change[t, unit] = 1e-6
        slope = (losses(change) - losses(-change)) / 2e-6
        np.testing.assert_allclose(matrix[:, t, unit], slope, atol=1e-8)


@pytest.mark.parametrize("cell", cells("lstm", "gru_reset_before"))
@pytest.mark.parametrize(
    "loss",
    [
        charlm.cross_entropy,
        pytest.param(charlm.last_cross_entropy, marks=pytest.mark.slow),
    ],
)
def test_contributions_sum_to_the_gradient(random_model, cell, loss):
    config, params, carry, inputs, targets = random_model(cell, 2, embed_size=3)
    parts = weight_contributions(config, params, carry, inputs, targets, loss)

    def total(params):
        return loss(charlm.apply(config, params, carry, inputs)[1], targets)

    for part, whole in zip(
        jax.tree.leaves(parts), jax.tree.leaves(jax.jit(jax.grad(total))(params)), strict=True
    ):
        assert part.shape == (len(inputs), *whole.shape)
        np.testing.assert_allclose(part.sum(axis=0), whole, rtol=1e-10, atol=1e-14)
    by_step = np.abs(parts.layers[0].w_hh).sum(axis=(1, 2))
    assert (by_step > 0).sum() >= 2


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
            _, xs = rnn.unroll(config.cells[0], layer, state, xs)
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
    rule = r"at most 5 characters, with 4 numbers for each pair of steps, got 6\. Hint: .*--to"
    with pytest.raises(ValueError, match=rule):
        state_gradients(config, params, carry, inputs, targets)
