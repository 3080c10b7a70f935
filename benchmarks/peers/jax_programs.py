"""What XLA says about a JAX peer's compiled gradient: how long it takes to make, what it needs."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers.jax_layers import Build, loss_and_gradient, named_gradients
from benchmarks.peers.peer import Prepared
from benchmarks.problems import Arrays, CompileProblem, LayerProblem, MemoryProblem


def prepare_compile(build: Build) -> Callable[[CompileProblem, str], Prepared]:
    """The two quantities of a `CompileProblem`; nothing is remembered between calls."""

    def prepare(problem: CompileProblem, device: str) -> Prepared:
        import jax

        def trace_and_lower() -> tuple[Any, float]:
            jax.clear_caches()
            jitted, shapes = program(build, problem)
            start = time.perf_counter()
            lowered = jitted.lower(*shapes)
            return lowered, time.perf_counter() - start

        def compile_only() -> float:
            lowered, _ = trace_and_lower()
            start = time.perf_counter()
            lowered.compile()
            return time.perf_counter() - start

        return Prepared(
            {"trace_and_lower": lambda: trace_and_lower()[1], "compile": compile_only},
            dict,
            warm_up=False,  # every call starts from nothing
        )

    return prepare


def prepare_memory(build: Build) -> Callable[[MemoryProblem, str], Prepared]:
    """The facts of a `MemoryProblem`, in bytes; its results are those of the same program."""

    def prepare(problem: MemoryProblem, device: str) -> Prepared:
        jitted, shapes = program(build, problem)
        compiled = jitted.lower(*shapes).compile()
        analysis = compiled.memory_analysis()
        if analysis is None:
            raise RuntimeError(f"XLA reports no memory use on {device}")
        facts = {
            "temporaries": int(analysis.temp_size_in_bytes),
            "arguments": int(analysis.argument_size_in_bytes),
            "outputs": int(analysis.output_size_in_bytes),
        }

        def results() -> Arrays:
            import jax

            layer = build(problem.cell, problem.size)
            params, carry, xs, cotangent = jax.device_put(problem.arrays())
            native, to_jaxrnn = jax.vjp(layer.convert, params, carry)
            # Elsewhere the precision of products is not that of `compiled`.
            run = compiled if device == "cpu" else jitted
            _, (*d_native, d_xs) = run(*native, layer.layout(xs), layer.layout(cotangent))
            d_params, d_carry = to_jaxrnn(tuple(d_native))
            return named_gradients(d_params, d_carry, layer.layout(d_xs))

        return Prepared({}, results, facts)

    return prepare


def program(build: Build, problem: LayerProblem) -> tuple[Any, Any]:
    """The jitted loss-and-gradient of a peer and the shapes of its arguments."""
    import jax

    layer = build(problem.cell, problem.size)
    params, carry, xs, cotangent = problem.shapes()
    params, carry = jax.eval_shape(layer.convert, params, carry)
    native = (params, carry, *(jax.eval_shape(layer.layout, each) for each in (xs, cotangent)))
    return jax.jit(loss_and_gradient(layer)), native
