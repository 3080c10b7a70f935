"""Weights of Keras, flax, haiku and equinox: the same outputs here, the same weights back."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exchange import peer_reference
from exchange.peer_reference import BATCH, CASES, computed_outputs, draw_problem, stored_outputs

import jaxrnn as rnn
from jaxrnn import exchange

os.environ.setdefault("KERAS_BACKEND", "jax")
by_name = pytest.mark.parametrize("case", CASES, ids=str)
PACKAGE = {"keras": "keras", "linen": "flax", "nnx": "flax", "haiku": "haiku", "equinox": "equinox"}


def imported(case, source=None):
    weights, _ = draw_problem(case)
    source = weights if source is None else source
    choice = {"nonlinearity": case.choice} if case.choice in ("tanh", "relu") else {}
    if case.library == "keras":
        if case.choice.startswith("reset") and not case.bias:
            choice = {"reset_after": case.choice == "reset_after"}
        return exchange.from_keras(source, **choice)
    if case.library in ("linen", "nnx"):
        return exchange.from_flax(source, **choice)
    return {"haiku": exchange.from_haiku, "equinox": exchange.from_equinox}[case.library](source)


def exported(case, net, params):
    if case.library == "keras":
        return exchange.to_keras(net, params, bias=case.bias)
    if case.library in ("linen", "nnx"):
        optimised = case.library == "nnx" and case.layer == "OptimizedLSTMCell"
        return exchange.to_flax(net, params, "nnx_optimized" if optimised else case.library)
    if case.library == "haiku":
        return exchange.to_haiku(net, params, "core", double_bias=bool(case.choice))
    fields = exchange.to_equinox(net, params)
    return fields if case.bias else {k: v for k, v in fields.items() if "bias" not in k}


def outputs(net, params, xs):
    carry = rnn.zero_carry(net, params, (BATCH,))
    return rnn.unroll(net, params, carry, jnp.asarray(xs))[1]


@by_name
def test_outputs_are_the_librarys(case):
    _, xs = draw_problem(case)
    expected, limit = stored_outputs(case), 1e-6 if case.library == "keras" else 1e-14
    np.testing.assert_allclose(outputs(*imported(case), xs), expected, rtol=0, atol=limit)


@by_name
def test_what_goes_out_is_what_came_in(case):
    weights, _ = draw_problem(case)
    net, params = imported(case)
    back = exported(case, net, params)
    assert jax.tree.structure(back) == jax.tree.structure(weights)
    assert all(type(leaf) is np.ndarray and leaf.flags.writeable for leaf in jax.tree.leaves(back))
    # Two biases that became one are not told apart again, and haiku's LSTM has 1 less than b_h.
    merged = case.choice in ("reset_after", "double_bias") and case.bias
    rounded = case.library == "haiku" and case.layer == "LSTM"
    if not merged:
        limit = 2e-16 if rounded else 0
        for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(weights), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=limit)
    again, same = imported(case, back)
    assert again == net
    assert jax.tree.structure(same) == jax.tree.structure(params)
    for one, other in zip(jax.tree.leaves(same), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=4e-16 if rounded else 0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.slow
@by_name
def test_stored_outputs_are_what_the_installed_library_computes(case):
    pytest.importorskip(PACKAGE[case.library])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        computed = computed_outputs(case)
    limit = 1e-6 if case.library == "keras" else 1e-14
    np.testing.assert_allclose(computed, stored_outputs(case), rtol=0, atol=limit)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@by_name
def test_modules_themselves_are_read(case):
    pytest.importorskip(PACKAGE[case.library])
    weights, _ = draw_problem(case)
    make = {
        "keras": peer_reference.keras_layer,
        "nnx": peer_reference.nnx_cell,
        "equinox": peer_reference.equinox_cell,
    }
    if case.library not in make:
        pytest.skip("has parameters apart from modules")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        module = make[case.library](case, weights)
        if case.library == "keras":
            net, params = exchange.from_keras(module)
        elif case.library == "nnx":
            from flax import nnx

            net, params = imported(case, nnx.state(module, nnx.Param))
        else:
            net, params = exchange.from_equinox(module)
    expected, expected_params = imported(case)
    assert net == expected
    jax.tree.map(np.testing.assert_array_equal, params, expected_params)


@by_name
def test_conversions_are_traced_and_transposed(case):
    net, params = imported(case)

    @jax.jit
    def there_and_back(params):
        return imported(case, exported_or_whole(net, params))[1]

    def exported_or_whole(net, params):
        whole = case._replace(bias=True)  # what a trace cannot say is whether a bias is 0
        if case.choice == "reset_after" or case.library != "nnx" or case.layer != "GRUCell":
            return exported(whole, net, params)
        return exported(whole._replace(library="linen"), net, params)

    same, transpose = jax.vjp(there_and_back, params)
    (back,) = transpose(jax.tree.map(jnp.ones_like, params))
    for one, other in zip(jax.tree.leaves(same), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)
    for one in jax.tree.leaves(back):
        np.testing.assert_array_equal(one, np.ones_like(one))


def test_lists_become_stacks():
    case = CASES[3]
    weights, _ = draw_problem(case)
    upper = [np.ones((4, 12)), np.ones((4, 12)), np.ones((2, 12))]
    net, params = exchange.from_keras([weights, upper])
    assert net == rnn.Stack([rnn.LSTM, rnn.GRU])
    back = exchange.to_keras(net, params)
    np.testing.assert_array_equal(back[0][0], weights[0])
    tree = exchange.to_flax(net, params)
    again, same = exchange.from_flax(tree)
    assert again == net
    jax.tree.map(np.testing.assert_array_equal, same, params)
    net, params = exchange.from_equinox(exchange.to_equinox(net, params))
    assert net == again
    lstms = rnn.Stack([rnn.LSTM])
    assert exchange.from_haiku(exchange.to_haiku(lstms, params[:1]))[0] == lstms
