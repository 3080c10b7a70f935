"""Optimizers by name, gradient clipping and learning-rate schedules, built from optax.

The gradient is clipped first (by value, then by global norm), then the optimizer turns it into
an update. With gradient g, mean square s and rate η:

    adagrad   s ← s + g²                  θ ← θ − η g / √(s + 1e-8)         s starts at 0
    rmsprop   s ← ρ s + (1 − ρ) g²        θ ← θ − η g / (√s + 1e-8)         ρ = decay_rate
    adam      as rmsprop with momentum 0.9 and bias correction, ρ = decay_rate
    adamw     adam, and θ ← θ − η weight_decay θ
    sgd                                   θ ← θ − η g
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxrnn.errors import sentence
from jaxrnn.precision import accumulator

Array = jax.Array

Rate: TypeAlias = float | optax.Schedule


def karpathy_adagrad(
    learning_rate: float | optax.Schedule = 0.1, clip: float = 5.0
) -> optax.GradientTransformation:
    """min-char-rnn's optimizer: elementwise clip, then Adagrad.

    g ← clip(g, −clip, clip);  s ← s + g²;  θ ← θ − η g / √(s + 1e-8), with s starting at 0 and
    the 1e-8 inside the root.

    Args:
        learning_rate: η, a number or an optax schedule.
        clip: largest absolute value of one entry of the gradient, above 0.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: a rate below 0, a clip that is not above 0.

    The first step of every entry is η · sign(g):

    >>> import jax.numpy as jnp, optax
    >>> optimizer = karpathy_adagrad(learning_rate=0.1)
    >>> weights = jnp.array([1.0, 1.0])
    >>> updates, _ = optimizer.update(jnp.array([0.5, -70.0]), optimizer.init(weights))
    >>> print(optax.apply_updates(weights, updates).round(4))
    [0.9 1.1]

    Source: Karpathy, min-char-rnn (2015); Duchi, Hazan and Singer (2011).
    """
    if not clip > 0:
        hint = 'make_optimizer("adagrad", learning_rate) clips nothing'
        raise ValueError(sentence("karpathy_adagrad", "clip", "a number above 0", clip, hint))
    return make_optimizer("adagrad", learning_rate, clip_value=clip)


def make_optimizer(
    name: str,
    learning_rate: float | optax.Schedule,
    *,
    decay_rate: float | None = None,
    weight_decay: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
) -> optax.GradientTransformation:
    """Clips the gradient, then applies the named optimizer.

    Args:
        name: one of `OPTIMIZERS`.
        learning_rate: η, a number or an optax schedule (step -> η).
        decay_rate: ρ, how slowly the mean of squared gradients forgets, in [0, 1); rmsprop's
            default is char-rnn's 0.95, adam's and adamw's is 0.999.
        weight_decay: adamw's pull of every weight towards 0, a share of η.
        clip_value: clips every entry of the gradient to ±clip_value; None or 0: does not.
        clip_norm: scales the whole gradient down to this Euclidean norm; None or 0: does not.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: an unknown name, a number out of range, a weight decay for anything but adamw.

    >>> optimizer = make_optimizer("rmsprop", 2e-3, clip_value=5.0)
    """
    if weight_decay and name != "adamw":
        raise ValueError(
            sentence(
                "make_optimizer", "weight_decay", f"0 with {name}", weight_decay, "name adamw?"
            )
        )
    if not callable(learning_rate) and not 0 <= learning_rate < math.inf:
        rule = "a number from 0 up, or a schedule"
        raise ValueError(sentence("make_optimizer", "learning_rate", rule, learning_rate))
    if decay_rate is not None and not 0 <= decay_rate < 1:
        raise ValueError(
            sentence("make_optimizer", "decay_rate", "a number from 0 to below 1", decay_rate)
        )
    for argument, value in (
        ("weight_decay", weight_decay),
        ("clip_value", clip_value),
        ("clip_norm", clip_norm),
    ):
        if value is not None and not value >= 0:
            raise ValueError(sentence("make_optimizer", argument, "a number from 0 up", value))
    if name not in OPTIMIZERS:
        raise ValueError(
            sentence("make_optimizer", "name", f"one of {', '.join(OPTIMIZERS)}", name)
        )
    optimizer = OPTIMIZERS[name](learning_rate, decay_rate, weight_decay)
    clips = []
    if clip_value:
        clips.append(optax.clip(clip_value))
    if clip_norm:
        clips.append(optax.clip_by_global_norm(clip_norm))
    return optax.chain(*clips, optimizer) if clips else optimizer


def _adagrad(rate: Rate, decay_rate: float | None, _: float) -> optax.GradientTransformation:
    return optax.chain(
        optax.scale_by_rss(initial_accumulator_value=0.0, eps=1e-8),
        optax.scale_by_learning_rate(rate),
    )


def _rmsprop(rate: Rate, decay_rate: float | None, _: float) -> optax.GradientTransformation:
    rho = 0.95 if decay_rate is None else decay_rate
    return optax.rmsprop(rate, decay=rho, eps=1e-8, eps_in_sqrt=False)


def _adam(
    rate: Rate, decay_rate: float | None, weight_decay: float
) -> optax.GradientTransformation:
    return optax.chain(
        _scale_by_adam(0.999 if decay_rate is None else decay_rate),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )


def _sgd(rate: Rate, decay_rate: float | None, _: float) -> optax.GradientTransformation:
    return optax.sgd(rate)


OPTIMIZERS: dict[str, Callable[[Rate, float | None, float], optax.GradientTransformation]] = {
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,  # the only one that `make_optimizer` lets have a weight decay
    "sgd": _sgd,
}
"""By name, each made from the learning rate, `decay_rate` and `weight_decay`."""


def _scale_by_adam(decay_rate: float) -> optax.GradientTransformation:
    """optax's Adam, with its count handed over in the precision of the gradient.

    Left to itself, optax raises the rates to an int32: strict promotion refuses that, and the
    result is float64 or float32, other bits, as jax_enable_x64 is on or off.
    """
    adam = optax.scale_by_adam(b2=decay_rate)

    def update(
        gradient: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        dtypes = [accumulator(leaf.dtype) for leaf in jax.tree.leaves(gradient)]
        widest = max(dtypes, key=lambda dtype: dtype.itemsize, default=jnp.float32)
        counted = state._replace(count=state.count.astype(widest))
        changes, after = adam.update(gradient, counted, params)
        return changes, after._replace(count=optax.safe_increment(state.count))

    return optax.GradientTransformation(adam.init, update)


class Course(NamedTuple):
    """What a schedule may follow; see `make_schedule`."""

    total_steps: int
    steps_per_epoch: int
    warmup_steps: int
    decay: float
    decay_after: int


def _constant(step: Array, course: Course) -> Array:
    return jnp.ones_like(step)


def _epochs(step: Array, course: Course) -> Array:
    epoch = jnp.floor(step / course.steps_per_epoch)
    decay = jnp.asarray(course.decay, jnp.float32)
    return decay ** jnp.maximum(epoch - (course.decay_after - 1), 0.0)


def _cosine(step: Array, course: Course) -> Array:
    span = max(1, course.total_steps - course.warmup_steps)
    progress = jnp.clip((step - course.warmup_steps) / span, 0.0, 1.0)
    return 0.5 * (1.0 + jnp.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[Array, Course], Array]] = {
    "constant": _constant,
    "epochs": _epochs,
    "cosine": _cosine,
}
"""By name, each the factor of the highest rate at a step, float32, before the warm-up."""


def make_schedule(
    name: str,
    learning_rate: float,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_steps: int = 0,
    decay: float = 0.97,
    decay_after: int = 10,
) -> optax.Schedule:
    """The learning rate as a function of the step.

        constant   η
        epochs     η · decay^max(0, e − decay_after + 1) in epoch e = ⌊step / steps_per_epoch⌋
        cosine     η · ½ (1 + cos(π · progress)), from η down to 0 at total_steps

    During the first `warmup_steps` steps the rate rises in a straight line, whichever the name.

    Args:
        name: one of `SCHEDULES`; "epochs" is char-rnn's.
        learning_rate: η, the highest rate.
        total_steps: steps in the whole run.
        steps_per_epoch: steps in one pass over the text.
        warmup_steps: steps until η is reached.
        decay: factor per epoch, above 0 and at most 1.
        decay_after: the first epoch (counted from 0) that has one factor.

    Returns:
        A function from the step (counted from 0) to the rate.

    Raises:
        ValueError: an unknown name, a decay out of range.

    >>> rate = make_schedule("epochs", 1.0, total_steps=100, steps_per_epoch=5, decay_after=2)
    >>> [round(float(rate(step)), 4) for step in (0, 9, 10, 15)]
    [1.0, 1.0, 0.97, 0.9409]

    Source: "epochs" is that of Karpathy, char-rnn (2015); "cosine" Loshchilov and Hutter (2017).
    """
    if name not in SCHEDULES:
        raise ValueError(sentence("make_schedule", "name", f"one of {', '.join(SCHEDULES)}", name))
    if not 0 < decay <= 1:
        rule = "a factor above 0 and at most 1"
        raise ValueError(sentence("make_schedule", "decay", rule, decay))

    course = Course(total_steps, steps_per_epoch, warmup_steps, decay, decay_after)

    def schedule(step: Array | int) -> Array:
        at = jnp.asarray(step, jnp.float32)
        rate = jnp.asarray(learning_rate, jnp.float32) * SCHEDULES[name](at, course)
        if warmup_steps:
            rate = rate * jnp.minimum(1.0, (at + 1.0) / warmup_steps)
        return rate

    return schedule
