"""The hand-derived gradient against jax.grad of the plain scan, and how it composes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import OPTIONS, cells, random_options, random_problem, renamed, worst_relative

import jaxrnn as rnn
from jaxrnn import tuning

# What the driver does alike for all cells: one with two fields in its carry, and one whose
# recurrent gradient is in two parts; the slow run has all.
two_cells = pytest.mark.parametrize("name", cells("lstm", "gru_reset_before"))


def all_steps(run, name, params, carry, xs):
    last, hs = run(rnn.CELLS.get(name, name), params, carry, xs)
    weights = jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape)
    return jnp.sum(weights * hs**2) + sum(jnp.sum(jnp.sin(c)) for c in last)


def last_step(run, name, params, carry, xs):
    _, hs = run(rnn.CELLS[name], params, carry, xs)
    return jnp.sum(jnp.sin(hs[-1]))


def gradient(loss, run, name, problem):
    """Of every parameter, the carry and, where they are numbers, the inputs; jitted."""
    wanted = (0, 1) if jnp.issubdtype(problem[2].dtype, jnp.integer) else (0, 1, 2)
    return jax.jit(jax.grad(functools.partial(loss, run, name), wanted))(*problem)


# Every cell, with all options and with none, is in `test_gradient_check`; here is the driver.
@pytest.mark.parametrize("name", cells("lstm"))
@pytest.mark.parametrize(
    ("loss", "tokens", "length", "chunk_length"),
    [
        (all_steps, False, 7, 3),
        (last_step, True, 8, 4),
        (all_steps, False, 1, 4),
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


@pytest.mark.parametrize(("length", "batch"), [(0, (2,)), (5, (0,)), (0, (0,))])
@pytest.mark.parametrize("recompute", [False, True])
def test_nothing_to_read_has_a_gradient(length, batch, recompute):
    params, carry, xs = random_problem("lstm", length=length, batch=batch)
    run = functools.partial(rnn.unroll, recompute=recompute)
    found = gradient(all_steps, run, "lstm", (params, carry, xs))
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, "lstm", (params, carry, xs))
    for ours, expected in zip(jax.tree.leaves(found), jax.tree.leaves(by_autodiff), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("tokens", [False, True])
def test_inputs_projected_step_by_step(monkeypatch, tokens):
    tuned = dataclasses.replace(tuning.CPU, projected_bytes=0)
    monkeypatch.setattr(tuning, "here", lambda: tuned)
    cell = renamed(rnn.GRU)
    problem = random_problem(cell, tokens=tokens)
    by_autodiff = gradient(all_steps, rnn.unroll_autodiff, cell, problem)
    assert worst_relative(gradient(all_steps, rnn.unroll, cell, problem), by_autodiff) < 1e-10


def test_a_large_vocabulary_is_summed_by_scatter():
    vocabulary = tuning.CPU.one_hot_vocabulary + 1
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


def all_options(name, params, carry, length=7):
    """Both unrolls with every option, and what differs from run to run left open."""
    given = random_options(name, OPTIONS, params, carry, length)
    reset_carry = given.pop("reset_carry")

    def with_options(run):
        def call(cell, params, carry, xs):
            return run(cell, params, carry, xs, reset_carry=reset_carry, **given)

        return call

    return with_options(rnn.unroll), with_options(rnn.unroll_autodiff)


# What composes is the driver, whatever the cell.
@pytest.mark.parametrize("name", cells("lstm"))
def test_composes_with_jit_vmap_and_checkpoint(name):
    params, carry, xs = random_problem(name)
    many = jnp.stack([xs, xs + 0.5])

    def gradients(run, wrap):
        loss = wrap(functools.partial(all_steps, run, name))
        return jax.vmap(jax.grad(loss), (None, None, 0))(params, carry, many)

    gradients = jax.jit(gradients, static_argnums=(0, 1))
    hand, autodiff = all_options(name, params, carry)
    oracle = gradients(autodiff, lambda loss: loss)
    assert worst_relative(gradients(hand, lambda loss: loss), oracle) < 1e-10
    assert worst_relative(gradients(hand, jax.checkpoint), oracle) < 1e-10
    alone = gradient(all_steps, hand, name, (params, carry, xs))[0]
    assert worst_relative(jax.tree.map(lambda g: g[0], oracle), alone) < 1e-10


@pytest.mark.parametrize("name", cells("lstm"))
def test_gradient_of_the_gradient(name):
    params, carry, xs = random_problem(name, length=3, hidden=2)

    def curvature(run):
        """Gradient of |∇L|²: reverse over reverse."""

        def squared_norm(params):
            gradient = jax.grad(functools.partial(all_steps, run, name))(params, carry, xs)
            return sum(jnp.sum(g**2) for g in gradient)

        return jax.grad(squared_norm)(params)

    by_hand, by_autodiff = (
        jax.jit(curvature, static_argnums=0)(run)
        for run in all_options(name, params, carry, length=3)
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
def test_forward_mode_of_unroll_autodiff(name):
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


def test_outside_of_jit_it_is_compiled_once(caplog):
    params, carry, xs = random_problem("elman", length=5)

    def call(xs):
        last, hs = rnn.unroll(rnn.ELMAN, params, carry, xs)
        return jnp.sum(hs) + jnp.sum(last.h)

    more = xs + 1
    jax.grad(call)(xs)
    rnn.unroll(rnn.ELMAN, params, carry, xs)
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        jax.grad(call)(more)
        rnn.unroll(rnn.ELMAN, params, carry, more)
    assert not [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("chunk_length", [np.int64(3), np.int32(3)])
def test_chunk_lengths_of_numpy(chunk_length):
    params, carry, xs = random_problem("elman")
    _, hs = rnn.unroll(rnn.ELMAN, params, carry, xs, chunk_length=chunk_length)
    np.testing.assert_array_equal(hs, rnn.unroll(rnn.ELMAN, params, carry, xs, chunk_length=3)[1])


def test_inside_shard_map_with_its_checks_on():
    """Weights the same everywhere, the batch divided; the gradient is that of the whole."""
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    whole, divided = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("batch")
    by_time = jax.sharding.PartitionSpec(None, "batch")
    params, carry, xs = random_problem("gru", batch=(4,))
    lengths = jnp.asarray([7, 3, 0, 5])

    def total(params, carry, xs, lengths):
        def part(params, carry, xs, lengths):
            last, hs = rnn.unroll(rnn.GRU, params, carry, xs, lengths=lengths)
            return jax.lax.psum(jnp.sum(jnp.sin(hs)) + jnp.sum(last.h), "batch")

        over_devices = jax.shard_map(
            part, mesh=mesh, in_specs=(whole, divided, by_time, divided), out_specs=whole
        )
        return over_devices(params, carry, xs, lengths)

    def alone(params, carry, xs, lengths):
        last, hs = rnn.unroll_autodiff(rnn.GRU, params, carry, xs, lengths=lengths)
        return jnp.sum(jnp.sin(hs)) + jnp.sum(last.h)

    found, expected = (
        jax.jit(jax.grad(loss, (0, 1, 2)))(params, carry, xs, lengths) for loss in (total, alone)
    )
    assert worst_relative(found, expected) < 1e-12
