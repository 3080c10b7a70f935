import jax.numpy as jnp
import numpy as np
import pytest

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
    logits, targets = map(jnp.asarray, predictions)
    expected = losses_by_hand(*predictions)
    np.testing.assert_allclose(charlm.nats(logits, targets), expected, rtol=1e-12)
    np.testing.assert_allclose(charlm.cross_entropy(logits, targets), expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(
        charlm.summed_cross_entropy(logits, targets), expected.sum(0).mean(), rtol=1e-12
    )
    np.testing.assert_allclose(
        charlm.last_cross_entropy(logits, targets), expected[-1].mean(), rtol=1e-12
    )


def test_any_number_of_batch_axes(predictions):
    logits, targets = map(jnp.asarray, predictions)
    expected = losses_by_hand(*predictions)
    np.testing.assert_allclose(
        charlm.summed_cross_entropy(logits[:, 0], targets[:, 0]), expected[:, 0].sum(), rtol=1e-12
    )
    np.testing.assert_allclose(
        charlm.cross_entropy(logits[:, None], targets[:, None]), expected.mean(), rtol=1e-12
    )


def test_names():
    assert set(charlm.LOSSES) == {"cross_entropy", "summed_cross_entropy", "last_cross_entropy"}
    assert charlm.LOSSES["last_cross_entropy"] is charlm.last_cross_entropy


def test_large_logits_do_not_overflow():
    logits = jnp.array([[1000.0, 0.0]])
    np.testing.assert_allclose(charlm.nats(logits, jnp.array([1])), [1000.0])


@pytest.mark.parametrize("loss", charlm.LOSSES.values(), ids=charlm.LOSSES)
def test_what_does_not_fit_is_said(loss, predictions):
    logits, targets = map(jnp.asarray, predictions)
    with pytest.raises(ValueError, match="targets"):
        loss(logits, targets[:, :2])
    with pytest.raises(TypeError, match="integer"):
        loss(logits, targets.astype(jnp.float64))
