"""A cell that breaks the contract is told which of its functions returned what instead of what."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

import jaxrnn as rnn
from jaxrnn.cells import check_contract
from jaxrnn.cells.mgu import MGU, Carry, Params


def changed(cell=MGU, **functions):
    return dataclasses.replace(cell, name="mine", **functions)


def forward(product, params, carry, a, act=lambda new, saved, pre: (new, saved, pre)):
    return act(*MGU.forward(product, params, carry, a))


def after_forward(act):
    return lambda *arguments: act(*MGU.forward(*arguments))


def after_backward(act):
    return lambda *arguments: act(*MGU.backward(*arguments))


def after_pairs(act):
    return lambda *arguments: act(*MGU.pairs(*arguments))


def plain_product(product, params, carry, a):
    return MGU.forward(lambda name, q: q @ getattr(params, name), params, carry, a)


def other_side(product, params, carry, a):
    return MGU.forward(lambda name, q: getattr(params, name) @ q.T, params, carry, a)


def dot_product(product, params, carry, a):
    return MGU.forward(lambda name, q: jnp.dot(q, getattr(params, name)), params, carry, a)


def transposed(product_T, params, *rest):
    return MGU.backward(lambda name, d: d @ getattr(params, name).T, params, *rest)


def reads_the_bias(product, params, carry, a):
    return MGU.forward(product, params, carry, a + params.b_h)


def unknown_product(product, params, carry, a):
    return MGU.forward(lambda name, q: product("w_zz", q), params, carry, a)


def wide_product(product, params, carry, a):
    return MGU.forward(lambda name, q: product(name, jnp.tile(q, 2)), params, carry, a)


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        (
            {"forward": after_forward(lambda new, saved, pre: (new, saved))},
            "mine: forward returned: expected (carry, saved, pre), got 2 values.",
        ),
        (
            {"forward": after_forward(lambda new, saved, pre: (new.h, saved, pre))},
            "mine: forward returned carry: expected its Carry(h), got float32[2, 4].",
        ),
        (
            {"forward": after_forward(lambda new, saved, pre: (Carry(new.h[:, :3]), saved, pre))},
            "mine: forward returned carry.h: expected float32[2, 4], got float32[2, 3].",
        ),
        (
            {"forward": after_forward(lambda new, saved, pre: (new, saved, pre[:, :4]))},
            "a block [*B, H] for each of the 2 gates: expected float32[2, 8], got float32[2, 4].",
        ),
        (
            {"forward": after_forward(lambda new, saved, pre: (new, saved, None))},
            "each of the 2 gates: expected float32[2, 8], got NoneType.",
        ),
        (
            {"backward": after_backward(lambda d, left: d)},
            "mine: backward returned: expected (d_carry, left), got",
        ),
        (
            {"backward": after_backward(lambda d, left: (d.h, left))},
            "mine: backward returned d_carry: expected its Carry(h), got float32[2, 4].",
        ),
        (
            {"backward": after_backward(lambda d, left: (Carry(d.h[:1]), left))},
            "mine: backward returned d_carry.h: expected float32[2, 4], got float32[1, 4].",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: (d_a, {"w_hh": found["w_hh"]}))},
            "mine: pairs returned: expected a gradient for each of w_hh, w_hn, got none for w_hn.",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: (d_a, {**found, "b_h": (None, d_a)}))},
            "mine: pairs returned: expected gradients for w_hh, w_hn only, got also b_h.",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: d_a)},
            "mine: pairs returned: expected (d_a, {field: (operand, cotangent)}), got",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: (d_a[..., :4], found))},
            "mine: pairs returned d_a: expected float32[6, 2, 8], got float32[6, 2, 4].",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: (d_a, {**found, "w_hh": (None, d_a)}))},
            "the cotangent of w_hh: expected float32[6, 2, 4], got float32[6, 2, 8].",
        ),
        (
            {
                "pairs": after_pairs(
                    lambda d_a, found: (d_a, {**found, "w_hh": (None, found["w_hh"][1])})
                )
            },
            "the operand of w_hh: expected 4 columns, as of a matrix, got None.",
        ),
        (
            {"pairs": after_pairs(lambda d_a, found: (d_a, {**found, "w_hn": found["w_hn"][0]}))},
            "mine: pairs returned the pair of w_hn, (operand, cotangent): expected two arrays, got",
        ),
        (
            {"forward": plain_product},
            "mine: forward: expected vectors alone to be read of params, got params.w_hh. Hint: "
            'product("w_hh", q), which knows the dtype and the mask of dropout',
        ),
        ({"forward": other_side}, "mine: forward: expected vectors alone to be read of params"),
        ({"forward": dot_product}, "mine: forward: expected vectors alone to be read of params"),
        ({"backward": transposed}, "mine: backward: expected vectors alone to be read of params"),
        ({"forward": reads_the_bias}, "got params.b_h. Hint: `a` is x w_xh + b_h already"),
        (
            {"forward": unknown_product},
            "mine: product('w_zz', …): expected one of w_hh, w_hn, got 'w_zz'.",
        ),
        (
            {"forward": wide_product},
            "mine: product('w_hh', …): expected 4 columns, as w_hh is [H, H], got float32[2, 8].",
        ),
    ],
)  # fmt: skip
def test_which_function_returned_what(functions, words):
    cell = changed(**functions)
    for call in (
        lambda: check_contract("register", cell),
        lambda: rnn.gradcheck(cell, jax.random.key(0)),
        lambda: rnn.register(cell),
    ):
        with pytest.raises((TypeError, ValueError), match=re.escape(words)):
            call()
    assert "mine" not in rnn.CELLS


def test_a_plain_product_is_refused_when_it_runs_too():
    params = rnn.init(MGU, jax.random.key(0), 3, 4)
    carry, xs = rnn.zero_carry(MGU, params, (2,)), jnp.ones((5, 2, 3), jnp.float32)
    with pytest.raises(TypeError, match=r"params.w_hh: is not for a cell's functions to read"):
        rnn.unroll_autodiff(changed(forward=plain_product), params, carry, xs)


@pytest.mark.parametrize("name", rnn.CELLS)
def test_every_cell_keeps_it(name):
    check_contract("test", rnn.CELLS[name])
    cell = rnn.CELLS[name]
    assert len(cell.gates) == len(cell.nonlinearities)
    assert {*cell.recurrent} <= {*cell.Params._fields}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"param_shapes": {"w_xh": "I H"}}, "param_shapes: expected a NamedTuple of sizes"),
        ({"param_shapes": Params("I 2H", "H H", "H H", "2Q")}, "of the sizes I, H, P, like"),
        ({"param_shapes": Params("I 2H", "H H H", "H H", "2H")}, "param_shapes.w_hh: expected one"),
        ({"carry_sizes": Carry("H H")}, "carry_sizes.h: expected one of the sizes I, H, P"),
        ({"nonlinearities": (jnp.tanh,)}, "expected one for each of the gates f, n, got 1 functi"),
        ({"recurrent": ("w_zz",)}, "with H, the size of h, in front, got w_zz, which is no field"),
        ({"recurrent": ("b_h",)}, "with H, the size of h, in front, got b_h, which is [2H]"),
        ({"gates": ["f", "n"]}, "gates: expected a tuple, got ['f', 'n']"),
        ({"name": "a,b"}, "name: expected a name of letters, digits and _, for the command line"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(changes, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        dataclasses.replace(MGU, **changes)


def test_register_makes_a_name():
    mine = dataclasses.replace(MGU, name="my_own")
    try:
        assert rnn.register(mine) is rnn.CELLS["my_own"] is mine
        assert rnn.charlm.Config(5, "my_own").cells == (mine, mine)
        # A notebook's cell that is run again replaces what it registered before.
        again = rnn.register(dataclasses.replace(mine, recurrent=("w_hh",)))
        assert rnn.CELLS["my_own"] is again
    finally:
        del rnn.CELLS["my_own"]


def test_register_protects_the_librarys_names():
    with pytest.raises(TypeError, match=r"register: cell: expected a jaxrnn.Cell, got x"):
        rnn.register("x")
    with pytest.raises(ValueError, match=r"another name than those of the library, .*, got gru"):
        rnn.register(dataclasses.replace(MGU, name="gru"))
    assert rnn.register(rnn.GRU) is rnn.GRU
