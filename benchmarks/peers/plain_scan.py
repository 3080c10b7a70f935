"""The plain scan: `lax.scan` over one step of the cell, gradient by `jax.grad`.

It is what anyone would write first, and what other JAX libraries come down to: the input's
product inside the loop, and autodiff's own residuals.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_parallel import prepare_parallel
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_sampling import prepare_loop_sampling
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """Scans `jaxrnn.step`."""
    import jax

    import jaxrnn as rnn

    record = rnn.CELLS[cell]

    def unroll(params: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        return jax.lax.scan(lambda carry, x: rnn.step(record, params, carry, x), carry, xs)

    return JaxLayer(convert=lambda params, carry: (params, carry), unroll=unroll)


PEER = Peer(
    name="scan",
    path="jax.lax.scan over jaxrnn.step, jax.grad",
    distribution=None,
    cells=None,
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_training(build),
        "sample": prepare_loop_sampling,
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
        "parallel": prepare_parallel(build),
    },
)
