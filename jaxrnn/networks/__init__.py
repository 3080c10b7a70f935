"""Networks as values, and the verbs that take a cell or a network alike.

`Stack` and `Bidirectional` say what is composed of what; `thread` leads a sequence through it, cell
by cell, and every verb is `thread` with another function at the cells.
"""

from jaxrnn.networks.dropout import draw_masks, weight_drop
from jaxrnn.networks.online import (
    RTRLState,
    rtrl_gradient,
    rtrl_init,
    rtrl_step,
    unroll_rtrl,
)
from jaxrnn.networks.parallel import solve_parallel, unroll_parallel
from jaxrnn.networks.parameters import init, output_size, zero_carry
from jaxrnn.networks.thread import drop, fold_in, map_cells, thread
from jaxrnn.networks.truncated import unroll_truncated
from jaxrnn.networks.unrolling import (
    step,
    trace,
    trace_with_outputs,
    unroll,
    unroll_autodiff,
)
from jaxrnn.networks.values import Bidirectional, Directions, Network, Stack, check_network
from jaxrnn.networks.ways import Unroll

__all__ = [
    "Bidirectional",
    "Directions",
    "Network",
    "RTRLState",
    "Stack",
    "Unroll",
    "check_network",
    "draw_masks",
    "drop",
    "fold_in",
    "init",
    "map_cells",
    "output_size",
    "rtrl_gradient",
    "rtrl_init",
    "rtrl_step",
    "solve_parallel",
    "step",
    "thread",
    "trace",
    "trace_with_outputs",
    "unroll",
    "unroll_autodiff",
    "unroll_parallel",
    "unroll_rtrl",
    "unroll_truncated",
    "weight_drop",
    "zero_carry",
]
