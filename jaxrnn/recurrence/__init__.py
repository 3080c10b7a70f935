"""One cell over time: the step with all that can happen at it, and the ways to run it.

`unroll_cell` has the hand-derived gradient, `scan` JAX's own, `scan_and_keep` keeps everything;
`newton` runs all steps at once, `influence` finds the gradient forwards in time. The verbs of the
library (`jaxrnn.unroll` and its kin), which take networks too, are in `jaxrnn.networks`.
"""

from jaxrnn.recurrence.autodiff import Trace, scan, scan_and_keep, scan_carries
from jaxrnn.recurrence.bptt import unroll_cell
from jaxrnn.recurrence.masks import Masks
from jaxrnn.recurrence.newton import Solution

__all__ = ["Masks", "Solution", "Trace", "scan", "scan_and_keep", "scan_carries", "unroll_cell"]
