import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import random_problem

import jaxrnn as rnn
from jaxrnn.microscope.measurements.gradient_flow import product_singular_values, step_jacobians
from jaxrnn.microscope.measurements.predictability import largest_lyapunov_exponent

KEY = jax.random.key(0)


def along(cell, params, xs, **options):
    return largest_lyapunov_exponent(cell, params, rnn.zero_carry(cell, params), xs, KEY, **options)


def test_of_an_elementwise_net_it_is_the_logarithm_of_the_largest_weight():
    u = jnp.array([0.3, 0.95, 0.6])
    params = rnn.INDRNN.Params(jnp.ones((2, 3)), u, jnp.zeros(3))  # all units stay above 0
    found = along(rnn.INDRNN, params, jnp.ones((200, 2)), settle=100)
    assert found.exponent == pytest.approx(np.log(0.95), abs=1e-12)
    assert found.growth.shape == (200,)
    assert found.kind == "predictable"
    assert "exponent −0.051 nats a step" in found.words
    assert "settle in few iterations" in found.words
    growing = along(rnn.INDRNN, params._replace(u=2 * u), jnp.ones((200, 2)), settle=100)
    assert growing.exponent == pytest.approx(np.log(1.9), abs=1e-12)
    assert growing.kind == "chaotic"
    assert "run step by step" in growing.words
    still = along(rnn.INDRNN, params._replace(u=jnp.ones(3)), jnp.ones((200, 2)))
    assert (still.exponent, still.kind) == (pytest.approx(0, abs=1e-12), "neither")


@pytest.mark.parametrize(("scale", "kind"), [(0.8, "predictable"), (3.0, "chaotic")])
def test_an_elman_net_against_the_singular_values_of_its_jacobians(scale, kind):
    params = rnn.init(rnn.ELMAN, KEY, input_size=3, hidden_size=24, dtype=jnp.float64)
    params = params._replace(w_hh=scale * params.w_hh)
    xs = 0.5 * jax.random.normal(jax.random.key(1), (150, 3))
    found = along(rnn.ELMAN, params, xs, settle=50)
    jacobians = step_jacobians(rnn.ELMAN, params, rnn.zero_carry(rnn.ELMAN, params), xs)
    # The vector grows by ‖J_T … J_51 v‖: no more than any can, and little less.
    largest = np.log(product_singular_values(jacobians)[99, 0])
    assert largest - 3 < 100 * found.exponent <= largest
    assert found.kind == kind


def test_it_is_that_of_the_carry_as_a_whole():
    """Two states that differ by little, run side by side: their distance grows as it says."""
    params = rnn.init(rnn.LSTM, KEY, input_size=3, hidden_size=6, dtype=jnp.float64)
    params = params._replace(w_hh=4 * params.w_hh)
    xs = 0.5 * jax.random.normal(jax.random.key(1), (60, 3))
    found = along(rnn.LSTM, params, xs, settle=30)
    zero = rnn.zero_carry(rnn.LSTM, params)
    near = jax.tree.map(lambda c: c + 1e-11, zero)
    apart = []
    for length in (30, 60):
        one, other = (rnn.unroll(rnn.LSTM, params, c, xs[:length])[0] for c in (zero, near))
        apart.append(
            np.linalg.norm(np.concatenate([a - b for a, b in zip(one, other, strict=True)]))
        )
    assert np.log(apart[1] / apart[0]) / 30 == pytest.approx(found.exponent, abs=0.03)


def test_a_network_that_forgets_at_once():
    params = rnn.init(rnn.ELMAN, KEY, input_size=3, hidden_size=4, dtype=jnp.float64)
    found = along(rnn.ELMAN, params._replace(w_hh=jnp.zeros((4, 4))), jnp.ones((10, 3)))
    assert (found.exponent, found.kind) == (-np.inf, "predictable")
    assert "exponent −inf nats" in found.words


def test_a_stack_has_one_exponent():
    net = rnn.Stack([rnn.INDRNN, rnn.INDRNN])
    layers = [rnn.INDRNN.Params(jnp.eye(3), jnp.full(3, u), jnp.zeros(3)) for u in (0.5, 0.9)]
    found = along(net, tuple(layers), jnp.ones((100, 3)), settle=60)
    assert found.exponent == pytest.approx(np.log(0.9), abs=1e-6)


def test_a_step_has_to_be_left():
    params = rnn.init(rnn.ELMAN, KEY, input_size=3, hidden_size=4, dtype=jnp.float64)
    with pytest.raises(ValueError, match=r"settle: expected from 0 to 9, .* got 10"):
        along(rnn.ELMAN, params, jnp.ones((10, 3)), settle=10)


def test_what_it_refuses():
    params, carry, xs = random_problem("gru", batch=())
    find = functools.partial(largest_lyapunov_exponent, rnn.GRU, params, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"carry: expected fields \[H\], without a batch"):
        find(carry=rnn.GRU.Carry(jnp.zeros((2, 4))), xs=xs[:, None])
    with pytest.raises(ValueError, match="xs: expected at least one step"):
        find(carry=carry, xs=xs[:0])
    with pytest.raises(ValueError, match="states are finite, got one that is not at step 3"):
        find(carry=carry, xs=xs.at[3].set(jnp.nan))
