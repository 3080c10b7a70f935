import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.training_step.listings import CELL_LISTINGS, UPDATES
from jaxrnn.optimizers import OPTIMIZERS, make_optimizer

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


def loss_of(cell, model, carry, loss="summed_cross_entropy"):
    inputs = jnp.array(INPUTS)
    xs = inputs if model.embedding is None else model.embedding[inputs]
    _, hs = rnn.unroll(cell, model.layers[0], carry, xs)
    logits = jnp.einsum("th,hv->tv", hs, model.w_hy) + model.b_y[None]
    return charlm.LOSSES[loss](logits, jnp.array(TARGETS))


def by_name(model):
    """The parameters, or their gradients, by their names in the listings."""
    embedding = {} if model.embedding is None else {"embedding": model.embedding}
    return {**model.layers[0]._asdict(), "w_hy": model.w_hy, "b_y": model.b_y, **embedding}


@pytest.mark.parametrize(
    ("embed_size", "objective"),
    [
        (None, "summed_cross_entropy"),
        (None, "last_cross_entropy"),
        (5, "cross_entropy"),
    ],
)
@pytest.mark.parametrize("cell", rnn.CELLS.values(), ids=list(rnn.CELLS))
def test_lines_end_with_the_librarys_gradient(cell, objective, embed_size):
    config, model, carry = make(cell, embed_size=embed_size)
    step = record(config, model, (carry,), INPUTS, TARGETS, loss=objective, limit=None)
    loss, (d_model, d_carry) = jax.value_and_grad(loss_of, (1, 2))(cell, model, carry, objective)
    np.testing.assert_allclose(step.loss, loss, rtol=1e-13)
    assert step.objective == objective
    for name, gradient in by_name(d_model).items():
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


def test_every_optimizer_has_a_listing():
    assert set(UPDATES) == set(OPTIMIZERS)


@pytest.mark.parametrize(
    "clips",
    [
        {},
        {"limit": 0.1},
        {"norm_limit": 0.3},
        {"limit": 0.1, "norm_limit": 0.3},
        {"norm_limit": 1e6},
    ],
    ids=["unclipped", "entries", "norm", "both", "wide"],
)
@pytest.mark.parametrize("update", UPDATES)
def test_updates_are_those_of_the_library(update, clips):
    options = {}
    if update in ("rmsprop", "adam", "adamw"):
        options["decay_rate"] = 0.9 if "limit" in clips else None
    if update == "adamw":
        options["weight_decay"] = 0.2
    config, model, carry = make(rnn.GRU, embed_size=2)
    clips = {"limit": None} | clips
    step = record(
        config,
        model,
        (carry,),
        INPUTS,
        TARGETS,
        update=update,
        learning_rate=0.05,
        loss="cross_entropy",
        **clips,
        **options,
    )
    gradient = jax.grad(loss_of, 1)(rnn.GRU, model, carry, "cross_entropy")
    if clips["limit"]:
        assert any((jnp.abs(leaf) > clips["limit"]).any() for leaf in jax.tree.leaves(gradient))
    optimizer = make_optimizer(
        update, 0.05, clip_value=clips["limit"], clip_norm=clips.get("norm_limit"), **options
    )
    with jax.numpy_dtype_promotion("standard"):  # Optax raises 0.9 to the count of updates.
        changes, _ = optimizer.update(gradient, optimizer.init(model), model)
    expected = by_name(optax.apply_updates(model, changes))
    assert set(expected) == {"w_xh", "w_hh", "b_h", "b_hn", "w_hy", "b_y", "embedding"}
    for name, value in expected.items():
        np.testing.assert_allclose(step.final(name), value, rtol=1e-9, atol=1e-12)


def test_the_updates_numbers_are_told():
    config, model, carry = make(rnn.ELMAN)
    told = record(config, model, (carry,), INPUTS, TARGETS).update_in_words
    assert told == "sgd with η = 0.1, entries of the gradient clipped to ±5"
    options = {"learning_rate": 2e-3, "limit": 0, "norm_limit": 1.5, "weight_decay": 0.1}
    step = record(config, model, (carry,), INPUTS, TARGETS, update="adamw", **options)
    assert step.update_in_words == (
        "adamw with η = 0.002, ρ = 0.999, λ = 0.1, norm of the gradient clipped to 1.5; "
        "its memories start at 0, as at the first update of a training"
    )


def test_loss_after_is_the_loss_of_the_updated_weights():
    config, model, carry = make(rnn.GRU)
    step = record(config, model, (carry,), INPUTS, TARGETS, learning_rate=0.01)
    layer = rnn.GRU.Params(**{name: jnp.array(step.final(name)) for name in rnn.GRU.Params._fields})
    updated = charlm.Params((layer,), jnp.array(step.final("w_hy")), jnp.array(step.final("b_y")))
    np.testing.assert_allclose(step.loss_after, loss_of(rnn.GRU, updated, carry), rtol=1e-12)
    assert step.loss_after < step.loss


def test_events_run_up_then_down_then_update():
    config, model, carry = make(rnn.LSTM)
    step = record(config, model, (carry,), INPUTS, TARGETS, limit=None)
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
    with pytest.raises(ValueError, match=r"update: expected one of sgd, .*, adamw, got lion"):
        record(config, model, (carry,), INPUTS, TARGETS, update="lion")
    with pytest.raises(ValueError, match=r"loss: expected one of cross_entropy, .*, got nats"):
        record(config, model, (carry,), INPUTS, TARGETS, loss="nats")
    with pytest.raises(ValueError, match=r"norm_limit: expected a number above 0, or None, got -1"):
        record(config, model, (carry,), INPUTS, TARGETS, norm_limit=-1)
    with pytest.raises(ValueError, match=r"decay_rate: expected a number from 0 to below 1, got 3"):
        record(config, model, (carry,), INPUTS, TARGETS, update="adamw", decay_rate=3)
    with pytest.raises(ValueError, match=r"weight_decay: expected 0 with sgd, got 0.1"):
        record(config, model, (carry,), INPUTS, TARGETS, weight_decay=0.1)
