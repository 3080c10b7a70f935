"""The GRU with layer normalisation (Ba, Kiros and Hinton 2016, eq. 27–29), reset after the product.

Forward, with a = x w_xh and u = h w_hh in the blocks (r, z) and n, N(v) = (v − mean v) r(v) and
r = 1/√(var v + ε) over the whole block (2H wide for r and z together, H for n):

    r, z = σ(gain_x N(a_rz) + gain_h N(u_rz) + b)
    m = gain_h N(u_n) + b_hn                the gains' n blocks; b_hn inside the reset
    n = tanh(gain_x N(a_n) + b + r m)
    h' = (1 − z) n + z h

The paper swaps z and 1 − z, and has one bias more, which adds up with b.

Backward, from ∂h', with Nᵀ the transpose of N, block by block:

    ∂p_n = ∂h' (1 − z) (1 − n²)             ∂m = ∂p_n r
    ∂p_r = ∂p_n m r (1 − r)                 ∂p_z = ∂h' (h − n) z (1 − z)
    ∂a = Nᵀ(gain_x ∂p)                      ∂u = Nᵀ(gain_h (∂p_r, ∂p_z, ∂m))
    ∂h = ∂h' z + ∂u w_hhᵀ                   ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t
    ∂gain_x = Σ_t N(a) ∂p                   ∂gain_h = Σ_t N(u) (∂p_r, ∂p_z, ∂m)
    ∂b = Σ_t ∂p                             ∂b_hn = Σ_t ∂m
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.gru import Carry
from jaxrnn.cells.parts import blocks, join, sigmoid, split_off_last, standardise, standardise_T


class Params(NamedTuple):
    """w_xh [I, 3H], w_hh [H, 3H], gain_x, gain_h, b [3H], blocks r, z, n; b_hn [H]."""

    w_xh: Any
    w_hh: Any
    gain_x: Any
    gain_h: Any
    b: Any
    b_hn: Any


class Saved(NamedTuple):
    """r_z [*B, 2H], n, m [*B, H]; a_hat, u_hat [*B, 3H], and r_a, r_u [*B, 2] of their blocks."""

    r_z: Any
    n: Any
    m: Any
    a_hat: Any
    r_a: Any
    u_hat: Any
    r_u: Any


class Left(NamedTuple):
    """d_a, d_u [*B, 3H]; d_p [*B, 3H], of what goes into the gates; d_m [*B, H]."""

    d_a: Any
    d_u: Any
    d_p: Any
    d_m: Any


def standardise_gates(v: Array) -> tuple[Array, Array]:
    """N of the (r, z) block and of the n block: v̂ [*B, 3H], and r of both [*B, 2]."""
    rz, n = split_off_last(v, 3)
    (rz_hat, r_rz), (n_hat, r_n) = standardise(rz), standardise(n)
    return join(rz_hat, n_hat), join(r_rz, r_n)


def standardise_gates_T(v_hat: Array, r: Array, d: Array) -> Array:
    """The transpose of `standardise_gates`."""
    (rz_hat, n_hat), (d_rz, d_n), (r_rz, r_n) = (
        split_off_last(v_hat, 3),
        split_off_last(d, 3),
        blocks(r, 2),
    )
    return join(standardise_T(rz_hat, r_rz, d_rz), standardise_T(n_hat, r_n, d_n))


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """h' = (1 − z) n + z h."""
    a_hat, r_a = standardise_gates(a)  # to mean 0 and variance 1, by the factor r
    u_hat, r_u = standardise_gates(product("w_hh", carry.h))
    p_rz, p_n = split_off_last(params.gain_x * a_hat + params.b, 3)
    u_rz, u_n = split_off_last(params.gain_h * u_hat, 3)
    into_rz = p_rz + u_rz
    r_z = sigmoid(into_rz)
    r, z = blocks(r_z, 2)  # reset gate; update gate
    m = u_n + params.b_hn  # what the reset gate r multiplies
    into_n = p_n + r * m
    n = jnp.tanh(into_n)  # the new state that is proposed
    h = n + z * (carry.h - n)  # z: how much of the old state stays
    return Carry(h), Saved(r_z, n, m, a_hat, r_a, u_hat, r_u), join(into_rz, into_n)


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Left]:
    """The block of equations at the head of this file, from ∂h' to ∂h, ∂u and ∂a."""
    r, z = blocks(saved.r_z, 2)
    n, m = saved.n, saved.m
    d_p_n = d.h * (1 - z) * (1 - n * n)
    d_p_r = d_p_n * m * r * (1 - r)
    d_p_z = d.h * (carry.h - n) * z * (1 - z)
    d_m = d_p_n * r
    d_p = join(d_p_r, d_p_z, d_p_n)
    d_a = standardise_gates_T(saved.a_hat, saved.r_a, params.gain_x * d_p)
    d_u = standardise_gates_T(saved.u_hat, saved.r_u, params.gain_h * join(d_p_r, d_p_z, d_m))
    return Carry(d.h * z + product_T("w_hh", d_u)), Left(d_a, d_u, d_p, d_m)


def pairs(carry: Carry, saved: Saved, left: Left) -> tuple[Array, Pairs]:
    """∂a, ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t, and the gains and biases."""
    d_rz, _ = split_off_last(left.d_p, 3)
    return left.d_a, {
        "w_hh": (carry.h, left.d_u),
        "gain_x": (saved.a_hat, left.d_p),
        "gain_h": (saved.u_hat, join(d_rz, left.d_m)),
        "b": (None, left.d_p),
        "b_hn": (None, left.d_m),
    }


GRU_LAYERNORM = Cell(
    name="gru_layernorm",
    gates=("r", "z", "n"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh),
    param_shapes=Params("I 3H", "H 3H", gain_x="3H", gain_h="3H", b="3H", b_hn="H"),
    carry_sizes=Carry(h="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    unitwise=False,
)
