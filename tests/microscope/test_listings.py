"""Listings as they are derived from a cell's source: what they say, and what has none."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.cells import blocks, elman, join, lstm, sigmoid, sigmoid_or_tanh
from jaxrnn.microscope.training_step.translation import cell_listing


def lines(cell):
    listing = cell_listing(cell)
    return [line.code for line in (*listing.forward, *listing.backward)]


def notes(cell):
    listing = cell_listing(cell)
    return {line.code.split(" = ")[0]: line.note for line in (*listing.forward, *listing.backward)}


def test_the_lstms_listing():
    assert lines(rnn.LSTM) == [
        "a_i[t], a_f[t], a_g[t], a_o[t] = split(a[t] + h[t-1] @ w_hh, 4)",
        "i[t] = sigmoid(a_i[t])",
        "f[t] = sigmoid(a_f[t])",
        "g[t] = tanh(a_g[t])",
        "o[t] = sigmoid(a_o[t])",
        "c[t] = f[t] * c[t-1] + i[t] * g[t]",
        "h[t] = o[t] * tanh(c[t])",
        "tanh_c[t] = tanh(c[t])",
        "d_c[t] += d_h[t] * o[t] * (1 - tanh_c[t] ** 2)",
        "d_a_i[t] = d_c[t] * g[t] * i[t] * (1 - i[t])",
        "d_a_f[t] = d_c[t] * c[t-1] * f[t] * (1 - f[t])",
        "d_a_g[t] = d_c[t] * i[t] * (1 - g[t] ** 2)",
        "d_a_o[t] = d_h[t] * tanh_c[t] * o[t] * (1 - o[t])",
        "d_a[t] = join(d_a_i[t], d_a_f[t], d_a_g[t], d_a_o[t])",
        "d_h[t-1] = d_a[t] @ w_hh.T",
        "d_c[t-1] = d_c[t] * f[t]",
        "d_w_hh += outer(h[t-1], d_a[t])",
    ]


def test_operands_are_named_after_their_gradients_and_computed_once():
    shown = lines(rnn.CELLS["lstm_projected"])
    # pairs computes m anew, from what was saved: the same m.
    assert "m[t] = o[t] * tanh(c[t])" in shown
    assert "h[t] = m[t] @ w_hr" in shown
    assert "d_m[t] = d_h[t] @ w_hr.T" in shown
    assert shown[-1] == "d_w_hr += outer(m[t], d_h[t])"
    assert sum("tanh(c[t])" in line for line in shown) == 2


def test_vectors_and_biases_add_up_without_a_matrix():
    assert lines(rnn.CELLS["indrnn"])[-2:] == ["d_h[t-1] = d_a[t] * u", "d_u += h[t-1] * d_a[t]"]
    assert lines(rnn.GRU)[-1] == "d_b_hn += d_m[t]"


def test_comments_of_the_source_are_notes():
    found = notes(rnn.LSTM)
    assert found["f[t]"] == "forget gate"
    assert found["o[t]"] == "output gate"
    assert found["d_c[t-1]"] == "back along c: f alone"
    assert found["a_i[t], a_f[t], a_g[t], a_o[t]"] == ""
    # One comment over two names of one line is not divided.
    assert notes(rnn.GRU)["r[t], z[t]"] == "reset gate; update gate"
    # What is named on the way gets the comment only where the statement has no line of its own.
    assert notes(rnn.GRU_RESET_BEFORE)["s[t]"] == "reset before the product"
    assert notes(rnn.CELLS["lstm_projected"])["h[t]"].startswith("what is shown")
    # The translation's own, where the source has none.
    assert notes(rnn.GRU)["d_h[t-1]"] == "back to the step before"
    assert notes(rnn.CELLS["lstm_peephole"])["d_c[t] += d_h[t] * o[t] * (1 - tanh_c[t] ** 2) + "
                                             "d_a_o[t] * p_o"] == (
        "what came along c is already there"
    )  # fmt: skip


def backward_that_needs_names(product_T, params, carry, saved, new, d):
    i, f, g, o = blocks(saved.gates, 4)
    y = jnp.tanh(new.c)
    d_c = d.c + d.h * o * (1 - y * y)
    later = d.c * g  # d.c and not the total, which d_c is by now
    d_a = join(later, d_c * f, d_c * i, d.h * y)  # not the gradient of a
    d_i, d_f, d_g, _ = blocks(d_a, 4)
    mean_i = d_i * i
    return lstm.Carry(product_T("w_hh", d_a), d_c), join(mean_i, d_f, d_g, d_f)


def test_names_that_mean_something_else_are_changed():
    cell = dataclasses.replace(rnn.LSTM, name="names", backward=backward_that_needs_names)
    assert lines(cell)[7:] == [
        "y_cell[t] = tanh(c[t])",
        "d_c_cell[t] = d_c[t] + d_h[t] * o[t] * (1 - y_cell[t] ** 2)",
        "later[t] = d_c[t] * g[t]",
        "d_a_cell[t] = join(later[t], d_c_cell[t] * f[t], d_c_cell[t] * i[t], d_h[t] * y_cell[t])",
        "d_i[t] = split(d_a_cell[t], 4)[0]",
        "d_f[t] = split(d_a_cell[t], 4)[1]",
        "d_g[t] = split(d_a_cell[t], 4)[2]",
        "cell_mean_i[t] = d_i[t] * i[t]",
        "d_a[t] = join(cell_mean_i[t], d_f[t], d_g[t], d_f[t])",
        "d_h[t-1] = d_a_cell[t] @ w_hh.T",
        "d_c[t-1] = d_c_cell[t]",
        "d_w_hh += outer(h[t-1], d_a[t])",
    ]


def several_at_once(product_T, params, carry, saved, new, d):
    d_c, d_m = blocks(join(d.c, d.h, d.c, d.h), 2)
    return lstm.Carry(d.h, d.c), join(d_c, d_m)


def test_what_arrives_is_not_written_over_by_one_of_several():
    cell = dataclasses.replace(rnn.LSTM, name="several", backward=several_at_once)
    assert lines(cell)[7:] == [
        "d_c_cell[t], d_m[t] = split(join(d_c[t], d_h[t], d_c[t], d_h[t]), 2)",
        "d_a[t] = join(d_c_cell[t], d_m[t])",
        "d_h[t-1] = d_h[t]",
        "d_c[t-1] = d_c[t]",
        "d_w_hh += outer(h[t-1], d_a[t])",
    ]


def forward_all_gates_at_once(product, params, carry, a):
    gates = sigmoid_or_tanh(a + product("w_hh", carry.h), (True, True, False, True))
    kept = gates[..., : carry.h.shape[-1]] * carry.c
    return lstm.Carry(kept, kept), lstm.Saved(gates), gates


def test_gates_without_names_stay_one_pass():
    cell = dataclasses.replace(rnn.LSTM, name="at_once", forward=forward_all_gates_at_once)
    assert lines(cell)[:4] == [
        "gates[t] = sigmoid_or_tanh(a[t] + h[t-1] @ w_hh, (True, True, False, True))",
        "h[t] = gates[t][..., :h[t-1].shape[-1]] * c[t-1]",
        "c[t] = h[t]",
        "i[t], f[t], g[t], o[t] = split(gates[t], 4)",
    ]


def unequal(product_T, params, carry, saved, new, d):
    d_two = join(d.h, d.c)
    d_one, d_rest = d.h, join(d_two, d.c)
    return lstm.Carry(product_T("w_hh", join(d_one, d_rest)), d.c), join(d_one, d_rest)


def pairs_of_unequal(carry, saved, d_a):
    d_one, d_rest = blocks(d_a, 2)
    return d_a, {"w_hh": (carry.h, join(d_one, d_rest))}


def test_blocks_of_another_width_are_cut_and_not_taken_for_what_was_joined():
    cell = dataclasses.replace(rnn.LSTM, name="unequal", backward=unequal, pairs=pairs_of_unequal)
    assert "d_one[t], d_rest_2[t] = split(d_a[t], 2)" in lines(cell)


SCALE = 0.5


def scaled(product, params, carry, a):
    whole = jnp.split(SCALE * sigmoid(a), 1, axis=-1)[0]
    pre = sum(block for block in blocks(a, 1))  # No part of the step: it may be anything.
    return elman.Carry(whole + product("w_hh", SCALE * carry.h)), (), pre


def test_constants_and_helpers_keep_their_names_unless_a_listing_has_them():
    cell = dataclasses.replace(rnn.ELMAN, name="scaled", forward=scaled)
    assert lines(cell)[:2] == [
        "whole[t] = split_cell(SCALE * sigmoid(a[t]), 1, axis=-1)[0]",
        "h[t] = whole[t] + (SCALE * h[t-1]) @ w_hh",
    ]
    names = cell_listing(cell).outer_names
    assert names["SCALE"] == 0.5
    # A helper is run in float64 wherever the stepper is.
    value = np.array([0.1, 1 / 3])
    with jax.enable_x64(False):
        (part,) = names["split_cell"](value, 1, axis=-1)
    assert part.dtype == np.float64
    np.testing.assert_array_equal(part, value)


# ---- What has no listing --------------------------------------------------------------------


def with_a_loop(product, params, carry, a):
    for _ in range(2):
        a = a + product("w_hh", carry.h)
    return elman.Carry(a), (), a


def with_a_choice(product, params, carry, a):
    h = jnp.tanh(a) if a.ndim else a
    return elman.Carry(h), (), a


def with_another_parameter(product, params, carry, a):
    return elman.Carry(a + product("w_hx", carry.h)), (), a


def with_a_whole_record(product, params, carry, a):
    return elman.Carry(a + jax.tree.leaves(carry)), (), a


def with_a_method(product, params, carry, a):
    return elman.Carry(a.at[0].set(0.0)), (), a


def without_all_pairs(carry, saved, d_a):
    return d_a, {}


NOT_DEF = "expected a function written with def, so that its lines can be shown, got "


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"forward": functools.partial(elman.forward_tanh)}, "forward .*" + NOT_DEF + "functools"),
        ({"forward": jax.jit(elman.forward_tanh)}, "forward .*" + NOT_DEF),
        ({"pairs": lambda carry, saved, d_a: (d_a, {})}, "pairs .*" + NOT_DEF + "<function <lam"),
        ({"backward": None}, "backward of the cell 'mine': expected a function: .*, got None"),
        (
            {"forward": with_a_loop},
            r"expected assignments, one after the other, and a return, got `for _ in range\(2\):`"
            r"\. Hint: put it into a function of its own, which the listing then calls",
        ),
        ({"forward": with_a_choice}, r"expected arithmetic and calls, got `jnp\.tanh\(a\) if a"),
        ({"forward": with_another_parameter}, "one of the fields w_xh, w_hh, b_h by its name"),
        ({"forward": with_a_whole_record}, r"got `jax\.tree\.leaves\(carry\)`\. Hint: hand on"),
        ({"forward": with_a_method}, r"got `a\.at`\. Hint: put it into a function of its own"),
        ({"pairs": without_all_pairs}, r"an \(operand, cotangent\) for each of w_hh, got `{}`"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(change, said):
    with pytest.raises(ValueError, match=said):
        cell_listing(dataclasses.replace(rnn.ELMAN, name="mine", **change))


class CarryWithP(NamedTuple):
    h: Any
    p: Any


def test_source_that_is_not_there_and_names_that_are_taken_are_sentences():
    names = dict(vars(elman))
    exec("def forward(product, params, carry, a):\n    return carry, (), a", names)
    with pytest.raises(ValueError, match=r"got no source \(.*\)\. Hint: define it in a file or"):
        cell_listing(dataclasses.replace(rnn.ELMAN, name="mine", forward=names["forward"]))
    with pytest.raises(ValueError, match=r"names no other tensor of a listing has, got p\."):
        cell_listing(dataclasses.replace(rnn.LSTM, name="mine", carry_sizes=CarryWithP("H", "H")))
