"""A run's numbers depend on its settings, not on the process: 64-bit numbers, promotion, transfers.

Promotion is strict in all tests (conftest.py).
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm, optimizers
from jaxrnn.charlm import runs, training_loop
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.turns import Turns

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
SMALL = Settings(
    model="elman",
    rnn_size=6,
    num_layers=1,
    dropout=0.3,
    seq_length=5,
    batch_size=4,
    max_steps=40,
    print_every=7,
    eval_val_every=20,
    sample_every=20,
    sample_length=20,
)


def in_silence(path, settings, x64):
    """Everything that a run ends with, none of it moved to or from a device unless asked to."""
    with jax.enable_x64(x64):
        corpus = Corpus(TEXT, ("text",))
        run = runs.create(path, settings, charlm.Vocab.from_text(TEXT), corpus)
        work, key = training_loop.start(run, corpus), jax.random.key(0)
        with jax.transfer_guard("disallow"):
            records = list(training_loop.train(work))
            end = training_loop.resume(run, corpus, pytest.fail)
            (params, carry), _ = runs.load_sampler(run, pytest.fail)
            model, how = (run.config, params, run.vocab), {"length": 9, "top_p": 0.9}
            text = charlm.sample(*model, key, carry=carry, **how)
            assert charlm.sample_scored(*model, key, carry=carry, **how).text == text
            turns = Turns(*model, key, carry)
            pieces = [*turns.write(**how), *turns.write(**how)]
            best = charlm.beam_search(*model, text, width=3, length=9, stop=text[4], carry=carry)
            texts = [text, *(piece.text for piece in pieces), *(beam.written.text for beam in best)]
        arrays = jax.device_get(end.everything)
    clock = ("seconds", "tokens_per_second")
    told = [{k: v for k, v in each.items() if k not in clock} for each in records]
    return arrays, [*told, *texts]


def check_the_same(results, rtol=0.0):
    (arrays, records), (others, other_records) = results
    assert jax.tree.map(type, other_records) == jax.tree.map(type, records)
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path((arrays, records)),
        jax.tree.leaves((others, other_records)),
        strict=True,
    ):
        where = jax.tree_util.keystr(path)
        if isinstance(one, str):
            assert other == one, where
        else:
            assert np.asarray(one).dtype == np.asarray(other).dtype, where
            np.testing.assert_allclose(
                np.asarray(other, float), np.asarray(one, float), rtol, rtol, err_msg=where
            )


# XLA sees other loop counters with 64-bit numbers on. Compiled for use it rounds the same all the
# same; compiled quickly, as the tests are, it fuses otherwise: then rounding is all that differs.
ROUNDING = 0.0 if os.environ.get("JAXRNN_TEST_OPTIMISED") else 3e-5


@pytest.mark.integration
def test_a_run_is_the_same_with_64_bit_numbers_and_moves_nothing_in_silence(tmp_path):
    check_the_same([in_silence(tmp_path / str(x64), SMALL, x64) for x64 in (False, True)], ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"model": "gru", "rnn_size": 192, "num_layers": 2, "seq_length": 64, "batch_size": 8},
        {"devices": 2, "accumulate": 2, "embed_size": 3, "optimizer": "adam", "weight_decay": 0.0},
        {"optimizer": "adagrad", "schedule": "constant", "weight_decay": 0.0, "grad_clip": 0.01},
        {
            "optimizer": "rmsprop",
            "schedule": "epochs",
            "learning_rate_decay_after": 0,
            "weight_decay": 0.0,
            "loss": "summed_cross_entropy",
            "initializer": "uniform:0.08",
        },
        {
            "dtype": "bfloat16",
            "model": "lstm_layernorm,elman",
            "num_layers": 2,
            "initializer": "normal:0.1",
        },
        {"optimizer": "sgd", "weight_decay": 0.0, "model": "lstm_projected"},
    ],
    ids=["default", "devices", "adagrad", "rmsprop", "bfloat16", "sgd"],
)
def test_runs_of_every_kind_are_too(tmp_path, more):
    settings = Settings(**{**SMALL.__dict__, "max_steps": 100, **more})
    check_the_same(
        [in_silence(tmp_path / str(x64), settings, x64) for x64 in (False, True)], ROUNDING
    )


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_an_optimizer_is_the_same_with_64_bit_numbers(name):
    def changes():
        rate = optimizers.make_schedule("epochs", 0.1, total_steps=9, steps_per_epoch=2, decay=0.7)
        optimizer = optimizers.make_optimizer(name, rate, clip_value=1.0, clip_norm=0.9)

        @jax.jit
        def two_steps(weights):
            state = optimizer.init(weights)
            first, state = optimizer.update(weights, state, weights)
            return first, optimizer.update(weights * 1.1, state, weights)

        return jax.device_get(two_steps(np.linspace(-1, 2, 7, dtype=np.float32)))

    with jax.enable_x64(False):
        expected = changes()
    with jax.enable_x64(True):
        check_the_same([(expected, 0), (changes(), 0)])


def test_a_key_has_one_mask():
    def masks():
        key = jax.random.key(1)
        shapes = jax.eval_shape(
            lambda: rnn.init(rnn.LSTM, key, input_size=3, hidden_size=40, dtype=jnp.float32)
        )
        params = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)

        @jax.jit
        def draw(params, key):
            masks = rnn.draw_masks(rnn.LSTM, params, key, 5, recurrent_dropout=0.3, zoneout=0.2)
            return masks, rnn.weight_drop(rnn.LSTM, params, key, 0.4)

        return jax.device_get(draw(params, key))

    with jax.enable_x64(False):
        expected = masks()
    with jax.enable_x64(True):
        check_the_same([(expected, 0), (masks(), 0)])
