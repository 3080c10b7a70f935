"""jaxrnn itself: `unroll`, whose gradient is the hand-derived BPTT."""

from functools import partial

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_parallel import prepare_parallel
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_sampling import prepare_charlm_sampling
from benchmarks.peers.jax_sequences import prepare_sequences
from benchmarks.peers.jax_training import prepare_charlm_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """No conversion: the problem's weights are in jaxrnn's layout."""
    import jaxrnn as rnn

    return JaxLayer(
        convert=lambda params, carry: (params, carry),
        unroll=partial(rnn.unroll, rnn.CELLS[cell]),
    )


PEER = Peer(
    name="jaxrnn",
    path="jaxrnn.unroll",
    distribution=None,
    cells=None,
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_charlm_training("unroll"),
        "sample": prepare_charlm_sampling,
        "sequences": prepare_sequences("unroll"),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
        "parallel": prepare_parallel(build),
    },
)
