"""jaxrnn's `unroll_parallel` with of each Jacobian only what a unit does to itself."""

from benchmarks.peers.jax_parallel import newton

PEER = newton("jaxrnn-quasi-newton", "diagonal")
