import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import cells

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.training_step.listings import UPDATES
from jaxrnn.optimizers import OPTIMIZERS, make_optimizer

INPUTS, TARGETS = [1, 0, 3, 1, 2, 2], [0, 3, 1, 2, 2, 1]
V, H = 4, 3


def make(cell, seed=0, embed_size=None):
    """Config, params and carry, float64; no entry is zero."""
    draw = np.random.default_rng(seed)
    sizes = {"I": embed_size or V, "H": H, "P": 2}
    layer = cell.Params(*(0.7 * draw.normal(size=shape) for shape in cell.params_of(sizes)))
    carry = cell.Carry(*(0.7 * draw.normal(size=size) for size in cell.carry_of(sizes)))
    embedding = None if embed_size is None else draw.normal(size=(V, embed_size))
    readout = draw.normal(size=(carry.h.size, V)), draw.normal(size=V)
    model = charlm.Params((layer,), *readout, embedding)
    config = charlm.Config(V, cell.name, H, num_layers=1, embed_size=embed_size)
    return config, *jax.tree.map(jnp.asarray, (model, carry))


def unroll_plainly(cell, params, carry, xs):
    """The states of a plain scan over the cell's forward step; `jax.grad` does the rest."""

    def product(name, q):
        w = getattr(params, name)
        return q @ w if w.ndim == 2 else q * w

    def step(carry, x):
        a = x @ params.w_xh + getattr(params, "b_h", 0.0)
        carry, _, _ = cell.forward(product, params, carry, a)
        return carry, carry.h

    return jax.lax.scan(step, carry, xs)


def loss_of(cell, model, carry, loss="summed_cross_entropy", unroll=unroll_plainly):
    table = jnp.eye(V) if model.embedding is None else model.embedding
    _, hs = unroll(cell, model.layers[0], carry, table[jnp.array(INPUTS)])
    logits = jnp.einsum("th,hv->tv", hs, model.w_hy) + model.b_y[None]
    return charlm.LOSSES[loss](logits, jnp.array(TARGETS))


differentiate = jax.jit(jax.value_and_grad(loss_of, (1, 2)), static_argnums=(0, 3, 4))


def by_name(model):
    """The parameters, or their gradients, by their names in the listings."""
    embedding = {} if model.embedding is None else {"embedding": model.embedding}
    return {**model.layers[0]._asdict(), "w_hy": model.w_hy, "b_y": model.b_y, **embedding}


def check(step, cell, model, carry, loss="summed_cross_entropy", unroll=unroll_plainly):
    """That a recording ends with the gradient of `unroll`, in all parameters and the carry."""
    value, (d_model, d_carry) = differentiate(cell, model, carry, loss, unroll)
    np.testing.assert_allclose(step.loss, value, rtol=1e-13)
    assert step.objective == loss
    for name, gradient in by_name(d_model).items():
        assert np.abs(gradient).max() > 1e-3
        np.testing.assert_allclose(step.final(f"d_{name}"), gradient, rtol=1e-9, atol=1e-13)
    for name, gradient in d_carry._asdict().items():
        np.testing.assert_allclose(step.final(f"d_{name}")[-1], gradient, rtol=1e-9, atol=1e-13)


EVERY_CELL = pytest.mark.parametrize(
    "cell",
    [
        pytest.param(rnn.CELLS[name.values[0]], marks=name.marks, id=name.values[0])
        for name in cells("elman", "lstm_projected", "gru_layernorm")
    ],
)


@EVERY_CELL
@pytest.mark.parametrize("unroll", [unroll_plainly, rnn.unroll], ids=["autodiff", "unroll"])
def test_lines_end_with_the_librarys_gradient(cell, unroll):
    config, model, carry = make(cell)
    step = record(config, model, (carry,), INPUTS, TARGETS, limit=None)
    check(step, cell, model, carry, unroll=unroll)


@pytest.mark.parametrize(
    ("cell", "embed_size", "objective"),
    [(rnn.LSTM, None, "last_cross_entropy"), (rnn.GRU, 5, "cross_entropy")],
)
def test_lines_of_every_objective_end_with_its_gradient(cell, embed_size, objective):
    config, model, carry = make(cell, embed_size=embed_size)
    step = record(config, model, (carry,), INPUTS, TARGETS, loss=objective, limit=None)
    check(step, cell, model, carry, objective)


# A custom cell, in another style than the library's: other names for the arguments,
# `_replace`, a helper with a loop, a constant, a comparison, names that all listings have.
LEAK = 0.25


def soften(x):
    for _ in range(2):
        x = jnp.tanh(x)
    return x


def soften_T(x, d):
    once = jnp.tanh(x)
    return d * (1 - jnp.tanh(once) ** 2) * (1 - once**2)


def forward(mul, w, state, inp):
    loss = inp + mul("w_hh", state.h) * LEAK
    y = soften(loss)
    bent = jnp.where(y > 0, y, 0.25 * (y + y))
    x = LEAK * bent
    x += (1 - LEAK) * state.h
    return state._replace(h=x), (loss, [y]), loss


def backward(mul_T, w, state, kept, after, grad):
    loss, (y,) = kept
    alive = y > 0
    slope = 0.5 + 0.25 * (alive.astype(y.dtype) + alive.astype(y.dtype))
    p = soften_T(loss, LEAK * grad.h * slope)
    back = mul_T("w_hh", LEAK * p)
    d_h = (1 - LEAK) * grad.h + back
    return state._replace(h=d_h), {"p": p}


def pairs(state, kept, rest):
    return rest["p"], {"w_hh": (state.h * LEAK, rest["p"])}


LEAKY = dataclasses.replace(
    rnn.ELMAN, name="leaky", forward=forward, backward=backward, pairs=pairs
)


def test_a_custom_cell_has_a_stepper(monkeypatch):
    monkeypatch.setitem(rnn.CELLS, "leaky", LEAKY)
    config, model, carry = make(LEAKY)
    step = record(config, model, (carry,), INPUTS, TARGETS, limit=None)
    assert step.cells == (LEAKY,)
    # Both sides of the comparison are taken.
    assert {bool(sign) for h in step.final("y_cell").values() for sign in h > 0} == {False, True}
    check(step, LEAKY, model, carry)


def wrong_backward(product_T, params, carry, saved, new, d):
    d_a = d.h * (1 - new.h)  # Not squared.
    return type(carry)(product_T("w_hh", d_a)), d_a


def test_the_lines_are_the_cells_own_code(monkeypatch):
    wrong = dataclasses.replace(rnn.ELMAN, name="wrong", backward=wrong_backward)
    monkeypatch.setitem(rnn.CELLS, "wrong", wrong)
    config, model, carry = make(wrong)
    step = record(config, model, (carry,), INPUTS, TARGETS, limit=None)
    right = record(charlm.Config(V, "elman", H, 1), model, (carry,), INPUTS, TARGETS, limit=None)
    np.testing.assert_array_equal(step.loss, right.loss)
    np.testing.assert_array_equal(step.final("d_w_hy"), right.final("d_w_hy"))
    # What the wrong formula gives, by a loop of its own.
    w_hh, w_hy = np.asarray(model.layers[0].w_hh), np.asarray(model.w_hy)
    h, d_y = right.final("h"), right.final("d_y")
    d_h, d_w_hh = np.zeros(H), np.zeros((H, H))
    for t in reversed(range(len(INPUTS))):
        d_a = (d_h + d_y[t] @ w_hy.T) * (1 - h[t])
        d_w_hh += np.outer(h[t - 1], d_a)
        d_h = d_a @ w_hh.T
    np.testing.assert_allclose(step.final("d_w_hh"), d_w_hh, rtol=1e-12)
    assert np.abs(d_w_hh - right.final("d_w_hh")).max() > 0.1


def test_a_stack_of_different_cells_ends_with_the_librarys_gradient():
    draw = np.random.default_rng(3)
    network = rnn.Stack([rnn.LSTM, rnn.GRU])
    config = charlm.Config(V, network, (H, 2), embed_size=3)
    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(lambda key: charlm.init(config, key, dtype=jnp.float64), key)
    model = jax.tree.map(lambda shape: jnp.asarray(draw.normal(size=shape.shape)), shapes)
    zero = jax.eval_shape(lambda params: charlm.zero_carry(config, params, ()), shapes)
    carry = jax.tree.map(lambda shape: jnp.asarray(draw.normal(size=shape.shape)), zero)
    step = record(config, model, carry, INPUTS, TARGETS, limit=None, learning_rate=1e-9)

    @jax.jit
    def loss_and_gradient(model, carry):
        def total(model, carry):
            _, logits = charlm.apply(config, model, carry, jnp.array(INPUTS))
            return charlm.summed_cross_entropy(logits, jnp.array(TARGETS))

        return jax.value_and_grad(total, (0, 1))(model, carry)

    value, (d_model, d_carry) = loss_and_gradient(model, carry)
    np.testing.assert_allclose(step.loss, value, rtol=1e-12)
    for number, (layer, d_before) in enumerate(zip(d_model.layers, d_carry, strict=True), 1):
        for name, gradient in layer._asdict().items():
            np.testing.assert_allclose(step.final(f"d_{name}_L{number}"), gradient, rtol=1e-9)
        for name, gradient in d_before._asdict().items():
            np.testing.assert_allclose(step.final(f"d_{name}_L{number}")[-1], gradient, rtol=1e-9)
    for name in ("w_hy", "b_y", "embedding"):
        gradient = getattr(d_model, name)
        np.testing.assert_allclose(step.final(f"d_{name}"), gradient, rtol=1e-9, atol=1e-13)
    assert "a_L2[t] = h_L1[t] @ w_xh_L2 + b_h_L2" in [line.code for line in step.lines]


@EVERY_CELL
def test_lines_go_through_the_traces_values(cell):
    config, model, carry = make(cell, seed=1)
    step = record(config, model, (carry,), INPUTS, TARGETS)
    seen = rnn.trace(cell, model.layers[0], carry, jnp.array(INPUTS))
    inside = {**seen.gates, **seen.carries._asdict()}
    for name, values in inside.items():
        times = step.final(name)
        mine = np.stack([times[t] for t in range(len(INPUTS))])
        np.testing.assert_allclose(mine, values, rtol=1e-12, atol=1e-14)


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
    _, (gradient, _) = differentiate(rnn.GRU, model, carry, "cross_entropy", unroll_plainly)
    if clips["limit"]:
        assert any((jnp.abs(leaf) > clips["limit"]).any() for leaf in jax.tree.leaves(gradient))
    optimizer = make_optimizer(
        update, 0.05, clip_value=clips["limit"], clip_norm=clips.get("norm_limit"), **options
    )
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
    with pytest.raises(ValueError, match=r"record: params: expected the 1 layers of config, got 2"):
        record(config, model._replace(layers=model.layers * 2), (carry,), INPUTS, TARGETS)
    adding = charlm.Config(V, rnn.Stack([rnn.ELMAN, rnn.ELMAN], residual=True), H)
    with pytest.raises(ValueError, match=r"do not add their inputs to their outputs, got resid"):
        record(adding, model, (carry,), INPUTS, TARGETS)
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
