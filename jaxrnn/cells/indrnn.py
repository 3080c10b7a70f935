"""The independently recurrent network (Li, Li, Cook, Zhu and Gao 2018): an elementwise recurrence.

Each unit sees only itself, so that the Jacobian of a step is a diagonal: for long sequences, where
|u|ᵀ bounds what is left of a gradient after T steps, and for online learning.

Forward, with a = x w_xh + b_h (eq. 3):

    h' = max(a + u ⊙ h, 0)

Backward, from ∂h':

    ∂a = ∂h' where h' > 0, else 0           ∂h = ∂a ⊙ u
    ∂u = Σ_t h_{t−1} ⊙ ∂a_t                 ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t
"""

from typing import Any, NamedTuple

import jax

from jaxrnn.cells.cell import Array, Cell, Pairs, Product


class Params(NamedTuple):
    """w_xh [I, H], u [H], b_h [H]."""

    w_xh: Any
    u: Any
    b_h: Any


class Carry(NamedTuple):
    """h [*B, H]."""

    h: Any


def forward(
    product: Product, params: Params, carry: Carry, a: Array
) -> tuple[Carry, tuple[()], Array]:
    """h' = max(a + u ⊙ h, 0)."""
    pre = a + product("u", carry.h)
    return Carry(jax.nn.relu(pre)), (), pre


def backward(
    product_T: Product, params: Params, carry: Carry, saved: tuple[()], new: Carry, d: Carry
) -> tuple[Carry, Array]:
    """∂a = ∂h' where h' > 0, ∂h = ∂a ⊙ u."""
    d_a = d.h * (new.h > 0).astype(d.h.dtype)
    return Carry(product_T("u", d_a)), d_a


def pairs(carry: Carry, saved: tuple[()], d_a: Array) -> tuple[Array, Pairs]:
    """∂a, and ∂u = Σ_t h_{t−1} ⊙ ∂a_t."""
    return d_a, {"u": (carry.h, d_a)}


def uniform_recurrence(key: Array, params: Params) -> Params:
    """U uniform in [0, 1]: from units that forget at once to units that keep everything."""
    return params._replace(u=jax.random.uniform(key, params.u.shape, params.u.dtype))


INDRNN = Cell(
    name="indrnn",
    gates=("h",),
    nonlinearities=(jax.nn.relu,),
    param_shapes=Params(w_xh="I H", u="H", b_h="H"),
    carry_sizes=Carry(h="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    recurrent=("u",),
    init=uniform_recurrence,
)
