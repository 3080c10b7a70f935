"""cuDNN's LSTM through `jax.experimental.rnn.lstm`, on NVIDIA GPUs.

cuDNN has two biases where jaxrnn has one. The second is a constant zero and no parameter: trained
beside the first, whose gradient is its own, the two would learn at twice the rate.
"""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def flat_weights(params: Any) -> Any:
    """W_ih, W_hh, b_ih, raveled one after the other."""
    import jax.numpy as jnp

    return jnp.concatenate([params.w_xh.T.ravel(), params.w_hh.T.ravel(), params.b_h])


def with_second_bias(weights: Any, hidden_size: int) -> Any:
    """The weights as cuDNN takes them, b_hh = 0 at the end."""
    import jax.numpy as jnp

    return jnp.concatenate([weights, jnp.zeros(4 * hidden_size, weights.dtype)])


def build(cell: str, size: Size) -> JaxLayer:
    """Batch-first, carries with a leading layer axis, sequences of full length."""
    import jax.numpy as jnp
    from jax.experimental import rnn as cudnn_rnn

    lengths = jnp.full(size.batch, size.time, jnp.int32)

    def convert(params: Any, carry: Any) -> tuple[Any, Any]:
        return flat_weights(params), (carry.h[None], carry.c[None])

    def unroll(weights: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
        hs, h, c = cudnn_rnn.lstm(
            xs,
            *carry,
            with_second_bias(weights, size.hidden_size),
            lengths,
            input_size=size.input_size,
            hidden_size=size.hidden_size,
            num_layers=1,
            dropout=0.0,
            bidirectional=False,
        )
        return (h, c), hs

    return JaxLayer(convert, unroll, batch_first=True)


PEER = Peer(
    name="cudnn",
    path="jax.experimental.rnn.lstm",
    distribution=None,
    cells={"lstm": "lstm"},
    prepare={
        "layer": prepare_layer(build),
        "train": prepare_training(build),
        "compile": prepare_compile(build),
        "memory": prepare_memory(build),
    },
    devices=("gpu",),
    platforms=("cuda",),
)
