import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.measurements.connectivity import (
    DEFINITIONS,
    completeness_error,
    connectivity_matrix,
    integrated_gradients,
    rank_agreement,
    reach,
)
from jaxrnn.microscope.measurements.surprise import softmax


@pytest.mark.parametrize(("cell", "embed_size"), [("lstm", None), ("gru", 3)])
def test_definitions_against_brute_force(random_model, cell, embed_size):
    config, params, carry, inputs, tokens = random_model(cell, 2, embed_size, length=5)
    table = jnp.eye(5, dtype=jnp.float64) if embed_size is None else params.embedding
    xs = table[inputs]

    @jax.jit
    def logits(xs):
        for layer, state in zip(params.layers, carry, strict=True):
            _, xs = rnn.unroll(config.cells[0], layer, state, xs)
        return xs @ params.w_hy + params.b_y[None]

    values, slopes = np.asarray(logits(xs)), np.asarray(jax.jit(jax.jacrev(logits))(xs))
    occluded = [np.asarray(logits(xs.at[t].set(0))) for t in range(len(tokens))]
    found = {
        name: connectivity_matrix(config, params, carry, inputs, tokens, name)
        for name in DEFINITIONS
    }
    for s, token in enumerate(tokens.tolist()):
        squared = (slopes[s, token] ** 2).sum(axis=-1)
        np.testing.assert_allclose(found["logit_gradient_norm_squared"][s], squared, atol=1e-13)
        np.testing.assert_allclose(found["logit_gradient_norm"][s], squared**0.5, atol=1e-13)
        # ∂L/∂y = p − one-hot.
        error = softmax(values[s]) - np.eye(5)[token]
        of_loss = (np.einsum("v,vti->ti", error, slopes[s]) ** 2).sum(axis=-1)
        np.testing.assert_allclose(found["loss_gradient_squared"][s], of_loss, atol=1e-13)
        for t in range(len(tokens)):
            removed = values[s, token] - occluded[t][s, token]
            np.testing.assert_allclose(found["occlusion"][s, t], removed, atol=1e-13)


@pytest.mark.parametrize(("cell", "scale"), [("elman", 2.0), ("lstm", 3.0)])
def test_integrated_gradients_are_complete(random_model, cell, scale):
    """With weights so large that the path from the mean input to the text is far from straight."""
    config, params, carry, inputs, tokens = random_model(cell, 2, length=12)
    params = params._replace(layers=jax.tree.map(lambda w: scale * w, params.layers))
    parts = integrated_gradients(config, params, carry, inputs, tokens)
    text = jax.nn.one_hot(inputs, 5, dtype=jnp.float64)
    ends = []
    for xs in (text, jnp.tile(text.mean(axis=0), (12, 1))):
        for layer, state in zip(params.layers, carry, strict=True):
            _, xs = rnn.unroll(config.cells[0], layer, state, xs)
        ends.append((xs @ params.w_hy)[jnp.arange(12), tokens])
    change = ends[0] - ends[1]
    np.testing.assert_allclose(parts.sum(axis=1), change, rtol=0.01)
    assert completeness_error(config, params, carry, inputs, tokens, parts).max() < 0.01
    wrong = completeness_error(config, params, carry, inputs, tokens, 1.02 * parts)
    assert wrong.max() > 0.01
    assert not np.triu(parts, 1).any()


def test_integrated_gradients_of_a_straight_path_are_weight_times_input(random_model):
    """Without recurrence and with tiny weights, tanh is straight: IG is (x − x̄) · w_xh · w_hy."""
    config, params, _, inputs, tokens = random_model("elman", 1)
    (layer,) = params.layers
    layer = layer._replace(w_xh=1e-4 * layer.w_xh, w_hh=0 * layer.w_hh, b_h=0 * layer.b_h)
    params = params._replace(layers=(layer,))
    parts = integrated_gradients(
        config, params, charlm.zero_carry(config, params, ()), inputs, tokens
    )
    votes = (layer.w_xh @ params.w_hy)[:, tokens]
    expected = jnp.diag(votes[inputs, jnp.arange(6)] - votes[inputs].mean(axis=0))
    np.testing.assert_allclose(parts, expected, atol=1e-11)


def test_rank_agreement_by_hand():
    first = np.zeros((3, 3))
    second = np.zeros((3, 3))
    first[2], second[2] = [1, -2, 3], [0.1, 0.3, 0.2]
    agreement = rank_agreement({"a": first, "b": second}, earliest=2)
    assert agreement.definitions == ("a", "b")
    np.testing.assert_allclose(agreement.correlations, [[1, 0.5], [0.5, 1]])
    distinct, tied = np.zeros((5, 5)), np.zeros((5, 5))
    distinct[4], tied[4] = [1, 2, 3, 4, 5], [7, 7, 7, 1, 2]
    expected = np.corrcoef([1, 2, 3, 4, 5], [4, 4, 4, 1, 2])[0, 1]
    found = rank_agreement({"distinct": distinct, "tied": tied}, 4).correlations[0, 1]
    assert found == pytest.approx(expected)
    with pytest.raises(ValueError, match="earliest: expected 2 to 2"):
        rank_agreement({"a": first}, 3)


def test_reach_counts_characters_back():
    matrix = np.zeros((10, 10))
    matrix[9] = [0, 0, 0, 0, 0, 0, 2, -3, 4, 1]
    assert reach(matrix, 0.9)[9] == 3
    assert reach(matrix, 0.8)[9] == 2
    assert reach(matrix, 0.1)[9] == 0
    assert reach(np.tril(np.ones((10, 10))), 0.9).tolist()[9] == 8


def test_unknown_definition(random_model):
    config, params, carry, inputs, tokens = random_model("gru", 1)
    with pytest.raises(ValueError, match=r"one of loss_gradient_squared, .* got 'attention'"):
        connectivity_matrix(config, params, carry, inputs, tokens, "attention")
