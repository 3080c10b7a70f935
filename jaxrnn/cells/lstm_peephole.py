"""The LSTM with peepholes (Gers and Schmidhuber 2000): the gates see the memory.

Forward, with a = x w_xh + b_h, and a + h w_hh in the blocks a_i, a_f, a_g, a_o:

    i, f = σ(a_i + p_i c), σ(a_f + p_f c)   g = tanh(a_g)
    c' = f c + i g
    o = σ(a_o + p_o c')                     the output gate sees the new memory
    h' = o tanh(c')

Backward, from ∂h' and ∂c':

    ∂a_o = ∂h' tanh(c') o (1 − o)
    ∂c'' = ∂c' + ∂h' o (1 − tanh²c') + ∂a_o p_o
    ∂a_i = ∂c'' g i (1 − i)                 ∂a_f = ∂c'' c f (1 − f)
    ∂a_g = ∂c'' i (1 − g²)
    ∂c = ∂c'' f + ∂a_i p_i + ∂a_f p_f       ∂h = ∂a w_hhᵀ
    ∂p_i = Σ_t c_{t−1} ∂a_i,t               ∂p_f = Σ_t c_{t−1} ∂a_f,t   ∂p_o = Σ_t c_t ∂a_o,t
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t               ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t

Gers and Schmidhuber cut the gradient off at the peepholes; this one goes through, all of it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.lstm import Carry, forget_bias_one
from jaxrnn.cells.parts import blocks, join, sigmoid


class Params(NamedTuple):
    """w_xh [I, 4H], w_hh [H, 4H], b_h [4H], blocks i, f, g, o; p_i, p_f, p_o [H]."""

    w_xh: Any
    w_hh: Any
    b_h: Any
    p_i: Any
    p_f: Any
    p_o: Any


class Saved(NamedTuple):
    """The gates i, f, g, o, each [*B, H]."""

    i: Any
    f: Any
    g: Any
    o: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """c' = f c + i g, h' = o tanh(c'), with c and c' in the gates."""
    a_i, a_f, a_g, a_o = blocks(a + product("w_hh", carry.h), 4)
    into_i = a_i + params.p_i * carry.c
    into_f = a_f + params.p_f * carry.c
    i, f, g = sigmoid(into_i), sigmoid(into_f), jnp.tanh(a_g)
    c = f * carry.c + i * g  # the memory: f of it is kept, i of g is written
    into_o = a_o + params.p_o * c
    o = sigmoid(into_o)  # the output gate sees the new memory
    h = o * jnp.tanh(c)
    return Carry(h, c), Saved(i, f, g, o), join(into_i, into_f, a_g, into_o)


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """The block of equations at the head of this file, from ∂h', ∂c' to ∂h, ∂c, ∂a."""
    i, f, g, o = saved.i, saved.f, saved.g, saved.o
    tanh_c = jnp.tanh(new.c)
    d_a_o = d.h * tanh_c * o * (1 - o)
    d_c = d.c + d.h * o * (1 - tanh_c * tanh_c) + d_a_o * params.p_o
    d_a_i = d_c * g * i * (1 - i)
    d_a_f = d_c * carry.c * f * (1 - f)
    d_a_g = d_c * i * (1 - g * g)
    d_a = join(d_a_i, d_a_f, d_a_g, d_a_o)
    d_c_before = d_c * f + d_a_i * params.p_i + d_a_f * params.p_f
    return Carry(product_T("w_hh", d_a), d_c_before), d_a


def pairs(carry: Carry, saved: Saved, d_a: Array) -> tuple[Array, Pairs]:
    """∂a, ∂w_hh, and the peepholes' ∂p = Σ_t c ∂a."""
    d_a_i, d_a_f, _, d_a_o = blocks(d_a, 4)
    c = saved.f * carry.c + saved.i * saved.g
    return d_a, {
        "w_hh": (carry.h, d_a),
        "p_i": (carry.c, d_a_i),
        "p_f": (carry.c, d_a_f),
        "p_o": (c, d_a_o),
    }


def small_peepholes(key: Array, params: Params) -> Params:
    """Peepholes uniform within ±1/√H, so that they take part from the start; forget bias 1."""
    keys, bound = jax.random.split(key, 3), params.p_i.size**-0.5
    shape, dtype = params.p_i.shape, params.p_i.dtype
    p_i, p_f, p_o = (jax.random.uniform(k, shape, dtype, -bound, bound) for k in keys)
    return params._replace(b_h=forget_bias_one(key, params).b_h, p_i=p_i, p_f=p_f, p_o=p_o)


LSTM_PEEPHOLE = Cell(
    name="lstm_peephole",
    gates=("i", "f", "g", "o"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh, sigmoid),
    param_shapes=Params(w_xh="I 4H", w_hh="H 4H", b_h="4H", p_i="H", p_f="H", p_o="H"),
    carry_sizes=Carry(h="H", c="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    init=small_peepholes,
)
