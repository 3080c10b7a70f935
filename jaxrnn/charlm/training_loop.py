"""The whole of a training run: windows, metrics, validation, samples, checkpoints, in one loop.

Numbers depend on the settings, the text and the step alone. How often anything is printed or
saved changes none of them, so a run that was killed and resumed ends with the same bits; so does a
float32 run in a process with `jax_enable_x64`.

In several processes each runs this loop over its part of the streams; what is said of the run to
the outside, its files and samples, is the first process's.
"""

import functools
import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm import model, placement, runs, sampling
from jaxrnn.charlm.background_saving import Saver
from jaxrnn.charlm.corpus import Text, Tokens
from jaxrnn.charlm.evaluation import evaluate
from jaxrnn.charlm.journal import Journal, diverged
from jaxrnn.charlm.losses import LOSSES
from jaxrnn.charlm.plan import Plan, dropout_key, first_params, make_plan
from jaxrnn.charlm.run_folder import Run
from jaxrnn.charlm.sources import in_words
from jaxrnn.charlm.state import RunState, first, template
from jaxrnn.charlm.streams import number_of_windows
from jaxrnn.charlm.supply import Supply
from jaxrnn.charlm.training import make_train_windows
from jaxrnn.errors import sentence

Array = jax.Array
Record = dict[str, Any]

SECONDS_BETWEEN_CHECKPOINTS = 60.0


class Work(NamedTuple):
    """A run ready to be trained on, from `start` or `resume`."""

    run: Run
    plan: Plan
    everything: RunState
    journal: Journal

    @property
    def done(self) -> bool:
        """Whether the run is at its end, with nothing left to report."""
        return self.journal.step == self.journal.reported == self.plan.total_steps


def start(run: Run, text: Text, params: model.Params | None = None) -> Work:
    """Draws the first state, saves it and makes the folder a run.

    Args:
        run: from `runs.create`.
        text: of it.
        params: parameters to start from instead of drawn ones.

    Returns:
        The work before its first step.

    Raises:
        ValueError: the text is too short for the settings.
    """
    plan = make_plan(run, text)
    if params is None:
        params = first_params(run)
    everything = first(run.config, run.settings, params, plan.optimizer, dropout_key(run))
    journal = Journal()
    if jax.process_index() == 0:
        run.save(everything, journal._asdict(), best=False)
        run.write_config()
    return Work(run, plan, everything, journal)


def resume(run: Run, text: Text, note: runs.Note) -> Work:
    """Goes back to the last good checkpoint.

    Args:
        run: from `runs.open_run`.
        text: of it, the same as at its start.
        note: is told of broken checkpoints.

    Returns:
        The work as it was at the checkpoint; metrics.jsonl is cut back to it.

    Raises:
        ValueError: another text, or no good checkpoint.
    """
    if text.sha256 != run.sha256:
        raise ValueError(
            sentence(
                "train",
                "TEXT",
                f"the text that {run.path} was started with ({run.source})",
                f"{in_words(text.sources)}, which differs from it",
                "--init-from starts a new run from this one's weights",
            )
        )
    plan = make_plan(run, text)
    everything, facts = runs.restore_last(run, template(run.config, run.settings), note)
    journal = Journal(**facts)
    if jax.process_index() == 0:
        run.cut_metrics(journal, note)
        run.remove_unfinished()
    return Work(run, plan, everything, journal)


def train(
    work: Work,
    should_stop: Callable[[], bool] = lambda: False,
    any_process: Callable[[bool], bool] | None = None,
) -> Generator[Record, None, Journal]:
    """Trains to the end of the run, or until it should stop.

    Args:
        work: from `start` or `resume`.
        should_stop: asked after every dispatch and during validation; True in any process saves a
            checkpoint and ends all.
        any_process: of several processes, all of which call it at the same moment: whether any
            says yes. None: by a collective of their devices, on a busy CPU of some milliseconds.

    Yields:
        Records, as metrics.jsonl has them. All have `step`, `epoch` and `seconds`, and one of
        - `loss` (nats a token, mean since the last such record), `smoothed_loss`,
          `gradient_norm` (before clipping), `learning_rate` (of the first of those steps) and
          `tokens_per_second`,
        - `validation_loss` (nats a token) and `best`, whether none was lower,
        - `sample`, a text (in the first process only).

    Returns:
        The journal at the end, as the last checkpoint has it (`journal = yield from train(work)`).

    Raises:
        DivergedError: the loss is not a number, or over three times the first.
        OSError: a checkpoint or a record could not be written; the message names the file.
    """
    with Saver(work.run) as saver:
        loop = _Loop(work, should_stop, any_process, saver)
        yield from loop.records()
    return loop.journal


class _Loop:
    """One call of `train`: what changes while it runs."""

    def __init__(
        self,
        work: Work,
        should_stop: Callable[[], bool],
        any_process: Callable[[bool], bool] | None,
        saver: Saver,
    ) -> None:
        self.run, self.plan, everything, self.journal = work
        self.saver = saver
        self.asked_to_stop = should_stop
        settings = self.run.settings
        self.mesh = mesh = placement.make_mesh(settings.devices)
        self.any_process = any_process or functools.partial(placement.any_process, mesh)
        self.state = placement.replicate(mesh, everything.state)
        self.carry = placement.divide(mesh, everything.carry)
        self.supply = Supply(self.plan, settings.seq_length, mesh)
        self.key_data = everything.key
        self.key = placement.replicate(mesh, jax.random.wrap_key_data(everything.key))
        self.train_windows = make_train_windows(
            self.run.config,
            self.plan.optimizer,
            settings.seq_length,
            self.plan.dispatch,
            LOSSES[settings.loss],
            mesh=mesh,
            accumulate=settings.accumulate,
            compute_dtype=jnp.dtype(settings.dtype),
        )
        self.rate = jax.jit(self.plan.schedule)
        self.windows = number_of_windows(self.plan.streams, settings.seq_length)
        self.before = self.journal.seconds - time.monotonic()
        self.saved = self.journal._replace(seconds=0)
        self.last_save = time.monotonic()
        self.dispatch_seconds = 0.0  # since the last record

    def records(self) -> Iterator[Record]:
        """Dispatches, and reports where one is due, to the end or until it should stop."""
        stopping = False
        while True:
            best = False
            if not stopping:
                best, stopping = yield from self._report()
            due = self.plan.due(self.plan.validate_every, self.journal.step)
            if self._late() or stopping or due:
                self._save(best)
            if stopping or self.journal.step == self.plan.total_steps:
                return
            yield from self._dispatch()
            self.saver.check()
            stopping = self._should_stop()

    def _dispatch(self) -> Iterator[Record]:
        """Trains on some windows; yields the record of losses where it is due."""
        began = time.monotonic()
        part, count = self.supply.next(self.journal.step)
        self.state, self.carry, metrics = self.train_windows(
            self.state, self.carry, part, np.int32(count), self.key
        )
        self.supply.read_ahead(self.journal.step + count)
        settings = self.run.settings
        values = jax.device_get((metrics["loss"], metrics["gradient_norm"]))
        losses, norms = (value[:count].astype(np.float64) for value in values)
        if settings.loss == "summed_cross_entropy":
            losses = losses / settings.seq_length
        self.journal = self.journal.after(self.run, losses, norms)
        self.dispatch_seconds += time.monotonic() - began
        if self.plan.due(self.plan.record_every, self.journal.step):
            yield self._record_losses()

    def _record_losses(self) -> Record:
        settings, journal = self.run.settings, self.journal
        steps = journal.unrecorded
        rate = self.rate(jax.device_put(np.int32(journal.step - steps)))
        tokens = steps * settings.seq_length * settings.batch_size
        self.journal = journal._replace(unrecorded=0, loss_sum=0.0, norm_sum=0.0)
        seconds, self.dispatch_seconds = self.dispatch_seconds, 0.0
        return self._record(
            loss=journal.loss_sum / steps,
            smoothed_loss=journal.smoothed_loss,
            gradient_norm=journal.norm_sum / steps,
            learning_rate=float(jax.device_get(rate)),
            tokens_per_second=round(tokens / seconds),
        )

    def _report(self) -> Generator[Record, None, tuple[bool, bool]]:
        """Validates and samples where that is due and not yet done.

        Returns:
            Whether no validation so far was better, and whether it was stopped before it was done.
        """
        step, best = self.journal.step, False
        if self.journal.reported == step:
            return False, False
        if len(self.plan.validation.ids) > 1 and self.plan.due(self.plan.validate_every, step):
            value = validation_loss(
                self.run,
                self.state.params,
                self.plan.validation,
                mesh=self.mesh,
                should_stop=self._should_stop,
            )
            self.plan.release()
            if value is None:
                return False, True
            if not math.isfinite(value):
                raise diverged(self.run, f"the validation loss of step {step:,} is not finite")
            lowest = self.journal.best_validation
            best = lowest is None or value < lowest
            if best:
                self.journal = self.journal._replace(best_validation=value)
            yield self._record(validation_loss=value, best=best)
        if self.plan.due(self.plan.sample_every, step):
            params, carry = placement.whole(self.mesh, (self.state.params, self.carry))
            if jax.process_index() == 0:
                yield self._record(sample=_sample(self.run, params, carry, step))
        self.journal = self.journal._replace(reported=step)
        return best, False

    def _save(self, best: bool) -> None:
        journal = self.journal._replace(seconds=0)
        if journal == self.saved:  # where a run begins and is resumed, all is saved already
            return
        self.saved = journal
        state, carry = placement.whole(self.mesh, (self.state, self.carry))
        self.journal = self.journal._replace(seconds=self._seconds())
        self.last_save = time.monotonic()
        if jax.process_index() == 0:
            everything = RunState(state, carry, self.key_data)
            self.saver.save(everything, self.journal._asdict(), best)

    def _record(self, **values: Any) -> Record:
        step = self.journal.step
        record = {"step": step, "epoch": round(step / self.windows, 4)}
        record |= {"seconds": round(self._seconds(), 3), **values}
        if jax.process_index() == 0:
            self.run.append(record)
        return record

    def _seconds(self) -> float:
        return self.before + time.monotonic()

    def _should_stop(self) -> bool:
        """Whether any process should: all have to stop at the same step."""
        return self.any_process(self.asked_to_stop())

    def _late(self) -> bool:
        """Whether the last checkpoint is old, by the first process's clock."""
        late = time.monotonic() - self.last_save > SECONDS_BETWEEN_CHECKPOINTS
        return self.any_process(late and jax.process_index() == 0)


def validation_loss(
    run: Run,
    params: model.Params,
    tokens: Tokens,
    *,
    mesh: placement.Mesh | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> float | None:
    """Nats a token of held-out tokens, read as up to 16 streams.

    `mesh` and `should_stop` are those of `evaluate`; None where it was stopped.
    """
    # At least 2,000 tokens a stream: the first ones of each lack what came before.
    streams = max(1, min(16, len(tokens.ids) // 2000))
    return evaluate(
        run.config,
        params,
        tokens.ids,
        batch_size=streams,
        length=100,
        documents=tokens.documents if run.settings.documents else None,
        mesh=mesh,
        should_stop=should_stop,
    )


def _sample(run: Run, params: model.Params, carry: Any, step: int) -> str:
    """A text that goes on from where the first stream is, as in min-char-rnn."""
    key = _sample_key(*jax.device_put((np.uint32(run.settings.seed), np.uint32(step))))
    prime = "\n" if "\n" in run.vocab else ""
    length = run.settings.sample_length
    first = model.first_stream(carry, params.w_hy.dtype)
    return sampling.sample(
        run.config, params, run.vocab, key, length=length, prime=prime, carry=first
    )


@jax.jit
def _sample_key(seed: Array, step: Array) -> Array:
    return jax.random.fold_in(jax.random.key(seed), step)
