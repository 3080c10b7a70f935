"""Dropout of the recurrence: drawn beforehand, so that unrolling needs no key and no mode."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import Array
from jaxrnn.errors import sentence
from jaxrnn.precision import accumulator
from jaxrnn.recurrence.checks import broadcasts, check_params, check_probability, whose


class Masks(NamedTuple):
    """What `unroll` multiplies into the recurrence; constants to the gradient.

    Attributes:
        recurrent: multiplies h where it enters a recurrent product; of h's shape [*B, H], one for
            all steps (variational dropout, Gal and Ghahramani 2016), or [T, *B, H]; None: nothing.
        keep: the cell's Carry of numbers in [0, 1], each broadcastable to [T, *B, H]: the new carry
            is keep · old + (1 − keep) · new (zoneout, Krueger et al. 2017: 0 and 1 in training, the
            probability in use); None: nothing.
    """

    recurrent: Any = None
    keep: Any = None


def draw_cell_masks(
    cell: Cell,
    params: Any,
    key: Array,
    length: int,
    batch_shape: tuple[int, ...] = (),
    *,
    recurrent_dropout: float = 0.0,
    zoneout: Any = 0.0,
) -> Masks:
    """`draw_masks` of a single cell."""
    check_params("draw_masks", cell, params)
    check_probability("draw_masks", "recurrent_dropout", recurrent_dropout)
    dtype, widths = params.w_xh.dtype, cell.carry_of(cell.sizes_of(params))
    recurrent_key, *keep_keys = jax.random.split(key, 1 + len(widths))
    recurrent = keep = None
    if recurrent_dropout > 0:
        shape = (*batch_shape, widths.h)
        # In float32 whatever jax_enable_x64 says, so that a key has one mask.
        kept = jax.random.bernoulli(recurrent_key, np.float32(1 - recurrent_dropout), shape)
        recurrent = kept.astype(dtype) / jnp.asarray(1 - recurrent_dropout, dtype)
    shares = zoneout if isinstance(zoneout, cell.Carry) else cell.Carry(*[zoneout] * len(widths))
    for name, share in zip(cell.Carry._fields, shares, strict=True):
        check_probability("draw_masks", f"zoneout.{name}", share)
    if any(share > 0 for share in shares):
        keep = cell.Carry(
            *(
                jax.random.bernoulli(k, np.float32(share), (length, *batch_shape, w)).astype(dtype)
                for k, share, w in zip(keep_keys, shares, widths, strict=True)
            )
        )
    return Masks(recurrent, keep)


def check_masks(function: str, cell: Cell, carry: Any, length: int, masks: Any) -> None:
    """Raises unless `masks` fit the cell, the batch and the length."""
    if not isinstance(masks, Masks):
        hint = "jaxrnn.draw_masks(cell, params, key, length, batch_shape, ...)"
        got = type(masks).__name__
        raise TypeError(sentence(function, "masks", "a jaxrnn.Masks or None", got, hint))
    if masks.recurrent is not None:
        shape = carry.h.shape
        got_shape = jnp.shape(masks.recurrent)
        if got_shape not in (shape, (length, *shape)):
            expected = f"[*B, H], here {list(shape)}, or with {length} steps in front"
            got = f"{list(got_shape)}"
            raise ValueError(sentence(function, "masks.recurrent", expected, got))
    if masks.keep is None:
        return
    if not isinstance(masks.keep, cell.Carry):
        expected = f"the Carry of {cell!r} with fields {', '.join(cell.Carry._fields)}"
        raise TypeError(sentence(function, "masks.keep", expected, whose(masks.keep)))
    for name, value, state in zip(cell.Carry._fields, masks.keep, carry, strict=True):
        whole = (length, *state.shape)
        if value is None:
            expected = "numbers in [0, 1]"
            raise TypeError(sentence(function, f"masks.keep.{name}", expected, "None", "0.0"))
        if not broadcasts(jnp.shape(value), whole):
            expected = f"numbers that broadcast to {list(whole)}"
            got = f"{list(jnp.shape(value))}"
            raise ValueError(sentence(function, f"masks.keep.{name}", expected, got))


def spread(masks: Masks, carry: Any, length: int) -> Masks:
    """The masks in the dtype in which cells compute: each [*B, H] or, with an axis T, [T, *B, H].

    All fields of `keep` then have the axis T, or none has.
    """
    recurrent, keep = jax.lax.stop_gradient(masks)
    wide = accumulator(carry.h.dtype)
    if recurrent is not None:
        recurrent = jnp.asarray(recurrent).astype(wide)
    if keep is not None:
        parts = [jnp.asarray(part) for part in keep]
        timed = any(
            part.ndim == state.ndim + 1 and part.shape[0] != 1
            for part, state in zip(parts, carry, strict=True)
        )

        def fill(part: Array, state: Array) -> Array:
            if part.ndim == state.ndim + 1 and not timed:
                part = part[0]
            shape = (length, *state.shape) if timed else state.shape
            lead = (1,) * (len(shape) - part.ndim)
            return jnp.broadcast_to(part.astype(wide).reshape(lead + part.shape), shape)

        keep = type(keep)(*map(fill, parts, carry))
    return Masks(recurrent, keep)
