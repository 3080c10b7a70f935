"""The suites: one file each, and this table."""

from benchmarks.suites import layer
from benchmarks.suites.suite import Suite

SUITES: dict[str, Suite] = {module.SUITE.name: module.SUITE for module in (layer,)}
"""Name → suite."""
