"""One training run that can be divided in every way; as a script, one process of several.

python division.py ADDRESS PROCESSES PROCESS DEVICES OUT      OUT.npz is what it found
"""

import functools
import sys
from pathlib import Path

import jax
import numpy as np
from oracles import random_params

from jaxrnn import charlm
from jaxrnn.charlm.placement import any_process, make_mesh, whole
from jaxrnn.optimizers import make_optimizer

TEXT = (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8")
BATCH, LENGTH, STEPS = 8, 12, 100


@functools.cache
def parts(dropout=0.25, cell="elman"):
    vocab = charlm.Vocab.from_text(TEXT)
    config = charlm.Config(len(vocab), cell, hidden_size=12, num_layers=2, dropout=dropout)
    optimizer = make_optimizer("adamw", 1e-2, weight_decay=0.1, clip_norm=1.0)
    tokens = vocab.encode(TEXT)
    # 40 windows an epoch, so that the run goes over the end of the text twice
    streams = charlm.make_streams(tokens[: 40 * BATCH * LENGTH + 1], BATCH, LENGTH)
    return config, optimizer, streams, tokens[-1000:]


@functools.cache
def run(dtype="float32", devices=1, accumulate=1, compute_dtype=None, cell="elman"):
    """Losses [100], (state, carry) at the end and the loss on 1,000 other characters."""
    config, optimizer, streams, others = parts(cell=cell)
    mesh = make_mesh(devices) if devices > 1 else None  # alone also where there are more processes
    params = random_params(config, dtype=dtype)
    with jax.transfer_guard("disallow"):
        state = charlm.initial_state(params, optimizer)
    carry = charlm.zero_carry(config, params, BATCH, dtype=compute_dtype)
    train = charlm.make_train_windows(
        config, optimizer, LENGTH, 60, mesh=mesh, accumulate=accumulate, compute_dtype=compute_dtype
    )
    key, losses = jax.random.key(1), []
    # Nothing goes to a device or comes back from it unless it is told to.
    with jax.transfer_guard("disallow"):
        for count in (60, STEPS - 60):
            state, carry, metrics = train(state, carry, streams, count, key)
            losses.append(jax.device_get(metrics["loss"])[:count])
        # 3 streams: with 2 devices and more, some fill up the last one.
        value = charlm.evaluate(config, state.params, others, batch_size=3, length=30, mesh=mesh)
        ended = jax.device_get(whole(mesh, (state, carry)))
    return np.concatenate(losses), ended, value


def main(address, processes, process, devices, out):
    # As the tests have it.
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_num_cpu_devices", int(devices) // int(processes))
    if int(processes) > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, int(processes), int(process))
    mesh = make_mesh(int(devices))
    with jax.transfer_guard("disallow"):
        answers = [any_process(mesh, process == last) for last in ("0", "1", "none")]
    found = {"answers": answers}
    for dtype, accumulate in (("float32", 1), ("float64", 2)):
        losses, (state, carry), value = run(dtype, int(devices), accumulate)
        found[f"{dtype}-{accumulate}-losses"] = losses
        found[f"{dtype}-{accumulate}-value"] = value
        for index, leaf in enumerate(jax.tree.leaves((state.params, carry))):
            found[f"{dtype}-{accumulate}-{index}"] = leaf
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
