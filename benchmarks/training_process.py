"""A process that trains alone or with another, on one core: what the suite `processes` times.

    python -m benchmarks.training_process CORE ADDRESS PROCESSES PROCESS CELL B,T,V,H LAYERS

It reads numbers of windows, one per line, trains on so many, and answers `seconds` and how long it
took. Other lines are none of its own (the CPU's collectives say that they are connected).
"""

import os
import sys
import time
from collections.abc import Sequence

CAPACITY = 4


def main(arguments: Sequence[str]) -> None:
    """Prepares, and answers until the input ends."""
    core, address, processes, process, cell, size, layers = arguments
    os.sched_setaffinity(0, {int(core)})  # before JAX looks how many there are
    import jax

    if int(processes) > 1:
        jax.distributed.initialize(
            address, int(processes), int(process), cluster_detection_method="deactivate"
        )
    from benchmarks.peers.jax_training import charlm_parts, recipe
    from benchmarks.problems import ProcessesProblem, Size
    from jaxrnn import charlm
    from jaxrnn.charlm import placement

    problem = ProcessesProblem(cell, Size.parse(size), int(layers))
    model = problem.arrays()
    optimizer, loss = recipe(problem)
    config, params, carries = charlm_parts(problem, model)
    mesh = placement.make_mesh(int(processes))
    train = charlm.make_train_windows(
        config, optimizer, problem.size.time, CAPACITY, loss, mesh=mesh
    )
    state = placement.replicate(mesh, charlm.initial_state(params, optimizer))
    carry = placement.divide(mesh, carries)
    streams = placement.divide(mesh, model.text.T)
    for line in sys.stdin:
        start = time.perf_counter()
        state, carry, metrics = train(state, carry, streams, int(line))
        jax.block_until_ready((state, carry, metrics))
        print("seconds", time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
