"""The whole of a training run: windows, metrics, validation, samples, checkpoints, in one loop.

Numbers depend on the settings, the text and the step alone. How often anything is printed or
saved changes none of them, so a run that was killed and resumed ends with the same bits.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.nn import initializers
from numpy.typing import NDArray

from jaxrnn.charlm import model, runs, sampling
from jaxrnn.charlm.corpus import Corpus, split
from jaxrnn.charlm.evaluation import evaluate
from jaxrnn.charlm.losses import LOSSES
from jaxrnn.charlm.runs import Run
from jaxrnn.charlm.settings import MOST_STEPS, Settings
from jaxrnn.charlm.state import Everything, Journal, template
from jaxrnn.charlm.streams import make_streams, number_of_windows
from jaxrnn.charlm.training import initial_state, make_train_windows
from jaxrnn.errors import sentence
from jaxrnn.optimizers import make_optimizer, make_schedule

Array = jax.Array
Record = dict[str, Any]

# min-char-rnn forgets 0.001 of its smoothed loss a window of 25 characters.
FORGETTING_PER_CHARACTER = -math.log(0.999) / 25
DIVERGED = 3.0  # char-rnn stops where the loss is three times the first
SECONDS_BETWEEN_CHECKPOINTS = 60.0
OPERATIONS_A_DISPATCH = 4e10  # about 0.2 s on two cores


class DivergedError(FloatingPointError):
    """Training has left the ground; the message says how and what to try."""


class Plan(NamedTuple):
    """What follows from the settings and the text alone.

    Attributes:
        optimizer: with clipping and schedule.
        schedule: step -> learning rate.
        streams: [B, W·T + 1], the training part, on the device.
        validation: [N] token ids held out, maybe none.
        total_steps: at which the run ends.
    """

    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    streams: Array
    validation: NDArray[np.int32]
    total_steps: int


class Work(NamedTuple):
    """A run ready to be trained on, from `start` or `resume`."""

    run: Run
    plan: Plan
    everything: Everything
    journal: Journal


def start(run: Run, corpus: Corpus, params: model.Params | None = None) -> Work:
    """Draws the first state, saves it and makes the folder a run.

    Args:
        run: from `runs.create`.
        corpus: its text.
        params: parameters to start from instead of drawn ones.

    Returns:
        The work before its first step.

    Raises:
        ValueError: the text is too short for the settings.
    """
    if params is None:
        params = first_params(run)
    _, dropout_key = _first_keys(run)
    plan = make_plan(run, corpus)
    everything = Everything(
        state=initial_state(params, plan.optimizer),
        carry=model.zero_carry(run.config, params, run.settings.batch_size),
        key=jax.random.key_data(dropout_key),
    )
    journal = Journal()
    run.save(everything, journal._asdict(), best=False)
    run.write_config()
    return Work(run, plan, everything, journal)


def first_params(run: Run) -> model.Params:
    """The parameters that a run draws before its first step: the untrained twin of its model."""
    dtype = jnp.dtype(run.settings.dtype)
    key, _ = _first_keys(run)
    return model.init(run.config, key, dtype=dtype, weights=_weights(run.settings))


def _first_keys(run: Run) -> Array:
    """The keys of the parameters and of dropout."""
    return jax.random.split(jax.random.key(run.settings.seed))


def resume(run: Run, corpus: Corpus, note: runs.Note) -> Work:
    """Goes back to the last good checkpoint.

    Args:
        run: from `runs.open_run`.
        corpus: its text, the same as at its start.
        note: is told of broken checkpoints.

    Returns:
        The work as it was at the checkpoint; metrics.jsonl is cut back to it.

    Raises:
        ValueError: another text, or no good checkpoint.
    """
    if corpus.sha256 != run.sha256:
        raise ValueError(
            sentence(
                "train",
                "TEXT",
                f"the text that {run.path} was started with ({run.source})",
                f"{corpus.source}, which differs from it",
                "--init-from starts a new run from this one's weights",
            )
        )
    plan = make_plan(run, corpus)
    everything, facts = runs.restore_last(run, template(run.config, run.settings), note)
    journal = Journal(**facts)
    run.cut_metrics(journal.step, note)
    run.remove_unfinished()
    return Work(run, plan, everything, journal)


def train(work: Work, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
    """Trains to the end of the run, or until it should stop.

    Args:
        work: from `start` or `resume`.
        should_stop: asked after every dispatch; True saves a checkpoint and ends.

    Yields:
        Records, as metrics.jsonl has them. All have `step`, `epoch` and `seconds`, and one of
        - `loss` (nats per character, mean since the last such record), `smoothed_loss`,
          `gradient_norm` (before clipping), `learning_rate` and `characters_per_second`,
        - `validation_loss` (nats per character) and `best`, whether none was lower,
        - `sample`, a text.

    Raises:
        DivergedError: the loss is not a number, or over three times the first.
    """
    run, plan, everything, journal = work
    optimizer, schedule, streams, validation, total_steps = plan
    settings = run.settings
    capacity = dispatch_size(run, everything.state.params)
    train_windows = make_train_windows(
        run.config,
        optimizer,
        settings.seq_length,
        capacity,
        LOSSES[settings.loss],
        devices=settings.devices,
    )
    windows = number_of_windows(streams, settings.seq_length)
    validate_every = settings.eval_val_every or max(capacity, total_steps // 20)
    sample_every = settings.sample_every
    if sample_every is None:
        sample_every = max(capacity, total_steps // 5)
    key = jax.random.wrap_key_data(everything.key)
    state, carry = everything.state, everything.carry
    window_characters = settings.seq_length * settings.batch_size
    before = journal.seconds - time.monotonic()
    last_save = time.monotonic()

    def record(**values: Any) -> Record:
        facts = {"step": journal.step, "epoch": round(journal.step / windows, 4)}
        entry = {**facts, "seconds": round(before + time.monotonic(), 3), **values}
        run.append(entry)
        return entry

    stopping = False
    while journal.step < total_steps and not stopping:
        began = time.monotonic()
        # Dispatches end at multiples of the capacity, wherever the run was resumed.
        count = min(capacity - journal.step % capacity, total_steps - journal.step)
        learning_rate = float(jnp.asarray(schedule(journal.step)))
        state, carry, metrics = train_windows(state, carry, streams, np.int32(count), key)
        losses = np.asarray(metrics["loss"], np.float64)[:count]
        norms = np.asarray(metrics["gradient_norm"], np.float64)[:count]
        if settings.loss == "summed_cross_entropy":
            losses = losses / settings.seq_length
        journal = _note_losses(run, journal, losses, norms, window_characters)
        stopping = should_stop()
        seconds = time.monotonic() - began
        yield record(
            loss=float(losses.mean()),
            smoothed_loss=journal.smoothed_loss,
            gradient_norm=float(norms.mean()),
            learning_rate=learning_rate,
            characters_per_second=round(count * window_characters / seconds),
        )
        finished = journal.step == total_steps

        def due(every: int, step: int = journal.step, count: int = count) -> bool:
            return step // every > (step - count) // every

        best = False
        validated = len(validation) > 1 and (finished or due(validate_every))
        if validated:
            value = validation_loss(run, _in_one_place(state.params), validation)
            best = journal.best_validation is None or value < journal.best_validation
            if best:
                journal = journal._replace(best_validation=value)
            yield record(validation_loss=value, best=best)
        if sample_every and (finished or due(sample_every)):
            here, carries = _in_one_place(state.params), _in_one_place(carry)
            yield record(sample=_sample(run, here, carries, journal.step))
        late = time.monotonic() - last_save > SECONDS_BETWEEN_CHECKPOINTS
        if validated or finished or stopping or late or due(validate_every):
            journal = journal._replace(seconds=before + time.monotonic())
            _save(run, Everything(state, carry, everything.key), journal, best)
            last_save = time.monotonic()


def _in_one_place(tree: Any) -> Any:
    """On one device: what is on several would be computed with on all of them."""
    return jax.device_put(tree, jax.devices()[0])


def validation_loss(run: Run, params: model.Params, tokens: NDArray[Any]) -> float:
    """Nats per character of held-out tokens [N], read as up to 16 streams."""
    # At least 2,000 characters a stream: the first ones of each lack what came before.
    streams = max(1, min(16, len(tokens) // 2000))
    return evaluate(run.config, params, tokens, batch_size=streams, length=100)


def dispatch_size(run: Run, params: model.Params) -> int:
    """Windows a dispatch: `print_every`, or what takes about 0.2 s, at most 100."""
    settings = run.settings
    if settings.print_every:
        return settings.print_every
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    operations = 6 * weights * settings.seq_length * settings.batch_size
    fitting = OPERATIONS_A_DISPATCH / operations
    return max(size for size in (1, 2, 5, 10, 20, 50, 100) if size <= max(1, fitting))


def make_plan(run: Run, corpus: Corpus) -> Plan:
    """Works out what follows from the settings and the text.

    Raises:
        ValueError: the text is too short, or a setting is not known.
    """
    settings = run.settings
    training_text, validation_text = split(corpus.text, settings.train_frac, settings.val_frac)
    tokens = run.vocab.encode(training_text)
    try:
        streams = make_streams(tokens, settings.batch_size, settings.seq_length)
    except ValueError as error:
        share = f" ({settings.train_frac:.0%} of {len(corpus.text):,})"
        raise ValueError(
            f"The text {corpus.source} is too short to train on{share}. {error}"
        ) from None
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
    if settings.loss not in LOSSES:
        raise ValueError(sentence("train", "--loss", f"one of {', '.join(LOSSES)}", settings.loss))
    return Plan(
        optimizer=optimizer,
        schedule=schedule,
        streams=jnp.asarray(streams),
        validation=run.vocab.encode(validation_text),
        total_steps=total_steps,
    )


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


def _note_losses(
    run: Run,
    journal: Journal,
    losses: NDArray[Any],
    norms: NDArray[Any],
    window_characters: int,
) -> Journal:
    first, smoothed = journal.first_loss, journal.smoothed_loss
    keep = math.exp(-FORGETTING_PER_CHARACTER * window_characters)
    for index, (loss, norm) in enumerate(zip(losses.tolist(), norms.tolist(), strict=True)):
        step = journal.step + index + 1
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "loss" if not math.isfinite(loss) else "gradient"
            raise DivergedError(_diverged(run, f"the {what} of step {step:,} is not finite"))
        first = loss if first is None else first
        smoothed = loss if smoothed is None else keep * smoothed + (1 - keep) * loss
        # The first loss may be low by luck (few characters) or training (--init-from).
        bound = DIVERGED * max(first, math.log(len(run.vocab)))
        if smoothed > bound:
            what = f"the loss has risen to {smoothed:.3f} nats at step {step:,}"
            raise DivergedError(
                _diverged(run, f"{what}, over three times the {first:.3f} at first")
            )
    return journal._replace(
        step=journal.step + len(losses), first_loss=first, smoothed_loss=smoothed
    )


def _diverged(run: Run, what: str) -> str:
    settings = run.settings
    tries = [f"a lower --learning-rate than {settings.learning_rate:g}"]
    if not (settings.grad_clip or settings.grad_clip_norm):
        tries.append("--grad-clip-norm 1")
    if settings.dtype == "bfloat16":
        tries.append("--dtype float32")
    kept = run.step_paths()
    where = f" The checkpoint before, {kept[0]}, is kept." if kept else ""
    return f"Training stopped: {what}. Try {' and '.join(tries)} in a new run.{where}"


def _save(run: Run, everything: Everything, journal: Journal, best: bool) -> None:
    # A step with a finite loss and gradient can still end in parameters that are not.
    if not all(np.isfinite(np.asarray(leaf, np.float32)).all() for leaf in _floats(everything)):
        raise DivergedError(_diverged(run, f"a parameter is not finite at step {journal.step:,}"))
    run.save(everything, journal._asdict(), best)


def _floats(everything: Everything) -> list[Array]:
    leaves = jax.tree.leaves((everything.state.params, everything.carry))
    return [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _sample(run: Run, params: model.Params, carry: Any, step: int) -> str:
    """A text that goes on from where the first stream is, as in min-char-rnn."""
    key = jax.random.fold_in(jax.random.key(run.settings.seed), step)
    prime = "\n" if "\n" in run.vocab else ""
    length = run.settings.sample_length
    first = jax.tree.map(lambda leaf: leaf[0], carry)
    return sampling.sample(run.config, params, run.vocab, key, length, prime, 0.8, carry=first)
