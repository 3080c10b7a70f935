"""Networks as values against cells put together by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import random_like, random_options, random_problem, worst_relative

import jaxrnn as rnn
from jaxrnn.networks import Directions, drop

dropped = jax.jit(drop, static_argnums=2)
MIXED = rnn.Stack([rnn.Bidirectional(rnn.GRU, rnn.LSTM), rnn.Stack([rnn.ELMAN, rnn.MGU])])


def problem(net, hidden=4, length=6, inputs=3, batch=(2,)):
    shapes = jax.eval_shape(lambda k: rnn.init(net, k, inputs, hidden), jax.random.key(0))
    params = random_like(shapes, 0)
    carry = random_like(jax.eval_shape(lambda p: rnn.zero_carry(net, p, batch), params), 1)
    return params, carry, random_like(np.zeros((length, *batch, inputs)), 2)


def test_layers_of_different_cells_and_sizes_feed_each_other():
    net = rnn.Stack([rnn.LSTM_PROJECTED, rnn.GRU])
    params, carry, xs = problem(net, hidden=(6, 4))
    assert [p.w_xh.shape for p in params] == [(3, 24), (3, 12)]
    assert rnn.output_size(net, params) == 4
    last, hs = rnn.unroll(net, params, carry, xs)
    lower_last, lower = rnn.unroll_autodiff(rnn.LSTM_PROJECTED, params[0], carry[0], xs)
    upper_last, upper = rnn.unroll_autodiff(rnn.GRU, params[1], carry[1], lower)
    assert worst_relative((last, hs), ((lower_last, upper_last), upper)) < 1e-12


@pytest.mark.parametrize("reverse", [False, True])
def test_two_directions_are_two_unrollings(reverse):
    net = rnn.Bidirectional(rnn.GRU, rnn.LSTM)
    params, carry, xs = problem(net)
    given = random_options(rnn.GRU, ("lengths",), None, None, 6)
    last, hs = rnn.unroll(net, params, carry, xs, reverse=reverse, **given)
    ahead_last, ahead = rnn.unroll(
        rnn.GRU, params.forward, carry.forward, xs, reverse=reverse, **given
    )
    back_last, back = rnn.unroll(
        rnn.LSTM, params.backward, carry.backward, xs, reverse=not reverse, **given
    )
    np.testing.assert_allclose(hs, np.concatenate([ahead, back], -1), rtol=1e-12)
    assert worst_relative(last, Directions(ahead_last, back_last)) < 1e-12
    assert rnn.output_size(net, params) == hs.shape[-1] == 8


def test_networks_nest_and_every_verb_keeps_their_structure():
    params, carry, xs = problem(MIXED)
    last, hs = rnn.unroll(MIXED, params, carry, xs)
    assert jax.tree.structure(last) == jax.tree.structure(carry)
    assert jax.tree.structure(rnn.zero_carry(MIXED, params, (2,))) == jax.tree.structure(carry)
    between, lower = rnn.unroll_autodiff(MIXED.layers[0], params[0], carry[0], xs)
    above, expected = rnn.unroll_autodiff(MIXED.layers[1], params[1], carry[1], lower)
    assert worst_relative((last, hs), ((between, above), expected)) < 1e-12
    traces = rnn.trace(MIXED, params, carry, xs)
    np.testing.assert_allclose(traces[1][1].carries.h, hs, rtol=1e-12)
    assert traces[0].backward.gates.keys() == {"i", "f", "g", "o"}
    np.testing.assert_allclose(traces[0].backward.carries.c[0], last[0].backward.c, rtol=1e-12)


def test_steps_make_an_unrolling():
    net = rnn.Stack([rnn.GRU, rnn.LSTM, rnn.ELMAN], residual=True)
    params, carry, xs = problem(net)
    last, hs = rnn.unroll(net, params, carry, xs)
    for x, expected in zip(np.asarray(xs), np.asarray(hs), strict=True):
        carry, h = rnn.step(net, params, carry, x)
        np.testing.assert_allclose(h, expected, rtol=1e-12)
    assert worst_relative(carry, last) < 1e-12


def test_residual_layers_add_their_inputs():
    net = rnn.Stack([rnn.GRU, rnn.ELMAN], residual=True)
    params, carry, xs = problem(net)
    _, hs = rnn.unroll(net, params, carry, xs)
    _, lower = rnn.unroll(rnn.GRU, params[0], carry[0], xs)
    _, upper = rnn.unroll(rnn.ELMAN, params[1], carry[1], lower)
    np.testing.assert_allclose(hs, np.asarray(lower) + np.asarray(upper), rtol=1e-12)
    _, plain = rnn.unroll(rnn.Stack([rnn.GRU, rnn.ELMAN]), params, carry, xs)
    np.testing.assert_allclose(plain, upper, rtol=1e-12)


def test_dropout_acts_between_layers_with_a_mask_for_each():
    net = rnn.Stack([rnn.ELMAN] * 3, dropout=0.5)
    params, carry, xs = problem(net, hidden=64)
    key = jax.random.key(2)
    clean_last, clean = rnn.unroll(net, params, carry, xs)
    last, hs = rnn.unroll(net, params, carry, xs, dropout_key=key)
    # The first layer reads no dropped input and its own state is whole; nothing leaves the top.
    np.testing.assert_allclose(last[0].h, clean_last[0].h, rtol=1e-12)
    assert not np.allclose(last[1].h, clean_last[1].h)
    assert (np.asarray(hs) != 0).all()
    # By hand: which entries of a layer's output the next one reads.
    reads = xs
    for index in range(3):
        _, out = rnn.unroll(rnn.ELMAN, params[index], carry[index], reads)
        reads = dropped(jax.random.fold_in(key, index), out, 0.5)
    np.testing.assert_allclose(hs, out, rtol=1e-12)
    ones = np.ones(clean.shape)
    masks = [np.asarray(dropped(jax.random.fold_in(key, index), ones, 0.5)) for index in (0, 1)]
    assert 0.2 < (masks[0] != masks[1]).mean() < 0.8


def test_dropout_inside_of_parts_differs_too():
    """Two directions of a stack, and a stack in a stack: no two drops are alike."""
    inner = rnn.Stack([rnn.ELMAN] * 2, dropout=0.5)
    both = rnn.Bidirectional(inner)
    params, carry, xs = problem(both, hidden=32)
    same = Directions(params.forward, params.forward)
    carry = Directions(carry.forward, carry.forward)
    one_step = np.asarray(xs)[:1]  # read from either end it is the same sequence
    _, hs = rnn.unroll(both, same, carry, one_step, dropout_key=jax.random.key(0))
    ahead, back = np.split(np.asarray(hs), 2, axis=-1)
    assert not np.allclose(ahead, back)
    _, hs = rnn.unroll(both, same, carry, one_step)
    ahead, back = np.split(np.asarray(hs), 2, axis=-1)
    np.testing.assert_array_equal(ahead, back)


def test_with_a_key_of_its_own_a_sequence_is_dropped_alike_in_every_batch():
    net = rnn.Stack(
        [rnn.Bidirectional(rnn.Stack([rnn.ELMAN, rnn.ELMAN], dropout=0.4)), rnn.GRU], dropout=0.3
    )
    params, carry, xs = problem(net, hidden=6, batch=(2, 3))
    keys = jax.random.split(jax.random.key(4), (2, 3))

    @jax.jit
    def run(carry, xs, keys):
        def total(carry):
            last, hs = rnn.unroll(net, params, carry, xs, dropout_key=keys)
            return jnp.sum(hs**2), (last, hs)

        return jax.value_and_grad(total, has_aux=True)(carry)

    (_, whole), slopes = run(carry, xs, keys)
    by_autodiff = rnn.unroll_autodiff(net, params, carry, xs, dropout_key=keys)
    assert worst_relative(by_autodiff, whole) < 1e-12
    for place in ((0, 0), (1, 2)):
        of = lambda tree, place=place: jax.tree.map(lambda leaf: np.asarray(leaf)[place], tree)  # noqa: E731
        (_, alone), slope = run(of(carry), np.asarray(xs)[:, *place], keys[place])
        assert worst_relative((alone[0], slope), of((whole[0], slopes))) < 1e-12
        np.testing.assert_allclose(alone[1], np.asarray(whole[1])[:, *place], rtol=1e-12)
    one_for_all = jnp.broadcast_to(keys[0, 0], (2, 3))
    (_, other), _ = run(carry, xs, one_for_all)
    assert worst_relative(other, whole) > 1e-3


def test_masks_by_sequence_are_the_same_to_the_bit_and_differ_between_sequences():
    keys = jax.random.split(jax.random.key(0), 5)
    xs = np.ones((7, 5, 40))
    whole = np.asarray(dropped(keys, xs, 0.3))
    for place in range(5):
        alone = dropped(keys[place], xs[:, place], 0.3)
        np.testing.assert_array_equal(alone, whole[:, place])
        in_a_batch_of_one = np.asarray(dropped(keys[place].reshape(1), xs[:, :1], 0.3))
        np.testing.assert_array_equal(in_a_batch_of_one[:, 0], whole[:, place])
    patterns = {whole[t, place].tobytes() for t in range(7) for place in range(5)}
    assert len(patterns) == 35
    assert abs((whole == 0).mean() - 0.3) < 0.05


def test_keys_that_are_not_one_for_each_sequence_are_refused():
    net = rnn.Stack([rnn.ELMAN] * 2, dropout=0.5)
    params, carry, xs = problem(net)
    keys = jax.random.split(jax.random.key(0), 3)
    with pytest.raises(
        ValueError,
        match=r"unroll: dropout_key: expected one jax.random.key, or one for each sequence, here "
        r"\[2\], got key<fry>\[3\]",
    ):
        rnn.unroll(net, params, carry, xs, dropout_key=keys)


def test_dropout_scales_what_it_keeps():
    kept = np.asarray(dropped(jax.random.key(0), np.full((200, 50), 3.0), 0.25))
    assert set(np.unique(kept)) == {0.0, 4.0}
    assert abs((kept == 0).mean() - 0.25) < 0.02
    many = np.asarray(dropped(jax.random.key(1), np.ones((1000, 1001)), 0.1)) == 0
    assert abs(many.mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / many.size)
    # Of the two entries that share 32 bits as of neighbours.
    for other in (np.roll(many, 501, axis=1), np.roll(many, 1, axis=1), np.roll(many, 1, axis=0)):
        assert abs((many & other).mean() - 0.01) < 4 * np.sqrt(0.01 / many.size)
    assert dropped(jax.random.key(0), np.ones(()), 0.5).shape == ()


def test_parts_start_from_different_weights():
    params = rnn.init(rnn.Stack([rnn.Bidirectional(rnn.LSTM)] * 2), jax.random.key(0), 8, 4)
    found = [params[0].forward, params[0].backward, params[1].forward, params[1].backward]
    for field in ("w_hh", "w_xh"):
        arrays = [np.asarray(getattr(part, field)) for part in found]
        assert all(not np.allclose(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_every_cell_has_draws_of_its_own():
    net = rnn.Stack([rnn.GRU, rnn.GRU])
    params, carry, xs = problem(net, hidden=3)
    masks = rnn.draw_masks(
        net, params, jax.random.key(0), 6, (2,), recurrent_dropout=0.5, zoneout=0.5
    )
    assert not np.array_equal(masks[0].keep.h, masks[1].keep.h)
    _, hs = rnn.unroll(net, params, carry, xs, masks=masks)
    _, lower = rnn.unroll(rnn.GRU, params[0], carry[0], xs, masks=masks[0])
    _, upper = rnn.unroll(rnn.GRU, params[1], carry[1], lower, masks=masks[1])
    np.testing.assert_allclose(hs, upper, rtol=1e-12)


def test_weight_drop_drops_what_multiplies_h():
    net = rnn.Stack([rnn.LSTM_PROJECTED, rnn.INDRNN])
    params, _, _ = problem(net, hidden=40)
    drop_weights = jax.jit(lambda params, key: rnn.weight_drop(net, params, key, 0.25))
    after_it = drop_weights(params, jax.random.key(0))
    for before, after, fields in zip(params, after_it, (["w_hh"], ["u"]), strict=True):
        for name in before._fields:
            old, new = np.asarray(getattr(before, name)), np.asarray(getattr(after, name))
            if name not in fields:
                np.testing.assert_array_equal(new, old)
                continue
            kept = new != 0
            assert 0.05 < 1 - kept.mean() < 0.45
            np.testing.assert_allclose(new[kept], old[kept] / 0.75, rtol=1e-12)


def test_dropping_is_seen_by_the_gradient():
    params, carry, xs = random_problem("gru")

    def total(params):
        dropped = rnn.weight_drop(rnn.GRU, params, jax.random.key(0), 0.5)
        return jnp.sum(rnn.unroll(rnn.GRU, dropped, carry, xs)[1])

    gradient = np.asarray(jax.jit(jax.grad(total))(params).w_hh)
    gone = np.asarray(rnn.weight_drop(rnn.GRU, params, jax.random.key(0), 0.5).w_hh) == 0
    assert not gradient[gone].any()
    assert gradient[~gone].all()


def test_zoneout_by_cell():
    net = rnn.Stack([rnn.LSTM, rnn.GRU])
    params, _, _ = problem(net)
    shares = (rnn.LSTM.Carry(h=0.0, c=0.5), rnn.GRU.Carry(h=0.25))
    lower, upper = rnn.draw_masks(net, params, jax.random.key(0), 500, (4,), zoneout=shares)
    assert not np.any(lower.keep.h)
    assert abs(np.mean(lower.keep.c) - 0.5) < 0.02
    assert abs(np.mean(upper.keep.h) - 0.25) < 0.02
