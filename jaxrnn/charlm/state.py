"""The arrays that a run goes on from: everything that training changes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrnn.charlm import model
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.training import TrainState, initial_state
from jaxrnn.errors import sentence
from jaxrnn.optimizers import make_optimizer

Array = jax.Array


class RunState(NamedTuple):
    """What a checkpoint holds beside its facts.

    Attributes:
        state: params, optimizer state and step; the position in the text is the step modulo the
            windows of an epoch.
        carry: of every stream.
        key: key data of dropout; a step folds its number into it.
    """

    state: TrainState
    carry: Any
    key: Array


def first(
    config: model.Config,
    settings: Settings,
    params: model.Params,
    optimizer: optax.GradientTransformation,
    key: Array,
) -> RunState:
    """What a run holds before the first step.

    Args:
        config: the model.
        settings: of the run.
        params: its parameters.
        optimizer: of them.
        key: of dropout.
    """
    dtype = jnp.dtype(settings.dtype)
    return RunState(
        initial_state(params, optimizer),
        model.zero_carry(config, params, settings.batch_size, dtype=dtype),
        jax.random.key_data(key),
    )


def template(config: model.Config, settings: Settings) -> RunState:
    """The shapes and dtypes of a run's arrays; takes no memory for them.

    Raises:
        ValueError: settings that nothing can be made of, or a float64 run where JAX has no
            64-bit numbers.
    """
    if settings.dtype == "float64" and not jax.config.read("jax_enable_x64"):
        hint = 'jax.config.update("jax_enable_x64", True) before anything else turns them on'
        rule = "64-bit numbers in JAX, as the run's dtype float64 needs"
        raise ValueError(sentence("template", "jax_enable_x64", rule, "none", hint))

    def blank() -> RunState:
        key = jax.random.key(0)
        params = model.init(config, key, dtype=jnp.dtype(settings.parameter_dtype))
        optimizer = make_optimizer(
            settings.optimizer,
            lambda step: jnp.float32(settings.learning_rate),  # any schedule has the same state
            decay_rate=settings.decay_rate,
            weight_decay=settings.weight_decay,
            clip_value=settings.grad_clip,
            clip_norm=settings.grad_clip_norm,
        )
        return first(config, settings, params, optimizer, key)

    shapes: RunState = jax.eval_shape(blank)
    return shapes
