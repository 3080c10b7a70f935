"""jaxrnn with `unroll(..., recompute=True)`: of T steps about √T are kept, the rest run again."""

from functools import partial

from benchmarks.peers.jax_layers import JaxLayer
from benchmarks.peers.jax_programs import prepare_memory
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """No conversion."""
    import jaxrnn as rnn

    return JaxLayer(
        convert=lambda params, carry: (params, carry),
        unroll=partial(rnn.unroll, rnn.CELLS[cell], recompute=True),
    )


PEER = Peer(
    name="jaxrnn-recompute",
    path="jaxrnn.unroll(recompute=True)",
    distribution=None,
    cells=None,
    prepare={"memory": prepare_memory(build)},
)
