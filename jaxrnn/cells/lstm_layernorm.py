"""The LSTM with layer normalisation (Ba, Kiros and Hinton 2016, eq. 20–22).

Forward, with a = x w_xh, N(v) = (v − mean v) r(v), r = 1/√(var v + ε) over the whole vector:

    x̂ = N(a)        û = N(h w_hh)           over all 4H, as in the paper, not gate by gate
    i, f, g, o = φ(gain_x x̂ + gain_h û + b) blocks; φ = σ, σ, tanh, σ
    c' = f c + i g
    ĉ = N(c')
    h' = o tanh(gain_c ĉ + b_c)

The paper has a bias beside each gain; those of x̂ and û add up to the one b.

Backward, from ∂h' and ∂c', with m = tanh(gain_c ĉ + b_c) and Nᵀ the transpose of N:

    ∂m̂ = ∂h' o (1 − m²)                     ∂c'' = ∂c' + Nᵀ(gain_c ∂m̂)
    ∂p_i = ∂c'' g i (1 − i)                 ∂p_f = ∂c'' c f (1 − f)
    ∂p_g = ∂c'' i (1 − g²)                  ∂p_o = ∂h' m o (1 − o)
    ∂a = Nᵀ(gain_x ∂p)                      ∂u = Nᵀ(gain_h ∂p)
    ∂c = ∂c'' f                             ∂h = ∂u w_hhᵀ
    ∂gain_x = Σ_t x̂ ∂p                      ∂gain_h = Σ_t û ∂p          ∂gain_c = Σ_t ĉ ∂m̂
    ∂b = Σ_t ∂p                             ∂b_c = Σ_t ∂m̂               ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxrnn.cells.cell import Array, Cell, Pairs, Product
from jaxrnn.cells.lstm import Carry
from jaxrnn.cells.parts import blocks, join, sigmoid, sigmoid_or_tanh, standardise, standardise_T


class Params(NamedTuple):
    """w_xh [I, 4H], w_hh [H, 4H], gain_x, gain_h, b [4H], blocks i, f, g, o; gain_c, b_c [H]."""

    w_xh: Any
    w_hh: Any
    gain_x: Any
    gain_h: Any
    b: Any
    gain_c: Any
    b_c: Any


class Saved(NamedTuple):
    """gates, x_hat, u_hat [*B, 4H], c_hat [*B, H], and r_x, r_u, r_c [*B, 1]."""

    gates: Any
    x_hat: Any
    r_x: Any
    u_hat: Any
    r_u: Any
    c_hat: Any
    r_c: Any


class Left(NamedTuple):
    """d_a, d_u, d_p [*B, 4H], d_m [*B, H]."""

    d_a: Any
    d_u: Any
    d_p: Any
    d_m: Any


def forward(product: Product, params: Params, carry: Carry, a: Array) -> tuple[Carry, Saved, Array]:
    """c' = f c + i g, h' = o tanh(gain_c N(c') + b_c)."""
    x_hat, r_x = standardise(a)  # to mean 0 and variance 1, by the factor r
    u_hat, r_u = standardise(product("w_hh", carry.h))
    pre = params.gain_x * x_hat + params.gain_h * u_hat + params.b
    gates = sigmoid_or_tanh(pre, (True, True, False, True))
    i, f, g, o = blocks(gates, 4)  # input gate; forget gate; what is written; output gate
    c = f * carry.c + i * g  # the memory: f of it is kept, i of g is written
    c_hat, r_c = standardise(c)
    h = o * jnp.tanh(params.gain_c * c_hat + params.b_c)
    return Carry(h, c), Saved(gates, x_hat, r_x, u_hat, r_u, c_hat, r_c), pre


def backward(
    product_T: Product, params: Params, carry: Carry, saved: Saved, new: Carry, d: Carry
) -> tuple[Carry, Left]:
    """The block of equations at the head of this file, from ∂h', ∂c' to ∂h, ∂c, ∂a."""
    i, f, g, o = blocks(saved.gates, 4)
    m = jnp.tanh(params.gain_c * saved.c_hat + params.b_c)
    d_m = d.h * o * (1 - m * m)
    d_c = d.c + standardise_T(saved.c_hat, saved.r_c, params.gain_c * d_m)
    d_p_i = d_c * g * i * (1 - i)
    d_p_f = d_c * carry.c * f * (1 - f)
    d_p_g = d_c * i * (1 - g * g)
    d_p_o = d.h * m * o * (1 - o)
    d_p = join(d_p_i, d_p_f, d_p_g, d_p_o)
    d_a = standardise_T(saved.x_hat, saved.r_x, params.gain_x * d_p)
    d_u = standardise_T(saved.u_hat, saved.r_u, params.gain_h * d_p)
    return Carry(product_T("w_hh", d_u), d_c * f), Left(d_a, d_u, d_p, d_m)


def pairs(carry: Carry, saved: Saved, left: Left) -> tuple[Array, Pairs]:
    """∂a, ∂w_hh = Σ_t h_{t−1}ᵀ ∂u_t, and the gains and biases."""
    return left.d_a, {
        "w_hh": (carry.h, left.d_u),
        "gain_x": (saved.x_hat, left.d_p),
        "gain_h": (saved.u_hat, left.d_p),
        "b": (None, left.d_p),
        "gain_c": (saved.c_hat, left.d_m),
        "b_c": (None, left.d_m),
    }


def forget_bias_one(key: Array, params: Params) -> Params:
    """The forget gate's bias 1, as the LSTM's."""
    size = params.b_c.size
    return params._replace(b=params.b.at[size : 2 * size].set(1))


LSTM_LAYERNORM = Cell(
    name="lstm_layernorm",
    gates=("i", "f", "g", "o"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh, sigmoid),
    param_shapes=Params("I 4H", "H 4H", gain_x="4H", gain_h="4H", b="4H", gain_c="H", b_c="H"),
    carry_sizes=Carry(h="H", c="H"),
    forward=forward,
    backward=backward,
    pairs=pairs,
    unitwise=False,
    init=forget_bias_one,
)
