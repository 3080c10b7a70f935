"""What follows from a run's settings and its text alone: its weights, its steps, its rates."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.nn import initializers
from numpy.typing import NDArray

from jaxrnn import tuning
from jaxrnn.charlm import model
from jaxrnn.charlm.corpus import Text, Tokens
from jaxrnn.charlm.losses import LOSSES
from jaxrnn.charlm.run_folder import Run
from jaxrnn.charlm.settings import MOST_STEPS, Settings
from jaxrnn.charlm.sources import in_words
from jaxrnn.charlm.streams import make_streams, number_of_windows, sizes_that_fit
from jaxrnn.errors import sentence
from jaxrnn.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedule

Array = jax.Array


class Plan(NamedTuple):
    """What follows from the settings and the text alone.

    Attributes:
        optimizer: with clipping and schedule.
        schedule: step -> learning rate.
        streams: [B, W·T + 1], the training part.
        documents: the places in the training part at which the carry is reset, or None.
        validation: what is held out, maybe nothing.
        release: gives back the memory of what was read of the text, where it is on disk.
        total_steps: at which the run ends.
        dispatch: the most windows in one dispatch.
        record_every: steps between two records of losses.
        validate_every: steps between two validations.
        sample_every: steps between two samples; 0: none.
    """

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    streams: NDArray[np.integer]
    documents: NDArray[np.int64] | None
    validation: Tokens
    release: Callable[[], None]
    total_steps: int
    dispatch: int
    record_every: int
    validate_every: int
    sample_every: int

    def next_stop(self, step: int) -> int:
        """Where the dispatch that begins at a step ends: at the latest where anything is due."""
        cadences = (self.record_every, self.validate_every, self.sample_every)
        stops = [(step // every + 1) * every for every in cadences if every]
        return min(step + self.dispatch, self.total_steps, *stops)

    def due(self, every: int, step: int) -> bool:
        """Whether what comes every so many steps, and at the end, comes at a step."""
        return bool(every) and (step % every == 0 or step == self.total_steps)


def check_names(settings: Settings) -> None:
    """Raises ValueError for an optimizer, a schedule or a loss that is not known."""
    for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("loss", LOSSES)):
        chosen = getattr(settings, name)
        if chosen not in known:
            raise ValueError(sentence("train", f"--{name}", f"one of {', '.join(known)}", chosen))


def make_plan(run: Run, text: Text) -> Plan:
    """Works out what follows from the settings and the text.

    Raises:
        ValueError: the text is too short, or a setting is not known.
    """
    settings = run.settings
    check_names(settings)
    encoded = text.encode(run.vocab, settings.train_frac, settings.val_frac)
    try:
        streams = make_streams(encoded.train.ids, settings.batch_size, settings.seq_length)
    except ValueError:
        needed = settings.batch_size * settings.seq_length + 1
        rule = (
            f"at least {needed:,} {settings.token}s to train on "
            f"(--batch-size {settings.batch_size} x --seq-length {settings.seq_length} + 1)"
        )
        share = "" if settings.train_frac == 1 else f", --train-frac {settings.train_frac:g} of it"
        tokens = len(encoded.train.ids)
        got = f"{in_words(text.sources)} with {tokens:,}{share}"
        fitting = sizes_that_fit(tokens, settings.batch_size, settings.seq_length)
        smaller = f", or --batch-size {fitting[0]} --seq-length {fitting[1]}"
        hint = f"a longer text{smaller if fitting[1] else ''}"
        raise ValueError(sentence("train", "TEXT", rule, got, hint)) from None
    windows = number_of_windows(streams, settings.seq_length)
    ends = [MOST_STEPS]
    if settings.max_steps is not None:
        ends.append(settings.max_steps)
    if settings.max_epochs is not None:
        ends.append(math.ceil(settings.max_epochs * windows))
    total_steps = min(ends)
    # A warm-up longer than the run would never reach the rate.
    warmup_steps = min(settings.warmup_steps, total_steps // 10)
    schedule = make_schedule(
        settings.schedule,
        settings.learning_rate,
        total_steps=total_steps,
        steps_per_epoch=windows,
        warmup_steps=warmup_steps,
        decay=settings.learning_rate_decay,
        decay_after=settings.learning_rate_decay_after,
    )
    optimizer = make_optimizer(
        settings.optimizer,
        schedule,
        decay_rate=settings.decay_rate,
        weight_decay=settings.weight_decay,
        clip_value=settings.grad_clip,
        clip_norm=settings.grad_clip_norm,
    )
    dispatch = dispatch_size(run)
    # A 20th of the run between two validations, a 5th between samples, in whole dispatches.
    twentieth, fifth = (max(1, total_steps // parts // dispatch) * dispatch for parts in (20, 5))
    return Plan(
        optimizer=optimizer,
        schedule=schedule,
        streams=streams,
        documents=encoded.train.documents if settings.documents else None,
        validation=encoded.validation,
        release=encoded.release,
        total_steps=total_steps,
        dispatch=dispatch,
        record_every=settings.print_every or dispatch,
        validate_every=settings.eval_val_every or twentieth,
        sample_every=fifth if settings.sample_every is None else settings.sample_every,
    )


def first_params(run: Run, draw: int = 0) -> model.Params:
    """The parameters that a run draws before its first step: its model, untrained.

    Another `draw` than 0 is another network of the same kind, which the run might have begun with.
    """
    dtype = jnp.dtype(run.settings.parameter_dtype)
    key, _ = _first_keys(run)
    key = jax.random.fold_in(key, draw) if draw else key
    return model.init(run.config, key, dtype=dtype, weights=_weights(run.settings))


def dropout_key(run: Run) -> Array:
    """The key of dropout; a step folds its number into it."""
    return _first_keys(run)[1]


def _first_keys(run: Run) -> Array:
    return jax.random.split(jax.random.key(run.settings.seed))


def dispatch_size(run: Run) -> int:
    """Windows a dispatch: what takes about 0.2 s, at most 100, so that a run can stop soon."""
    settings = run.settings
    shapes = jax.tree.leaves(jax.eval_shape(lambda: first_params(run)))
    weights = sum(math.prod(leaf.shape) for leaf in shapes)
    operations = 6 * weights * settings.seq_length * settings.batch_size
    fitting = tuning.here().dispatch_operations / operations
    return max(size for size in (1, 2, 5, 10, 20, 50, 100) if size <= max(1, fitting))


def _weights(settings: Settings) -> initializers.Initializer | None:
    distribution, scale = settings.weight_distribution
    if distribution == "normal":
        return initializers.normal(scale)
    if distribution == "uniform":

        def within(
            key: Any, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None
        ) -> Array:
            return jax.random.uniform(key, shape, dtype, -scale, scale)

        return within
    return None
