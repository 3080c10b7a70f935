"""All steps at once by Newton's method: values, gradients and iterations, against `unroll`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P
from oracles import OPTIONS, cells, random_like, random_options, random_problem, worst_relative

import jaxrnn as rnn


def loss(run, cell, params, carry, xs, reset_carry=None, **given):
    last, hs = run(cell, params, carry, xs, reset_carry=reset_carry, **given)
    weights = jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape)
    return jnp.sum(weights * jnp.sin(hs)) + sum(jnp.sum(jnp.sin(c)) for c in jax.tree.leaves(last))


def values_and_gradients(run, cell, problem, **given):
    """(last, hs) and the gradients of everything that has one."""
    tokens = jnp.issubdtype(problem[2].dtype, jnp.integer)
    reset_carry = given.pop("reset_carry", None)
    wanted = (0, 1, *(() if tokens else (2,)), *((3,) if reset_carry is not None else ()))

    @jax.jit
    def both(*arrays):
        along = functools.partial(loss, run, cell, **given)
        more = {} if reset_carry is None else {"reset_carry": arrays[3]}
        return run(cell, *arrays[:3], **given, **more), jax.grad(along, wanted)(*arrays)

    return both(*problem, *(() if reset_carry is None else (reset_carry,)))


def assert_is_unroll(cell, problem, within=1e-12, solve=rnn.unroll_parallel, **given):
    found = values_and_gradients(solve, cell, problem, **given)
    expected = values_and_gradients(rnn.unroll, cell, problem, **given)
    assert worst_relative(found[0], expected[0]) < within
    assert worst_relative(found[1], expected[1]) < 10 * within


def newton(**given):
    """`unroll_parallel` of which each call must have converged."""

    def run(cell, *problem, **more):
        last, hs, solution = rnn.solve_parallel(cell, *problem, **given, **more)
        poison = jnp.where(solution.converged, 0.0, jnp.nan)
        return last, hs + poison.astype(hs.dtype)

    return run


@pytest.mark.parametrize("jacobian", ["full", "diagonal"])
@pytest.mark.parametrize("name", cells("lstm"))
def test_all_options(name, jacobian):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, length=12, batch=(3,))
    given = random_options(name, OPTIONS, params, carry, 12, (3,))
    run = newton(jacobian=jacobian, max_iterations=12)
    assert_is_unroll(cell, (params, carry, xs), solve=run, **given)


@pytest.mark.parametrize("name", cells("indrnn"))
@pytest.mark.parametrize(("length", "batch", "tokens"), [(9, (), True), (1, (2, 2), False)])
def test_shapes(name, length, batch, tokens):
    problem = random_problem(name, length=length, batch=batch, tokens=tokens)
    assert_is_unroll(rnn.CELLS[name], problem)


@pytest.mark.parametrize(("length", "batch"), [(0, (2,)), (4, (0,))])
def test_nothing_to_read(length, batch):
    problem = random_problem("gru", length=length, batch=batch)
    found = values_and_gradients(rnn.unroll_parallel, rnn.GRU, problem)
    expected = values_and_gradients(rnn.unroll, rnn.GRU, problem)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), found, expected)
    solution = rnn.solve_parallel(rnn.GRU, *problem)[2]
    assert solution.converged
    assert solution.carries.h.shape == (length, *batch, 4)


def test_networks():
    net = rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM], dropout=0.3)
    problem = random_problem(net, length=10)
    given = {"lengths": jnp.asarray([10, 4]), "dropout_key": jax.random.key(3)}
    assert_is_unroll(net, problem, **given)
    last, hs, (below, above) = rnn.solve_parallel(net, *problem, **given)
    assert below.forward.converged
    assert below.backward.converged
    assert above.converged
    np.testing.assert_array_equal(above.carries.h, hs)
    np.testing.assert_array_equal(last[1].c[0], above.carries.c[-1, 0])


def initial(cell, length=200, hidden=16, dtype=jnp.float64, batch=()):
    params = rnn.init(cell, jax.random.key(0), 8, hidden, dtype=dtype)
    xs = jax.random.normal(jax.random.key(1), (length, *batch, 8), dtype)
    return params, rnn.zero_carry(cell, params, batch), xs


def scaled(params, factor):
    return jax.tree.map(lambda w: factor * w, params)


def test_few_iterations_where_a_net_forgets():
    problem = initial(rnn.GRU)
    solution = rnn.solve_parallel(rnn.GRU, *problem)[2]
    assert solution.converged
    assert 2 <= int(solution.iterations) <= 7
    assert 0 < float(solution.last_step) < 4e-11
    assert float(solution.residual) < 4e-11
    slower = rnn.solve_parallel(rnn.GRU, *problem, jacobian="diagonal", max_iterations=100)[2]
    assert slower.converged
    assert int(slower.iterations) > int(solution.iterations)


def chaotic(length=200):
    params, carry, xs = initial(rnn.ELMAN, length)
    return params._replace(w_hh=3 * params.w_hh), carry, xs


def test_chaos_is_detected_and_run_step_by_step():
    problem = chaotic()
    last, hs, solution = rnn.solve_parallel(rnn.ELMAN, *problem)
    assert not solution.converged
    assert int(solution.iterations) == 27  # 200 / log₂ 200
    expected = rnn.unroll(rnn.ELMAN, *problem)
    assert worst_relative((last, hs), expected) < 1e-12
    twice = functools.partial(rnn.unroll_parallel, max_iterations=2)
    assert_is_unroll(rnn.ELMAN, chaotic(40), within=1e-9, solve=twice)


def test_a_small_residual_alone_is_no_solution():
    """Of a net that triples differences, a trajectory that is off by 1e-10 at its first step."""
    params = rnn.cells.elman.Params(*(jnp.full(shape, v) for shape, v in (
        ((1, 1), 1.0), ((1, 1), 3.0), ((1,), 0.0)
    )))  # fmt: skip
    carry = rnn.zero_carry(rnn.ELMAN_RELU, params)
    xs = jnp.zeros((25, 1))
    guess = rnn.trace(rnn.ELMAN_RELU, params, carry, xs).carries
    off = 1e-10 * 3.0 ** jnp.arange(25.0)[:, None]
    guess = guess._replace(h=guess.h + off)
    solve = functools.partial(rnn.solve_parallel, rnn.ELMAN_RELU, params, carry, xs, guess=guess)
    residual = jnp.concatenate([off[:1], off[1:] - 3 * off[:-1]])
    assert float(jnp.max(jnp.abs(residual))) < 2e-10 < 1 < float(off[-1, 0])
    once = solve(max_iterations=1, tolerance=1e-9)[2]
    assert not once.converged
    assert once.residual < 1e-9 < once.last_step
    twice = solve(max_iterations=9, tolerance=1e-9)[2]
    assert twice.converged
    assert int(twice.iterations) == 2


def test_a_small_step_of_a_quasi_newton_method_is_no_solution():
    """Of a chaotic net whose units do nothing to themselves, the states of a neighbour."""
    params, carry, xs = chaotic(300)
    params = params._replace(w_hh=params.w_hh * (1 - jnp.eye(16)))
    neighbour = params._replace(b_h=params.b_h + 4e-13)
    guess = rnn.trace(rnn.ELMAN, neighbour, carry, xs).carries
    _, hs, solution = rnn.solve_parallel(
        rnn.ELMAN, params, carry, xs, guess=guess, jacobian="diagonal"
    )
    expected = rnn.unroll(rnn.ELMAN, params, carry, xs)[1]
    assert float(jnp.max(jnp.abs(guess.h - expected))) > 0.1
    assert not solution.converged
    assert float(solution.last_step) > 0.1
    np.testing.assert_allclose(hs, expected, rtol=1e-9)


def test_a_large_bound_on_the_iterations_is_one():
    solution = rnn.solve_parallel(rnn.GRU, *random_problem("gru"), max_iterations=2**40)[2]
    assert solution.converged


def test_there_is_no_forward_mode():
    params, carry, xs = random_problem("gru")
    for run in (rnn.unroll, rnn.unroll_parallel, rnn.unroll_rtrl):
        along = lambda p, run=run: run(rnn.GRU, p, carry, xs)[1]  # noqa: E731
        with pytest.raises(TypeError, match=f"{run.__name__}: differentiation: expected reverse"):
            jax.jvp(along, (params,), (params,))


def test_a_guess_is_where_it_starts():
    params, carry, xs = random_problem("lstm", length=12)
    given = {"lengths": jnp.asarray([12, 5]), "reverse": True}
    solve = functools.partial(rnn.solve_parallel, rnn.LSTM, params, carry, xs, **given)
    solution = solve()[2]
    assert int(solution.iterations) > 2
    np.testing.assert_array_equal(
        solution.carries.h, rnn.trace(rnn.LSTM, params, carry, xs, **given).carries.h
    )
    assert int(solve(guess=solution.carries)[2].iterations) == 1
    backwards = jax.tree.map(lambda c: c[::-1], solution.carries)
    assert int(solve(guess=backwards)[2].iterations) > 1


def test_the_guess_of_a_network_and_no_gradient_to_it():
    net = rnn.Stack([rnn.GRU, rnn.ELMAN])
    problem = random_problem(net, length=9)
    solutions = rnn.solve_parallel(net, *problem)[2]
    guess = tuple(solution.carries for solution in solutions)
    again = rnn.solve_parallel(net, *problem, guess=guess)[2]
    assert [int(solution.iterations) for solution in again] == [1, 1]
    total = jax.jit(lambda g: jnp.sum(rnn.unroll_parallel(net, *problem, guess=g)[1]))
    assert not any(np.any(d) for d in jax.tree.leaves(jax.grad(total)(guess)))


def test_derivatives_of_the_gradient():
    params, carry, xs = random_problem("gru", length=5)
    along = random_like(params, seed=5)

    def twice(run):
        gradient = jax.grad(lambda p: loss(run, rnn.GRU, p, carry, xs))
        return jax.jit(jax.grad(lambda p: sum(
            jnp.vdot(a, b)
            for a, b in zip(jax.tree.leaves(gradient(p)), jax.tree.leaves(along), strict=True)
        )))(params)  # fmt: skip

    assert worst_relative(twice(rnn.unroll_parallel), twice(rnn.unroll_autodiff)) < 1e-10


def test_in_batches_of_problems_and_on_devices():
    params, carry, xs = random_problem("elman", length=8, batch=(4,))
    expected = rnn.unroll(rnn.ELMAN, params, carry, xs)[1]

    def each(carry, xs):
        return rnn.unroll_parallel(rnn.ELMAN, params, carry, xs)[1]

    np.testing.assert_allclose(jax.vmap(each, (0, 1), 1)(carry, xs), expected, rtol=1e-10)
    divided = jax.shard_map(
        lambda p, c, x: jax.grad(
            lambda p: jax.lax.psum(loss(rnn.unroll_parallel, rnn.ELMAN, p, c, x), "b")
        )(p),
        in_specs=(P(), P("b"), P(None, "b")), out_specs=P(),
        mesh=jax.make_mesh((2,), ("b",), axis_types=(jax.sharding.AxisType.Auto,)),
    )  # fmt: skip

    def part(p, rows):
        own = jax.tree.map(lambda c: c[rows], carry)
        return loss(rnn.unroll, rnn.ELMAN, p, own, xs[:, rows])

    def whole(p):
        return part(p, slice(0, 2)) + part(p, slice(2, 4))

    assert worst_relative(jax.jit(divided)(params, carry, xs), jax.grad(whole)(params)) < 1e-10


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_narrower_dtypes(dtype):
    problem = random_problem("gru", length=20, dtype=dtype)
    _, hs, solution = rnn.solve_parallel(rnn.GRU, *problem)
    assert solution.converged
    assert hs.dtype == dtype
    expected = rnn.unroll(rnn.GRU, *problem)[1]
    error = np.max(np.abs(np.asarray(hs, np.float32) - np.asarray(expected, np.float32)))
    assert error <= 4 * float(jnp.finfo(dtype).eps)


def test_an_id_outside_the_vocabulary_is_seen():
    params, carry, tokens = random_problem("gru", length=6, tokens=True)
    tokens = np.array(tokens)
    tokens[3, 1] = 99
    tokens = jax.device_put(tokens)
    hs = rnn.unroll_parallel(rnn.GRU, params, carry, tokens)[1]
    np.testing.assert_allclose(hs, rnn.unroll(rnn.GRU, params, carry, tokens)[1], rtol=1e-12)
    assert np.isnan(np.asarray(hs)[3:, 1]).all()
    assert not np.isnan(np.asarray(hs)[:, 0]).any()


def test_it_can_be_put_in_wherever_something_unrolls():
    report = rnn.gradcheck(rnn.MGU, jax.random.key(0), unroll=rnn.unroll_parallel)
    assert report.ok, str(report)
    params, carry, xs = random_problem("gru", length=9)
    windows = {"forward_steps": 2, "backward_steps": 4}
    found = rnn.unroll_truncated(rnn.GRU, params, carry, xs, **windows, unroll=rnn.unroll_parallel)
    expected = rnn.unroll_truncated(rnn.GRU, params, carry, xs, **windows)
    assert worst_relative(found, expected) < 1e-12


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"jacobian": "block"}, ValueError, "jacobian: expected one of 'full', 'diagonal', got 'b"),
        ({"tolerance": 1e-16}, ValueError, "at least 1.8e-15, which float64 can reach, got 1e-16"),
        ({"tolerance": float("nan")}, ValueError, "tolerance: expected a finite number"),
        ({"tolerance": float("inf")}, ValueError, "tolerance: expected a finite number"),
        ({"tolerance": True}, ValueError, "tolerance: expected a finite number"),
        ({"max_iterations": 0}, ValueError, "max_iterations: expected an integer of at least 1"),
        ({"guess": jnp.zeros(3)}, TypeError, "guess: expected the Carry of the cell 'gru' after"),
    ],
)
def test_what_it_refuses(given, kind, message):
    problem = random_problem("gru")
    for run in (rnn.solve_parallel, rnn.unroll_parallel):
        with pytest.raises(kind, match=f"{run.__name__}: .*{message}"):
            run(rnn.GRU, *problem, **given)


def test_a_guess_of_the_wrong_shape_and_a_cell_without_backward():
    params, carry, xs = random_problem("gru")
    guess = rnn.GRU.Carry(jnp.zeros((3, 2, 4)))
    with pytest.raises(ValueError, match=r"guess.h: expected float64\[7, 2, 4\], got float64\[3,"):
        rnn.solve_parallel(rnn.GRU, params, carry, xs, guess=guess)
    forward_only = rnn.Cell(
        name="forward_only", gates=rnn.GRU.gates, nonlinearities=rnn.GRU.nonlinearities,
        param_shapes=rnn.GRU.param_shapes, carry_sizes=rnn.GRU.carry_sizes,
        forward=rnn.GRU.forward,
    )  # fmt: skip
    with pytest.raises(TypeError, match="solve_parallel: cell: expected a cell with backward"):
        rnn.solve_parallel(forward_only, params, carry, xs)


@functools.cache
def trained(name):
    """A problem of T = 1,000 with a cell that has learned to predict a text of two rhythms."""
    cell = rnn.CELLS[name]
    text = jnp.asarray(np.tile([0, 1, 2, 1, 0, 3, 4, 5, 6, 7, 0, 0, 2], 90)[:1001], jnp.int32)
    params, carry, _ = initial(cell, 1)
    w_hy = jnp.zeros((rnn.output_size(cell, params), 8), jnp.float64)
    optimizer = rnn.karpathy_adagrad(0.02 if name == "elman_relu" else 0.1)

    def mean_loss(weights):
        params, w_hy = weights
        _, hs = rnn.unroll(cell, params, carry, text[:200])
        scores = jax.nn.log_softmax(hs @ w_hy)
        return -jnp.mean(jnp.take_along_axis(scores, text[1:201, None], 1))

    @jax.jit
    def update(state, _):
        weights, optimizer_state = state
        value, gradient = jax.value_and_grad(mean_loss)(weights)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(weights, updates), optimizer_state), value

    weights = (params, w_hy)
    state, losses = jax.lax.scan(update, (weights, optimizer.init(weights)), None, 300)
    assert losses[-1] < (0.8 if name == "elman_relu" else 0.3) * losses[0]
    return state[0][0], carry, text[:1000]


@pytest.mark.slow
@pytest.mark.parametrize("name", rnn.CELLS)
@pytest.mark.parametrize("which", ["initial", "trained", "times three"])
def test_a_thousand_steps(name, which):
    cell = rnn.CELLS[name]
    if which == "initial":
        problem = initial(cell, 1000)
    else:
        problem = trained(name)
        if which == "times three":
            problem = (scaled(problem[0], 3.0), *problem[1:])
    _, hs, solution = rnn.solve_parallel(cell, *problem)
    print(f"{name}, {which}: {int(solution.iterations)} iterations, {bool(solution.converged)}")
    expected = rnn.unroll(cell, *problem)[1]
    if bool(jnp.isfinite(expected).all()):
        scale = 1 + jnp.abs(expected)
        assert float(jnp.max(jnp.abs(hs - expected) / scale)) < 1e-9
        found = values_and_gradients(rnn.unroll_parallel, cell, problem)
        by_hand = values_and_gradients(rnn.unroll, cell, problem)
        assert worst_relative(found[1], by_hand[1]) < 1e-8
    most = {"initial": 7, "trained": 12 if "lstm" in name else 10}.get(which)
    if most and name in ("gru", "lstm", "elman"):
        assert int(solution.iterations) <= most
