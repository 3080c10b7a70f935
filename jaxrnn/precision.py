"""In which precision products and sums are kept; shared by the driver and the models."""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


def accumulator(dtype: Any) -> Any:
    """The dtype in which sums are kept: float32 for bfloat16 and float16, else the same."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else jnp.dtype(dtype)


def dot(x: Array, w: Array) -> Array:
    """`x @ w` for x [*B, M], w [M, N] of one dtype, summed and returned in float32 or wider."""
    return jnp.matmul(x, w, preferred_element_type=accumulator(x.dtype))


def contract(x: Array, y: Array) -> Array:
    """Σ xᵀ y over all leading axes: [*S, M], [*S, N] -> [M, N], as one matrix product."""
    return jax.lax.dot_general(
        flatten(x),
        flatten(y.astype(x.dtype)),
        (((0,), (0,)), ((), ())),
        preferred_element_type=accumulator(x.dtype),
    )


def flatten(x: Array) -> Array:
    """[*S, N] -> [S, N]; written so that an axis of length 0 has a size too."""
    rows = 1
    for size in x.shape[:-1]:
        rows *= size
    return x.reshape(rows, x.shape[-1])


def sum_rows(x: Array) -> Array:
    """Σ over all leading axes: [*S, N] -> [N]."""
    return jnp.sum(x, axis=tuple(range(x.ndim - 1)))


def widen(vector: Array, like: Array) -> Array:
    """A vector [N] in the dtype and rank of `like` [*B, N], so that no promotion is implicit."""
    return vector.astype(like.dtype).reshape((1,) * (like.ndim - 1) + vector.shape)
