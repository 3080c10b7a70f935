"""The Elman network (Elman 1990), with tanh, or with relu from the identity.

Forward, with a = x w_xh + h w_hh + b_h:

    h' = φ(a)                       φ = tanh or relu

Backward, from ∂h' (the gradient that reaches h'):

    ∂a = ∂h' φ'(a)                  tanh: 1 − h'²;  relu: 1 where h' > 0, else 0
    ∂h = ∂a w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t       ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, contract, dot, draw_weights


class Params(NamedTuple):
    """w_xh [I, H], w_hh [H, H], b_h [H]."""

    w_xh: Array
    w_hh: Array
    b_h: Array


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Array


class Saved(NamedTuple):
    """Nothing: h' is all that the backward step reads."""


def init(key: Array, input_size: int, hidden_size: int, dtype: Any) -> Params:
    """w_xh Glorot uniform, w_hh orthogonal, b_h zero."""
    return Params(**draw_weights(key, input_size, hidden_size, 1, dtype))


def init_identity(key: Array, input_size: int, hidden_size: int, dtype: Any) -> Params:
    """w_hh the identity, b_h zero, w_xh Glorot uniform (Le, Jaitly and Hinton 2015: the "IRNN").

    They draw w_xh from N(0, 0.001²) for long inputs of numbers; for one-hot rows that is silence.
    """
    return init(key, input_size, hidden_size, dtype)._replace(
        w_hh=jnp.eye(hidden_size, dtype=dtype)
    )


def pre_activations(params: Params, carry: Carry, x_gates: Array) -> Array:
    """A = x w_xh + h w_hh + b_h [*B, H]."""
    return x_gates + dot(carry.h, params.w_hh)


def forward_tanh(params: Params, carry: Carry, x_gates: Array) -> tuple[Carry, Saved]:
    """h' = tanh(a)."""
    h = jnp.tanh(pre_activations(params, carry, x_gates)).astype(carry.h.dtype)
    return Carry(h), Saved()


def backward_tanh(
    params: Params, carry: Carry, saved: Saved, next_carry: Carry, d_carry: Carry
) -> tuple[Carry, Array]:
    """∂a = ∂h' (1 − h'²), ∂h = ∂a w_hhᵀ."""
    h = next_carry.h.astype(d_carry.h.dtype)
    d_a = d_carry.h * (1 - h * h)
    return Carry(dot(d_a.astype(params.w_hh.dtype), params.w_hh.T)), d_a


def forward_relu(params: Params, carry: Carry, x_gates: Array) -> tuple[Carry, Saved]:
    """h' = max(a, 0)."""
    h = jax.nn.relu(pre_activations(params, carry, x_gates)).astype(carry.h.dtype)
    return Carry(h), Saved()


def backward_relu(
    params: Params, carry: Carry, saved: Saved, next_carry: Carry, d_carry: Carry
) -> tuple[Carry, Array]:
    """∂a = ∂h' where h' > 0, ∂h = ∂a w_hhᵀ."""
    d_a = jnp.where(next_carry.h > 0, d_carry.h, jnp.zeros_like(d_carry.h))
    return Carry(dot(d_a.astype(params.w_hh.dtype), params.w_hh.T)), d_a


def gradient_in_bulk(h: Array, saved: Saved, d_a: Array) -> tuple[Array, dict[str, Array]]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t."""
    return d_a, {"w_hh": contract(h, d_a)}


ELMAN = Cell(
    name="elman",
    gates=("h",),
    nonlinearities=(jnp.tanh,),
    Params=Params,
    Carry=Carry,
    init=init,
    forward=forward_tanh,
    pre_activations=pre_activations,
    backward=backward_tanh,
    gradient_in_bulk=gradient_in_bulk,
)

ELMAN_RELU = Cell(
    name="elman_relu",
    gates=("h",),
    nonlinearities=(jax.nn.relu,),
    Params=Params,
    Carry=Carry,
    init=init_identity,
    forward=forward_relu,
    pre_activations=pre_activations,
    backward=backward_relu,
    gradient_in_bulk=gradient_in_bulk,
)
