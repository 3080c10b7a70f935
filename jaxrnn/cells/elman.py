"""The Elman network (Elman 1990), with tanh, or with relu from the identity.

Forward, with a = x w_xh + b_h:

    h' = φ(a + h w_hh)              φ = tanh or relu

Backward, from ∂h' (the gradient that reaches h'):

    ∂a = ∂h' φ'                     tanh: 1 − h'²;  relu: 1 where h' > 0, else 0
    ∂h = ∂a w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t       ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product


class Params(NamedTuple):
    """w_xh [I, H], w_hh [H, H], b_h [H]."""

    w_xh: Any
    w_hh: Any
    b_h: Any


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Any


def forward_tanh(
    product: Product, params: Params, carry: Carry, a: Array
) -> tuple[Carry, tuple[()], Array]:
    """h' = tanh(a + h w_hh)."""
    pre = a + product("w_hh", carry.h)
    return Carry(jnp.tanh(pre)), (), pre


def backward_tanh(
    product_T: Product, params: Params, carry: Carry, saved: tuple[()], new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """∂a = ∂h' (1 − h'²), ∂h = ∂a w_hhᵀ."""
    d_a = d.h * (1 - new.h * new.h)
    return Carry(product_T("w_hh", d_a)), d_a


def forward_relu(
    product: Product, params: Params, carry: Carry, a: Array
) -> tuple[Carry, tuple[()], Array]:
    """h' = max(a + h w_hh, 0)."""
    pre = a + product("w_hh", carry.h)
    return Carry(jax.nn.relu(pre)), (), pre


def backward_relu(
    product_T: Product, params: Params, carry: Carry, saved: tuple[()], new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """∂a = ∂h' where h' > 0, ∂h = ∂a w_hhᵀ."""
    d_a = d.h * (new.h > 0).astype(d.h.dtype)
    return Carry(product_T("w_hh", d_a)), d_a


def pairs(carry: Carry, saved: tuple[()], d_a: Array) -> tuple[Array, Pairs]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t."""
    return d_a, {"w_hh": (carry.h, d_a)}


def identity(key: Array, params: Params) -> Params:
    """w_hh the identity (Le, Jaitly and Hinton 2015: the "IRNN").

    They draw w_xh from N(0, 0.001²) for long dense inputs; for one-hot rows that is silence.
    """
    return params._replace(w_hh=jnp.eye(len(params.w_hh), dtype=params.w_hh.dtype))


ELMAN = Cell(
    name="elman",
    gates=("h",),
    nonlinearities=(jnp.tanh,),
    param_shapes=Params(w_xh="I H", w_hh="H H", b_h="H"),
    carry_sizes=Carry(h="H"),
    forward=forward_tanh,
    backward=backward_tanh,
    pairs=pairs,
)

ELMAN_RELU = Cell(
    name="elman_relu",
    gates=("h",),
    nonlinearities=(jax.nn.relu,),
    param_shapes=Params(w_xh="I H", w_hh="H H", b_h="H"),
    carry_sizes=Carry(h="H"),
    forward=forward_relu,
    backward=backward_relu,
    pairs=pairs,
    init=identity,
)
