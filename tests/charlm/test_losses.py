import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm

T, B, V = 4, 3, 5


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    return generator.normal(size=(T, B, V)) * 2, generator.integers(0, V, size=(T, B))


def losses_by_hand(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return np.array([[-np.log(p[t, b, targets[t, b]]) for b in range(B)] for t in range(T)])


def test_losses_are_sums_and_means_of_minus_log_p(predictions):
    logits, targets = jax.device_put(predictions)
    expected = losses_by_hand(*predictions)
    for loss, value in (
        (charlm.nats, expected),
        (charlm.cross_entropy, expected.mean()),
        (charlm.summed_cross_entropy, expected.sum(0).mean()),
        (charlm.last_cross_entropy, expected[-1].mean()),
    ):
        np.testing.assert_allclose(jax.jit(loss)(logits, targets), value, rtol=1e-12)


def test_any_number_of_batch_axes(predictions):
    logits, targets = predictions
    expected = losses_by_hand(*predictions)
    summed = jax.jit(charlm.summed_cross_entropy)(logits[:, 0], targets[:, 0])
    np.testing.assert_allclose(summed, expected[:, 0].sum(), rtol=1e-12)
    mean = jax.jit(charlm.cross_entropy)(logits[:, None], targets[:, None])
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-12)


def test_names():
    assert set(charlm.LOSSES) == {"cross_entropy", "summed_cross_entropy", "last_cross_entropy"}
    assert charlm.LOSSES["last_cross_entropy"] is charlm.last_cross_entropy


def test_large_logits_do_not_overflow():
    logits = np.array([[1000.0, 0.0]])
    np.testing.assert_allclose(jax.jit(charlm.nats)(logits, np.array([1])), [1000.0])


OUTSIDE = [-1, -V, -V - 1, V, V + 1, 2**31 - 1, -(2**31), 2**32, -(2**32)]


def test_an_id_outside_the_vocabulary_is_nan_and_spoils_no_other(predictions):
    logits, targets = predictions
    changed = np.array(targets)
    places = np.unravel_index(np.arange(1, 1 + len(OUTSIDE)), changed.shape)
    changed[places] = OUTSIDE
    seen = np.asarray(charlm.nats(jnp.asarray(logits), jax.device_put(changed)))
    expected = losses_by_hand(logits, targets)
    expected[places] = np.nan
    np.testing.assert_allclose(seen, expected, rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize("outside", [-1, V])
@pytest.mark.parametrize("loss", charlm.LOSSES.values(), ids=charlm.LOSSES)
def test_a_loss_that_counts_an_id_outside_the_vocabulary_is_nan(loss, outside, predictions):
    logits, targets = jax.device_put(predictions)
    wrong = np.array(targets)
    wrong[-1, 1] = outside
    both = jax.jit(jax.value_and_grad(loss))
    right_value, expected = both(logits, targets)
    value, gradient = both(logits, jax.device_put(wrong))
    assert np.isfinite(right_value)
    assert np.isnan(value)
    assert np.isnan(charlm.bits(float(value)))
    # Where the target is wrong there is no gradient, elsewhere it is as if it were right.
    expected = np.array(expected)
    expected[-1, 1] = 0
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize("outside", [-1, V, 2**31 - 1])
def test_a_step_of_training_says_nan_of_an_id_outside_the_vocabulary(outside):
    config = charlm.Config(V, "elman", 3, 1)
    optimizer = rnn.karpathy_adagrad()
    shapes = jax.eval_shape(lambda: charlm.init(config, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: jax.device_put(np.full(leaf.shape, 0.1, leaf.dtype)), shapes)
    state = jax.eval_shape(lambda params: charlm.initial_state(params, optimizer), params)
    state = jax.tree.map(lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype)), state)
    step = charlm.make_train_step(config, optimizer)
    tokens = np.zeros((T, B), np.int32)
    wrong = tokens.copy()
    wrong[1, 2] = outside
    carry = charlm.zero_carry(config, params, B)
    for inputs, targets in ((tokens, wrong), (tokens - 1, tokens)):
        _, _, metrics = step(state, carry, inputs, targets)
        assert np.isnan(metrics["loss"])


@pytest.mark.parametrize("x64", [False, True], ids=["32-bit", "64-bit"])
def test_wide_ids_of_numpy_are_not_cut_to_32_bits(x64):
    wide = np.array([0, 2**32, 2**33 + 1, -(2**32)])
    with jax.enable_x64(x64):
        seen = charlm.nats(jnp.zeros((4, V), jnp.float32), wide)
    np.testing.assert_allclose(seen, [np.log(V), np.nan, np.nan, np.nan], rtol=1e-6)


def test_a_masked_id_outside_the_vocabulary_reaches_neither_loss_nor_gradient(predictions):
    logits, targets = jax.device_put(predictions)

    def first_two_steps(logits, targets):
        counted = jnp.arange(T)[:, None] < 2
        return jnp.sum(jnp.where(counted, charlm.nats(logits, targets), jnp.zeros((T, B))))

    masked = np.array(targets)
    masked[2:] = -1
    both = jax.jit(jax.value_and_grad(first_two_steps))
    expected, seen = both(logits, targets), both(logits, jax.device_put(masked))
    np.testing.assert_array_equal(seen[0], expected[0])
    np.testing.assert_array_equal(seen[1], expected[1])
    assert np.isfinite(seen[1]).all()


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint32])
def test_ids_in_any_type_of_integer(dtype):
    # 300 does not fit in one byte, nor does 2³² − 1 in the int32 that JAX indexes with
    logits = np.arange(300.0)
    largest = min(int(jnp.iinfo(dtype).max), 2**32 - 1)
    nats = jax.jit(charlm.nats)
    seen = nats(jnp.asarray([logits, logits]), jax.device_put(np.array([7, largest], dtype)))
    of_seven = np.log(np.exp(np.arange(300.0) - 7).sum())
    of_largest = of_seven - (largest - 7) if largest < 300 else np.nan
    np.testing.assert_allclose(seen, [of_seven, of_largest], rtol=1e-12)


@pytest.mark.parametrize("loss", charlm.LOSSES.values(), ids=charlm.LOSSES)
def test_what_does_not_fit_is_said(loss, predictions):
    logits, targets = jax.device_put(predictions)
    with pytest.raises(ValueError, match="targets"):
        loss(logits, targets[:, :2])
    with pytest.raises(TypeError, match="integer"):
        loss(logits, targets.astype(jnp.float64))
