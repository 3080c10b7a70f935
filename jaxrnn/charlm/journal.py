"""What a training run remembers besides its arrays, and when its losses say that it must stop."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from jaxrnn.charlm.run_folder import Run

# min-char-rnn forgets 0.001 of its smoothed loss a window of 25 tokens.
FORGETTING_PER_CHARACTER = -math.log(0.999) / 25
DIVERGED = 3.0  # char-rnn stops where the loss is three times the first


class DivergedError(FloatingPointError):
    """Training diverged; the message says how, and what to try."""


class Journal(NamedTuple):
    """The numbers that a run goes on from besides arrays; a checkpoint keeps them as facts.

    Attributes:
        step: updates so far.
        first_loss: nats a token of the first window.
        smoothed_loss: its running mean over about 25,000 tokens.
        best_validation: lowest validation loss so far, nats a token.
        seconds: of training so far.
        reported: the last step whose validation and sample, if any were due, are done. A run
            that is asked to stop leaves them to whoever goes on with it.
        unrecorded: steps since the last record of losses.
        loss_sum: over those steps, nats a token.
        norm_sum: over those steps, of the gradient's norm.
    """

    step: int = 0
    first_loss: float | None = None
    smoothed_loss: float | None = None
    best_validation: float | None = None
    seconds: float = 0.0
    reported: int = 0
    unrecorded: int = 0
    loss_sum: float = 0.0
    norm_sum: float = 0.0

    def after(self, run: "Run", losses: ArrayLike, norms: ArrayLike) -> "Journal":
        """The journal after some more steps.

        Args:
            run: whose settings and vocabulary say what is too much.
            losses: [n] nats a token.
            norms: [n] of the gradients.

        Raises:
            DivergedError: a loss or norm that is not finite, or a smoothed loss over three times
                the first.
        """
        settings = run.settings
        keep = math.exp(-FORGETTING_PER_CHARACTER * settings.seq_length * settings.batch_size)
        step, first, smoothed = self.step, self.first_loss, self.smoothed_loss
        loss_sum, norm_sum = self.loss_sum, self.norm_sum
        pairs = zip(np.asarray(losses).tolist(), np.asarray(norms).tolist(), strict=True)
        for loss, norm in pairs:
            step += 1
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = "loss" if not math.isfinite(loss) else "gradient"
                raise diverged(run, f"the {what} of step {step:,} is not finite")
            first = loss if first is None else first
            smoothed = loss if smoothed is None else keep * smoothed + (1 - keep) * loss
            # The first loss may be low by luck (few tokens) or training (--init-from).
            if smoothed > DIVERGED * max(first, math.log(len(run.vocab))):
                what = f"the loss has risen to {smoothed:.3f} nats at step {step:,}"
                raise diverged(run, f"{what}, over three times the {first:.3f} at first")
            loss_sum, norm_sum = loss_sum + loss, norm_sum + norm
        return self._replace(
            step=step,
            first_loss=first,
            smoothed_loss=smoothed,
            unrecorded=self.unrecorded + step - self.step,
            loss_sum=loss_sum,
            norm_sum=norm_sum,
        )


def diverged(run: "Run", what: str) -> DivergedError:
    """The error that says what went wrong, what to try and what is kept."""
    settings = run.settings
    tries = [f"a lower --learning-rate than {settings.learning_rate:g}"]
    if not (settings.grad_clip or settings.grad_clip_norm):
        tries.append("--grad-clip-norm 1")
    if settings.dtype == "bfloat16":
        tries.append("--dtype float32")
    kept = run.step_paths()
    where = f" The checkpoint before, {kept[0]}, is kept." if kept else ""
    return DivergedError(
        f"Training stopped: {what}. Try {' and '.join(tries)} in a new run.{where}"
    )
