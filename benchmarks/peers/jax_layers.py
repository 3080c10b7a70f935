"""What all peers written in JAX share: a layer as three pure functions, and what is timed of it.

A JAX peer says how jaxrnn's parameters and carry become its own (`convert`) and how it unrolls
them (`unroll`). Its gradients come back to jaxrnn's layout by the transpose of `convert`, which
is affine, so no peer writes the way back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers.peer import Prepared
from benchmarks.problems import Arrays, LayerProblem, Size


@dataclass(frozen=True)
class JaxLayer:
    """A peer's layer.

    Attributes:
        convert: (params, carry) of jaxrnn → (params, carry) of the peer, both pytrees of arrays.
        unroll: (params, carry, xs) of the peer → (carry, hs).
        batch_first: whether the peer's own layout is [B, T, ...].
    """

    convert: Callable[[Any, Any], tuple[Any, Any]]
    unroll: Callable[[Any, Any, Any], tuple[Any, Any]]
    batch_first: bool = False

    def layout(self, sequence: Any) -> Any:
        """Time-major [T, B, ...] to the peer's own layout, and back: it is its own inverse."""
        return sequence.swapaxes(0, 1) if self.batch_first else sequence


Build = Callable[[str, Size], JaxLayer]
"""(cell, size) → layer; imports the peer's library."""


def prepare_layer(build: Build) -> Callable[[LayerProblem, str], Prepared]:
    """The two quantities of a `LayerProblem`, jitted and warmed up."""

    def prepare(problem: LayerProblem, device: str) -> Prepared:
        import jax
        import jax.numpy as jnp

        layer = build(problem.cell, problem.size)
        params, carry, xs, cotangent = jax.device_put(problem.arrays())
        converted = jax.jit(layer.convert)(params, carry)
        native = (*converted, layer.layout(xs), layer.layout(cotangent))
        forward = jax.jit(layer.unroll)
        forward_backward = jax.jit(loss_and_gradient(layer))

        def run_forward() -> None:
            jax.block_until_ready(forward(*native[:3]))

        def run_forward_backward() -> None:
            jax.block_until_ready(forward_backward(*native))

        def results() -> Arrays:
            _, hs = forward(*native[:3])
            _, (d_params, d_carry, d_xs) = forward_backward(*native)
            transpose = jax.jit(lambda d: jax.vjp(layer.convert, params, carry)[1](d))
            d_params, d_carry = transpose((d_params, d_carry))
            return named_results(layer.layout(hs), d_params, d_carry, layer.layout(d_xs))

        return Prepared(
            {"forward": run_forward, "forward_backward": run_forward_backward},
            results,
            {"device_kind": jax.devices()[0].device_kind, "dtype": str(jnp.float32.dtype)},
        )

    return prepare


def loss_and_gradient(layer: JaxLayer) -> Callable[..., Any]:
    """(params, carry, xs, cotangent) → sum(hs · cotangent), its gradient by the first three."""
    import jax

    def loss(params: Any, carry: Any, xs: Any, cotangent: Any) -> Any:
        _, hs = layer.unroll(params, carry, xs)
        return (hs * cotangent).sum()

    return jax.value_and_grad(loss, argnums=(0, 1, 2))


def named_results(hs: Any, d_params: Any, d_carry: Any, d_xs: Any) -> Arrays:
    """Outputs and gradients by name, as NumPy; parameters and carry are jaxrnn's NamedTuples."""
    return {"hs": np.asarray(hs)} | named_gradients(d_params, d_carry, d_xs)


def named_gradients(d_params: Any, d_carry: Any, d_xs: Any, d_reset_carry: Any = None) -> Arrays:
    """Gradients by name, as NumPy."""
    named = {"gradient of xs": d_xs}
    named |= {f"gradient of {name}": value for name, value in d_params._asdict().items()}
    named |= {f"gradient of initial {name}": value for name, value in d_carry._asdict().items()}
    if d_reset_carry is not None:
        fields = d_reset_carry._asdict().items()
        named |= {f"gradient of reset {name}": value for name, value in fields}
    return {name: np.asarray(value) for name, value in named.items()}
