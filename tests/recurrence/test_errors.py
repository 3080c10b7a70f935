"""Each sentence names the function, the argument, the rule with its numbers, and what came."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from oracles import random_problem

import jaxrnn as rnn

PARAMS, CARRY, XS = random_problem("lstm")
GRU_PARAMS, GRU_CARRY, _ = random_problem("gru")


@pytest.mark.parametrize("run", [rnn.unroll, rnn.unroll_autodiff, rnn.trace])
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            ("lstm", PARAMS, CARRY, XS),
            TypeError,
            "cell: expected a jaxrnn.Cell, Stack or Bidirectional, got lstm. Hint: jaxrnn.CELLS",
        ),
        (
            (rnn.LSTM, GRU_PARAMS, CARRY, XS),
            TypeError,
            "params: expected the Params of the cell 'lstm', .* got the Params of the cell 'gru'",
        ),
        ((rnn.LSTM, PARAMS, GRU_CARRY, XS), TypeError, "carry: expected the Carry"),
        (
            (rnn.LSTM, PARAMS, CARRY, XS[..., :2]),
            ValueError,
            r"xs: expected \[T, \*B, 3\], 3 being the rows of params.w_xh, got float64\[7, 2, 2\]",
        ),
        (
            (rnn.LSTM, PARAMS, CARRY, XS.astype(jnp.float32)),
            TypeError,
            "xs: expected float64, the dtype of params.w_xh, or integer token ids, got float32",
        ),
        ((rnn.LSTM, PARAMS, CARRY, [[0.0]]), TypeError, "xs: expected an array .* got list"),
        ((rnn.LSTM, PARAMS, CARRY, jnp.zeros((), int)), ValueError, "xs: expected token ids"),
        (
            (rnn.LSTM, PARAMS, CARRY, XS[:, :1]),
            ValueError,
            r"carry.h: expected shape \[1, 4\].*got float64\[2, 4\]. Hint: .*batch_shape=\(1,\)",
        ),
        (
            (rnn.LSTM, PARAMS, CARRY._replace(c=CARRY.c.astype(jnp.float32)), XS),
            TypeError,
            "carry.c: expected float64, the dtype of params, got float32",
        ),
        (
            (rnn.LSTM, PARAMS._replace(w_hh=PARAMS.w_hh[:, :-1]), CARRY, XS),
            ValueError,
            r"params.w_hh: expected \[H, 4·H\], here \[4, 16\], got float64\[4, 15\]",
        ),
        (
            (rnn.LSTM, PARAMS._replace(w_xh=PARAMS.w_xh[:, :-1]), CARRY, XS),
            ValueError,
            r"params.w_xh: expected \[I, 4·H\], here \[3, 16\], got float64\[3, 15\]",
        ),
        (
            (rnn.LSTM, PARAMS._replace(b_h=PARAMS.b_h[:-1]), CARRY, XS),
            ValueError,
            r"params.b_h: expected \[4·H\], here \[16\], got float64\[15\]",
        ),
        (
            (rnn.LSTM, PARAMS._replace(b_h=PARAMS.b_h.astype(jnp.float32)), CARRY, XS),
            TypeError,
            "params.b_h: expected float64, the dtype of params.w_xh",
        ),
        (
            (rnn.LSTM, jax.tree.map(lambda w: w.astype(int), PARAMS), CARRY, XS),
            TypeError,
            "params.w_xh: expected a floating dtype",
        ),
    ],
)
def test_wrong_arguments(run, arguments, error, words):
    with pytest.raises(error, match=rf"^{run.__name__}: {words}"):
        run(*arguments)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"cell": None},
            TypeError,
            "cell: expected a jaxrnn.Cell, Stack or Bidirectional, got None",
        ),
        ({"key": 0}, TypeError, "key: expected a jax.random.key, got 0"),
        ({"input_size": 0}, ValueError, "input_size: expected an integer of at least 1, got 0"),
        ({"hidden_size": 2.5}, ValueError, "hidden_size: expected an integer of at least 1"),
        ({"dtype": jnp.int32}, TypeError, "dtype: expected a floating dtype, got int32"),
    ],
)
def test_wrong_init(changes, error, words):
    good = {"cell": rnn.LSTM, "key": jax.random.key(0), "input_size": 3, "hidden_size": 4}
    with pytest.raises(error, match=f"^init: {words}"):
        rnn.init(**(good | changes))


def test_old_style_keys_are_refused():
    with pytest.raises(TypeError, match=r"key: expected a jax.random.key, got uint32"):
        rnn.init(rnn.GRU, jax.random.PRNGKey(0), 3, 4)


def test_wrong_step():
    with pytest.raises(ValueError, match=r"^step: x: expected \[\*B, 3\]"):
        rnn.step(rnn.LSTM, PARAMS, CARRY, XS[0, :, :2])


@pytest.mark.parametrize("chunk_length", [0, 2.5, "a"])
def test_wrong_chunk_length(chunk_length):
    with pytest.raises(ValueError, match="unroll: chunk_length: expected an integer of at least 1"):
        rnn.unroll(rnn.LSTM, PARAMS, CARRY, XS, chunk_length=chunk_length)


def test_what_is_no_array_is_named():
    with pytest.raises(TypeError, match=r"unroll: params.b_h: expected an array, got list"):
        rnn.unroll(rnn.LSTM, PARAMS._replace(b_h=[0.0] * 16), CARRY, XS)
    with pytest.raises(ValueError, match=r"unroll: carry\.c: expected shape"):
        rnn.unroll(rnn.LSTM, PARAMS, CARRY._replace(c=0.0), XS)
    with pytest.raises(TypeError, match="zero_carry: batch_shape: expected a tuple, got 2"):
        rnn.zero_carry(rnn.LSTM, PARAMS, 2)


def test_the_inner_bias_is_checked():
    one = GRU_PARAMS._replace(b_hn=GRU_PARAMS.b_hn[:1])
    with pytest.raises(
        ValueError, match=r"unroll: params.b_hn: expected \[H\], here \[4\], got float64\[1\]"
    ):
        rnn.unroll(rnn.GRU, one, GRU_CARRY, XS)


def test_float64_needs_x64():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        rnn.init(rnn.GRU, jax.random.key(0), 2, 3, dtype="float64")


def test_a_cell_without_hand_derivative_is_sent_to_unroll_autodiff():
    own = dataclasses.replace(rnn.LSTM, name="own", backward=None)
    with pytest.raises(TypeError, match=r"cell with backward and pairs.*unroll_autodiff"):
        rnn.unroll(own, PARAMS, CARRY, XS)
    assert rnn.unroll_autodiff(own, PARAMS, CARRY, XS)[1].shape == (7, 2, 4)


def test_checks_happen_at_trace_time():
    with pytest.raises(ValueError, match=r"^unroll: xs"):
        jax.jit(rnn.unroll)(rnn.LSTM, PARAMS, CARRY, XS[..., :2])
