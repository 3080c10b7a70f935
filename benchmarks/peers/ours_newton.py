"""jaxrnn's `unroll_parallel`: all steps at once, with whole Jacobians."""

from benchmarks.peers.jax_parallel import newton

PEER = newton("jaxrnn-newton", "full")
