"""The suites: one file each, and this table."""

from benchmarks.suites import (
    compilation,
    layer,
    memory,
    parallel,
    processes,
    sample,
    scaling,
    sequences,
    train,
)
from benchmarks.suites.suite import Suite

SUITES: dict[str, Suite] = {
    module.SUITE.name: module.SUITE
    for module in (
        layer,
        train,
        sample,
        sequences,
        compilation,
        memory,
        scaling,
        processes,
        parallel,
    )
}
"""Name → suite."""
