"""The gated recurrent unit with the reset gate *before* the matrix product (Cho et al. 2014).

Forward, with a = x w_xh + b_h in the blocks a_r, a_z, a_n, and w_hh in the blocks w_r, w_z, w_n:

    r, z = σ(a_r + h w_r), σ(a_z + h w_z)
    n = tanh(a_n + (r h) w_n)
    h' = (1 − z) n + z h

z keeps the old state, as in Cho et al. (eq. 7) and in this library's other GRU. char-rnn's GRU
and Chung et al. 2014 swap z and 1 − z: negate the z blocks to convert.

Backward, from ∂h', with s = r h:

    ∂a_n = ∂h' (1 − z) (1 − n²)             ∂s = ∂a_n w_nᵀ
    ∂a_r = ∂s h r (1 − r)                   ∂a_z = ∂h' (h − n) z (1 − z)
    ∂h = ∂h' z + ∂s r + ∂a_r w_rᵀ + ∂a_z w_zᵀ
    ∂w_r = Σ_t h_{t−1}ᵀ ∂a_r                ∂w_z = Σ_t h_{t−1}ᵀ ∂a_z    ∂w_n = Σ_t s_tᵀ ∂a_n
    ∂w_xh = Σ_t x_tᵀ ∂a_t                   ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import (
    Array,
    Cell,
    blocks,
    contract,
    dot,
    draw_weights,
    sigmoid,
    split_off_last,
)


class Params(NamedTuple):
    """w_xh [I, 3H], w_hh [H, 3H], b_h [3H]; blocks r, z, n."""

    w_xh: Array
    w_hh: Array
    b_h: Array


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Array


class Saved(NamedTuple):
    """r_z [*B, 2H] and n [*B, H], the gates."""

    r_z: Array
    n: Array


class GateGradients(NamedTuple):
    """d_rz [*B, 2H], d_n [*B, H]: ∂a in two pieces."""

    d_rz: Array
    d_n: Array


def init(key: Array, input_size: int, hidden_size: int, dtype: Any) -> Params:
    """w_xh Glorot uniform, w_hh orthogonal, biases zero."""
    return Params(**draw_weights(key, input_size, hidden_size, 3, dtype))


def pre_activations(params: Params, carry: Carry, x_gates: Array) -> Array:
    """(a_r + h w_r, a_z + h w_z, a_n + (r h) w_n) [*B, 3H]."""
    (a_rz, a_n), (w_rz, w_n) = split_off_last(x_gates, 3), split_off_last(params.w_hh, 3)
    into_rz = a_rz + dot(carry.h, w_rz)
    r = sigmoid(blocks(into_rz, 2)[0]).astype(carry.h.dtype)
    return jnp.concatenate([into_rz, a_n + dot(r * carry.h, w_n)], axis=-1)


def forward(params: Params, carry: Carry, x_gates: Array) -> tuple[Carry, Saved]:
    """h' = (1 − z) n + z h."""
    into_rz, into_n = split_off_last(pre_activations(params, carry, x_gates), 3)
    r_z, n = sigmoid(into_rz), jnp.tanh(into_n)
    _, z = blocks(r_z, 2)
    h = n + z * (carry.h.astype(n.dtype) - n)
    dtype = carry.h.dtype
    return Carry(h.astype(dtype)), Saved(r_z.astype(dtype), n.astype(dtype))


def backward(
    params: Params, carry: Carry, saved: Saved, next_carry: Carry, d_carry: Carry
) -> tuple[Carry, GateGradients]:
    """The block of equations at the head of this file, from ∂h' to ∂h and ∂a."""
    exact, dtype = d_carry.h.dtype, params.w_hh.dtype
    w_rz, w_n = split_off_last(params.w_hh, 3)
    r, z = blocks(saved.r_z.astype(exact), 2)
    n, h = saved.n.astype(exact), carry.h.astype(exact)
    d_n = d_carry.h * (1 - z) * (1 - n * n)
    d_s = dot(d_n.astype(dtype), w_n.T)
    d_z = d_carry.h * (h - n) * z * (1 - z)
    d_rz = jnp.concatenate([d_s * h * r * (1 - r), d_z], axis=-1)
    d_h = d_carry.h * z + d_s * r + dot(d_rz.astype(dtype), w_rz.T)
    return Carry(d_h), GateGradients(d_rz, d_n)


def gradient_in_bulk(
    h: Array, saved: Saved, d_gates: GateGradients
) -> tuple[Array, dict[str, Array]]:
    """∂a, and ∂w_r, ∂w_z from h_{t−1}, ∂w_n from s_t = r_t h_{t−1}."""
    d_rz, d_n = d_gates
    r, _ = blocks(saved.r_z, 2)
    d_w_hh = jnp.concatenate([contract(h, d_rz), contract(r * h, d_n)], axis=-1)
    return jnp.concatenate([d_rz, d_n], axis=-1), {"w_hh": d_w_hh}


GRU_RESET_BEFORE = Cell(
    name="gru_reset_before",
    gates=("r", "z", "n"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh),
    Params=Params,
    Carry=Carry,
    init=init,
    forward=forward,
    pre_activations=pre_activations,
    backward=backward,
    gradient_in_bulk=gradient_in_bulk,
)
