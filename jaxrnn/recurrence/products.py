"""What the driver does for a cell: products, the inputs' share, and their transposes.

A cell names a product (`product("w_hh", h)`); here it is made: in the parameters' dtype with sums
in float32 or wider, with a dropout mask on h where there is one, by the rows of a table where the
inputs are token ids.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn import tuning
from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array, Pairs, Product, dimensions
from jaxrnn.precision import accumulator, contract, dot, flatten, sum_rows, widen
from jaxrnn.recurrence.checks import is_token_ids


def working_dtype(params: Any) -> Any:
    """The dtype in which a cell's functions compute: float32, or float64 for such parameters."""
    return accumulator(params.w_xh.dtype)


def product(cell: Cell, params: Any, mask: Array | None) -> Product:
    """`(name, q [*B, M]) -> q w [*B, N]`, or q ⊙ w of a vector; `mask` [*B, M] on h."""

    def make(name: str, q: Array) -> Array:
        w = getattr(params, name)
        if mask is not None and name in cell.recurrent:
            q = q * mask
        return dot(q.astype(w.dtype), w) if w.ndim == 2 else q * widen(w, q)

    return make


def product_T(cell: Cell, params: Any, mask: Array | None) -> Product:
    """The transpose of `product`: `(name, ∂ [*B, N]) -> ∂ wᵀ [*B, M]`."""

    def make(name: str, d: Array) -> Array:
        w = getattr(params, name)
        d_q = dot(d.astype(w.dtype), w.T) if w.ndim == 2 else d * widen(w, d)
        return d_q * mask if mask is not None and name in cell.recurrent else d_q

    return make


def own_product_T(cell: Cell, params: Any, mask: Array | None) -> Product:
    """`product_T` of the weights' diagonals alone: what comes to each unit from its own gates.

    Of a product between different sizes, such as a projection, no unit has a part of its own: 0.
    """

    def make(name: str, d: Array) -> Array:
        w = getattr(params, name)
        if w.ndim == 1:
            return product_T(cell, params, mask)(name, d)
        rows, columns = (letter for _, letter in dimensions(getattr(cell.param_shapes, name)))
        if rows != columns:
            return jnp.zeros((*d.shape[:-1], w.shape[0]), d.dtype)
        blocks = d.reshape(*d.shape[:-1], -1, w.shape[0])
        own = jnp.diagonal(w.reshape(w.shape[0], -1, w.shape[0]), axis1=0, axis2=2)
        d_q = jnp.sum(blocks * own.astype(d.dtype).reshape((1,) * (d.ndim - 1) + own.shape), -2)
        return d_q * mask if mask is not None and name in cell.recurrent else d_q

    return make


def project(params: Any, xs: Array) -> Array:
    """The inputs' share of the pre-activations, a = x w_xh + b_h, for any leading axes.

    Args:
        params: a cell's params, with b_h or without.
        xs: [..., I], or token ids [...], which pick rows of w_xh: a gather, no product. An id
            outside 0 … I−1 gives NaN, so that it is seen.

    Returns:
        [..., G·H] in float32 or wider.
    """
    w_xh: Array = params.w_xh
    if is_token_ids(xs):
        rows = w_xh.at[xs]
        a = rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        a = a.astype(accumulator(w_xh.dtype))
    else:
        a = dot(xs, w_xh)
    return a + widen(params.b_h, a) if hasattr(params, "b_h") else a


def parameter_gradients(
    cell: Cell,
    params: Any,
    xs: Array,
    d_a: Array,
    pairs: Pairs,
    mask: Array | None,
) -> tuple[Any, Array | None]:
    """Contracts what `cell.pairs` declared, over K steps and the batch.

    Args:
        cell: whose parameters.
        params: its Params.
        xs: [K, *B, I] or token ids [K, *B].
        d_a: ∂a [K, *B, G·H].
        pairs: operand and cotangent of every other parameter, [K, *B, ·].
        mask: [K, *B, H] or [*B, H], what h was multiplied with.

    Returns:
        (the gradient, Params in float32 or wider; ∂x like xs, None for token ids).
    """
    w_xh, d_xs = params.w_xh, None
    if is_token_ids(xs):
        d_w_xh = _sum_by_token(xs, d_a, w_xh.shape[0])
    else:
        d_w_xh = contract(xs, d_a)
        d_xs = dot(d_a.astype(w_xh.dtype), w_xh.T).astype(xs.dtype)
    gradients = {"w_xh": d_w_xh}
    if hasattr(params, "b_h"):
        gradients["b_h"] = sum_rows(d_a)
    for name, (q, d) in masked(cell, pairs, mask).items():
        w = getattr(params, name)
        if q is None:
            gradients[name] = sum_rows(d)
        else:
            gradients[name] = contract(q.astype(w.dtype), d) if w.ndim == 2 else sum_rows(q * d)
    return cell.Params(**gradients), d_xs


def masked(cell: Cell, pairs: Pairs, mask: Array | None) -> Pairs:
    """What `cell.pairs` declared, the operands as dropout let them into their products."""
    if mask is None:
        return pairs

    def seen(name: str, q: Array | None) -> Array | None:
        if q is None or name not in cell.recurrent:
            return q
        return q * (mask if mask.ndim == q.ndim else mask[None])

    return {name: (seen(name, q), d) for name, (q, d) in pairs.items()}


def _sum_by_token(tokens: Array, d_a: Array, vocabulary: int) -> Array:
    """Σ of the rows ∂a [K, *B, G·H] that stand at each token: [V, G·H].

    The transpose of the gather: a product with one-hot rows, or XLA's scatter, which adds row by
    row but does not grow with the vocabulary.
    """
    if vocabulary <= tuning.here().one_hot_vocabulary:
        return contract(jax.nn.one_hot(tokens, vocabulary, dtype=d_a.dtype), d_a)
    return jax.ops.segment_sum(flatten(d_a), tokens.ravel(), num_segments=vocabulary)
