"""Oracles and random values for the tests.

`one_by_one` is the oracle of values: sequence by sequence, step by step, in a Python loop over the
cell's `forward`, from the definitions of lengths, resets, direction and masks. It needs no list of
cells; that `forward` itself is the paper's is in `recurrence/test_equations.py`.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm

OPTIONS = ("lengths", "resets", "reverse", "masks")


def cells(*ordinary):
    """All cells for `parametrize`; those that are not named are left to the slow run."""
    return [
        pytest.param(name, marks=() if name in ordinary else pytest.mark.slow) for name in rnn.CELLS
    ]


def normal(random, shape, dtype=jnp.float64, scale=1.0):
    # Unlike `jnp.asarray`, which compiles a program for each shape.
    return jax.device_put((scale * random.normal(size=shape)).astype(dtype))


def renamed(cell):
    """The cell under a name of its own, so that whatever was traced of it is not taken again."""
    return dataclasses.replace(cell, name=f"{cell.name}_{next(_numbers)}")


_numbers = itertools.count()


def random_like(tree, seed=0, scale=0.5, dtype=jnp.float64):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: normal(random, x.shape, dtype, scale), tree)


def random_problem(
    network, *, length=7, batch=(2,), inputs=3, hidden=4, tokens=False, dtype=jnp.float64, seed=0
):
    """(params, carry, xs), all random, none zero; of a cell by name, or of any network."""
    network = rnn.CELLS[network] if isinstance(network, str) else network
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda k: rnn.init(network, k, inputs, hidden), jax.random.key(0))
    params = jax.tree.map(lambda w: (0.5 * random.normal(size=w.shape)).astype(dtype), shapes)
    if isinstance(network, rnn.Cell) and "b_h" in network.Params._fields:
        params = params._replace(b_h=np.abs(params.b_h))  # else relu units die, and test nothing
    params = jax.device_put(params)
    zeros = jax.eval_shape(lambda p: rnn.zero_carry(network, p, batch), params)
    carry = jax.tree.map(lambda c: normal(random, c.shape, dtype, 0.5), zeros)
    if tokens:
        return (
            params,
            carry,
            jax.device_put(random.integers(0, inputs, (length, *batch)).astype(np.int32)),
        )
    return params, carry, normal(random, (length, *batch, inputs), dtype)


def random_params(config, *, seed=0, scale=0.4, dtype=jnp.float64):
    """Parameters of a character model, all random, none zero; NumPy draws, and nothing compiles."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda k: charlm.init(config, k), jax.random.key(0))
    return jax.tree.map(lambda w: normal(random, w.shape, dtype, scale), shapes)


def random_options(network, names, params, carry, length, batch=(2,), seed=0):
    """Keywords of `unroll`: for each of the names something random, from 0 up to T for lengths."""
    network = rnn.CELLS[network] if isinstance(network, str) else network
    random = np.random.default_rng(seed)
    given = {}
    if "lengths" in names:
        given["lengths"] = jax.device_put(random.integers(0, length + 1, batch))
    if "resets" in names:
        given["resets"] = jax.device_put(random.random((length, *batch)) < 0.4)
        given["reset_carry"] = random_like(carry, seed + 1)
    if "reverse" in names:
        given["reverse"] = True
    if "masks" in names:
        given["masks"] = random_masks(network, params, length, batch, seed + 2)
    return given


def random_masks(network, params, length, batch, seed, recurrent_dropout=0.4, zoneout=0.3):
    """As `draw_masks` makes them; NumPy draws, and nothing compiles."""
    random = np.random.default_rng(seed)
    draw = functools.partial(
        rnn.draw_masks, network, length=length, batch_shape=batch,
        recurrent_dropout=recurrent_dropout, zoneout=zoneout,
    )  # fmt: skip

    def drawn(mask):
        shape, dtype = mask.recurrent.shape, mask.recurrent.dtype
        kept = (random.random(shape) >= recurrent_dropout) / (1 - recurrent_dropout)
        stays = lambda like: (random.random(like.shape) < zoneout).astype(dtype)  # noqa: E731
        return jax.device_put(rnn.Masks(kept.astype(dtype), jax.tree.map(stays, mask.keep)))

    shapes = jax.eval_shape(lambda params, key: draw(params, key), params, jax.random.key(0))
    return jax.tree.map(drawn, shapes, is_leaf=lambda part: isinstance(part, rnn.Masks))


def one_by_one(
    cell, params, carry, xs, lengths=None, resets=None, reset_carry=None, reverse=False, masks=None
):
    """(last carry, hs, pre-activations) as NumPy, a cell over xs [T, B, I]."""
    length, batch = xs.shape[:2]
    hs = np.zeros((length, *carry.h.shape))
    pres = np.zeros((length, batch, len(cell.gates) * cell.sizes_of(params)["H"]))
    last = jax.tree.map(np.array, carry)
    view = jax.tree.map(lambda w: np.asarray(w)[None] if w.ndim == 1 else np.asarray(w), params)
    xs, lengths, resets = jax.tree.map(np.asarray, (xs, lengths, resets))

    @jax.jit  # as one program; step by step in Python all the same
    def forward(state, a, on_h):
        def product(name, q):
            w = getattr(view, name)
            q = q * on_h if name in cell.recurrent else q
            return q @ w if getattr(params, name).ndim == 2 else q * w

        new, _, pre = cell.forward(product, view, state, a)
        return new, pre

    for b in range(batch):
        row = lambda tree: jax.tree.map(lambda a: np.asarray(a)[b : b + 1], tree)  # noqa: B023, E731
        state = row(carry)
        end = length if lengths is None else int(lengths[b])
        order = range(end)[::-1] if reverse else range(end)
        for t in order:
            crossed = t + 1 if reverse else t
            if resets is not None and crossed < end and resets[crossed, b]:
                state = row(reset_carry) if reset_carry else jax.tree.map(np.zeros_like, state)
            on_h = 1.0
            if masks is not None and masks.recurrent is not None:
                drawn = np.asarray(masks.recurrent)
                on_h = (drawn[t, b] if drawn.ndim == 3 else drawn[b])[None]
            a = xs[t, b][None] @ view.w_xh
            if "b_h" in cell.Params._fields:
                a = a + view.b_h
            new, pre = jax.tree.map(np.asarray, forward(state, a, on_h))
            if masks is not None and masks.keep is not None:
                keep = jax.tree.map(lambda k: np.asarray(k)[t, b : b + 1], masks.keep)  # noqa: B023
                new = jax.tree.map(lambda k, o, n: k * o + (1 - k) * n, keep, state, new)
            state = new
            hs[t, b], pres[t, b] = state.h[0], pre[0]
        for whole, part in zip(last, state, strict=True):
            whole[b] = part[0]
    return last, hs, pres


def worst_relative(a, b):
    """max |a − b| / max |b| over each array of two trees; the worst of them."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(
        float(np.max(np.abs(np.asarray(x) - np.asarray(y))) / (np.max(np.abs(np.asarray(y))) or 1))
        for x, y in pairs
    )
