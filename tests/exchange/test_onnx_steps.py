"""A character model's step in onnxruntime: the same logits, the same text, for every cell."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

import jaxrnn as rnn
from jaxrnn import charlm, exchange

TEXT = "hello world, it is nice to be here\n"
VOCAB = charlm.Vocab.from_text(TEXT)


def drawn(cell, embed_size=None, **more):
    config = charlm.Config(len(VOCAB), cell, hidden_size=(12, 9), embed_size=embed_size, **more)
    return config, charlm.init(config, jax.random.key(0))


def opened(config, params, carry=None):
    model = exchange.charlm_to_onnx(config, params, VOCAB, carry=carry)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session, json.loads(session.get_modelmeta().custom_metadata_map["jaxrnn"])


def greedy(session, about, length, prime):
    """What a program without this library does."""
    characters = about["vocabulary"]["characters"]
    carry = {name: np.array([values], np.float32) for name, values in about["carry"].items()}
    ids, text = [characters.index(c) for c in prime], ""
    while len(text) < length:
        token = ids.pop(0) if ids else characters.index(text[-1])
        logits, *after = session.run(None, {"tokens": np.array([token]), **carry})
        carry = dict(zip(carry, after, strict=True))
        if not ids:
            text += characters[int(logits[0].argmax())]
    return text


@pytest.mark.parametrize("name", rnn.CELLS)
def test_logits_of_every_cell(name):
    config, params = drawn(name, embed_size=5 if len(name) % 2 else None)
    session, about = opened(config, params)
    count = session.get_inputs()[0].shape
    assert count == ["B"]
    theirs = {n: np.tile(np.array(x, np.float32), (3, 1)) for n, x in about["carry"].items()}
    ours = charlm.zero_carry(config, params, 3)
    tokens = np.array([1, 5, 9])
    for _ in range(6):
        logits, *after = session.run(None, {"tokens": tokens, **theirs})
        theirs = dict(zip(theirs, after, strict=True))
        ours, expected = charlm.step(config, params, ours, jnp.asarray(tokens, jnp.int32))
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
        tokens = logits.argmax(axis=-1)
    for one, other in zip(after, jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


GREEDY = [("lstm", None), ("gru_layernorm", 6), (rnn.Stack([rnn.ELMAN, rnn.MGU]), None)]


@pytest.mark.parametrize(("cell", "embed_size"), GREEDY, ids=lambda x: str(x))
def test_the_same_500_characters(cell, embed_size):
    config, params = drawn(cell, embed_size)
    params = jax.tree.map(lambda leaf: 2 * leaf, params)
    start = jax.tree.map(lambda leaf: leaf + 0.25, charlm.zero_carry(config, params, ()))
    session, about = opened(config, params, start)
    expected = charlm.sample(
        config,
        params,
        VOCAB,
        jax.random.key(0),
        length=500,
        prime="he",
        temperature=0,
        carry=start,
    )
    assert greedy(session, about, 500, "he") == expected
    assert len({*expected}) > 3


def test_float64():
    config = charlm.Config(len(VOCAB), "lstm", hidden_size=8, num_layers=1)
    params = charlm.init(config, jax.random.key(0), dtype=jnp.float64)
    session, about = opened(config, params)
    zero = {n: np.zeros((1, len(x))) for n, x in about["carry"].items()}
    logits, *_ = session.run(None, {"tokens": np.array([3]), **zero})
    assert logits.dtype == np.float64
    ours = charlm.zero_carry(config, params, 1)
    _, expected = charlm.step(config, params, ours, jnp.array([3], jnp.int32))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-14)


def test_ids_outside_give_nan():
    for embed_size in (None, 5):
        config, params = drawn("elman", embed_size)
        session, about = opened(config, params)
        zero = {n: np.zeros((4, len(x)), np.float32) for n, x in about["carry"].items()}
        tokens = np.array([-1, 0, len(VOCAB) - 1, len(VOCAB)])
        (logits,) = session.run(["logits"], {"tokens": tokens, **zero})
        assert np.isnan(logits).all(axis=-1).tolist() == [True, False, False, True]


def swish_forward(product, params, carry, a):
    """A custom cell, with what no cell of the library computes with."""
    pre = a + product("w_hh", carry.h)
    pre = jnp.concatenate([pre[..., ::2], pre[..., 3:5], pre[..., -2:]], axis=-1)
    pre = pre - pre[..., 1, None] * jax.nn.softmax(pre, axis=-1)
    h = jnp.where(pre > 0, jax.nn.silu(pre), jnp.clip(pre, -0.5, 0.5)) / (1 + jnp.abs(pre)) ** 2
    h = h + 1e-2 * jnp.log1p(jnp.exp(-jnp.abs(pre))) - 1e-2 * jnp.max(pre, axis=-1, keepdims=True)
    return rnn.ELMAN.Carry(h), (), pre


def test_a_cell_of_ones_own():
    cell = dataclasses.replace(
        rnn.ELMAN, name="swish", forward=swish_forward, backward=None, pairs=None, unitwise=False
    )
    config = charlm.Config(len(VOCAB), cell, hidden_size=8, num_layers=1)
    params = charlm.init(config, jax.random.key(0))
    session, about = opened(config, params)
    zero = {n: np.zeros((2, len(x)), np.float32) for n, x in about["carry"].items()}
    logits, h = session.run(None, {"tokens": np.array([3, 4]), **zero})
    ours = charlm.zero_carry(config, params, 2)
    ours, expected = charlm.step(config, params, ours, jnp.array([3, 4], jnp.int32))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(h, ours[0].h, rtol=0, atol=1e-6)


def sorting_forward(product, params, carry, a):
    pre = a + product("w_hh", carry.h)
    return rnn.ELMAN.Carry(jnp.sort(pre, axis=-1)), (), pre


def test_what_has_no_translation_is_named():
    sorting = dataclasses.replace(
        rnn.ELMAN, name="sorting", forward=sorting_forward, backward=None, pairs=None,
        unitwise=False,
    )  # fmt: skip
    config, params = drawn(sorting)
    with pytest.raises(ValueError, match=r"charlm_to_onnx: config: .* got sort\. Hint: "):
        exchange.charlm_to_onnx(config, params, VOCAB)


def test_what_is_no_model_to_export(monkeypatch):
    config, params = drawn("elman")
    with pytest.raises(ValueError, match=r"vocab: expected 16 tokens"):
        exchange.charlm_to_onnx(config, params, charlm.Vocab("ab"))
    with pytest.raises(TypeError, match=r"vocab: expected a tokenizer, such as"):
        exchange.charlm_to_onnx(config, params, TEXT)
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    with pytest.raises(ValueError, match="float32 or float64"):
        exchange.charlm_to_onnx(config, low, VOCAB)
    monkeypatch.setattr(exchange.onnx_package, "_LARGEST", 1000)
    with pytest.raises(ValueError, match=r"params: expected arrays of less than 1,000 bytes"):
        exchange.charlm_to_onnx(config, params, VOCAB)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"jaxrnn\[exchange\]"):
        exchange.charlm_to_onnx(config, params, VOCAB)


def test_the_metadata_says_what_it_is():
    config, params = drawn(rnn.Stack([rnn.LSTM_PROJECTED, rnn.GRU]), 4, proj_size=3)
    _, about = opened(config, params)
    assert about["vocabulary"] == {"kind": "characters", "characters": VOCAB.characters}
    assert about["model"]["layers"] == [
        {"cell": "lstm_projected", "I": 4, "H": 12, "P": 3},
        {"cell": "gru", "I": 3, "H": 9},
    ]
    widths = {name: len(values) for name, values in about["carry"].items()}
    assert widths == {"carry.0.h": 3, "carry.0.c": 12, "carry.1.h": 9}
