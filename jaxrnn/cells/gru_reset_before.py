"""The gated recurrent unit with the reset gate *before* the matrix product (Cho et al. 2014).

Forward, with a = x w_xh + b_h in the blocks a_r, a_z, a_n, and h w_hh in the blocks u_r, u_z:

    r, z = σ(a_r + u_r), σ(a_z + u_z)
    s = r h
    n = tanh(a_n + s w_hn)
    h' = (1 − z) n + z h

z keeps the old state, as in Cho et al. (eq. 7) and in this library's other GRU. char-rnn's GRU
and Chung et al. 2014 swap z and 1 − z: negate the z blocks to convert.

Backward, from ∂h':

    ∂a_n = ∂h' (1 − z) (1 − n²)             ∂s = ∂a_n w_hnᵀ
    ∂a_r = ∂s h r (1 − r)                   ∂a_z = ∂h' (h − n) z (1 − z)
    ∂h = ∂h' z + ∂s r + (∂a_r, ∂a_z) w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ (∂a_r, ∂a_z)_t     ∂w_hn = Σ_t s_tᵀ ∂a_n,t
    ∂w_xh = Σ_t x_tᵀ ∂a_t                   ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.parts import blocks, join, sigmoid, split_off_last


class Params(NamedTuple):
    """w_xh [I, 3H], blocks r, z, n; w_hh [H, 2H], blocks r, z; w_hn [H, H]; b_h [3H]."""

    w_xh: Any
    w_hh: Any
    w_hn: Any
    b_h: Any


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Any


class Saved(NamedTuple):
    """r_z [*B, 2H] and n [*B, H], the gates."""

    r_z: Any
    n: Any


class Left(NamedTuple):
    """d_rz [*B, 2H], d_a_n [*B, H]: ∂a in two pieces."""

    d_rz: Any
    d_a_n: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """h' = (1 − z) n + z h."""
    a_rz, a_n = split_off_last(a, 3)
    into_rz = a_rz + product("w_hh", carry.h)
    r_z = sigmoid(into_rz)
    r, z = blocks(r_z, 2)  # reset gate; update gate
    into_n = a_n + product("w_hn", r * carry.h)  # reset before the product
    n = jnp.tanh(into_n)  # the new state that is proposed
    h = n + z * (carry.h - n)  # z: how much of the old state stays
    return Carry(h), Saved(r_z, n), join(into_rz, into_n)


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Left]:
    """The block of equations at the head of this file, from ∂h' to ∂h and ∂a."""
    r, z = blocks(saved.r_z, 2)
    n = saved.n
    d_a_n = d.h * (1 - z) * (1 - n * n)
    d_s = product_T("w_hn", d_a_n)
    d_a_r = d_s * carry.h * r * (1 - r)
    d_a_z = d.h * (carry.h - n) * z * (1 - z)
    d_rz = join(d_a_r, d_a_z)
    return Carry(d.h * z + d_s * r + product_T("w_hh", d_rz)), Left(d_rz, d_a_n)


def pairs(carry: Carry, saved: Saved, left: Left) -> tuple[Array, Pairs]:
    """∂a, and ∂w_hh from h_{t−1}, ∂w_hn from s_t = r_t h_{t−1}."""
    r, _ = blocks(saved.r_z, 2)
    return join(left.d_rz, left.d_a_n), {
        "w_hh": (carry.h, left.d_rz),
        "w_hn": (r * carry.h, left.d_a_n),
    }


GRU_RESET_BEFORE = Cell(
    name="gru_reset_before",
    gates=("r", "z", "n"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh),
    param_shapes=Params(w_xh="I 3H", w_hh="H 2H", w_hn="H H", b_h="3H"),
    carry_sizes=Carry(h="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    recurrent=("w_hh", "w_hn"),
)
