"""Feeding back, teacher forcing and last outputs against plain loops over single sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from oracles import random_problem, worst_relative

import jaxrnn as rnn

SYMBOLS, STOP, LENGTH = 6, 5, 9
STACK = rnn.Stack([rnn.LSTM, rnn.GRU])


def decoder(network, batch=(4, 2), seed=0):
    """(params, carry, readout [H, V], first ids [*B]), all drawn at random."""
    params, carry, _ = random_problem(network, batch=batch, inputs=SYMBOLS, hidden=5, seed=seed)
    random = np.random.default_rng(seed + 1)
    readout = jax.device_put(random.normal(size=(5, SYMBOLS)))
    return (
        params,
        carry,
        readout,
        jax.device_put(np.asarray(random.integers(0, STOP, batch), np.int32)),
    )


def loop_over_one(network, params, carry, readout, first, stop):
    """One sequence fed back in a Python loop: (carry, symbols until the stop or LENGTH)."""
    symbol, symbols = int(first), []
    while len(symbols) < LENGTH:
        carry, h = rnn.step(network, params, carry, jnp.asarray(symbol, jnp.int32))
        symbol = int(np.argmax(np.asarray(h) @ np.asarray(readout)))
        if symbol == stop:
            return carry, symbols
        symbols.append(symbol)
    return carry, symbols


def central_differences(loss, problem, step=1e-5):
    """(L(x + h) − L(x − h)) / 2h for every entry of every array."""
    flat, restore = ravel_pytree(problem)
    at = jax.jit(jax.vmap(lambda flat: loss(*restore(flat))))
    flat, moves = np.asarray(flat), step * np.eye(flat.size)
    slopes = np.asarray(at(flat + moves)) - np.asarray(at(flat - moves))
    return restore(jax.device_put(slopes / (2 * step)))


@functools.partial(jax.jit, static_argnames="stop")
def greedy(cell, params, carry, readout, first, stop=STOP):
    return rnn.generate(
        cell,
        params,
        carry,
        first,
        lambda h: jnp.argmax(h @ readout, axis=-1),
        max_length=LENGTH,
        stop=stop,
    )


def assert_close(tree, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), tree, expected)


@pytest.mark.parametrize(
    ("network", "seed"), [(rnn.ELMAN, 23), (STACK, 11)], ids=["elman", "stack"]
)
def test_each_sequence_is_fed_back_until_its_own_stop(network, seed):
    params, carry, readout, first = decoder(network, seed=seed)
    last, symbols, lengths = greedy(network, params, carry, readout, first)
    assert symbols.shape == (LENGTH, 4, 2)
    assert (symbols.dtype, lengths.dtype) == (jnp.int32, jnp.int32)
    seen = set()
    for b in np.ndindex(4, 2):
        of_b = lambda tree: jax.tree.map(lambda leaf: leaf[b], tree)  # noqa: B023, E731
        alone, expected = loop_over_one(network, params, of_b(carry), readout, first[b], STOP)
        seen.add(len(expected))
        assert lengths[b] == len(expected)
        padding = [STOP] * (LENGTH - len(expected))
        assert symbols[(slice(None), *b)].tolist() == expected + padding
        assert_close(of_b(last), alone)
    # Some stop at once, some in the middle, and one never.
    assert len(seen) >= 3
    assert {min(seen), max(seen)} == {0, LENGTH}


def test_without_a_stop_every_sequence_is_as_long_as_it_may_be():
    params, carry, readout, first = decoder(rnn.ELMAN, batch=(), seed=24)
    last, symbols, lengths = greedy(rnn.ELMAN, params, carry, readout, first, stop=None)
    alone, expected = loop_over_one(rnn.ELMAN, params, carry, readout, first, None)
    assert symbols.tolist() == expected
    assert STOP in expected  # an ordinary symbol here
    assert lengths == LENGTH
    assert_close(last, alone)


def test_nothing_is_computed_once_all_have_stopped():
    params, carry, _, first = decoder(rnn.ELMAN)
    steps = []

    @jax.jit
    def run(params):
        def emit(h):
            jax.debug.callback(lambda: steps.append(1))
            return jnp.where(h[..., 0] > 9, 1, STOP)

        return rnn.generate(rnn.ELMAN, params, carry, first, emit, max_length=99, stop=STOP)

    _, symbols, lengths = run(params)
    jax.effects_barrier()
    assert len(steps) == 1
    assert (symbols == STOP).all()
    assert (lengths == 0).all()


def test_a_key_of_its_own_for_every_step():
    params, carry, _, first = decoder(rnn.ELMAN)
    key = jax.random.key(3)

    def draw(h, key):
        return jax.random.randint(key, h.shape[:-1], 0, SYMBOLS, jnp.int32)

    run = jax.jit(
        lambda length: rnn.generate(
            rnn.ELMAN, params, carry, first, draw, max_length=length, key=key
        ),
        static_argnums=0,
    )
    _, symbols, _ = run(6)
    np.testing.assert_array_equal(run(4)[1], symbols[:4])
    for t in range(6):
        np.testing.assert_array_equal(symbols[t], draw(carry.h, jax.random.fold_in(key, t)))


def test_symbols_pass_through_an_embedding():
    params, carry, _, first = decoder(rnn.ELMAN)
    random = np.random.default_rng(5)
    table = jax.device_put(random.normal(size=(3, SYMBOLS)))  # three symbols, as dense inputs
    readout = jax.device_put(random.normal(size=(5, 3)))
    _, symbols, _ = rnn.generate(
        rnn.ELMAN,
        params,
        carry,
        first % 3,
        lambda h: jnp.argmax(h @ readout, axis=-1),
        max_length=LENGTH,
        embed=lambda ids: table[ids],
    )
    table, symbol = np.asarray(table), np.asarray(first) % 3
    for t in range(LENGTH):
        carry, h = rnn.step(rnn.ELMAN, params, carry, table[symbol])
        symbol = np.argmax(np.asarray(h) @ np.asarray(readout), axis=-1)
        np.testing.assert_array_equal(np.asarray(symbols)[t], symbol)


def free_running(run, params, carry, readout, first):
    """A loss of dense outputs that are fed back, and of the carry that is left."""
    carry, outputs = run(params, carry, readout, first)
    weights = jnp.cos(jnp.arange(outputs.size, dtype=outputs.dtype)).reshape(outputs.shape)
    return jnp.sum(weights * outputs**2) + sum(jnp.sum(jnp.sin(c)) for c in carry)


def test_the_gradient_passes_through_dense_outputs_fed_back():
    params, carry, readout, _ = decoder(rnn.LSTM, batch=(2,))
    first = jax.device_put(np.random.default_rng(3).normal(size=(2, SYMBOLS)))

    def fed_back(params, carry, readout, first):
        emit = lambda h: h @ readout  # noqa: E731
        return rnn.generate(rnn.LSTM, params, carry, first, emit, max_length=4)[:2]

    def loop(params, carry, readout, first):
        outputs, x = [], first
        for _ in range(4):
            carry, h = rnn.step(rnn.LSTM, params, carry, x)
            x = h @ readout
            outputs.append(x)
        return carry, jnp.stack(outputs)

    problem = (params, carry, readout, first)
    loss = jax.jit(functools.partial(free_running, fed_back))
    gradient = jax.jit(jax.grad(loss, (0, 1, 2, 3)))(*problem)
    expected = jax.jit(jax.grad(functools.partial(free_running, loop), (0, 1, 2, 3)))(*problem)
    assert worst_relative(gradient, expected) < 1e-12
    differences = central_differences(loss, problem)
    assert worst_relative(gradient, differences) < 1e-6


def test_the_gradient_of_the_carry_at_the_stop_even_where_the_network_cannot_read_the_stop():
    # The stop is no row of w_xh here, and an unknown id is NaN.
    params, carry, readout, first = decoder(rnn.ELMAN)
    params = params._replace(w_xh=params.w_xh[:STOP])

    def loss(params):
        last, symbols, lengths = greedy(rnn.ELMAN, params, carry, readout, first)
        return jnp.sum(last.h**2), (symbols, lengths)

    gradient, (symbols, lengths) = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert lengths.min() < LENGTH - 1
    read = rnn.teacher_forcing(symbols, lengths, start=first, stop=STOP)

    def loss_of_reading(params):
        _, hs = rnn.unroll_autodiff(rnn.ELMAN, params, carry, read.inputs)
        return jnp.sum(rnn.last_outputs(hs, jnp.minimum(read.lengths, LENGTH)) ** 2)

    assert worst_relative(gradient, jax.jit(jax.grad(loss_of_reading))(params)) < 1e-12


def test_teacher_forcing_shifts_and_ends_every_sequence():
    symbols = jnp.array([[3, 4, 9, 1], [2, 9, 9, 2], [1, 9, 9, 3]], jnp.int32)
    lengths = jnp.array([3, 1, 0, 7])
    start = jnp.array([6, 7, 8, 6])
    fed = rnn.teacher_forcing(symbols, lengths, start=start, stop=5)
    assert fed.inputs.T.tolist() == [[6, 3, 2, 1], [7, 4, 7, 7], [8, 8, 8, 8], [6, 1, 2, 3]]
    assert fed.targets.T.tolist() == [[3, 2, 1, 5], [4, 5, 5, 5], [5, 5, 5, 5], [1, 2, 3, 5]]
    assert fed.lengths.tolist() == [4, 2, 1, 4]
    assert {fed.inputs.dtype, fed.targets.dtype, fed.lengths.dtype} == {jnp.dtype("int32")}
    one = rnn.teacher_forcing(symbols[:, 0], jnp.array(2), start=0, stop=5)
    assert one.inputs.tolist() == [0, 3, 2, 0]
    assert one.targets.tolist() == [3, 2, 5, 5]


def test_a_network_taught_what_it_says_says_it_again():
    params, carry, readout, first = decoder(rnn.ELMAN, seed=23)
    _, symbols, lengths = greedy(rnn.ELMAN, params, carry, readout, first)

    @jax.jit
    def taught(symbols, lengths):
        fed = rnn.teacher_forcing(symbols, lengths, start=first, stop=STOP)
        _, hs = rnn.unroll(rnn.ELMAN, params, carry, fed.inputs)
        mask = rnn.sequence_mask(jnp.minimum(fed.lengths, LENGTH), LENGTH + 1)
        return jnp.argmax(hs @ readout, axis=-1), fed.targets, mask

    answers, targets, mask = map(np.asarray, taught(symbols, lengths))
    assert mask.sum() == np.minimum(np.asarray(lengths) + 1, LENGTH).sum()
    np.testing.assert_array_equal(answers[mask], targets[mask])


def test_last_outputs_are_those_of_a_loop_and_so_is_their_gradient():
    random = np.random.default_rng(0)
    hs = random.normal(size=(5, 3, 2, 4))
    lengths = np.array([[1, 5], [0, 3], [2, 8]], np.int32)

    def loss(pick, hs):
        return jnp.sum(jnp.sin(pick(hs)) * jnp.arange(24.0).reshape(3, 2, 4))

    def loop(hs):
        picked = [
            hs[min(lengths[b], 5) - 1, *b] if lengths[b] else jnp.zeros(4) for b in np.ndindex(3, 2)
        ]
        return jnp.stack(picked).reshape(3, 2, 4)

    pick = functools.partial(rnn.last_outputs, lengths=jax.device_put(lengths))
    pick_it, by_loop = jax.jit(pick), np.asarray(jax.jit(loop)(hs))
    np.testing.assert_array_equal(pick_it(hs), by_loop)
    of_pick = jax.jit(functools.partial(loss, pick))
    gradient_of_pick = jax.jit(jax.grad(of_pick))
    gradient = gradient_of_pick(hs)
    expected = jax.jit(jax.grad(functools.partial(loss, loop)))(hs)
    np.testing.assert_allclose(gradient, expected, rtol=1e-14)
    (differences,) = central_differences(of_pick, (jax.device_put(hs),))
    np.testing.assert_allclose(gradient, differences, atol=1e-7)

    padded = np.where(np.arange(5)[:, None, None] < lengths, 1.0, np.nan)[..., None] * hs
    assert np.isnan(padded).any()
    np.testing.assert_array_equal(pick_it(padded), by_loop)
    np.testing.assert_array_equal(gradient_of_pick(padded), gradient)


def test_last_outputs_of_one_sequence_and_of_logits_without_further_axes():
    hs, last_outputs = jax.device_put(np.arange(12.0).reshape(4, 3)), jax.jit(rnn.last_outputs)
    assert last_outputs(hs, jnp.array(2)).tolist() == [3, 4, 5]
    assert last_outputs(hs, jax.device_put(np.array([4, 1, 2], np.uint8))).tolist() == [9, 1, 5]


def test_sequence_mask_counts_steps():
    mask = np.asarray(rnn.sequence_mask(jnp.array([[0, 2], [4, 9]]), 4))
    assert mask.shape == (4, 2, 2)
    assert mask.sum(axis=0).tolist() == [[0, 2], [4, 4]]
    assert mask[:, 0, 1].tolist() == [True, True, False, False]
    assert rnn.sequence_mask(jnp.array(1), 2).tolist() == [True, False]


PARAMS, CARRY, READOUT, FIRST = decoder(rnn.ELMAN, batch=(2,))
IDS = jnp.zeros((3, 2), int)


def generated(first=FIRST, emit=lambda h: jnp.argmax(h @ READOUT, axis=-1), **options):
    options = {"max_length": 3, **options}
    return rnn.generate(rnn.ELMAN, PARAMS, CARRY, first, emit, **options)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: generated(max_length=0), ValueError, "generate: max_length: .*at least 1, got 0"),
        (lambda: generated(max_length=2.0), ValueError, "max_length: expected an integer"),
        (lambda: generated(max_length=True), ValueError, "max_length: expected an integer"),
        (lambda: generated(stop=-1), ValueError, "stop: expected a token id, .*0, got -1"),
        (lambda: generated(stop=1.0), TypeError, "stop: expected a token id"),
        (lambda: generated(stop="."), TypeError, "stop: expected a token id"),
        (lambda: generated([1, 2]), TypeError, "first: expected an array.* got list"),
        (lambda: generated(key=0), TypeError, "generate: key: expected a jax.random.key"),
        (
            lambda: generated(jnp.ones((2, SYMBOLS)), lambda h: h @ READOUT, stop=1),
            TypeError,
            "stop: expected None with dense outputs, got 1",
        ),
        (
            lambda: generated(emit=lambda h: h @ READOUT),
            ValueError,
            r"emit: expected int32\[2\], as the first input .*, got float64\[2, 6\]",
        ),
        (
            lambda: generated(emit=lambda h: h[..., 0]),
            TypeError,
            r"emit: expected int32\[2\].* got float64\[2\]. Hint: jnp.argmax",
        ),
        (lambda: generated(emit=lambda h: None), TypeError, "emit: .* got NoneType"),
        (
            lambda: rnn.teacher_forcing(IDS.astype(float), jnp.array([1, 2]), start=0, stop=1),
            TypeError,
            r"teacher_forcing: symbols: expected token ids \[T, \*B\], got float64\[3, 2\]",
        ),
        (
            lambda: rnn.teacher_forcing(IDS, jnp.array([1, 2, 3]), start=0, stop=1),
            ValueError,
            r"lengths: expected \[2\], one a sequence, got int64\[3\]",
        ),
        (
            lambda: rnn.teacher_forcing(IDS, jnp.array([1, 2]), start=jnp.array([1]), stop=1),
            ValueError,
            r"start: expected an id, or ids \[2\], one a sequence, got int64\[1\]",
        ),
        (
            lambda: rnn.teacher_forcing(IDS, jnp.array([1, 2]), start=-1, stop=1),
            ValueError,
            "start: expected a token id",
        ),
        (
            lambda: rnn.teacher_forcing(IDS, jnp.array([1, 2]), start=jnp.ones(2), stop=1),
            TypeError,
            "start: expected token ids",
        ),
        (
            lambda: rnn.teacher_forcing(IDS, jnp.array([1, 2]), start=0, stop=None),
            TypeError,
            "stop: expected a token id",
        ),
        (
            lambda: rnn.teacher_forcing(jnp.array(1), jnp.array(1), start=0, stop=0),
            ValueError,
            "symbols: expected token ids",
        ),
        (
            lambda: rnn.last_outputs(jnp.ones((3, 2, 4)), jnp.array([1.0, 2.0])),
            TypeError,
            r"last_outputs: lengths: expected integers \[\*B\], got float64\[2\]",
        ),
        (
            lambda: rnn.last_outputs(jnp.ones((2, 3, 4)), jnp.array([1, 2])),
            ValueError,
            r"hs: expected \[T, 2, ...\], .* got float64\[2, 3, 4\]. Hint: time comes first",
        ),
        (
            lambda: rnn.last_outputs(jnp.ones((0, 2)), jnp.array([1, 2])),
            ValueError,
            "hs: expected an array .* T at least 1",
        ),
        (
            lambda: rnn.sequence_mask([1, 2], 3),
            TypeError,
            "sequence_mask: lengths: expected integers",
        ),
        (lambda: rnn.sequence_mask(jnp.array([1]), -1), ValueError, "length: .* got -1"),
    ],
)
def test_bad_input_is_one_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
