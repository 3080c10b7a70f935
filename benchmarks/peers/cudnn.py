"""cuDNN's LSTM through `jax.experimental.rnn.lstm`, on NVIDIA GPUs."""

from typing import Any

from benchmarks.peers.jax_layers import JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import prepare_compile, prepare_memory
from benchmarks.peers.jax_training import prepare_training
from benchmarks.peers.peer import Peer
from benchmarks.problems import Size


def flat_weights(params: Any) -> Any:
    """W_ih, W_hh, b_ih, b_hh, raveled one after the other; the second bias is zero."""
    import jax.numpy as jnp

    return jnp.concatenate(
        [params.w_xh.T.ravel(), params.w_hh.T.ravel(), params.b_h, jnp.zeros_like(params.b_h)]
    )


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
            weights,
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
)
