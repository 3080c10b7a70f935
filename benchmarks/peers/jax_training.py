"""A whole training step with a JAX peer's layers: one-hot, layers, readout, loss, clip, optimizer.

Everything but the layers is the same for all: optax's losses and transformations, one `jax.jit`
around the step, parameters, optimizer state and carries donated.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import Build
from benchmarks.peers.peer import Prepared
from benchmarks.problems import COMPARED_STEPS, Arrays, ModelArrays, TrainProblem

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(state, tokens, targets) → (state, loss)."""


def recipe(problem: TrainProblem) -> tuple[Any, Any]:
    """The problem's optimizer and loss, from the library that is measured."""
    import jaxrnn as rnn
    from jaxrnn import charlm
    from jaxrnn.optimizers import make_optimizer

    if problem.recipe == "min-char-rnn":
        return rnn.karpathy_adagrad(0.1, clip=5.0), charlm.summed_cross_entropy
    rmsprop = make_optimizer("rmsprop", 2e-3, decay_rate=0.95, clip_value=5.0)
    return rmsprop, charlm.cross_entropy


def prepare_training(build: Build) -> Callable[[TrainProblem, str], Prepared]:
    """The quantity of a `TrainProblem`."""

    def prepare(problem: TrainProblem, device: str) -> Prepared:
        import jax
        import jax.numpy as jnp
        import optax

        optimizer, loss = recipe(problem)
        model = problem.arrays()
        size = problem.size
        layers = [build(problem.cell, each) for each in problem.layer_sizes()]

        @jax.jit
        def convert(trained: Any) -> Any:
            params, w_hy, b_y = trained
            pairs = [
                layer.convert(*each)
                for layer, *each in zip(layers, params, model.carries, strict=True)
            ]
            native, carries = zip(*pairs, strict=True)
            return (native, w_hy, b_y), carries

        ours = (model.layers, model.w_hy, model.b_y)

        def initial() -> Any:
            params, carries = jax.tree.map(jnp.array, convert(ours))
            return params, optimizer.init(params), carries

        def objective(params: Any, carries: Any, tokens: Any, targets: Any) -> Any:
            native, w_hy, b_y = params
            xs = jax.nn.one_hot(tokens, size.input_size)
            after = []
            for layer, layer_params, carry in zip(layers, native, carries, strict=True):
                carry, hs = layer.unroll(layer_params, carry, layer.layout(xs))
                xs = layer.layout(hs)
                after.append(carry)
            return loss(xs @ w_hy + b_y, targets), after

        @partial(jax.jit, donate_argnums=0)
        def step(state: Any, tokens: Any, targets: Any) -> Any:
            params, memory, carries = state
            (value, carries), gradient = jax.value_and_grad(objective, has_aux=True)(
                params, carries, tokens, targets
            )
            updates, memory = optimizer.update(gradient, memory, params)
            return (optax.apply_updates(params, updates), memory, carries), value

        def back(state: Any) -> Any:
            # convert is affine with orthonormal columns (it moves and negates entries, and adds
            # constants), so its transpose undoes it.
            @jax.jit
            def undo(params: Any) -> Any:
                zero, transpose = jax.vjp(
                    lambda each: convert(each)[0], jax.tree.map(jnp.zeros_like, ours)
                )
                return transpose(jax.tree.map(jnp.subtract, params, zero))[0]

            return undo(state[0])

        return prepared_training(problem, initial, step, back)

    return prepare


def prepared_training(
    problem: TrainProblem, initial: Callable[[], Any], step: Step, back: Callable[[Any], Any]
) -> Prepared:
    """Training that goes on from call to call, and the comparison of its first steps.

    Args:
        problem: whose windows are read round and round.
        initial: a fresh state.
        step: (state, tokens, targets) → (state, loss).
        back: state → (layers, w_hy, b_y) in jaxrnn's layout.
    """
    import jax

    windows = jax.device_put(problem.arrays().windows(problem.size.time))
    next_window = cycle(windows)
    state = initial()

    def run() -> None:
        nonlocal state
        state, value = step(state, *next(next_window))
        jax.block_until_ready((state, value))

    def results() -> Arrays:
        state, losses = initial(), []
        for tokens, targets in windows[:COMPARED_STEPS]:
            state, value = step(state, tokens, targets)
            losses.append(float(value))
        return named_training_results(losses, *back(state))

    return Prepared({"train_step": run}, results)


def named_training_results(losses: list[float], layers: Any, w_hy: Any, b_y: Any) -> Arrays:
    """Losses and trained parameters by name."""
    named = {"losses": losses, "trained w_hy": w_hy, "trained b_y": b_y}
    for index, params in enumerate(layers):
        named |= {f"trained {k} of layer {index}": v for k, v in params._asdict().items()}
    return {name: np.asarray(value) for name, value in named.items()}


def charlm_parts(problem: TrainProblem, model: ModelArrays) -> tuple[Any, Any, Any]:
    """Jaxrnn's own config, parameters and carries of the problem."""
    import jax
    import jax.numpy as jnp

    from jaxrnn import charlm

    config = charlm.Config(
        vocab_size=problem.size.input_size,
        cell=problem.cell,
        hidden_size=problem.size.hidden_size,
        num_layers=problem.layers,
    )
    parts = jax.tree.map(jnp.array, (model.layers, model.w_hy, model.b_y))
    return config, charlm.Params(*parts), jax.tree.map(jnp.array, model.carries)


def prepare_charlm_training(unroll_name: str) -> Callable[[TrainProblem, str], Prepared]:
    """`charlm.make_train_step` with one of jaxrnn's unrolls."""

    def prepare(problem: TrainProblem, device: str) -> Prepared:
        import jaxrnn as rnn
        from jaxrnn import charlm

        optimizer, loss = recipe(problem)
        model = problem.arrays()
        config, _, _ = charlm_parts(problem, model)
        step = charlm.make_train_step(config, optimizer, loss, unroll=getattr(rnn, unroll_name))

        def initial() -> Any:
            _, params, carries = charlm_parts(problem, model)
            return charlm.initial_state(params, optimizer), carries

        def one(state: Any, tokens: Any, targets: Any) -> tuple[Any, Any]:
            train_state, carry, metrics = step(state[0], state[1], tokens, targets)
            return (train_state, carry), metrics["loss"]

        return prepared_training(problem, initial, one, lambda state: trained(state[0]))

    return prepare


def trained(train_state: Any) -> tuple[Any, Any, Any]:
    """Layers, w_hy, b_y of a `charlm.TrainState`."""
    params = train_state.params
    return params.layers, params.w_hy, params.b_y
