"""The LSTM (Hochreiter and Schmidhuber 1997) with forget gate (Gers, Schmidhuber and Cummins 2000).

Forward, with a = x w_xh + h w_hh + b_h in the blocks a_i, a_f, a_g, a_o (PyTorch's order):

    i, f, o = σ(a_i), σ(a_f), σ(a_o)        g = tanh(a_g)
    c' = f c + i g
    h' = o tanh(c')

Backward, from ∂h' and ∂c':

    ∂c'' = ∂c' + ∂h' o (1 − tanh²c')        all that reaches c', along c and through h'
    ∂a_i = ∂c'' g i (1 − i)                 ∂a_f = ∂c'' c f (1 − f)
    ∂a_g = ∂c'' i (1 − g²)                  ∂a_o = ∂h' tanh(c') o (1 − o)
    ∂c = ∂c'' f                             ∂h = ∂a w_hhᵀ
    ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t               ∂w_xh = Σ_t x_tᵀ ∂a_t       ∂b_h = Σ_t ∂a_t
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
    sigmoid_or_tanh,
)


class Params(NamedTuple):
    """w_xh [I, 4H], w_hh [H, 4H], b_h [4H]; blocks i, f, g, o."""

    w_xh: Array
    w_hh: Array
    b_h: Array


class Carry(NamedTuple):
    """h [*B, H] the state that is read, c [*B, H] the memory."""

    h: Array
    c: Array


class Saved(NamedTuple):
    """gates [*B, 4H]: i, f, g, o."""

    gates: Array


def init(key: Array, input_size: int, hidden_size: int, dtype: Any) -> Params:
    """w_xh Glorot uniform, w_hh orthogonal, biases zero but the forget gate's, which are 1.

    Source of the forget bias: Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba and
    Sutskever 2015.
    """
    params = Params(**draw_weights(key, input_size, hidden_size, 4, dtype))
    return params._replace(b_h=params.b_h.at[hidden_size : 2 * hidden_size].set(1))


def pre_activations(params: Params, carry: Carry, x_gates: Array) -> Array:
    """A = x w_xh + h w_hh + b_h [*B, 4H]."""
    return x_gates + dot(carry.h, params.w_hh)


def forward(params: Params, carry: Carry, x_gates: Array) -> tuple[Carry, Saved]:
    """c' = f c + i g, h' = o tanh(c')."""
    gates = sigmoid_or_tanh(pre_activations(params, carry, x_gates), (True, True, False, True))
    i, f, g, o = blocks(gates, 4)
    c = f * carry.c.astype(f.dtype) + i * g
    h = o * jnp.tanh(c)
    dtype = carry.h.dtype
    return Carry(h.astype(dtype), c.astype(dtype)), Saved(gates.astype(dtype))


def backward(
    params: Params, carry: Carry, saved: Saved, next_carry: Carry, d_carry: Carry
) -> tuple[Carry, Array]:
    """The block of equations at the head of this file, from ∂h', ∂c' to ∂h, ∂c, ∂a."""
    exact = d_carry.h.dtype
    i, f, g, o = blocks(saved.gates.astype(exact), 4)
    tanh_c = jnp.tanh(next_carry.c.astype(exact))
    d_c = d_carry.c + d_carry.h * o * (1 - tanh_c * tanh_c)
    d_a = jnp.concatenate(
        [
            d_c * g * i * (1 - i),
            d_c * carry.c.astype(exact) * f * (1 - f),
            d_c * i * (1 - g * g),
            d_carry.h * tanh_c * o * (1 - o),
        ],
        axis=-1,
    )
    return Carry(dot(d_a.astype(params.w_hh.dtype), params.w_hh.T), d_c * f), d_a


def gradient_in_bulk(h: Array, saved: Saved, d_a: Array) -> tuple[Array, dict[str, Array]]:
    """∂a, and ∂w_hh = Σ_t h_{t−1}ᵀ ∂a_t."""
    return d_a, {"w_hh": contract(h, d_a)}


LSTM = Cell(
    name="lstm",
    gates=("i", "f", "g", "o"),
    nonlinearities=(sigmoid, sigmoid, jnp.tanh, sigmoid),
    Params=Params,
    Carry=Carry,
    init=init,
    forward=forward,
    pre_activations=pre_activations,
    backward=backward,
    gradient_in_bulk=gradient_in_bulk,
)
