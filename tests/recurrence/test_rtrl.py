"""Real-time recurrent learning: the gradient of backpropagation through time, found forwards."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import OPTIONS, cells, random_options, random_problem, renamed, worst_relative

import jaxrnn as rnn
from jaxrnn.recurrence import influence
from jaxrnn.recurrence.memory import device_memory


def last_loss(h):
    return jnp.sum(jnp.sin(h))


def gradients(run, cell, params, carry, xs, reset_carry, given):
    """Of the parameters, the carry and `reset_carry`, from all outputs and the last carry."""

    @jax.jit
    def gradient(params, carry, reset_carry):
        def loss(params, carry, reset_carry):
            last, hs = run(cell, params, carry, xs, reset_carry=reset_carry, **given)
            weights = jnp.cos(jnp.arange(hs.size, dtype=hs.dtype)).reshape(hs.shape)
            return jnp.sum(weights * jnp.sin(hs)) + sum(jnp.sum(jnp.sin(c)) for c in last)

        wanted = (0, 1) if reset_carry is None else (0, 1, 2)
        return jax.grad(loss, wanted)(params, carry, reset_carry)

    return gradient(params, carry, reset_carry)


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("name", cells("lstm_peephole", "indrnn"))
def test_all_options(name, tokens):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, length=9, batch=(3,), tokens=tokens)
    given = random_options(name, OPTIONS, params, carry, 9, (3,))
    reset_carry = given.pop("reset_carry")
    found, expected = (
        gradients(run, cell, params, carry, xs, reset_carry, given)
        for run in (rnn.unroll_rtrl, rnn.unroll)
    )
    assert worst_relative(found, expected) < 1e-12
    plain = (cell, params, carry, xs)
    assert worst_relative(rnn.unroll_rtrl(*plain), rnn.unroll(*plain)) < 1e-12


@pytest.mark.parametrize(("length", "batch"), [(5, ()), (4, (2, 2)), (0, (2,)), (3, (0,))])
@pytest.mark.parametrize("name", ["elman", "indrnn"])
def test_shapes(name, length, batch):
    problem = random_problem(name, length=length, batch=batch)
    found, expected = (
        gradients(run, rnn.CELLS[name], *problem, None, {}) for run in (rnn.unroll_rtrl, rnn.unroll)
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-14),
                 found, expected)  # fmt: skip


def gradient_by_hand(cell, params, carry, xs):
    """Of the last output's loss."""
    return jax.jit(jax.grad(lambda p: last_loss(rnn.unroll(cell, p, carry, xs)[1][-1])))(params)


def run_online(cell, params, carry, xs, approximation=None):
    """(state after the last step, hs), step by step."""
    state, hs = rnn.rtrl_init(cell, params, carry, approximation=approximation), []
    for x in np.asarray(xs):
        state, h = rnn.rtrl_step(cell, params, state, x)
        hs.append(np.asarray(h))
    return state, np.stack(hs)


@pytest.mark.parametrize("name", cells("gru_reset_before", "indrnn"))
@pytest.mark.parametrize(("batch", "tokens"), [((2,), False), ((), True)])
def test_step_by_step(name, batch, tokens):
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, batch=batch, tokens=tokens)
    state, hs = run_online(cell, params, carry, xs)
    last, expected = rnn.unroll(cell, params, carry, xs)
    assert worst_relative((state.carry, hs), (last, expected)) < 1e-12
    found = rnn.rtrl_gradient(cell, state, np.cos(hs[-1]))
    assert worst_relative(found, gradient_by_hand(cell, params, carry, xs)) < 1e-12


def jacobian_of_state(cell, params, carry, xs):
    """∂s_T/∂θ by autodiff, Params of [n, …] for one sequence, the fields of the carry in a row."""

    def state(params):
        last, _ = rnn.unroll_autodiff(cell, params, carry, xs)
        return jnp.concatenate(list(last), -1)

    return jax.jit(jax.jacrev(state))(params)


def test_of_no_sequences_the_gradient_is_zero():
    params, carry, xs = random_problem("gru", batch=(0,))
    state, hs = run_online(rnn.GRU, params, carry, xs)
    gradient = rnn.rtrl_gradient(rnn.GRU, state, hs[-1])
    jax.tree.map(lambda g, w: np.testing.assert_array_equal(g, np.zeros(w.shape)), gradient, params)


def test_the_influence_is_the_derivative_of_the_carry():
    params, carry, xs = random_problem("lstm", batch=())
    state, _ = run_online(rnn.LSTM, params, carry, xs)
    assert worst_relative(state.influence, jacobian_of_state(rnn.LSTM, params, carry, xs)) < 1e-12


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_snap1_follows_each_entrys_own_unit(name):
    """Against its definition: the whole influence, of which all but the own unit's is dropped."""
    cell = rnn.CELLS[name]
    params, carry, xs = random_problem(name, length=4, batch=())
    fields, units = len(cell.Carry._fields), 4
    state, _ = run_online(cell, params, carry, xs, "snap1")

    def own(p):
        rows, columns = jnp.arange(fields * units) % units, jnp.arange(p.shape[-1]) % units
        mask = (rows[:, None] == columns[None]).reshape(-1, *(1,) * (p.ndim - 2), columns.size)
        return jnp.where(mask, p, 0.0)

    @jax.jit
    def next_influence(influence, before, x):
        step = lambda p, c: jnp.concatenate(  # noqa: E731
            list(rnn.unroll_autodiff(cell, p, c, x[None])[0])
        )
        by_params, by_carry = jax.jacrev(step, (0, 1))(params, before)
        jacobian = jnp.concatenate(list(by_carry), -1)
        return jax.tree.map(
            lambda p, i: own(jnp.tensordot(jacobian, p, 1) + i), influence, by_params
        )

    influence = jax.tree.map(lambda w: np.zeros((fields * units, *w.shape)), params)
    before = carry
    for x in np.asarray(xs):
        influence = next_influence(influence, before, x)
        before, _ = rnn.step(cell, params, before, x)
    influence = jax.tree.map(np.asarray, influence)
    for kept, whole in zip(state.influence, influence, strict=True):
        assert kept.shape == (fields, *kept.shape[1:])  # |θ|·n/H numbers, no zeros among them
        for column in range(kept.shape[-1]):
            rows = whole[..., column].reshape(fields, units, *whole.shape[1:-1])
            np.testing.assert_allclose(
                np.asarray(kept)[..., column], rows[:, column % units], rtol=1e-11, atol=1e-14
            )
    d_h = np.cos(before.h)
    found = rnn.rtrl_gradient(cell, state, d_h)
    expected = jax.tree.map(lambda p: np.tensordot(d_h, p[:units], 1), influence)
    assert worst_relative(found, expected) < 1e-11


def test_memory_does_not_grow_with_time():
    def temporaries(length):
        params, carry, xs = random_problem("gru", length=length, batch=(2,), hidden=8)
        loss = lambda p: jnp.sum(rnn.unroll_rtrl(rnn.GRU, p, carry, xs)[1][-1])  # noqa: E731
        # From all outputs but the last no gradient comes; hs and their cotangent are not counted.
        compiled = jax.jit(jax.grad(loss)).lower(params).compile()
        held = 2 * xs.shape[0] * 2 * 8 * 8 + 2 * xs.size * 8
        return compiled.memory_analysis().temp_size_in_bytes - held

    assert temporaries(10_000) <= temporaries(100) + 10_000 * 16


def test_how_much_is_kept():
    params, carry, _ = random_problem("lstm", batch=(3,), hidden=5)
    count = lambda state: sum(p.size for p in state.influence)  # noqa: E731
    entries = sum(w.size for w in params)
    assert count(rnn.rtrl_init(rnn.LSTM, params, carry)) == 3 * 10 * entries
    snap1 = rnn.rtrl_init(rnn.LSTM, params, carry, approximation="snap1")
    assert count(snap1) == 3 * 2 * entries  # n/H = 2
    params, carry, _ = random_problem("indrnn", batch=(3,), hidden=5)
    assert count(rnn.rtrl_init(rnn.INDRNN, params, carry)) == 3 * sum(w.size for w in params)


def test_a_single_unit():
    """Where n = m it does not matter which of the two is kept."""
    params, carry, xs = random_problem("elman", batch=(), hidden=1)
    by_hand = gradient_by_hand(rnn.ELMAN, params, carry, xs)
    for approximation in (None, "snap1"):
        state, hs = run_online(rnn.ELMAN, params, carry, xs, approximation)
        found = rnn.rtrl_gradient(rnn.ELMAN, state, np.cos(hs[-1]))
        assert worst_relative(found, by_hand) < 1e-12


def test_narrower_dtypes():
    params, carry, xs = random_problem("gru", dtype=jnp.bfloat16)
    state, hs = run_online(rnn.GRU, params, carry, xs)
    assert state.influence.w_hh.dtype == jnp.float32
    assert rnn.rtrl_gradient(rnn.GRU, state, hs[-1]).w_hh.dtype == jnp.bfloat16


def test_the_inputs_have_no_gradient():
    params, carry, xs = random_problem("gru")
    loss = jax.jit(lambda x: jnp.sum(rnn.unroll_rtrl(rnn.GRU, params, carry, x)[1]))
    with pytest.raises(TypeError, match="unroll_rtrl: xs: expected no gradient to be asked for"):
        jax.grad(loss)(xs)
    stopped = jax.grad(lambda x: loss(jax.lax.stop_gradient(x)) + jnp.sum(x))(xs)
    np.testing.assert_array_equal(stopped, jnp.ones_like(xs))
    report = rnn.gradcheck(rnn.ELMAN, jax.random.key(0), token_inputs=True, unroll=rnn.unroll_rtrl)
    assert report.ok, str(report)


def test_what_it_refuses():
    params, carry, xs = random_problem("gru")
    net = rnn.Stack([rnn.GRU])
    with pytest.raises(TypeError, match="unroll_rtrl: cell: expected one cell"):
        rnn.unroll_rtrl(net, (params,), (carry,), xs)
    with pytest.raises(ValueError, match=r"expected None or one of 'snap1', got 'snap2'"):
        rnn.rtrl_init(rnn.GRU, params, carry, approximation="snap2")
    for cell in (rnn.GRU_LAYERNORM, rnn.LSTM_PROJECTED):
        own, its_carry, _ = random_problem(cell.name)
        with pytest.raises(ValueError, match="where a parameter moves all units in a single"):
            rnn.rtrl_init(cell, own, its_carry, approximation="snap1")
    state = rnn.rtrl_init(rnn.GRU, params, carry)
    with pytest.raises(ValueError, match=r"rtrl_step: state.carry.h: expected shape \[3, 4\]"):
        rnn.rtrl_step(rnn.GRU, params, state, jnp.zeros((3, 3)))
    with pytest.raises(TypeError, match="expected the RTRLState of the cell 'gru', got Carry"):
        rnn.rtrl_step(rnn.GRU, params, carry, xs[0])
    with pytest.raises(TypeError, match="RTRLState of the cell 'lstm', got that of another cell"):
        rnn.rtrl_gradient(rnn.LSTM, state, carry.h)
    with pytest.raises(TypeError, match="RTRLState of the cell 'gru', got that of another cell"):
        rnn.rtrl_step(rnn.GRU, params, state._replace(carry=None), xs[0])
    with pytest.raises(ValueError, match=r"d_h: expected float64\[2, 4\], as state.carry.h"):
        rnn.rtrl_gradient(rnn.GRU, state, jnp.zeros(4))
    cut = state._replace(influence=state.influence._replace(b_h=jnp.zeros((2, 3, 12))))
    with pytest.raises(ValueError, match=r"rtrl_step: state.influence.b_h: expected \[2, 4, 12\]"):
        rnn.rtrl_step(rnn.GRU, params, cut, xs[0])


def test_the_memory_of_this_machine():
    assert 2**28 < device_memory() < 2**50


def test_where_a_parameter_moves_more_than_one_unit_there_is_no_snap1():
    """A recurrence of rank P: w_hp's columns are no units."""

    class Params(NamedTuple):
        w_xh: Any
        w_hp: Any
        w_ph: Any

    def forward(product, params, carry, a):
        p = product("w_hp", carry.h)
        h = jnp.tanh(a + product("w_ph", p))
        return rnn.ELMAN.Carry(h), p, a

    def backward(product_T, params, carry, p, new, d):
        d_a = d.h * (1 - new.h * new.h)
        d_p = product_T("w_ph", d_a)
        return rnn.ELMAN.Carry(product_T("w_hp", d_p)), (d_a, d_p)

    def pairs(carry, p, left):
        d_a, d_p = left
        return d_a, {"w_hp": (carry.h, d_p), "w_ph": (p, d_a)}

    low_rank = rnn.Cell(
        name="low_rank", gates=("h",), nonlinearities=(jnp.tanh,),
        param_shapes=Params("I H", "H P", "P H"), carry_sizes=rnn.ELMAN.Carry("H"),
        forward=forward, backward=backward, pairs=pairs, recurrent=("w_hp",),
    )  # fmt: skip
    params, carry, xs = random_problem(low_rank)
    state, hs = run_online(low_rank, params, carry, xs)
    by_hand = gradient_by_hand(low_rank, params, carry, xs)
    assert worst_relative(rnn.rtrl_gradient(low_rank, state, np.cos(hs[-1])), by_hand) < 1e-12
    with pytest.raises(ValueError, match="where a parameter moves all units in a single step"):
        rnn.rtrl_init(low_rank, params, carry, approximation="snap1")


def test_an_influence_that_does_not_fit_the_memory(monkeypatch):
    cell = renamed(rnn.GRU)  # else what was traced before is not looked at again
    params, carry, xs = random_problem(cell)
    entries = sum(w.size for w in params)
    needed = 2 * 4 * entries * 8  # B, n, |θ|, float64
    monkeypatch.setattr(influence, "device_memory", lambda: 3 * needed)
    rnn.rtrl_init(cell, params, carry)
    monkeypatch.setattr(influence, "device_memory", lambda: 3 * needed - 3)
    message = f"at most {needed - 1:,} bytes, a third of the memory, got one of {needed:,} bytes"
    unrolled = lambda p: jnp.sum(rnn.unroll_rtrl(cell, p, carry, xs)[1])  # noqa: E731
    unrolled(params)  # no gradient, no influence
    for run in (lambda p: rnn.rtrl_init(cell, p, carry), jax.grad(unrolled)):
        with pytest.raises(ValueError, match=message) as caught:
            run(params)
        assert "H of at most 3 would fit" in str(caught.value)
        assert f'"snap1" of jaxrnn.rtrl_init, with {needed // 4:,} bytes' in str(caught.value)
    params, carry, _ = random_problem("gru_layernorm")
    with pytest.raises(ValueError, match=r"H of at most \d would fit$"):
        rnn.rtrl_init(rnn.GRU_LAYERNORM, params, carry)
