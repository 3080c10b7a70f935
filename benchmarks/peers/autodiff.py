"""jaxrnn's `unroll_autodiff`: the same values as `unroll`, gradient by `jax.grad` of the scan."""

from functools import partial

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_sequences import prepare_sequences
from benchmarks.peers.jax_training import prepare_charlm_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def build(cell: str, size: Size) -> JaxLayer:
    """No conversion."""
    import jaxrnn as rnn

    return JaxLayer(
        convert=lambda params, carry: (params, carry),
        unroll=partial(rnn.unroll_autodiff, rnn.CELLS[cell]),
    )


PEER = Peer(
    name="autodiff",
    path="jaxrnn.unroll_autodiff",
    distribution=None,
    cells=None,
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_charlm_training("unroll_autodiff"),
        "sequences": prepare_sequences("unroll_autodiff"),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
)
