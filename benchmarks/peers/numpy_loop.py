"""min-char-rnn's loop (Karpathy, 2015) in NumPy, for the Elman cell.

Forward keeps every h, backward walks back step by step and adds to the weight gradients at each,
as that program does; rows are streams, so it also runs with a batch.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import named_results
from benchmarks.peers.jax_training import named_training_results
from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import (
    COMPARED_CHARACTERS,
    COMPARED_STEPS,
    Arrays,
    LayerProblem,
    SampleProblem,
    TrainProblem,
)


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


def prepare_training(problem: TrainProblem, device: str) -> Prepared:
    """The quantity of a `TrainProblem` with min-char-rnn's recipe."""
    model = problem.arrays()
    windows = model.windows(problem.size.time)
    vocabulary = problem.size.input_size

    class Run:
        """min-char-rnn's state."""

        def __init__(self) -> None:
            (layer,) = model.layers
            self.trained = type(layer)(*map(np.copy, layer)), model.w_hy.copy(), model.b_y.copy()
            self.memory = [np.zeros_like(value) for value in self.flat()]
            self.h = model.carries[0].h.copy()

        def flat(self) -> list[np.ndarray]:
            layer, w_hy, b_y = self.trained
            return [*layer, w_hy, b_y]

        def step(self, tokens: np.ndarray, targets: np.ndarray) -> float:
            layer, w_hy, b_y = self.trained
            streams = np.arange(tokens.shape[1])
            xs = np.eye(vocabulary, dtype=np.float32)[tokens]
            hs = forward(layer, self.h, xs)
            loss = 0.0
            d_hs, d_w_hy, d_b_y = np.empty_like(hs), np.zeros_like(w_hy), np.zeros_like(b_y)
            for t, target in enumerate(targets):
                logits = hs[t] @ w_hy + b_y
                p = np.exp(logits - logits.max(-1, keepdims=True))
                p /= p.sum(-1, keepdims=True)
                loss -= float(np.log(p[streams, target]).mean())
                p[streams, target] -= 1
                p /= len(streams)
                d_w_hy += hs[t].T @ p
                d_b_y += p.sum(0)
                d_hs[t] = p @ w_hy.T
            d_layer, _, _ = backward(layer, self.h, xs, hs, d_hs)
            for value, memory, gradient in zip(
                self.flat(), self.memory, [*d_layer, d_w_hy, d_b_y], strict=True
            ):
                np.clip(gradient, -5, 5, out=gradient)
                memory += gradient * gradient
                value -= 0.1 * gradient / np.sqrt(memory + 1e-8)
            self.h = hs[-1]
            return loss

    running, next_window = Run(), cycle(windows)

    def train_step() -> None:
        running.step(*next(next_window))

    def results() -> Arrays:
        fresh = Run()
        losses = [fresh.step(*window) for window in windows[:COMPARED_STEPS]]
        layer, w_hy, b_y = fresh.trained
        return named_training_results(losses, [layer], w_hy, b_y)

    return Prepared({"train_step": train_step}, results)


def prepare_sampling(problem: SampleProblem, device: str) -> Prepared:
    """min-char-rnn's `sample`: one step after the other, `np.random.choice` on the softmax."""
    model = problem.arrays()
    (layer,) = model.layers
    batch, length, vocabulary, _ = problem.size
    one_hot = np.eye(vocabulary, dtype=np.float32)

    def texts(length: int, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        h, tokens = np.zeros_like(model.carries[0].h), np.zeros(batch, np.int64)
        drawn = []
        for _ in range(length):
            h = np.tanh(one_hot[tokens] @ layer.w_xh + h @ layer.w_hh + layer.b_h)
            tokens = choose(h @ model.w_hy + model.b_y)
            drawn.append(tokens)
        return np.stack(drawn)

    random = np.random.default_rng(problem.seed)

    def draw(logits: np.ndarray) -> np.ndarray:
        p = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
        p /= p.sum(-1, keepdims=True)
        return np.array([random.choice(vocabulary, p=row) for row in p])

    def run() -> None:
        texts(length, draw)

    def results() -> Arrays:
        likeliest = texts(COMPARED_CHARACTERS, lambda logits: logits.argmax(-1))
        return {"likeliest characters": likeliest[:, 0]}

    return Prepared({"sample": run}, results)


def declines(problem: Any) -> str | None:
    """min-char-rnn has one layer and its own optimizer."""
    if problem.kind in ("train", "sample") and problem.layers > 1:
        return "has one layer"
    if problem.kind == "train" and problem.recipe != "min-char-rnn":
        return "has no optimizer but min-char-rnn's"
    return None


PEER = Peer(
    name="numpy",
    path="min-char-rnn's loop in NumPy",
    distribution=None,
    cells={"elman": "elman"},
    prepare={"layer": prepare_layer, "train": prepare_training, "sample": prepare_sampling},
    devices=("cpu",),
    declines=declines,
)
