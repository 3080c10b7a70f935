"""What is tuned by platform: one record each, and beside each number how it was measured.

Nothing here changes what is computed beyond the order of sums, only in which pieces. CPU: two cores
of an AMD EPYC (Zen 4), jax 0.10.2, (B, T, I, H), times in ms; `benchmarks/NOTES.md` tells more. GPU
and TPU: every number is unmeasured. They follow from what such a device is: no second-level cache
to stay in, a price for each operation that is started, and so large pieces as long as they fit the
memory. They are the first to be measured when one is at hand.

Of a TPU one thing is not in the table, since nothing here can do it for the caller. Its registers
have 128 lanes, and the blocks of the gates lie side by side in [*B, G·H]: where H is a multiple of
128 each block begins at a lane's boundary, with any other H they are shifted at every step. Padding
H would make another model (a layer norm counts its units): it is left to whoever chooses H.
"""

import dataclasses

import jax

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What is tuned for a platform.

    Attributes:
        projected_bytes: up to which the inputs' share of all steps is made at once, as one product
            before the scan, where a gradient will be taken; else each step makes its own.
        projected_bytes_forward: the same where none will be; None: never.
        chunk_bytes: of pre-activations, in a chunk of the backward pass.
        shortest_chunk: steps.
        longest_chunk: steps.
        fewest_chunks: of a sequence long enough to be divided.
        one_hot_vocabulary: up to which the gradient of rows picked by token ids is a product with
            one-hot rows; beyond, a scatter.
        scan_unroll: steps in a round of the scans over time (`lax.scan(unroll=)`).
        dispatch_operations: of the windows that are trained on in one dispatch.
        block_operations: of the windows that are evaluated in one dispatch.
    """

    projected_bytes: int
    projected_bytes_forward: int | None
    chunk_bytes: int
    shortest_chunk: int
    longest_chunk: int
    fewest_chunks: int
    one_hot_vocabulary: int
    scan_unroll: int
    dispatch_operations: float
    block_operations: float


CPU = Tuning(
    # Beyond, writing and reading it costs more than the larger product gains: at
    # (128, 32, 64, 256), 16 MiB, the LSTM's forward takes 27 with it and 17 without; at
    # (50, 50, 128, 128), 5 MiB, 6.8 and 7.7.
    projected_bytes=8 * MIB,
    # With nothing saved, XLA's CPU compiler makes one loop of a GRU's whole pointwise step and does
    # not vectorise it over blocks of a stacked projection: 10.1, and 6.3 without a stack, at
    # (50, 50, 128, 128). The LSTM takes 7.2 instead of 6.8.
    projected_bytes_forward=None,
    # A chunk's pre-activations should stay in a core's second-level cache while its steps, and then
    # its weight gradients, read them: 1 MiB was best or within 3 % of it at seven sizes, for LSTM,
    # GRU and ELMAN alike. Below 8 steps the products in bulk get too thin; above 128 nothing more
    # is gained.
    chunk_bytes=MIB,
    shortest_chunk=8,
    longest_chunk=128,
    # A single one holds ∂a and all else that the backward pass makes for the whole of T: at
    # (16, 64, 64, 64) the GRU's temporaries are 3.5 MiB with one, 2.8 with two, 2.9 by autodiff.
    fewest_chunks=2,
    # GRU, forward + backward, on a busy machine: 31 with the product and 29 with the scatter at
    # (32, 64, 100, 192), 45 and 50 at (32, 64, 400, 192), with 39 and 29 of CPU time. By itself the
    # scatter is the faster from V = 64 on; to be timed again on a quiet machine.
    one_hot_vocabulary=512,
    scan_unroll=1,  # unmeasured
    dispatch_operations=4e10,  # about 0.2 s
    block_operations=2e10,  # so that whether to stop is asked every 0.2 s or so
)
# Unmeasured, all of it. 0.2 s at 10¹³ operations a second; the rest as said above.
GPU = Tuning(
    projected_bytes=256 * MIB,
    projected_bytes_forward=256 * MIB,
    chunk_bytes=256 * MIB,
    shortest_chunk=8,
    longest_chunk=1 << 20,
    fewest_chunks=1,
    one_hot_vocabulary=512,
    scan_unroll=1,
    dispatch_operations=2e12,
    block_operations=1e12,
)
# Unmeasured, all of it. A scatter runs row by row on a TPU, a product with one-hot rows on its
# matrix unit, so that the product is taken further.
TPU = dataclasses.replace(GPU, one_hot_vocabulary=4096)

PLATFORMS = {"cpu": CPU, "gpu": GPU, "tpu": TPU}


def platform() -> str:
    """That for which a program traced now is: cpu, gpu, tpu, or another's name.

    It is that of JAX's default device: of `jax.default_device` where that is set, else
    `jax.default_backend()`.
    """
    device = getattr(jax.config, "jax_default_device", None)
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else str(device.platform)


def here() -> Tuning:
    """The record of `platform`; of one that has none, the GPU's.

    Example:
        >>> import jax
        >>> with jax.default_device("cpu"):
        ...     here() is CPU
        True
    """
    return PLATFORMS.get(platform(), GPU)
