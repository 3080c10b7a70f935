"""min-char-rnn's loop (Karpathy, 2015) in NumPy, for the Elman cell.

Forward keeps every h, backward walks back step by step and adds to the weight gradients at each,
as that program does; rows are streams, so it also runs with a batch.
"""

from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import named_results
from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import Arrays, LayerProblem


def forward(params: Any, h: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Hidden states [T, B, H]."""
    hs = np.empty((len(xs), *h.shape), h.dtype)
    for t, x in enumerate(xs):
        h = hs[t] = np.tanh(x @ params.w_xh + h @ params.w_hh + params.b_h)
    return hs


def backward(
    params: Any, h: np.ndarray, xs: np.ndarray, hs: np.ndarray, cotangent: np.ndarray
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Gradients of sum(hs · cotangent) by parameters, initial h and xs."""
    d_params = type(params)(*(np.zeros_like(part) for part in params))
    d_xs = np.empty_like(xs)
    d_h = np.zeros_like(h)
    for t in reversed(range(len(xs))):
        d_raw = (1 - hs[t] * hs[t]) * (cotangent[t] + d_h)
        previous = hs[t - 1] if t else h
        np.add(d_params.w_xh, xs[t].T @ d_raw, out=d_params.w_xh)
        np.add(d_params.w_hh, previous.T @ d_raw, out=d_params.w_hh)
        np.add(d_params.b_h, d_raw.sum(0), out=d_params.b_h)
        d_xs[t] = d_raw @ params.w_xh.T
        d_h = d_raw @ params.w_hh.T
    return d_params, d_h, d_xs


def prepare_layer(problem: LayerProblem, device: str) -> Prepared:
    """The two quantities of a `LayerProblem`."""
    params, carry, xs, cotangent = problem.arrays()

    def run_forward() -> None:
        forward(params, carry.h, xs)

    def run_forward_backward() -> None:
        hs = forward(params, carry.h, xs)
        (hs * cotangent).sum()
        backward(params, carry.h, xs, hs, cotangent)

    def results() -> Arrays:
        hs = forward(params, carry.h, xs)
        d_params, d_h, d_xs = backward(params, carry.h, xs, hs, cotangent)
        return named_results(hs, d_params, type(carry)(d_h), d_xs)

    return Prepared({"forward": run_forward, "forward_backward": run_forward_backward}, results)


PEER = Peer(
    name="numpy",
    path="min-char-rnn's loop in NumPy",
    distribution=None,
    cells={"elman": "elman"},
    prepare={"layer": prepare_layer},
    devices=("cpu",),
)
