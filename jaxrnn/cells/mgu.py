"""The minimal gated unit (Zhou, Wu, Zhang and Zhou 2016): one gate, to forget and to reset.

Forward, with a = x w_xh + b_h in the blocks a_f, a_n (eq. 5a–5c; their h̃ is n):

    f = σ(a_f + h w_hh)
    s = f h
    n = tanh(a_n + s w_hn)
    h' = (1 − f) h + f n

Backward, from ∂h':

    ∂a_n = ∂h' f (1 − n²)                   ∂s = ∂a_n w_hnᵀ
    ∂a_f = (∂h' (n − h) + ∂s h) f (1 − f)
    ∂h = ∂h' (1 − f) + ∂s f + ∂a_f w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_f,t             ∂w_hn = Σ_t s_tᵀ ∂a_n,t
    ∂w_xh = Σ_t x_tᵀ ∂a_t                   ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.parts import blocks, join, sigmoid


class Params(NamedTuple):
    """w_xh [I, 2H], b_h [2H], blocks f, n; w_hh [H, H] of the gate, w_hn [H, H] of n."""

    w_xh: Any
    w_hh: Any
    w_hn: Any
    b_h: Any


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Any


class Saved(NamedTuple):
    """f [*B, H] the gate, n [*B, H] the new state that is proposed."""

    f: Any
    n: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """h' = (1 − f) h + f n."""
    a_f, a_n = blocks(a, 2)
    into_f = a_f + product("w_hh", carry.h)
    f = sigmoid(into_f)  # the only gate
    into_n = a_n + product("w_hn", f * carry.h)
    n = jnp.tanh(into_n)  # the new state that is proposed
    h = carry.h + f * (n - carry.h)  # f of the old state is replaced
    return Carry(h), Saved(f, n), join(into_f, into_n)


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """The block of equations at the head of this file, from ∂h' to ∂h and ∂a."""
    f, n = saved.f, saved.n
    d_a_n = d.h * f * (1 - n * n)
    d_s = product_T("w_hn", d_a_n)
    d_a_f = (d.h * (n - carry.h) + d_s * carry.h) * f * (1 - f)
    d_h = d.h * (1 - f) + d_s * f + product_T("w_hh", d_a_f)
    return Carry(d_h), join(d_a_f, d_a_n)


def pairs(carry: Carry, saved: Saved, d_a: Array) -> tuple[Array, Pairs]:
    """∂a, and ∂w_hh from h_{t−1}, ∂w_hn from s_t = f_t h_{t−1}."""
    d_a_f, d_a_n = blocks(d_a, 2)
    return d_a, {"w_hh": (carry.h, d_a_f), "w_hn": (saved.f * carry.h, d_a_n)}


MGU = Cell(
    name="mgu",
    gates=("f", "n"),
    nonlinearities=(sigmoid, jnp.tanh),
    param_shapes=Params(w_xh="I 2H", w_hh="H H", w_hn="H H", b_h="2H"),
    carry_sizes=Carry(h="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    recurrent=("w_hh", "w_hn"),
)
