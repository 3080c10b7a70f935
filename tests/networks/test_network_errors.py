"""What networks refuse, each in a sentence that says which part and what to try."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import random_problem

import jaxrnn as rnn

TWO = rnn.Stack([rnn.LSTM, rnn.GRU])
PARAMS, CARRY, XS = random_problem(TWO)
ONE = PARAMS[0], CARRY[0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: rnn.Stack([]), ValueError, "Stack: layers: expected at least one, got none."),
        (lambda: rnn.Stack(rnn.LSTM), TypeError, "Stack: layers: expected a list of cells"),
        (lambda: rnn.Stack(["lstm"]), TypeError, "layers[0]: expected a jaxrnn.Cell, Stack or"),
        (lambda: rnn.Stack([rnn.LSTM], dropout=1), ValueError, "from 0 to below 1, got 1."),
        (lambda: rnn.Stack([rnn.LSTM], dropout=-0.1), ValueError, "dropout: expected a probab"),
        (lambda: rnn.Bidirectional(None), TypeError, "Bidirectional: forward: expected"),
        (
            lambda: rnn.unroll(TWO, PARAMS[:1], CARRY, XS),
            ValueError,
            "unroll: params: expected a tuple of 2, one for each layer of Stack(lstm, gru), got a "
            "tuple of 1.",
        ),
        (lambda: rnn.unroll(TWO, PARAMS, CARRY[:1], XS), ValueError, "unroll: carry: expected a"),
        (
            lambda: rnn.unroll(TWO, ONE[0], CARRY, XS),
            TypeError,
            "got the Params of the cell 'lstm'.",
        ),
        (
            lambda: rnn.unroll(rnn.Bidirectional(rnn.LSTM), (ONE[0],) * 2, CARRY, XS),
            TypeError,
            "expected a jaxrnn.networks.Directions(forward, backward) of Bidirectional(lstm), got",
        ),
        (
            lambda: rnn.unroll([rnn.LSTM], PARAMS, CARRY, XS),
            TypeError,
            "cell: expected a jaxrnn.Cell, Stack or Bidirectional, got",
        ),
        (
            lambda: rnn.step(rnn.Stack([rnn.Bidirectional(rnn.GRU)]), PARAMS, CARRY, XS[0]),
            TypeError,
            "step: cell: expected a network that runs forwards only: a Bidirectional needs the "
            "whole sequence, got Bidirectional(gru). Hint: jaxrnn.unroll takes it",
        ),
        (
            lambda: rnn.init(TWO, jax.random.key(0), 3, (4, 5, 6)),
            ValueError,
            "init: hidden_size: expected one number, or 2, one for each layer of Stack(lstm, gru), "
            "got 3 of them.",
        ),
        (
            lambda: rnn.init(TWO, jax.random.key(0), 3, 4, proj_size=2),
            ValueError,
            "init: proj_size: expected none beside the cell 'lstm', which has no projection",
        ),
        (
            lambda: rnn.init(rnn.GRU, jax.random.split(jax.random.key(0)), 3, 4),
            TypeError,
            "init: key: expected a single jax.random.key, got an array of 2 keys.",
        ),
        (
            lambda: rnn.unroll(
                rnn.Stack([rnn.LSTM, rnn.GRU], residual=True),
                rnn.init(TWO, jax.random.key(0), 3, (4, 5), dtype=jnp.float64),
                rnn.zero_carry(TWO, rnn.init(TWO, jax.random.key(0), 3, (4, 5)), (2,)),
                XS,
            ),
            TypeError,
            "unroll: carry.h: expected float64",
        ),
        (
            lambda: rnn.unroll(TWO, PARAMS, CARRY, XS, dropout_key=1),
            TypeError,
            "unroll: dropout_key: expected a jax.random.key, got 1.",
        ),
        (
            lambda: rnn.draw_masks(TWO, PARAMS, jax.random.key(0), 7, (2,), recurrent_dropout=1.0),
            ValueError,
            "draw_masks: recurrent_dropout: expected a probability from 0 to below 1, got 1.0.",
        ),
        (
            lambda: rnn.weight_drop(TWO, PARAMS, jax.random.key(0), -1),
            ValueError,
            "weight_drop: probability: expected a probability from 0 to below 1, got -1.",
        ),
    ],
)
def test_sentences(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_a_residual_layer_must_keep_its_width():
    net = rnn.Stack([rnn.GRU, rnn.GRU], residual=True)
    params = rnn.init(net, jax.random.key(0), 3, (4, 5), dtype=jnp.float64)
    carry = rnn.zero_carry(net, params, (2,))
    words = "unroll: layer 1: expected outputs as wide as its inputs, [..., 4], for residual=True"
    with pytest.raises(ValueError, match=re.escape(words)):
        rnn.unroll(net, params, carry, XS)


LSTM_PARAMS, LSTM_CARRY = ONE


def run(**given):
    return lambda: rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, XS, **given)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            run(lengths=jax.device_put(np.array([3, 8]))),
            ValueError,
            "lengths: expected from 0 to 7, the steps",
        ),
        (run(lengths=jax.device_put(np.array([-1, 2]))), ValueError, "the steps of xs, got -1."),
        (
            run(lengths=jax.device_put(np.array([3]))),
            ValueError,
            "lengths: expected [*B], here [2], got int",
        ),
        (run(lengths=[3, 4]), TypeError, "got list. Hint: jnp.asarray(lengths)"),
        (
            run(lengths=jax.device_put(np.array([3.0, 4.0]))),
            TypeError,
            "lengths: expected an array of integers",
        ),
        (
            run(resets=jnp.zeros((7, 2))),
            TypeError,
            "resets: expected an array of bool [T, *B], got",
        ),
        (run(resets=jnp.zeros((7,), bool)), ValueError, "resets: expected [T, *B], here [7, 2]"),
        (
            run(resets=jnp.zeros((7, 2), bool), reset_carry=CARRY[1]),
            TypeError,
            "reset_carry: expected the Carry of the cell 'lstm' with fields h, c, got the Carry of",
        ),
        (
            run(resets=jnp.zeros((7, 2), bool), reset_carry=LSTM_CARRY._replace(c=jnp.zeros(3))),
            ValueError,
            "reset_carry.c: expected shape [2, 4]",
        ),
        (run(reset_carry=LSTM_CARRY), ValueError, "reset_carry: expected None where there are no"),
        (
            run(masks=rnn.Masks(keep=LSTM_CARRY._replace(c=None))),
            TypeError,
            "masks.keep.c: expected numbers in [0, 1], got None",
        ),
        (
            lambda: rnn.draw_masks(TWO, PARAMS, jax.random.key(0), 7, 2),
            TypeError,
            "draw_masks: batch_shape: expected a tuple, got 2",
        ),
        (
            lambda: rnn.draw_masks(TWO, PARAMS, jax.random.key(0), -1),
            ValueError,
            "draw_masks: length: expected an integer of at least 0, got -1.",
        ),
        (
            lambda: rnn.output_size(rnn.GRU, LSTM_PARAMS),
            TypeError,
            "output_size: params: expected the Params of the cell 'gru'",
        ),
        (run(masks=jnp.ones((2, 4))), TypeError, "masks: expected a jaxrnn.Masks or None, got"),
        (run(masks=rnn.Masks(jnp.ones((2, 3)))), ValueError, "masks.recurrent: expected [*B, H]"),
        (
            run(masks=rnn.Masks(keep=CARRY[1])),
            TypeError,
            "masks.keep: expected the Carry of the cell 'lstm' with fields h, c, got",
        ),
        (
            run(masks=rnn.Masks(keep=LSTM_CARRY._replace(h=jnp.ones((6, 2, 4))))),
            ValueError,
            "masks.keep.h: expected numbers that broadcast to [7, 2, 4], got [6, 2, 4].",
        ),
    ],
)
def test_sequence_options(call, error, words):
    with pytest.raises(error, match=re.escape(f"{words}")):
        call()


def test_usual_slips_have_a_hint():
    batch_first = jnp.swapaxes(XS, 0, 1)
    with pytest.raises(ValueError, match="time comes first"):
        rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, batch_first)
    with pytest.raises(ValueError, match=r"for integer features, xs.astype\('float64'\)"):
        rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, jnp.ones((7, 2, 3), int))
    with pytest.raises(TypeError, match=r"got list. Hint: jnp.asarray\(xs, ...\) makes one"):
        rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, [[1.0]])


def test_traced_lengths_are_clipped():
    call = jax.jit(lambda n: rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, XS, lengths=n)[1])
    assert (call(jnp.asarray([99, -5])) == call(jnp.asarray([7, 0]))).all()


def test_sentences_come_without_jaxs_notes():
    with pytest.raises(ValueError, match=r"unroll: carry\.h") as caught:
        rnn.unroll(rnn.LSTM, LSTM_PARAMS, LSTM_CARRY, XS[:, :1])
    assert not getattr(caught.value, "__notes__", [])
