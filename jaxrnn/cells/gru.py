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

from jaxrnn.cells.cell import (
    Array,
    Cell,
    bias,
    blocks,
    contract,
    dot,
    draw_weights,
    sigmoid,
    split_off_last,
    sum_to_bias,
)


class Params(NamedTuple):
    """w_xh [I, 3H], w_hh [H, 3H], b_h [3H], blocks r, z, n; b_hn [H], inside the reset."""

    w_xh: Array
    w_hh: Array
    b_h: Array
    b_hn: Array


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Array


class Saved(NamedTuple):
    """r_z [*B, 2H] and n [*B, H], the gates; m [*B, H], what the reset gate multiplies."""

    r_z: Array
    n: Array
    m: Array


class GateGradients(NamedTuple):
    """d_u [*B, 3H], d_n [*B, H]: ∂a is ∂u but for its last block."""

    d_u: Array
    d_n: Array


def init(key: Array, input_size: int, hidden_size: int, dtype: Any) -> Params:
    """w_xh Glorot uniform, w_hh orthogonal, biases zero."""
    weights = draw_weights(key, input_size, hidden_size, 3, dtype)
    return Params(**weights, b_hn=jnp.zeros(hidden_size, dtype))


def _before_n(params: Params, carry: Carry, x_gates: Array) -> tuple[Array, Array, Array]:
    """What goes into (r, z) [*B, 2H]; a_n [*B, H]; m [*B, H]."""
    (a_rz, a_n), (u_rz, u_n) = (
        split_off_last(x_gates, 3),
        split_off_last(dot(carry.h, params.w_hh), 3),
    )
    return a_rz + u_rz, a_n, u_n + bias(params.b_hn, u_n)


def pre_activations(params: Params, carry: Carry, x_gates: Array) -> Array:
    """(a_r + u_r, a_z + u_z, a_n + r m) [*B, 3H]."""
    into_rz, a_n, m = _before_n(params, carry, x_gates)
    r, _ = blocks(sigmoid(into_rz), 2)
    return jnp.concatenate([into_rz, a_n + r * m], axis=-1)


def forward(params: Params, carry: Carry, x_gates: Array) -> tuple[Carry, Saved]:
    """h' = (1 − z) n + z h."""
    into_rz, a_n, m = _before_n(params, carry, x_gates)
    r_z = sigmoid(into_rz)
    r, z = blocks(r_z, 2)
    n = jnp.tanh(a_n + r * m)
    h = n + z * (carry.h.astype(n.dtype) - n)
    dtype = carry.h.dtype
    return Carry(h.astype(dtype)), Saved(r_z.astype(dtype), n.astype(dtype), m.astype(dtype))


def backward(
    params: Params, carry: Carry, saved: Saved, next_carry: Carry, d_carry: Carry
) -> tuple[Carry, GateGradients]:
    """The block of equations at the head of this file, from ∂h' to ∂h, ∂u and ∂a_n."""
    exact = d_carry.h.dtype
    r, z = blocks(saved.r_z.astype(exact), 2)
    n, m = saved.n.astype(exact), saved.m.astype(exact)
    d_n = d_carry.h * (1 - z) * (1 - n * n)
    d_r = d_n * m * r * (1 - r)
    d_z = d_carry.h * (carry.h.astype(exact) - n) * z * (1 - z)
    d_u = jnp.concatenate([d_r, d_z, d_n * r], axis=-1)
    d_h = d_carry.h * z + dot(d_u.astype(params.w_hh.dtype), params.w_hh.T)
    return Carry(d_h), GateGradients(d_u, d_n)


def gradient_in_bulk(
    h: Array, saved: Saved, d_gates: GateGradients
) -> tuple[Array, dict[str, Array]]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t, ∂b_hn = Σ_t ∂m_t."""
    d_rz, d_m = split_off_last(d_gates.d_u, 3)
    d_a = jnp.concatenate([d_rz, d_gates.d_n], axis=-1)
    return d_a, {"w_hh": contract(h, d_gates.d_u), "b_hn": sum_to_bias(d_m)}


GRU = Cell(
    name="gru",
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
