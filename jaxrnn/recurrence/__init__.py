"""A cell over time: one step, the unrolled sequence with hand-derived BPTT, its twin, its trace."""

from jaxrnn.recurrence.autodiff import unroll_autodiff
from jaxrnn.recurrence.bptt import unroll
from jaxrnn.recurrence.steps import init, step, zero_carry
from jaxrnn.recurrence.tracing import Trace, trace

__all__ = ["Trace", "init", "step", "trace", "unroll", "unroll_autodiff", "zero_carry"]
