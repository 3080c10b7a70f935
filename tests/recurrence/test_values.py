"""Values of step, unroll, unroll_autodiff and trace against a loop over steps and sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import OPTIONS, cells, one_by_one, random_options, random_problem, worst_relative

import jaxrnn as rnn

jitted_unroll = jax.jit(rnn.unroll, static_argnames=("chunk_length", "reverse"))
jitted_autodiff = jax.jit(rnn.unroll_autodiff, static_argnames="reverse")
every_run = pytest.mark.parametrize(
    "run", [jitted_unroll, jitted_autodiff], ids=["hand", "autodiff"]
)
# What the driver does alike for all cells: one whose memory is wider than its h, and one with two
# recurrent products; the slow run has all.
some_cells = pytest.mark.parametrize("name", cells("lstm_projected", "gru_reset_before"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            pytest.param(*name.values, OPTIONS, marks=name.marks)
            for name in cells("lstm", "gru_reset_before", "lstm_layernorm", "indrnn")
        ),
        *(("lstm_projected", (option,)) for option in OPTIONS),
        ("lstm_projected", ("lengths", "resets", "reverse")),
    ],
)
def test_every_option_means_what_it_says(name, options):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name)
    given = random_options(name, options, params, carry, 7)
    expected_last, expected_hs, pre = one_by_one(cell, params, carry, xs, **given)
    # Of the plain scan `trace` is the same run; the gradient check compares it with `unroll`.
    for run in (jitted_unroll, jitted_autodiff) if name == "lstm_projected" else (jitted_unroll,):
        last, hs = run(cell, params, carry, xs, **given)
        np.testing.assert_allclose(hs, expected_hs, rtol=1e-12, atol=1e-14)
        for field, value in zip(last, expected_last, strict=True):
            np.testing.assert_allclose(field, value, rtol=1e-12, atol=1e-14)
    seen = jax.jit(rnn.trace, static_argnames="reverse")(cell, params, carry, xs, **given)
    np.testing.assert_allclose(seen.carries.h, expected_hs, rtol=1e-12, atol=1e-14)
    packed = np.concatenate([seen.pre_activations[gate] for gate in cell.gates], axis=-1)
    np.testing.assert_allclose(packed, pre, rtol=1e-12, atol=1e-14)


@some_cells
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_any_number_of_batch_axes(name, batch):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, batch=batch)
    rows = 1 if batch == () else 6
    flat = lambda a, lead: a.reshape(*a.shape[:lead], rows, a.shape[-1])  # noqa: E731
    flat_carry = jax.tree.map(lambda c: flat(np.asarray(c), 0), carry)
    _, expected, _ = one_by_one(cell, params, flat_carry, flat(np.asarray(xs), 1))
    _, hs = jitted_unroll(cell, params, carry, xs)
    np.testing.assert_allclose(flat(np.asarray(hs), 1), expected, rtol=1e-12, atol=1e-14)


@some_cells
@every_run
def test_token_ids_are_one_hot_rows_by_index(name, run):
    params, carry, tokens = random_problem(name, tokens=True)
    one_hot = np.eye(3)[np.asarray(tokens)]
    by_index = run(rnn.CELLS[name], params, carry, tokens)
    by_product = run(rnn.CELLS[name], params, carry, one_hot)
    assert worst_relative(by_index, by_product) < 1e-14


@some_cells
def test_step_by_step_is_unroll(name):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name)
    last, hs = jitted_unroll(cell, params, carry, xs)
    for x, expected in zip(np.asarray(xs), np.asarray(hs), strict=True):
        carry, h = jax.jit(rnn.step)(cell, params, carry, x)
        np.testing.assert_allclose(h, expected, rtol=1e-13, atol=1e-15)
    assert worst_relative(carry, last) < 1e-13


@some_cells
def test_the_carry_continues_a_sequence(name):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, length=9)
    last, hs = jitted_unroll(cell, params, carry, xs)
    xs = np.asarray(xs)
    middle, first = jitted_unroll(cell, params, carry, xs[:4])
    end, second = jitted_unroll(cell, params, middle, xs[4:])
    assert worst_relative((end, np.concatenate([first, second])), (last, hs)) < 1e-13


@some_cells
def test_chunks_change_nothing(name):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name)
    expected = jitted_unroll(cell, params, carry, xs, chunk_length=7)
    for chunk_length in (1, 3, 100):
        run = functools.partial(jitted_unroll, chunk_length=chunk_length)
        assert worst_relative(run(cell, params, carry, xs), expected) < 1e-14


@some_cells
@pytest.mark.parametrize("outside", [3, -1])
def test_a_token_outside_the_vocabulary_is_seen(name, outside):
    params, carry, tokens = random_problem(name, tokens=True)
    tokens = np.array(tokens)
    tokens[2, 0] = outside
    hs = np.asarray(jitted_unroll(rnn.CELLS[name], params, carry, tokens)[1])
    assert np.isfinite(hs[:2]).all()
    assert np.isnan(hs[2, 0]).all()
    assert np.isfinite(hs[:, 1]).all()


@pytest.mark.parametrize("name", cells("lstm", "gru_reset_before"))
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05), (jnp.float16, 0.01)]
)
def test_narrow_dtypes_stay_near_float64(name, dtype, tolerance):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, dtype=dtype)
    wide = lambda tree: jax.tree.map(lambda a: np.asarray(a).astype(np.float64), tree)  # noqa: E731

    def loss(params, carry, xs):
        _, hs = jitted_unroll(cell, params, carry, xs)
        return jnp.sum(hs.astype(jnp.float64) ** 2)

    with_gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    value, gradient = with_gradient(params, carry, xs)
    expected, expected_gradient = with_gradient(wide(params), wide(carry), wide(xs))
    assert jax.tree.map(lambda a: a.dtype, gradient) == jax.tree.map(
        lambda a: a.dtype, (params, carry, xs)
    )
    assert abs(value - expected) < tolerance * expected
    assert worst_relative(wide(gradient), expected_gradient) < 2 * tolerance


def test_bfloat16_products_are_summed_in_float32():
    # 1 + 256 · 2⁻⁸ is 2; a sum in bfloat16 stays at 1, whose last place is 2⁻⁷.
    params = rnn.init(rnn.ELMAN_RELU, jax.random.key(0), 257, 1, dtype=jnp.bfloat16)
    column = jnp.full((257, 1), 2.0**-8, jnp.bfloat16).at[0].set(1)
    params = params._replace(w_xh=column)
    carry = rnn.zero_carry(rnn.ELMAN_RELU, params)
    _, h = rnn.step(rnn.ELMAN_RELU, params, carry, jnp.ones(257, jnp.bfloat16))
    assert float(h[0]) == 2.0
