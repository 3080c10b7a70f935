"""How much memory there is, so that what cannot fit is said before it is tried."""

import os

import jax

from jaxrnn.tuning import platform


def device_memory() -> int:
    """Bytes of the device that arrays are made on, as its runtime says; of a CPU the machine's."""
    stats = jax.local_devices(backend=platform())[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
