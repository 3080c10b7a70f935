import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells

import jaxrnn as rnn
from jaxrnn.microscope.measurements.gradient_flow import (
    GradientFlow,
    RecurrentSpectrum,
    explode_or_vanish,
    flow_of_gradients,
    gradient_histograms,
    mean_by_distance,
    product_singular_values,
    recurrent_spectrum,
    step_jacobians,
)
from jaxrnn.microscope.traces.gradient_traces import state_gradients


def test_elman_jacobian_is_its_closed_form(random_model):
    _, params, carry, inputs, _ = random_model("elman", 1)
    (layer,), (state,) = params.layers, carry
    jacobians = step_jacobians(rnn.ELMAN, layer, state, inputs)
    _, hs = rnn.unroll(rnn.ELMAN, layer, state, inputs)
    expected = (1 - np.asarray(hs) ** 2)[:, :, None] * np.asarray(layer.w_hh).T
    np.testing.assert_allclose(jacobians, expected, atol=1e-14)


@pytest.mark.parametrize("cell", cells("elman", "lstm_projected"))
def test_chained_jacobians_give_the_state_gradients(random_model, cell):
    """∂L_s/∂carry_t = ∂L_s/∂carry_s · J_s · … · J_{t+1}, two ways that share no code."""
    config, params, carry, inputs, targets = random_model(cell, 1)
    jacobians = np.asarray(step_jacobians(rnn.CELLS[cell], params.layers[0], carry[0], inputs))
    fields = state_gradients(config, params, carry, inputs, targets)[0]
    matrix = np.concatenate([np.asarray(field) for field in fields], axis=-1)
    for s in range(len(inputs)):
        row = matrix[s, s]
        for t in range(s - 1, -1, -1):
            row = row @ jacobians[t + 1]
            np.testing.assert_allclose(matrix[s, t], row, atol=1e-13)


def test_product_singular_values_against_brute_force():
    jacobians = np.random.default_rng(0).normal(size=(5, 3, 3))
    for count, row in enumerate(product_singular_values(jacobians), start=1):
        product = np.eye(3)
        for jacobian in jacobians[len(jacobians) - count :]:
            product = jacobian @ product
        np.testing.assert_allclose(row, np.linalg.svd(product, compute_uv=False), rtol=1e-10)


def test_linear_network_decays_as_its_eigenvalue():
    """A scaled rotation for w_hh and tiny states: every gradient shrinks by the scale exactly."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    for scale in (0.7, 1.2):
        params = rnn.ELMAN.Params(
            jnp.full((2, 4), 1e-9), jnp.asarray(scale * turn), jnp.full(4, 1e-9)
        )
        jacobians = step_jacobians(
            rnn.ELMAN, params, rnn.ELMAN.Carry(jnp.full(4, 1e-9)), jnp.zeros(8, jnp.int32)
        )
        gradient = np.zeros((8, 8, 4))
        for s in range(8):
            gradient[s, s] = [1.0, -2.0, 0.5, 1.0]
            for t in range(s - 1, -1, -1):
                gradient[s, t] = gradient[s, t + 1] @ np.asarray(jacobians[t + 1])
        flow = flow_of_gradients(gradient)
        assert flow.factor_a_step == pytest.approx(scale, rel=1e-6)
        (spectrum,) = recurrent_spectrum(rnn.ELMAN, params)
        assert spectrum.largest_singular_value == pytest.approx(scale)
        assert spectrum.spectral_radius == pytest.approx(scale)
        verdict = explode_or_vanish(spectrum, flow)
        assert verdict.holds
        assert verdict.measured == ("explodes" if scale > 1 else "vanishes")


def test_norms_means_and_reach_by_hand():
    gradient = np.zeros((4, 4, 2))
    gradient[:, :, 0] = 3 * np.tril(np.ones((4, 4)))
    gradient[:, :, 1] = 4 * np.tril(np.ones((4, 4)))
    flow = flow_of_gradients(gradient)
    np.testing.assert_allclose(flow.norms, 5 * np.tril(np.ones((4, 4))))
    np.testing.assert_allclose(flow.by_distance, 5)
    assert (flow.factor_a_step, flow.reach) == (pytest.approx(1), 4)
    gradient[2, 0] = gradient[3, 1] = gradient[3, 0] = 0.01
    assert flow_of_gradients(gradient).reach == 2
    both = flow_of_gradients(np.stack([gradient, 3 * gradient]))
    np.testing.assert_allclose(both.norms, 2 * flow_of_gradients(gradient).norms)
    matrix = np.arange(9.0).reshape(3, 3)
    assert mean_by_distance(matrix).tolist() == [4.0, 5.0, 6.0]


def test_a_singular_value_above_one_is_not_sufficient():
    flow = GradientFlow(np.ones((2, 2)), np.ones(2), 0.8, 2)
    verdict = explode_or_vanish(RecurrentSpectrum("h", 1.5, 1.1), flow)
    assert (verdict.claimed, verdict.measured, verdict.holds) == ("explodes", "vanishes", False)
    assert "necessary" in verdict.words
    below = explode_or_vanish(RecurrentSpectrum("h", 0.9, 0.9), flow._replace(factor_a_step=1.1))
    assert (below.claimed, below.measured, below.holds) == ("vanishes", "explodes", False)


def test_a_singular_value_of_one_promises_neither():
    flow = GradientFlow(np.ones((2, 2)), np.ones(2), 0.8, 2)
    for factor, measured in ((0.8, "vanishes"), (1.0, "stays"), (1.2, "explodes")):
        spectrum = RecurrentSpectrum("h", 1.0000001, 1.0)
        verdict = explode_or_vanish(spectrum, flow._replace(factor_a_step=factor))
        assert (verdict.claimed, verdict.measured) == ("stays", measured)
        assert verdict.holds == (factor == 1.0)


def test_spectrum_names_every_gate():
    params = rnn.init(rnn.LSTM, jax.random.key(0), 3, 5, dtype=jnp.float64)
    scaled = params._replace(w_hh=params.w_hh * jnp.repeat(jnp.array([1.0, 2, 3, 4]), 5)[None])
    found = recurrent_spectrum(rnn.LSTM, scaled)
    assert [each.gate for each in found] == ["i", "f", "g", "o"]
    # The blocks start orthogonal, so both numbers are the scale.
    for each, scale in zip(found, (1, 2, 3, 4), strict=True):
        assert each.largest_singular_value == pytest.approx(scale)
        assert each.spectral_radius == pytest.approx(scale)


def test_spectrum_of_a_matrix_that_is_not_normal():
    w_hh = jnp.array([[0.5, 2.0], [0.0, -0.9]])
    params = rnn.ELMAN.Params(jnp.ones((3, 2)), w_hh, jnp.ones(2))
    (found,) = recurrent_spectrum(rnn.ELMAN, params)
    assert found.spectral_radius == pytest.approx(0.9)
    # σ² are the roots of λ² − ‖W‖² λ + det², ‖W‖² = 0.25 + 4 + 0.81.
    assert found.largest_singular_value**2 == pytest.approx(
        (5.06 + np.sqrt(5.06**2 - 4 * 0.45**2)) / 2
    )


def test_histograms_count_every_size_once_on_one_scale():
    draw = np.random.default_rng(0)
    gradients = draw.normal(size=(2, 3, 50)) * 10.0 ** draw.uniform(-9, 2, (2, 3, 50))
    gradients[0, 0, :3] = 0, 1e-30, 1e30
    found = gradient_histograms(gradients)
    assert (found.counts.sum(axis=-1) == 50).all()
    sizes = np.log10(np.abs(gradients[1, 2]))
    for k in range(len(found.edges) - 1):
        inside = (sizes >= found.edges[k]) & (sizes < found.edges[k + 1])
        assert found.counts[1, 2, k] == inside.sum()
    # Zero and what is too small for the scale are at its lower end, what is too large at the upper.
    assert found.counts[0, 0, 0] == 2
    assert found.counts[0, 0, -1] == 1
    np.testing.assert_array_equal(gradient_histograms(np.ones((1, 2))).edges, found.edges)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"expected \[\*N, T, T, H\], got float64\[2, 3, 4\]"):
        flow_of_gradients(np.zeros((2, 3, 4)))
