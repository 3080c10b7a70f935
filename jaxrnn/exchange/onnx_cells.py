"""Cells as ONNX's operators have them: with other activations, a clip, coupled gates.

The default settings of RNN, GRU and LSTM are cells of the library. Any other is a cell built here,
once for each settings, with its transpose derived by hand. With φ the activation of what is clipped
to [−clip, clip], and φ' its slope, 0 where the clip holds:

RNN:    h' = φ(a + h w_hh)
        ∂a = ∂h' φ'

GRU:    r, z = φ(a_r + u_r), φ(a_z + u_z), with u = h w_hh
        n = ψ(a_n + r (u_n + b_hn)), or with the reset before the product ψ(a_n + (r h) w_hn)
        h' = n + z (h − n)
        ∂a_n = ∂h' (1 − z) ψ'               ∂a_z = ∂h' (h − n) φ'
        ∂m = ∂a_n r, ∂a_r = ∂a_n m φ', with m = u_n + b_hn; or ∂s = ∂a_n w_hnᵀ, ∂a_r = ∂s h φ'

LSTM:   i, f = φ(a_i + p_i c), φ(a_f + p_f c), coupled: f = 1 − i       g = ψ(a_g)
        c' = f c + i g              o = φ(a_o + p_o c')              h' = o χ(c')
        ∂a_o = ∂h' χ φ'             ∂c'' = ∂c' + ∂h' o χ' + ∂a_o p_o
        ∂a_i = ∂c'' g φ'            ∂a_f = ∂c'' c φ', coupled: ∂a_i = ∂c'' (g − c) φ', ∂a_f = 0
        ∂a_g = ∂c'' i ψ'            ∂c = ∂c'' f + ∂a_i p_i + ∂a_f p_f

The LSTM's χ is an activation too, so that c' is clipped on its way into it, as the operator's text
says; onnxruntime (1.32) clips the four gates' alone.

Source: the operators' text in ONNX, versions 7 to 22.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cells import (
    ELMAN,
    ELMAN_RELU,
    GRU,
    GRU_RESET_BEFORE,
    LSTM,
    LSTM_PEEPHOLE,
    Cell,
    blocks,
    join,
    sigmoid,
)

Array = jax.Array


class Activation(NamedTuple):
    """One of ONNX's activation functions, with its constants; None where it has none."""

    name: str
    alpha: float | None = None
    beta: float | None = None


class Kind(NamedTuple):
    """What an operator computes, in one direction.

    Attributes:
        operator: "RNN", "GRU" or "LSTM".
        activations: f; f, g; or f, g, h.
        clip: bound of what goes into activations; None: there is none.
        reset_after: of a GRU, `linear_before_reset`.
        coupled: of an LSTM, `input_forget`.
        peepholes: of an LSTM, whether it has `P`.
    """

    operator: str
    activations: tuple[Activation, ...]
    clip: float | None = None
    reset_after: bool = False
    coupled: bool = False
    peepholes: bool = False


class Function(NamedTuple):
    """An activation function: φ(x, α, β), its slope, and the constants that it takes.

    Attributes:
        value: of x.
        slope: of x.
        defaults: of those constants that it takes; None: it has to be said.
    """

    value: Callable[[Array, Any, Any], Array]
    slope: Callable[[Array, Any, Any], Array]
    defaults: dict[str, float | None] = {}  # noqa: RUF012  (of a NamedTuple, read only)


def _where(condition: Array, x: Array) -> Array:
    return jnp.where(condition, x, jnp.zeros_like(x))


FUNCTIONS = {
    "Tanh": Function(lambda x, a, b: jnp.tanh(x), lambda x, a, b: 1 - jnp.tanh(x) ** 2),
    "Sigmoid": Function(lambda x, a, b: sigmoid(x), lambda x, a, b: sigmoid(x) * (1 - sigmoid(x))),
    "Relu": Function(lambda x, a, b: jax.nn.relu(x), lambda x, a, b: (x > 0).astype(x.dtype)),
    "HardSigmoid": Function(
        lambda x, a, b: jnp.clip(a * x + b, 0, 1),
        lambda x, a, b: _where((a * x + b > 0) & (a * x + b < 1), jnp.full_like(x, a)),
        {"alpha": 0.2, "beta": 0.5},
    ),
    "LeakyRelu": Function(
        lambda x, a, b: jnp.where(x >= 0, x, a * x),
        lambda x, a, b: jnp.where(x >= 0, jnp.ones_like(x), jnp.full_like(x, a)),
        {"alpha": 0.01},
    ),
    "ThresholdedRelu": Function(
        lambda x, a, b: _where(x >= a, x),
        lambda x, a, b: (x >= a).astype(x.dtype),
        {"alpha": 1.0},
    ),
    "Elu": Function(
        lambda x, a, b: jnp.where(x >= 0, x, a * jnp.expm1(jnp.minimum(x, 0))),
        lambda x, a, b: jnp.where(x >= 0, jnp.ones_like(x), a * jnp.exp(jnp.minimum(x, 0))),
        {"alpha": 1.0},
    ),
    # ONNX has no operators of these names whose defaults they could have.
    "Affine": Function(
        lambda x, a, b: a * x + b,
        lambda x, a, b: jnp.full_like(x, a),
        {"alpha": None, "beta": None},
    ),
    "ScaledTanh": Function(
        lambda x, a, b: a * jnp.tanh(b * x),
        lambda x, a, b: a * b * (1 - jnp.tanh(b * x) ** 2),
        {"alpha": None, "beta": None},
    ),
    "Softsign": Function(
        lambda x, a, b: x / (1 + jnp.abs(x)), lambda x, a, b: 1 / (1 + jnp.abs(x)) ** 2
    ),
    "Softplus": Function(
        lambda x, a, b: jnp.logaddexp(x, jnp.zeros_like(x)), lambda x, a, b: sigmoid(x)
    ),
}

TANH, SIGMOID, RELU = Activation("Tanh"), Activation("Sigmoid"), Activation("Relu")
DEFAULTS = {"RNN": (TANH,), "GRU": (SIGMOID, TANH), "LSTM": (SIGMOID, TANH, TANH)}
_OWN = {
    Kind("RNN", (TANH,)): ELMAN,
    Kind("RNN", (RELU,)): ELMAN_RELU,
    Kind("GRU", DEFAULTS["GRU"], reset_after=True): GRU,
    Kind("GRU", DEFAULTS["GRU"]): GRU_RESET_BEFORE,
    Kind("LSTM", DEFAULTS["LSTM"]): LSTM,
    Kind("LSTM", DEFAULTS["LSTM"], peepholes=True): LSTM_PEEPHOLE,
}
_KINDS = {cell: kind for kind, cell in _OWN.items()}


def cell_of(kind: Kind) -> Cell:
    """The library's cell where it is one, else the one that is built for this kind, once."""
    if kind in _OWN:
        return _OWN[kind]
    cell = _built(kind)
    _KINDS[cell] = kind
    return cell


def kind_of(cell: Cell) -> Kind | None:
    """What an operator has to be set to for a cell; None where no operator is that cell."""
    return _KINDS.get(cell)


class Saved(NamedTuple):
    """gates: values of the gates; pre: what went into the activations; m: what r multiplies."""

    gates: Any
    pre: Any
    m: Any = ()


@functools.cache
def _built(kind: Kind) -> Cell:
    return {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[kind.operator](kind)


def _clipped(
    activation: Activation, clip: float | None
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """φ(x) of the clipped x, and its slope."""
    function, constants = FUNCTIONS[activation.name], activation[1:]

    def value(x: Array) -> Array:
        return function.value(x if clip is None else jnp.clip(x, -clip, clip), *constants)

    def slope(x: Array) -> Array:
        if clip is None:
            return function.slope(x, *constants)
        inside = jnp.abs(x) <= clip
        return _where(inside, function.slope(jnp.clip(x, -clip, clip), *constants))

    return value, slope


def _name(kind: Kind) -> str:
    """Of letters, digits and _, as a cell's name is."""
    parts = ["onnx", kind.operator]
    for activation in kind.activations:
        parts += [str(part) for part in activation if part is not None]
    parts += [] if kind.clip is None else ["clip", str(kind.clip)]
    parts += [name for name in ("reset_after", "coupled", "peepholes") if getattr(kind, name)]
    text = "_".join(parts).lower().replace(".", "p").replace("-", "m")
    return re.sub(r"\W", "", text)


def _rnn(kind: Kind) -> Cell:
    value, slope = _clipped(kind.activations[0], kind.clip)

    def forward(product, params, carry, a):
        pre = a + product("w_hh", carry.h)
        return ELMAN.Carry(value(pre)), Saved((), pre), pre

    def backward(product_T, params, carry, saved, new, d):
        d_a = d.h * slope(saved.pre)
        return ELMAN.Carry(product_T("w_hh", d_a)), d_a

    def pairs(carry, saved, d_a):
        return d_a, {"w_hh": (carry.h, d_a)}

    return Cell(
        name=_name(kind),
        gates=ELMAN.gates,
        nonlinearities=(value,),
        param_shapes=ELMAN.param_shapes,
        carry_sizes=ELMAN.carry_sizes,
        forward=forward,
        backward=backward,
        pairs=pairs,
    )


def _gru(kind: Kind) -> Cell:
    like = GRU if kind.reset_after else GRU_RESET_BEFORE
    (value, slope), (value_n, slope_n) = (_clipped(f, kind.clip) for f in kind.activations)

    def forward(product, params, carry, a):
        a_r, a_z, a_n = blocks(a, 3)
        if kind.reset_after:
            u_r, u_z, u_n = blocks(product("w_hh", carry.h), 3)
            m = u_n + params.b_hn
        else:
            u_r, u_z = blocks(product("w_hh", carry.h), 2)
            m = ()
        into_r, into_z = a_r + u_r, a_z + u_z
        r, z = value(into_r), value(into_z)
        into_n = a_n + (r * m if kind.reset_after else product("w_hn", r * carry.h))
        n = value_n(into_n)
        pre = join(into_r, into_z, into_n)
        return like.Carry(n + z * (carry.h - n)), Saved((r, z, n), pre, m), pre

    def backward(product_T, params, carry, saved, new, d):
        r, z, n = saved.gates
        into_r, into_z, into_n = blocks(saved.pre, 3)
        d_a_n = d.h * (1 - z) * slope_n(into_n)
        d_a_z = d.h * (carry.h - n) * slope(into_z)
        if kind.reset_after:
            d_a_r = d_a_n * saved.m * slope(into_r)
            d_h = product_T("w_hh", join(d_a_r, d_a_z, d_a_n * r))
        else:
            d_s = product_T("w_hn", d_a_n)
            d_a_r = d_s * carry.h * slope(into_r)
            d_h = d_s * r + product_T("w_hh", join(d_a_r, d_a_z))
        return like.Carry(d.h * z + d_h), join(d_a_r, d_a_z, d_a_n)

    def pairs(carry, saved, d_a):
        r = saved.gates[0]
        d_a_r, d_a_z, d_a_n = blocks(d_a, 3)
        if kind.reset_after:
            d_u = join(d_a_r, d_a_z, d_a_n * r)
            return d_a, {"w_hh": (carry.h, d_u), "b_hn": (None, d_a_n * r)}
        return d_a, {"w_hh": (carry.h, join(d_a_r, d_a_z)), "w_hn": (r * carry.h, d_a_n)}

    return Cell(
        name=_name(kind),
        gates=like.gates,
        nonlinearities=(value, value, value_n),
        param_shapes=like.param_shapes,
        carry_sizes=like.carry_sizes,
        forward=forward,
        backward=backward,
        pairs=pairs,
        recurrent=like.recurrent,
    )


def _lstm(kind: Kind) -> Cell:
    like = LSTM_PEEPHOLE if kind.peepholes else LSTM
    functions = [_clipped(f, kind.clip) for f in kind.activations]
    (value, slope), (value_g, slope_g), (value_h, slope_h) = functions

    def one_minus(x: Array) -> Array:
        return 1 - value(x)

    def forward(product, params, carry, a):
        into_i, into_f, into_g, into_o = blocks(a + product("w_hh", carry.h), 4)
        if kind.peepholes:
            into_i, into_f = into_i + params.p_i * carry.c, into_f + params.p_f * carry.c
        if kind.coupled:
            into_f = into_i  # of which the forget gate is then a function
        i, g = value(into_i), value_g(into_g)
        f = 1 - i if kind.coupled else value(into_f)
        c = f * carry.c + i * g
        if kind.peepholes:
            into_o = into_o + params.p_o * c
        o = value(into_o)
        pre = join(into_i, into_f, into_g, into_o)
        return like.Carry(o * value_h(c), c), Saved((i, f, g, o), pre), pre

    def backward(product_T, params, carry, saved, new, d):
        i, f, g, o = saved.gates
        into_i, into_f, into_g, into_o = blocks(saved.pre, 4)
        d_a_o = d.h * value_h(new.c) * slope(into_o)
        d_c = d.c + d.h * o * slope_h(new.c)
        if kind.peepholes:
            d_c = d_c + d_a_o * params.p_o
        if kind.coupled:
            d_a_i, d_a_f = d_c * (g - carry.c) * slope(into_i), jnp.zeros_like(d_c)
        else:
            d_a_i, d_a_f = d_c * g * slope(into_i), d_c * carry.c * slope(into_f)
        d_a = join(d_a_i, d_a_f, d_c * i * slope_g(into_g), d_a_o)
        d_c = d_c * f
        if kind.peepholes:
            d_c = d_c + d_a_i * params.p_i + d_a_f * params.p_f
        return like.Carry(product_T("w_hh", d_a), d_c), d_a

    def pairs(carry, saved, d_a):
        declared = {"w_hh": (carry.h, d_a)}
        if kind.peepholes:
            i, f, g, _ = saved.gates
            d_a_i, d_a_f, _, d_a_o = blocks(d_a, 4)
            c = f * carry.c + i * g
            declared |= {"p_i": (carry.c, d_a_i), "p_f": (carry.c, d_a_f), "p_o": (c, d_a_o)}
        return d_a, declared

    return Cell(
        name=_name(kind),
        gates=like.gates,
        nonlinearities=(value, one_minus if kind.coupled else value, value_g, value),
        param_shapes=like.param_shapes,
        carry_sizes=like.carry_sizes,
        forward=forward,
        backward=backward,
        pairs=pairs,
    )
