"""How much memory there is, for what would not fit."""

import os

import jax


def device_memory() -> int:
    """Bytes of the first device, as its runtime says; of a CPU the machine's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
