"""The model against a NumPy loop over characters, and what its config refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import initializers
from oracles import random_params

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.networks import drop

V, H, E = 5, 4, 3
init = jax.jit(charlm.init, static_argnames=("dtype", "weights"))
apply = jax.jit(charlm.apply)
step = jax.jit(charlm.step)


def test_elman_model_is_its_equations():
    config = charlm.Config(vocab_size=V, cell="elman", hidden_size=H, num_layers=2)
    params = random_params(config)
    tokens = np.array([[1, 4], [0, 2], [3, 3], [4, 0]])
    carry, logits = apply(config, params, charlm.zero_carry(config, params, 2), jnp.asarray(tokens))
    (w_xh, w_hh, b_h), (w_xh2, w_hh2, b_h2) = [tuple(map(np.asarray, p)) for p in params.layers]
    h, h2 = np.zeros((2, H)), np.zeros((2, H))
    for t in range(4):
        h = np.tanh(np.eye(V)[tokens[t]] @ w_xh + h @ w_hh + b_h)
        h2 = np.tanh(h @ w_xh2 + h2 @ w_hh2 + b_h2)
        expected = h2 @ np.asarray(params.w_hy) + np.asarray(params.b_y)
        np.testing.assert_allclose(logits[t], expected, rtol=1e-12)
    np.testing.assert_allclose(carry[0].h, h, rtol=1e-12)
    np.testing.assert_allclose(carry[1].h, h2, rtol=1e-12)


@pytest.mark.parametrize("embed_size", [None, E])
def test_embedding_rows_are_the_inputs(embed_size):
    config = charlm.Config(
        vocab_size=V, cell="gru", hidden_size=H, num_layers=1, embed_size=embed_size
    )
    params = random_params(config)
    tokens = jnp.array([1, 4, 2])
    _, logits = apply(config, params, charlm.zero_carry(config, params, ()), tokens)
    rows = np.eye(V) if embed_size is None else np.asarray(params.embedding)
    xs = jnp.asarray(rows[np.asarray(tokens)])
    carry = rnn.zero_carry(rnn.GRU, params.layers[0])
    _, hs = rnn.unroll_autodiff(rnn.GRU, params.layers[0], carry, xs)
    expected = np.asarray(hs) @ np.asarray(params.w_hy) + np.asarray(params.b_y)
    np.testing.assert_allclose(logits, expected, rtol=1e-12)


def test_the_gradient_reaches_every_parameter_and_is_that_of_autodiff():
    config = charlm.Config(vocab_size=V, cell="lstm", hidden_size=H, num_layers=2, embed_size=E)
    params = random_params(config)
    tokens = jax.random.randint(jax.random.key(3), (7, 2), 0, V)
    carry = charlm.zero_carry(config, params, 2)

    def loss(params, unroll):
        _, logits = charlm.apply(config, params, carry, tokens[:-1], unroll=unroll)
        return charlm.cross_entropy(logits, tokens[1:])

    by_hand = jax.jit(jax.grad(lambda p: loss(p, rnn.unroll)))(params)
    by_autodiff = jax.jit(jax.grad(lambda p: loss(p, rnn.unroll_autodiff)))(params)
    for a, b in zip(jax.tree.leaves(by_hand), jax.tree.leaves(by_autodiff), strict=True):
        assert np.abs(b).max() > 1e-4
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


def test_steps_and_windows_agree():
    config = charlm.Config(vocab_size=V, cell="lstm", hidden_size=H, num_layers=2, embed_size=E)
    params = random_params(config)
    tokens = jnp.array([[1, 4], [0, 2], [3, 3]])
    carry = charlm.zero_carry(config, params, 2)
    whole, logits = apply(config, params, carry, tokens)
    for t in range(3):
        carry, now = step(config, params, carry, tokens[t])
        np.testing.assert_allclose(now, logits[t], rtol=1e-12)
    np.testing.assert_allclose(carry[1].c, whole[1].c, rtol=1e-12)


def test_bfloat16_is_near_float32_and_its_logits_are_float32():
    config = charlm.Config(vocab_size=V, cell="gru", hidden_size=8, num_layers=1, embed_size=E)
    params = random_params(config, dtype=jnp.float32)
    small = jax.tree.map(lambda w: w.astype(jnp.bfloat16), params)
    tokens = jnp.array([[1], [0], [3]])
    logits = [apply(config, p, charlm.zero_carry(config, p, 1), tokens)[1] for p in (params, small)]
    assert logits[1].dtype == jnp.float32
    np.testing.assert_allclose(logits[1], logits[0], atol=0.1)


def test_init_draws_in_the_dtype_and_by_the_initializer():
    config = charlm.Config(vocab_size=40, cell="lstm", hidden_size=30, num_layers=2, embed_size=50)
    params = init(config, jax.random.key(0), dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}
    assert jax.eval_shape(init, config, jax.random.key(0)).w_hy.dtype == jnp.float32
    params = init(config, jax.random.key(0), dtype=jnp.float64, weights=initializers.normal(0.01))
    matrices = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert len(matrices) == 6
    for matrix in matrices:
        assert abs(float(matrix.std()) - 0.01) < 1e-3
    assert not np.array_equal(params.layers[0].w_hh, params.layers[1].w_hh)
    forget = params.layers[0].b_h[30:60]
    np.testing.assert_array_equal(forget, 1.0)


def test_equal_configs_are_one_program():
    traces = []

    @jax.jit
    def run(config, x):
        traces.append(config)
        return x * config.hidden_size

    run(charlm.Config(vocab_size=3), 1)
    run(charlm.Config(vocab_size=3), 2)
    assert len(traces) == 1
    run(charlm.Config(vocab_size=4), 2)
    assert len(traces) == 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cell": "rnn"}, "lstm"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"num_layers": 0}, "num_layers"),
        ({"embed_size": 0}, "embed_size"),
        ({"hidden_size": 2.5}, "hidden_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_a_config_refuses_what_cannot_be(wrong, named):
    with pytest.raises(ValueError, match=named):
        charlm.Config(**{"vocab_size": 5, **wrong})


def test_tokens_must_be_integers():
    config = charlm.Config(vocab_size=V, cell="elman", hidden_size=H, num_layers=1)
    params = random_params(config)
    carry = charlm.zero_carry(config, params, 2)
    with pytest.raises(TypeError, match="tokens"):
        charlm.apply(config, params, carry, jnp.zeros((3, 2)))


def test_a_config_takes_cells_and_stacks_as_values():
    by_name = charlm.Config(V, "gru", hidden_size=H, num_layers=2, dropout=0.1)
    by_cell = charlm.Config(V, rnn.GRU, hidden_size=H, dropout=0.1)
    by_stack = charlm.Config(V, rnn.Stack([rnn.GRU, rnn.GRU], dropout=0.1), hidden_size=H)
    assert by_name.network == by_cell.network == by_stack.network
    assert by_stack.dropout == 0.1
    assert by_stack.num_layers == 2
    mixed = charlm.Config(V, rnn.Stack([rnn.LSTM_PROJECTED, rnn.GRU]), hidden_size=[6, 4])
    params = random_params(mixed)
    assert [layer.w_xh.shape for layer in params.layers] == [(5, 24), (3, 12)]
    assert params.w_hy.shape == (4, V)
    projected = charlm.Config(V, "lstm_projected", hidden_size=6, num_layers=1, proj_size=2)
    assert random_params(projected).w_hy.shape == (2, V)
    assert charlm.Config(V, hidden_size=(3, 4, 5)).num_layers == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cell": rnn.Bidirectional(rnn.GRU)}, "would see the characters that it predicts"),
        ({"cell": rnn.Stack([rnn.Bidirectional(rnn.GRU)])}, "would see the characters that it"),
        ({"cell": rnn.Stack([rnn.Stack([rnn.GRU])])}, "expected a cell or a Stack of cells"),
        ({"cell": rnn.Stack([rnn.GRU]), "num_layers": 2}, "num_layers: expected 1, as many"),
        ({"cell": rnn.Stack([rnn.GRU]), "dropout": 0.2}, "dropout: expected 0.0, as the Stack"),
        ({"hidden_size": (3, 4), "num_layers": 3}, "num_layers: expected 2, as many"),
        ({"cell": rnn.Stack([rnn.GRU]), "hidden_size": (3, 4)}, "hidden_size: expected one size"),
        ({"cell": "what"}, "got what. Hint: jaxrnn.register"),
        ({"proj_size": 0}, "proj_size"),
    ],
)
def test_a_config_refuses_networks_that_cannot_be(wrong, words):
    with pytest.raises(ValueError, match=words):
        charlm.Config(**{"vocab_size": 5, **wrong})


def test_dropout_is_a_mask_for_each_layer_and_one_for_the_top():
    config = charlm.Config(V, "elman", hidden_size=64, num_layers=2, dropout=0.5)
    params = random_params(config)
    carry = charlm.zero_carry(config, params, 1)
    tokens, key = jnp.array([[1], [2]]), jax.random.key(5)
    _, logits = apply(config, params, carry, tokens, dropout_key=key)
    masks = [drop(jax.random.fold_in(key, i), jnp.ones((2, 1, 64)), 0.5) for i in (0, 1)]
    assert 0.2 < np.mean(np.asarray(masks[0]) != np.asarray(masks[1])) < 0.8
    _, hs = rnn.unroll(rnn.ELMAN, params.layers[0], carry[0], tokens)
    _, hs = rnn.unroll(rnn.ELMAN, params.layers[1], carry[1], hs * masks[0])
    expected = np.asarray(hs * masks[1]) @ np.asarray(params.w_hy) + np.asarray(params.b_y)
    np.testing.assert_allclose(logits, expected, rtol=1e-12)


def test_a_stream_with_a_key_of_its_own_is_dropped_alike_in_every_batch():
    config = charlm.Config(V, "elman", hidden_size=8, num_layers=2, dropout=0.5)
    params = random_params(config)
    tokens = jax.random.randint(jax.random.key(0), (6, 3), 0, V)
    keys = jax.random.split(jax.random.key(1), 3)
    carry = charlm.zero_carry(config, params, 3)
    _, logits = apply(config, params, carry, tokens, dropout_key=keys)
    for place in range(3):
        carry = charlm.zero_carry(config, params, ())
        _, alone = apply(config, params, carry, tokens[:, place], dropout_key=keys[place])
        np.testing.assert_allclose(alone, logits[:, place], rtol=1e-12)
    _, other = apply(
        config, params, charlm.zero_carry(config, params, 3), tokens, dropout_key=keys[::-1]
    )
    assert not np.allclose(other, logits)


@pytest.mark.parametrize("embed_size", [None, E])
@pytest.mark.parametrize("outside", [V, -1])
def test_an_id_outside_the_vocabulary_gives_nan(embed_size, outside):
    config = charlm.Config(V, "gru", hidden_size=H, num_layers=1, embed_size=embed_size)
    params = random_params(config)
    tokens = jnp.array([[1, 2], [outside, 3]])
    _, logits = apply(config, params, charlm.zero_carry(config, params, 2), tokens)
    assert np.isnan(logits[1, 0]).all()
    assert np.isfinite(logits[0]).all()
    assert np.isfinite(logits[1, 1]).all()
    _, now = step(config, params, charlm.zero_carry(config, params, 2), tokens[1])
    assert np.isnan(now[0]).all()
