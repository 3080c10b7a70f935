"""The LSTM (Hochreiter and Schmidhuber 1997) with forget gate (Gers, Schmidhuber and Cummins 2000).

Forward, with a = x w_xh + b_h, and a + h w_hh in the blocks a_i, a_f, a_g, a_o (PyTorch's order):

    i, f, o = σ(a_i), σ(a_f), σ(a_o)        g = tanh(a_g)
    c' = f c + i g
    h' = o tanh(c')

Backward, from ∂h' and ∂c':

    ∂c'' = ∂c' + ∂h' o (1 − tanh²c')        all that reaches c', along c and through h'
    ∂a_i = ∂c'' g i (1 − i)                 ∂a_f = ∂c'' c f (1 − f)
    ∂a_g = ∂c'' i (1 − g²)                  ∂a_o = ∂h' tanh(c') o (1 − o)
    ∂c = ∂c'' f                             ∂h = ∂a w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t               ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.parts import blocks, join, sigmoid, sigmoid_or_tanh


class Params(NamedTuple):
    """w_xh [I, 4H], w_hh [H, 4H], b_h [4H]; blocks i, f, g, o."""

    w_xh: Any
    w_hh: Any
    b_h: Any


class Carry(NamedTuple):
    """h [*B, H] the state that is read, c [*B, H] the memory."""

    h: Any
    c: Any


class Saved(NamedTuple):
    """gates [*B, 4H]: i, f, g, o."""

    gates: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """c' = f c + i g, h' = o tanh(c')."""
    pre = a + product("w_hh", carry.h)
    gates = sigmoid_or_tanh(pre, (True, True, False, True))
    i, f, g, o = blocks(gates, 4)  # input gate; forget gate; what is written; output gate
    c = f * carry.c + i * g  # the memory: f of it is kept, i of g is written
    h = o * jnp.tanh(c)  # o of the memory is shown
    return Carry(h, c), Saved(gates), pre


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """The block of equations at the head of this file, from ∂h', ∂c' to ∂h, ∂c, ∂a."""
    i, f, g, o = blocks(saved.gates, 4)
    tanh_c = jnp.tanh(new.c)
    d_c = d.c + d.h * o * (1 - tanh_c * tanh_c)
    d_a_i = d_c * g * i * (1 - i)
    d_a_f = d_c * carry.c * f * (1 - f)
    d_a_g = d_c * i * (1 - g * g)
    d_a_o = d.h * tanh_c * o * (1 - o)
    d_a = join(d_a_i, d_a_f, d_a_g, d_a_o)
    return Carry(product_T("w_hh", d_a), d_c * f), d_a  # back through w_hh; back along c: f alone


def pairs(carry: Carry, saved: Saved, d_a: Array) -> tuple[Array, Pairs]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t."""
    return d_a, {"w_hh": (carry.h, d_a)}


def forget_bias_one(key: Array, params: Any) -> Any:
    """The forget gate's bias 1 (Gers et al. 2000; Jozefowicz, Zaremba and Sutskever 2015)."""
    size = params.b_h.size // 4
    return params._replace(b_h=params.b_h.at[size : 2 * size].set(1))


LSTM = Cell(
    name="lstm",
    gates=("i", "f", "g", "o"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh, sigmoid),
    param_shapes=Params(w_xh="I 4H", w_hh="H 4H", b_h="4H"),
    carry_sizes=Carry(h="H", c="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    init=forget_bias_one,
)
