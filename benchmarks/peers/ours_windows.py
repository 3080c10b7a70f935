"""jaxrnn with many windows in one dispatch: `charlm.make_train_windows`, as `jaxrnn train` has it.

Python and the allocator are paid once for `CAPACITY` windows; a training step's time is that of
the dispatch divided by the windows in it. On a CPU the streams are divided over its cores.
"""

import os
import time
from typing import Any

from benchmarks.peers.jax_training import (
    charlm_parts,
    named_training_results,
    recipe,
    trained,
)
from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import COMPARED_STEPS, Arrays, TrainProblem

CAPACITY = 32


def prepare_training(problem: TrainProblem, device: str) -> Prepared:
    """The quantity of a `TrainProblem`, a `CAPACITY`th of a dispatch."""
    import jax
    import jax.numpy as jnp

    from jaxrnn import charlm
    from jaxrnn.charlm.placement import make_mesh

    optimizer, loss = recipe(problem)
    model = problem.arrays()
    config, _, _ = charlm_parts(problem, model)
    devices = jax.device_count() if device == "cpu" else 1
    batch = problem.size.batch
    devices = max(n for n in range(1, devices + 1) if batch % n == 0)
    train = charlm.make_train_windows(
        config, optimizer, problem.size.time, CAPACITY, loss, mesh=make_mesh(devices)
    )
    streams = jax.device_put(model.text.T)

    def initial() -> tuple[Any, Any]:
        _, params, carries = charlm_parts(problem, model)
        return charlm.initial_state(params, optimizer), carries

    state = initial()

    def run() -> float:
        nonlocal state
        start = time.perf_counter()
        params, carries, metrics = train(*state, streams, jnp.asarray(CAPACITY, jnp.int32))
        state = params, carries
        jax.block_until_ready((state, metrics))
        return (time.perf_counter() - start) / CAPACITY

    def results() -> Arrays:
        after, _, metrics = train(*initial(), streams, jnp.asarray(COMPARED_STEPS, jnp.int32))
        losses = metrics["loss"][:COMPARED_STEPS].tolist()
        return named_training_results(losses, *trained(after))

    facts = {"windows_per_dispatch": CAPACITY, "devices": devices}
    return Prepared({"train_step": run}, results, facts)


PEER = Peer(
    name="jaxrnn-windows",
    path=f"jaxrnn.charlm.make_train_windows, {CAPACITY} windows in a dispatch, on all cores",
    distribution=None,
    cells=None,
    prepare={"train": prepare_training},
    environment={"JAX_NUM_CPU_DEVICES": str(os.cpu_count() or 1)},
)
