"""A layer of jaxrnn over ragged sequences: `lengths`, `resets` and both, beside neither."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import named_gradients
from benchmarks.peers.peer import Prepared
from benchmarks.problems import Arrays, SequenceProblem

OPTIONS = {
    "clean": (),
    "lengths": ("lengths",),
    "resets": ("resets", "reset_carry"),
    "lengths_resets": ("lengths", "resets", "reset_carry"),
}
"""Quantity → which of `SequenceArrays` the unroll is given."""


def prepare_sequences(unroll_name: str) -> Callable[[SequenceProblem, str], Prepared]:
    """The four quantities of a `SequenceProblem` with one of jaxrnn's unrolls."""

    def prepare(problem: SequenceProblem, device: str) -> Prepared:
        import jax

        import jaxrnn as rnn

        unroll, cell = getattr(rnn, unroll_name), rnn.CELLS[problem.cell]
        params, carry, xs, cotangent = jax.device_put(problem.arrays())
        ragged = jax.device_put(problem.sequences())._asdict()
        arguments = {}
        for quantity, options in OPTIONS.items():
            others = {each: ragged[each] for each in options}
            floats = {"params": params, "carry": carry, "xs": xs}
            if "reset_carry" in others:
                floats["reset_carry"] = others.pop("reset_carry")
            arguments[quantity] = floats, others, cotangent

        @jax.jit
        def loss_and_gradient(floats: Any, others: Any, cotangent: Any) -> Any:
            def loss(floats: Any) -> Any:
                _, hs = unroll(cell, **floats, **others)
                return (hs * cotangent).sum()

            return jax.value_and_grad(loss)(floats)

        def run(quantity: str) -> Any:
            return jax.block_until_ready(loss_and_gradient(*arguments[quantity]))

        def results() -> Arrays:
            named: Arrays = {}
            for quantity in OPTIONS:
                loss, d = run(quantity)
                mine = named_gradients(d["params"], d["carry"], d["xs"], d.get("reset_carry"))
                mine["loss"] = np.asarray(loss)
                named |= {f"{quantity}: {name}": value for name, value in mine.items()}
            return named

        def timed(quantity: str) -> Callable[[], None]:
            def call() -> None:
                run(quantity)

            return call

        return Prepared({quantity: timed(quantity) for quantity in OPTIONS}, results)

    return prepare
