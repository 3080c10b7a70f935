"""The hardware's limit: the best rate at which the device multiplies float32 matrices.

It is measured as one more participant of the same interleaved run, in a process of its own, so a
slow moment of the machine lowers the limit and the layers alike.
"""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.measuring import mean_seconds
from benchmarks.peers.peer import JAX
from benchmarks.worker import answer_commands

LIMIT = "matrix product"
WIDTHS = {"cpu": (512, 1024, 2048), "gpu": (2048, 4096, 8192), "tpu": (2048, 4096, 8192)}
QUICK_WIDTHS = (64,)


def serve_limit(connection: Connection, quick: bool, device: str) -> None:
    """The child: finds the width with the best rate, then times products of that width."""
    multiply: Any = None

    def prepare() -> dict[str, float]:
        nonlocal multiply
        JAX.require(device)
        rates = {}
        for width in QUICK_WIDTHS if quick else WIDTHS[device]:
            multiply = product(width)
            rates[width] = 2 * width**3 / min(mean_seconds(multiply, 3) for _ in range(3))
        best = max(rates, key=rates.__getitem__)
        multiply = product(best)
        return {"width": best, "flops": 2 * best**3}

    commands: dict[str, Callable[..., Any]] = {
        "prepare": prepare,
        "sample": lambda quantity, calls: mean_seconds(multiply, calls),
    }
    answer_commands(connection, commands)


def product(width: int) -> Any:
    """A call that multiplies two width × width matrices."""
    import jax

    keys = jax.random.split(jax.random.key(0))
    left, right = (jax.random.normal(key, (width, width), "float32") for key in keys)
    multiply = jax.jit(lambda left, right: left @ right)

    def run() -> None:
        jax.block_until_ready(multiply(left, right))

    return run
