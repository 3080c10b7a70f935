"""The hand-derived gradient against jax.grad of the twin, and how it composes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells, random_problem, worst_relative

import jaxrnn as rnn
from jaxrnn.gradient_check import central_differences
from jaxrnn.recurrence import bptt

every_cell = pytest.mark.parametrize("name", rnn.CELLS)
# What the driver does alike for all cells: one with two fields in its carry, and one whose
# recurrent gradient is in two parts; the slow run has all.
two_cells = pytest.mark.parametrize("name", cells("lstm", "gru_reset_before"))


def all_steps(run, name, params, carry, xs):
    last, hs = run(rnn.CELLS[name], params, carry, xs)
    weights = jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape)
    return jnp.sum(weights * hs**2) + sum(jnp.sum(jnp.sin(c)) for c in last)


def last_step(run, name, params, carry, xs):
    _, hs = run(rnn.CELLS[name], params, carry, xs)
    return jnp.sum(jnp.sin(hs[-1]))


def gradient(loss, run, name, problem):
    """Of every parameter, the carry and, where they are numbers, the inputs; jitted."""
    wanted = (0, 1) if jnp.issubdtype(problem[2].dtype, jnp.integer) else (0, 1, 2)
    return jax.jit(jax.grad(functools.partial(loss, run, name), wanted))(*problem)


@every_cell
@pytest.mark.parametrize(
    ("loss", "tokens", "length", "chunk_length"),
    [
        (all_steps, False, 7, 3),
        (last_step, True, 8, 4),
        (all_steps, False, 1, 4),
        pytest.param(all_steps, True, 7, 3, marks=pytest.mark.slow),
        pytest.param(last_step, False, 7, 3, marks=pytest.mark.slow),
        pytest.param(last_step, True, 1, 1, marks=pytest.mark.slow),
    ],
)
def test_hand_is_autodiff(name, loss, tokens, length, chunk_length):
    problem = random_problem(name, length=length, tokens=tokens)
    hand = functools.partial(rnn.unroll, chunk_length=chunk_length)
    by_autodiff = gradient(loss, rnn.unroll_autodiff, name, problem)
    assert worst_relative(gradient(loss, hand, name, problem), by_autodiff) < 1e-10


@two_cells
@pytest.mark.parametrize(("length", "chunk_length"), [(7, 3), (9, None)])
def test_recomputed_chunks(name, length, chunk_length):
    problem = random_problem(name, length=length)
    again = functools.partial(rnn.unroll, recompute=True, chunk_length=chunk_length)
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, name, problem)
    assert worst_relative(gradient(all_steps, again, name, problem), by_autodiff) < 1e-10


@pytest.mark.parametrize("tokens", [False, True])
def test_inputs_projected_step_by_step(monkeypatch, tokens):
    monkeypatch.setattr(bptt, "PROJECTED_BYTES", 0)
    problem = random_problem("gru", tokens=tokens)
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, "gru", problem)
    assert worst_relative(gradient(all_steps, rnn.unroll, "gru", problem), by_autodiff) < 1e-10


def test_a_large_vocabulary_is_summed_by_scatter():
    vocabulary = bptt.ONE_HOT_VOCABULARY + 1
    problem = random_problem("lstm", tokens=True, inputs=vocabulary)
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, "lstm", problem)
    assert worst_relative(gradient(all_steps, rnn.unroll, "lstm", problem), by_autodiff) < 1e-10


def test_memory_of_recomputed_chunks_grows_with_the_root_of_time():
    def temporaries(run, length):
        params, carry, xs = random_problem("lstm", length=length, batch=(8,), hidden=64, inputs=8)
        loss = functools.partial(last_step, run, "lstm")
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(params, carry, xs).compile()
        outputs = 2 * length * 8 * 64 * 8  # hs and its gradient, which every method holds
        return compiled.memory_analysis().temp_size_in_bytes - outputs

    again = functools.partial(rnn.unroll, recompute=True)
    short, long = temporaries(again, 64), temporaries(again, 1024)
    # 16 times the steps: at most 4 times the memory, and a constant on top (the weights' gradient).
    assert long <= 4 * short, (short, long)
    assert long < temporaries(rnn.unroll, 1024) / 4


@two_cells
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_any_number_of_batch_axes(name, batch):
    problem = random_problem(name, batch=batch)
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, name, problem)
    assert worst_relative(gradient(all_steps, rnn.unroll, name, problem), by_autodiff) < 1e-10


@every_cell
def test_hand_is_central_differences_for_the_last_step(name):
    params, carry, xs = random_problem(name)

    def loss(arrays):
        return last_step(rnn.unroll, name, type(params)(**arrays), carry, xs)

    arrays = params._asdict()
    by_hand = jax.jit(jax.grad(loss))(arrays)
    assert worst_relative(by_hand, jax.jit(lambda a: central_differences(loss, a))(arrays)) < 1e-6


@two_cells
def test_composes_with_jit_vmap_and_checkpoint(name):
    params, carry, xs = random_problem(name)
    many = jnp.stack([xs, xs + 0.5])

    def gradients(run, wrap):
        loss = wrap(functools.partial(all_steps, run, name))
        return jax.vmap(jax.grad(loss), (None, None, 0))(params, carry, many)

    gradients = jax.jit(gradients, static_argnums=(0, 1))
    oracle = gradients(rnn.unroll_autodiff, lambda loss: loss)
    assert worst_relative(gradients(rnn.unroll, lambda loss: loss), oracle) < 1e-10
    assert worst_relative(gradients(rnn.unroll, jax.checkpoint), oracle) < 1e-10
    alone = gradient(all_steps, rnn.unroll, name, (params, carry, xs))[0]
    assert worst_relative(jax.tree.map(lambda g: g[0], oracle), alone) < 1e-10


@pytest.mark.parametrize("name", ["elman", "lstm", "gru_reset_before"])
def test_second_order(name):
    params, carry, xs = random_problem(name, length=3, hidden=2)

    def curvature(run):
        """Gradient of |∇L|²: reverse over reverse."""

        def squared_norm(params):
            gradient = jax.grad(functools.partial(all_steps, run, name))(params, carry, xs)
            return sum(jnp.sum(g**2) for g in gradient)

        return jax.grad(squared_norm)(params)

    by_hand, by_autodiff = (
        jax.jit(curvature, static_argnums=0)(run) for run in (rnn.unroll, rnn.unroll_autodiff)
    )
    assert worst_relative(by_hand, by_autodiff) < 1e-10


def test_hessian_forward_over_reverse():
    params, carry, xs = random_problem("gru", length=4, hidden=2)
    by_hand, by_autodiff = (
        jax.jit(jax.hessian(functools.partial(all_steps, run, "gru")))(params, carry, xs)
        for run in (rnn.unroll, rnn.unroll_autodiff)
    )
    assert worst_relative(by_hand, by_autodiff) < 1e-10


def test_forward_mode_says_where_to_go():
    params, carry, xs = random_problem("lstm")
    with pytest.raises(TypeError, match="unroll_autodiff takes the same"):
        jax.jvp(lambda p: rnn.unroll(rnn.LSTM, p, carry, xs)[1], (params,), (params,))


@two_cells
def test_forward_mode_of_the_twin(name):
    params, carry, xs = random_problem(name)
    direction = jax.tree.map(jnp.cos, params)
    loss = functools.partial(all_steps, rnn.unroll_autodiff, name)
    slope = jax.jit(lambda p, d: jax.jvp(lambda p: loss(p, carry, xs), (p,), (d,))[1])(
        params, direction
    )
    by_hand, *_ = gradient(all_steps, rnn.unroll, name, (params, carry, xs))
    expected = sum(jnp.sum(g * d) for g, d in zip(by_hand, direction, strict=True))
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_equal_cells_are_one_trace():
    params, carry, xs = random_problem("lstm")
    traces = []

    @jax.jit
    def run(cell, params, carry, xs):
        traces.append(cell)
        return rnn.unroll(cell, params, carry, xs)

    run(rnn.LSTM, params, carry, xs)
    run(dataclasses.replace(rnn.LSTM), params, carry, xs)
    assert len(traces) == 1
