import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.training_step.listings import CELL_LISTINGS

INPUTS, TARGETS = [1, 0, 3, 1, 2, 2], [0, 3, 1, 2, 2, 1]
V, H = 4, 3


def make(cell, seed=0, embed_size=None):
    keys = jax.random.split(jax.random.key(seed), 5)
    layer = rnn.init(cell, keys[0], input_size=embed_size or V, hidden_size=H, dtype=jnp.float64)
    leaves, tree = jax.tree.flatten((layer, rnn.zero_carry(cell, layer)))
    leaves = [
        0.7 * jax.random.normal(key, leaf.shape, jnp.float64)
        for key, leaf in zip(jax.random.split(keys[1], len(leaves)), leaves, strict=True)
    ]
    layer, carry = jax.tree.unflatten(tree, leaves)
    embedding = None if embed_size is None else jax.random.normal(keys[4], (V, embed_size))
    w_hy = jax.random.normal(keys[2], (H, V), jnp.float64)
    config = charlm.Config(V, cell.name, H, num_layers=1, embed_size=embed_size)
    return (
        config,
        charlm.Params((layer,), w_hy, jax.random.normal(keys[3], (V,), jnp.float64), embedding),
        carry,
    )


def loss_of(cell, model, carry, every_step):
    inputs = jnp.array(INPUTS)
    xs = inputs if model.embedding is None else model.embedding[inputs]
    _, hs = rnn.unroll(cell, model.layers[0], carry, xs)
    logits = jnp.einsum("th,hv->tv", hs, model.w_hy) + model.b_y[None]
    losses = -jax.nn.log_softmax(logits)[jnp.arange(len(INPUTS)), jnp.array(TARGETS)]
    return losses.sum() if every_step else losses[-1]


@pytest.mark.parametrize(("embed_size", "every_step"), [(None, True), (None, False), (5, True)])
@pytest.mark.parametrize("cell", rnn.CELLS.values(), ids=list(rnn.CELLS))
def test_lines_end_with_the_librarys_gradient(cell, every_step, embed_size):
    config, model, carry = make(cell, embed_size=embed_size)
    step = record(config, model, (carry,), INPUTS, TARGETS, every_step=every_step)
    loss, (d_model, d_carry) = jax.value_and_grad(loss_of, (1, 2))(cell, model, carry, every_step)
    np.testing.assert_allclose(step.loss, loss, rtol=1e-13)
    expected = {**d_model.layers[0]._asdict(), "w_hy": d_model.w_hy, "b_y": d_model.b_y}
    if embed_size is not None:
        expected["embedding"] = d_model.embedding
    for name, gradient in expected.items():
        np.testing.assert_allclose(step.final(f"d_{name}"), gradient, rtol=1e-10, atol=1e-14)
    for name, gradient in d_carry._asdict().items():
        np.testing.assert_allclose(step.final(f"d_{name}")[-1], gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("cell", rnn.CELLS.values(), ids=list(rnn.CELLS))
def test_lines_go_through_the_traces_values(cell):
    config, model, carry = make(cell, seed=1)
    step = record(config, model, (carry,), INPUTS, TARGETS)
    seen = rnn.trace(cell, model.layers[0], carry, jnp.array(INPUTS))
    inside = {**seen.gates, **seen.carries._asdict()}
    for name, values in inside.items():
        times = step.final(name)
        mine = np.stack([times[t] for t in range(len(INPUTS))])
        np.testing.assert_allclose(mine, values, rtol=1e-12, atol=1e-14)


def test_every_cell_has_a_listing():
    assert set(CELL_LISTINGS) == set(rnn.CELLS)


def test_updates_follow_their_equations():
    config, model, carry = make(rnn.ELMAN)
    before = np.asarray(model.layers[0].w_hh)
    sgd = record(config, model, (carry,), INPUTS, TARGETS, learning_rate=0.05, limit=0.1)
    gradient = np.clip(sgd.final("d_w_hh"), -0.1, 0.1)
    assert (np.abs(gradient) == 0.1).any()
    np.testing.assert_allclose(sgd.final("w_hh"), before - 0.05 * gradient, rtol=1e-14)
    adagrad = record(config, model, (carry,), INPUTS, TARGETS, update="adagrad", limit=0.1)
    expected = before - 0.1 * gradient / np.sqrt(gradient**2 + 1e-8)
    np.testing.assert_allclose(adagrad.final("w_hh"), expected, rtol=1e-14)


def test_loss_after_is_the_loss_of_the_updated_weights():
    config, model, carry = make(rnn.GRU)
    step = record(config, model, (carry,), INPUTS, TARGETS, learning_rate=0.01)
    layer = rnn.GRU.Params(**{name: jnp.array(step.final(name)) for name in rnn.GRU.Params._fields})
    updated = charlm.Params((layer,), jnp.array(step.final("w_hy")), jnp.array(step.final("b_y")))
    np.testing.assert_allclose(step.loss_after, loss_of(rnn.GRU, updated, carry, True), rtol=1e-12)
    assert step.loss_after < step.loss


def test_events_run_up_then_down_then_update():
    config, model, carry = make(rnn.LSTM)
    step = record(config, model, (carry,), INPUTS, TARGETS)
    phases = [step.lines[event.line].phase for event in step.events]
    assert phases == sorted(phases, key=["forward", "backward", "update"].index)
    states = [w.time for event in step.events for w in event.writes if w.name == "h"]
    assert states == [0, 1, 2, 3, 4, 5]
    gradients = [w.time for event in step.events for w in event.writes if w.name == "d_h"]
    assert list(dict.fromkeys(gradients)) == [5, 4, 3, 2, 1, 0, -1]
    # What a line wrote is kept as it was then, not as later lines left it.
    shares = [w.value for event in step.events for w in event.writes if w.name == "d_w_hh"]
    assert not shares[0].any()
    assert len({share.tobytes() for share in shares}) == 1 + len(INPUTS)


def test_bad_input_is_a_sentence():
    config, model, carry = make(rnn.ELMAN)
    with pytest.raises(ValueError, match=r"record: params: expected a model with one layer, got 2"):
        record(config, model._replace(layers=model.layers * 2), (carry,), INPUTS, TARGETS)
    with pytest.raises(ValueError, match=r"two equal lengths above 0, got 6 and 5"):
        record(config, model, (carry,), INPUTS, TARGETS[:-1])
    with pytest.raises(ValueError, match=r"record: update: expected 'sgd' or 'adagrad', got adam"):
        record(config, model, (carry,), INPUTS, TARGETS, update="adam")
