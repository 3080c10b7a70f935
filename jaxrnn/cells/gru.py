"""The gated recurrent unit with the reset gate *after* the matrix product, as PyTorch and cuDNN.

Forward, with a = x w_xh + b_h in the blocks a_r, a_z, a_n, and u = h w_hh in the blocks u_r, u_z,
u_n (PyTorch's order r, z, n; z keeps the old state):

    r, z = σ(a_r + u_r), σ(a_z + u_z)
    m = u_n + b_hn
    n = tanh(a_n + r m)
    h' = (1 − z) n + z h

Backward, from ∂h':

    ∂a_n = ∂h' (1 − z) (1 − n²)             ∂m = ∂a_n r
    ∂a_r = ∂a_n m r (1 − r)                 ∂a_z = ∂h' (h − n) z (1 − z)
    ∂u = (∂a_r, ∂a_z, ∂m)                   ∂h = ∂h' z + ∂u w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t               ∂b_hn = Σ_t ∂m_t
    ∂w_xh = Σ_t x_tᵀ ∂a_t                   ∂b_h = Σ_t ∂a_t

Cho et al. 2014 put the reset gate before the product (see `gru_reset_before`). Other write-ups
swap z and 1 − z (Chung et al. 2014): negate the z blocks to convert.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.parts import blocks, join, sigmoid, split_off_last


class Params(NamedTuple):
    """w_xh [I, 3H], w_hh [H, 3H], b_h [3H], blocks r, z, n; b_hn [H], inside the reset."""

    w_xh: Any
    w_hh: Any
    b_h: Any
    b_hn: Any


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Any


class Saved(NamedTuple):
    """r_z [*B, 2H] and n [*B, H], the gates; m [*B, H], what the reset gate multiplies."""

    r_z: Any
    n: Any
    m: Any


class Left(NamedTuple):
    """d_u [*B, 3H], d_a_n [*B, H]: ∂a is ∂u but for its last block."""

    d_u: Any
    d_a_n: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """h' = (1 − z) n + z h."""
    a_rz, a_n = split_off_last(a, 3)
    u_rz, u_n = split_off_last(product("w_hh", carry.h), 3)
    into_rz = a_rz + u_rz
    r_z = sigmoid(into_rz)
    r, z = blocks(r_z, 2)  # reset gate; update gate
    m = u_n + params.b_hn  # what the reset gate r multiplies
    into_n = a_n + r * m
    n = jnp.tanh(into_n)  # the new state that is proposed
    h = n + z * (carry.h - n)  # z: how much of the old state stays
    return Carry(h), Saved(r_z, n, m), join(into_rz, into_n)


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Left]:
    """The block of equations at the head of this file, from ∂h' to ∂h, ∂u and ∂a_n."""
    r, z = blocks(saved.r_z, 2)
    n, m = saved.n, saved.m
    d_a_n = d.h * (1 - z) * (1 - n * n)
    d_a_r = d_a_n * m * r * (1 - r)
    d_a_z = d.h * (carry.h - n) * z * (1 - z)
    d_u = join(d_a_r, d_a_z, d_a_n * r)
    return Carry(d.h * z + product_T("w_hh", d_u)), Left(d_u, d_a_n)


def pairs(carry: Carry, saved: Saved, left: Left) -> tuple[Array, Pairs]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t, ∂b_hn = Σ_t ∂m_t."""
    d_rz, d_m = split_off_last(left.d_u, 3)
    return join(d_rz, left.d_a_n), {"w_hh": (carry.h, left.d_u), "b_hn": (None, d_m)}


GRU = Cell(
    name="gru",
    gates=("r", "z", "n"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh),
    param_shapes=Params(w_xh="I 3H", w_hh="H 3H", b_h="3H", b_hn="H"),
    carry_sizes=Carry(h="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
)
