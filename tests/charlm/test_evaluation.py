import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import random_params

from jaxrnn import charlm, tuning
from jaxrnn.charlm.placement import make_mesh

V = 6


@pytest.fixture(scope="module")
def trained():
    config = charlm.Config(vocab_size=V, cell="gru", hidden_size=5, num_layers=2, dropout=0.5)
    params = random_params(config, scale=0.8)
    tokens = np.random.default_rng(0).integers(0, V, size=61)
    return config, params, tokens


def by_hand(config, params, tokens):
    carry = charlm.zero_carry(config, params, ())
    nats = jax.jit(lambda *given: charlm.nats(charlm.apply(*given)[1], jnp.asarray(tokens[1:])))
    return np.asarray(nats(config, params, carry, jnp.asarray(tokens[:-1])))


@pytest.mark.parametrize("length", [7, 100])
def test_one_stream_is_exact_whatever_the_window(trained, length):
    config, params, tokens = trained
    value = charlm.evaluate(config, params, tokens, length=length)
    np.testing.assert_allclose(value, by_hand(config, params, tokens).mean(), rtol=1e-12)


def test_more_streams_leave_no_character_out(trained):
    config, params, tokens = trained
    value = charlm.evaluate(config, params, tokens, batch_size=7, length=4)
    # 60 predictions in 7 streams of 9, of which the last has 6
    parts = [by_hand(config, params, tokens[start : start + 10]).sum() for start in range(0, 60, 9)]
    np.testing.assert_allclose(value, sum(parts) / 60, rtol=1e-12)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(("operations", "blocks"), [(0, 10), (30_000, 2)])
def test_neither_devices_nor_blocks_change_the_value(
    trained, monkeypatch, devices, operations, blocks
):
    config, params, tokens = trained
    expected = charlm.evaluate(config, params, tokens, batch_size=3, length=20)
    tuned = dataclasses.replace(tuning.CPU, block_operations=operations)
    monkeypatch.setattr(tuning, "here", lambda: tuned)
    asked = []
    value = charlm.evaluate(
        config, params, tokens, batch_size=3, length=2, mesh=make_mesh(devices),
        should_stop=lambda: bool(asked.append(True)),
    )  # fmt: skip
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert len(asked) == blocks


def test_it_stops_between_blocks(trained, monkeypatch):
    config, params, tokens = trained
    tuned = dataclasses.replace(tuning.CPU, block_operations=0)
    monkeypatch.setattr(tuning, "here", lambda: tuned)
    answers = iter([False, False, True])
    value = charlm.evaluate(config, params, tokens, length=10, should_stop=lambda: next(answers))
    assert value is None
    assert next(answers, None) is None


@pytest.mark.parametrize("embed_size", [None, 2])
def test_an_id_outside_the_vocabulary_makes_it_nan(trained, embed_size):
    config, params, tokens = trained
    if embed_size is not None:
        config = dataclasses.replace(config, embed_size=embed_size)
        params = random_params(config)
    for place, outside in itertools.product((0, 3, -1), (-1, -V, V, 99, 2**32, -(2**32))):
        changed = np.array(tokens)
        changed[place] = outside
        assert np.isnan(charlm.evaluate(config, params, changed))


def test_what_are_no_tokens_or_sizes_is_said(trained):
    config, params, tokens = trained
    with pytest.raises(TypeError, match=r"evaluate: tokens: expected integer .* got float64\[61\]"):
        charlm.evaluate(config, params, tokens + 0.5)
    with pytest.raises(TypeError, match=r"evaluate: tokens: .* got a text"):
        charlm.evaluate(config, params, "a text")
    with pytest.raises(ValueError, match=r"evaluate: tokens: .* one axis, got int64\[1, 61\]"):
        charlm.evaluate(config, params, tokens[None])
    for wrong in ({"batch_size": 0}, {"length": 0}, {"batch_size": 2.0}, {"length": "9"}):
        with pytest.raises(ValueError, match=r"evaluate: \w+: expected an integer of at least 1"):
            charlm.evaluate(config, params, tokens, **wrong)


def test_tiny_texts(trained):
    config, params, _ = trained
    value = charlm.evaluate(config, params, [1, 2], batch_size=16)
    np.testing.assert_allclose(value, by_hand(config, params, np.array([1, 2]))[0], rtol=1e-12)
    with pytest.raises(ValueError, match="at least 2"):
        charlm.evaluate(config, params, [1])


@pytest.mark.parametrize("length", [7, 60, 100])
def test_surprisals_of_each_character(trained, length):
    config, params, tokens = trained
    values = charlm.surprisals(config, params, tokens, length=length)
    np.testing.assert_allclose(values, by_hand(config, params, tokens), rtol=1e-12)


def test_surprisals_of_several_streams_keep_the_order(trained):
    config, params, tokens = trained
    values = charlm.surprisals(config, params, tokens, batch_size=7, length=4)
    parts = [by_hand(config, params, tokens[start : start + 10]) for start in range(0, 60, 9)]
    np.testing.assert_allclose(values, np.concatenate(parts), rtol=1e-12)
    mean = charlm.evaluate(config, params, tokens, batch_size=7, length=4)
    np.testing.assert_allclose(values.mean(), mean, rtol=1e-12)


def test_surprisals_say_what_they_do_not_take(trained):
    config, params, tokens = trained
    with pytest.raises(ValueError, match=r"surprisals: tokens: expected ids from 0 to 5, got .* 6"):
        charlm.surprisals(config, params, np.append(tokens, V))
    with pytest.raises(ValueError, match="surprisals: tokens: expected at least 2 tokens, got 1"):
        charlm.surprisals(config, params, [1])
    with pytest.raises(ValueError, match="surprisals: length: expected an integer of at least 1"):
        charlm.surprisals(config, params, tokens, length=0)
