import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.traces import encode_text, trace_model, trace_text
from jaxrnn.microscope.traces.gradient_traces import state_gradients
from jaxrnn.microscope.traces.interventions import input_vectors


@pytest.mark.parametrize(
    ("cell", "embed_size"),
    [
        ("lstm", None),
        ("gru_reset_before", None),
        ("gru", 3),
        *(
            pytest.param(cell, None, marks=pytest.mark.slow)
            for cell in ("elman", "elman_relu", "gru")
        ),
    ],
)
def test_traces_agree_with_unroll_to_rounding(random_model, cell, embed_size):
    """To the last bit but for XLA's fused multiply-adds, which differ from program to program."""
    config, params, carry, inputs, targets = random_model(cell, 3, embed_size, length=9)
    seen = trace_model(config, params, carry, inputs, targets)
    xs = inputs if embed_size is None else params.embedding[inputs]
    for layer, layer_params, layer_carry in zip(seen.layers, params.layers, carry, strict=True):
        last, hs = rnn.unroll(rnn.CELLS[cell], layer_params, layer_carry, xs)
        np.testing.assert_allclose(layer.carries.h, hs, rtol=0, atol=2e-15)
        for every, end in zip(layer.carries, last, strict=True):
            np.testing.assert_allclose(every[-1], end, rtol=0, atol=2e-15)
        xs = hs
    np.testing.assert_allclose(
        seen.logits, charlm.apply(config, params, carry, inputs)[1], rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(
        seen.losses.mean(), charlm.cross_entropy(seen.logits, targets), rtol=1e-14
    )
    np.testing.assert_array_equal(seen.inputs, inputs)
    np.testing.assert_array_equal(seen.targets, targets)


@pytest.mark.parametrize("embed_size", [None, 3])
def test_gradients_on_request(random_model, embed_size):
    config, params, carry, inputs, targets = random_model("gru", 2, embed_size, length=4)
    assert trace_model(config, params, carry, inputs, targets).gradients is None
    seen = trace_model(config, params, carry, inputs, targets, gradients=True)

    def loss(params):
        return charlm.cross_entropy(charlm.apply(config, params, carry, inputs)[1], targets)

    sums = jax.tree.map(lambda parts: parts.sum(axis=0), seen.gradients.weights)
    whole = jax.jit(jax.grad(loss))(params)
    for part, expected in zip(jax.tree.leaves(sums), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-12)
    alone = state_gradients(config, params, carry, inputs, targets)
    np.testing.assert_array_equal(seen.gradients.states[1].h, alone[1].h)

    # ∂(logit of the target at 3)/∂x_1 by central differences.
    xs = input_vectors(config, params, inputs)

    @jax.jit
    def logit(xs):
        for layer, start in zip(params.layers, carry, strict=True):
            xs = rnn.unroll_autodiff(config.cells[0], layer, start, xs)[1]
        return (xs[3] @ params.w_hy + params.b_y)[targets[3]]

    for unit in range(xs.shape[-1]):
        nudge = jnp.zeros_like(xs).at[1, unit].set(1e-5)
        slope = (logit(xs + nudge) - logit(xs - nudge)) / 2e-5
        np.testing.assert_allclose(seen.gradients.inputs[3, 1, unit], slope, rtol=1e-6, atol=1e-9)


def test_batches_are_streams_side_by_side(random_model):
    config, params, carry, inputs, targets = random_model("lstm")
    double = jnp.stack([inputs, targets], axis=1)
    both = trace_model(
        config, params, jax.tree.map(lambda x: jnp.stack([x, x]), carry), double, double
    )
    one = trace_model(config, params, carry, targets, targets)
    np.testing.assert_allclose(
        both.layers[1].gates["o"][:, 1], one.layers[1].gates["o"], rtol=1e-13
    )
    np.testing.assert_allclose(both.losses[:, 1], one.losses, rtol=1e-13)


def test_trace_text_reads_all_but_the_last_character(random_model):
    config, params, *_ = random_model("gru", 1)
    vocab = charlm.Vocab("abcde")
    seen = trace_text(config, params, vocab, "badge".replace("g", "c"))
    assert vocab.decode(seen.inputs) == "badc"
    assert vocab.decode(seen.targets) == "adce"
    zero = charlm.zero_carry(config, params, ())
    np.testing.assert_allclose(
        seen.logits, charlm.apply(config, params, zero, seen.inputs)[1], rtol=1e-13
    )


@pytest.mark.parametrize(
    ("text", "words"), [("", "at least two"), ("a", "at least two"), ("abz", "'z'")]
)
def test_texts_that_cannot_be_read(text, words):
    with pytest.raises(ValueError, match=words):
        encode_text(charlm.Vocab("abcde"), text)
