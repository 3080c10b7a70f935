"""A layer as the suite `parallel` asks for it: timed like any, with memory and iterations."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.peers.jax_layers import Build, JaxLayer, prepare_layer
from benchmarks.peers.jax_programs import program
from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import ParallelProblem, Size


def prepare_parallel(
    build: Build, solve: Callable[..., Any] | None = None
) -> Callable[[ParallelProblem, str], Prepared]:
    """`prepare_layer`, and as facts the bytes of temporaries and how Newton's method went.

    Args:
        build: the layer.
        solve: `jaxrnn.solve_parallel` of the same; None for a layer that has no iterations.
    """

    def prepare(problem: ParallelProblem, device: str) -> Prepared:
        prepared = prepare_layer(build)(problem, device)
        jitted, shapes = program(build, problem)
        analysis = jitted.lower(*shapes).compile().memory_analysis()
        facts = dict(prepared.facts)
        if analysis is not None:
            facts["temporaries"] = int(analysis.temp_size_in_bytes)
        if solve is not None:
            import jax

            import jaxrnn as rnn

            params, carry, xs, _ = jax.device_put(problem.arrays())
            solution = solve(rnn.CELLS[problem.cell], params, carry, xs)[2]
            facts["iterations"] = int(solution.iterations)
            facts["converged"] = bool(solution.converged)
        return replace(prepared, facts=facts)

    return prepare


def newton(name: str, jacobian: str) -> Peer:
    """jaxrnn's `unroll_parallel` as a peer."""

    def build(cell: str, size: Size) -> JaxLayer:
        import jaxrnn as rnn

        return JaxLayer(
            convert=lambda params, carry: (params, carry),
            unroll=partial(rnn.unroll_parallel, rnn.CELLS[cell], jacobian=jacobian),
        )

    def solve(*problem: Any) -> Any:
        import jaxrnn as rnn

        return rnn.solve_parallel(*problem, jacobian=jacobian)

    return Peer(
        name=name,
        path=f'jaxrnn.unroll_parallel(jacobian="{jacobian}")',
        distribution=None,
        cells=None,
        prepare={"parallel": prepare_parallel(build, solve)},
    )
