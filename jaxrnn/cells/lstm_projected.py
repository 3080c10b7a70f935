"""The LSTM with a projection (Sak, Senior and Beaufays 2014), as PyTorch's `proj_size`.

The memory has H units; what is put out, and what comes back in, is their projection on P < H.

Forward, with a = x w_xh + b_h, and a + h w_hh in the blocks a_i, a_f, a_g, a_o:

    i, f, o = σ(a_i), σ(a_f), σ(a_o)        g = tanh(a_g)
    c' = f c + i g
    m = o tanh(c')
    h' = m w_hr

Backward, from ∂h' and ∂c':

    ∂m = ∂h' w_hrᵀ
    ∂c'' = ∂c' + ∂m o (1 − tanh²c')         all that reaches c', along c and through m
    ∂a_i = ∂c'' g i (1 − i)                 ∂a_f = ∂c'' c f (1 − f)
    ∂a_g = ∂c'' i (1 − g²)                  ∂a_o = ∂m tanh(c') o (1 − o)
    ∂c = ∂c'' f                             ∂h = ∂a w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t               ∂w_hr = Σ_t m_tᵀ ∂h'_t
    ∂w_xh = Σ_t x_tᵀ ∂a_t                   ∂b_h = Σ_t ∂a_t

Sak et al. also have peepholes; PyTorch has none, and neither has this cell.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.lstm import Carry, Saved, forget_bias_one
from jaxrnn.cells.parts import blocks, join, sigmoid, sigmoid_or_tanh


class Params(NamedTuple):
    """w_xh [I, 4H], w_hh [P, 4H], w_hr [H, P], b_h [4H]; blocks i, f, g, o."""

    w_xh: Any
    w_hh: Any
    w_hr: Any
    b_h: Any


class Left(NamedTuple):
    """d_a [*B, 4H], and d_h [*B, P], the gradient of what is put out."""

    d_a: Any
    d_h: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """c' = f c + i g, h' = (o tanh(c')) w_hr; h [*B, P], c [*B, H]."""
    pre = a + product("w_hh", carry.h)
    gates = sigmoid_or_tanh(pre, (True, True, False, True))
    i, f, g, o = blocks(gates, 4)  # input gate; forget gate; what is written; output gate
    c = f * carry.c + i * g  # the memory: f of it is kept, i of g is written
    h = product("w_hr", o * jnp.tanh(c))  # what is shown is smaller than the memory
    return Carry(h, c), Saved(gates), pre


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Left]:
    """The block of equations at the head of this file, from ∂h', ∂c' to ∂h, ∂c, ∂a."""
    i, f, g, o = blocks(saved.gates, 4)
    tanh_c = jnp.tanh(new.c)
    d_m = product_T("w_hr", d.h)
    d_c = d.c + d_m * o * (1 - tanh_c * tanh_c)
    d_a_i = d_c * g * i * (1 - i)
    d_a_f = d_c * carry.c * f * (1 - f)
    d_a_g = d_c * i * (1 - g * g)
    d_a_o = d_m * tanh_c * o * (1 - o)
    d_a = join(d_a_i, d_a_f, d_a_g, d_a_o)
    return Carry(product_T("w_hh", d_a), d_c * f), Left(d_a, d.h)


def pairs(carry: Carry, saved: Saved, left: Left) -> tuple[Array, Pairs]:
    """∂a, ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t, ∂w_hr = Σ_t m_tᵀ ∂h'_t."""
    i, f, g, o = blocks(saved.gates, 4)
    m = o * jnp.tanh(f * carry.c + i * g)
    return left.d_a, {"w_hh": (carry.h, left.d_a), "w_hr": (m, left.d_h)}


LSTM_PROJECTED = Cell(
    name="lstm_projected",
    gates=("i", "f", "g", "o"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh, sigmoid),
    param_shapes=Params(w_xh="I 4H", w_hh="P 4H", w_hr="H P", b_h="4H"),
    carry_sizes=Carry(h="P", c="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    init=forget_bias_one,
)
