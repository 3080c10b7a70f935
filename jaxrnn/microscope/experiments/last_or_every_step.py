"""A loss at the last step only, or at every step ("Under the hood of RNNs").

The write-up trains many-to-one: of 25 characters read, only what follows the last is predicted.
It supposes that a loss at every step would be better. Both are trained here on the same windows,
and each is judged by both measures.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent

Array = jax.Array

LENGTH = 25
UPDATES = 1500
LOSSES = {"the last step": charlm.last_cross_entropy, "every step": charlm.cross_entropy}


class LossData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        fitted: the models by where the loss was, `the last step` and `every step`.
        bits_of_all: bits a character over all held-out characters, by the same names.
        bits_of_last: bits a character after exactly 25 characters from the zero carry.
        samples: 300 characters by each.
    """

    fitted: dict[str, Fitted]
    bits_of_all: dict[str, float]
    bits_of_last: dict[str, float]
    samples: dict[str, str]


def run(key: Array, progress: Progress = silent, text: str | None = None) -> Experiment:
    """Trains one model with each loss and judges both by both.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.
        text: to train on; None: the documentation that comes with Python.

    Returns:
        The outcome with LossData; about half a minute on two cores.
    """
    text = charlm.python_documentation().text if text is None else text
    training, held_out = charlm.split(text, 0.9, 0.1)
    vocab = charlm.Vocab.from_text(text)
    config = charlm.Config(len(vocab), "elman", hidden_size=100, num_layers=1)
    model_key, sample_key = jax.random.split(key)
    tokens = vocab.encode(held_out)
    windows = (
        jnp.asarray(tokens[: len(tokens) // (LENGTH + 1) * (LENGTH + 1)]).reshape(-1, LENGTH + 1).T
    )
    fitted, of_all, of_last, samples = {}, {}, {}, {}
    for name, loss in LOSSES.items():
        fitted[name] = fit(
            config, vocab, charlm.init(config, model_key),
            optax.chain(optax.clip_by_global_norm(1.0), optax.adam(2e-3)),
            training, progress, what=f"training with the loss at {name}", updates=UPDATES,
            batch_size=32, length=LENGTH, loss=loss,
        )  # fmt: skip
        params = fitted[name].params
        of_all[name] = charlm.bits(charlm.evaluate(config, params, tokens, batch_size=16))
        zero = charlm.zero_carry(config, params, windows.shape[1])
        logits = charlm.apply(config, params, zero, windows[:-1])[1]
        of_last[name] = charlm.bits(float(charlm.last_cross_entropy(logits, windows[1:])))
        samples[name] = charlm.sample(
            config, params, vocab, sample_key, length=300, prime="The ", temperature=0.7
        )
    measurements = tuple(
        Measurement(f"loss at {name}, judged on {judged}", bits[name], "bits a character")
        for name in LOSSES
        for judged, bits in (("all characters", of_all), (f"the character after {LENGTH}", of_last))
    )
    gain_of_all = of_all["the last step"] - of_all["every step"]
    gain_of_last = of_last["the last step"] - of_last["every step"]
    holds = gain_of_all > 0 and gain_of_last > 0
    verdict = (
        f"After {UPDATES} equal windows the loss at every step is ahead by {gain_of_all:.2f} bits "
        f"a character over all characters and by {gain_of_last:.2f} on the last of {LENGTH}, the "
        f"only thing that the other was trained for; a window teaches it {LENGTH} predictions "
        "instead of one, at the same cost."
    )
    claim = "A loss at every step is better than a loss at the last step only."
    data = LossData(fitted, of_all, of_last, samples)
    return Experiment("last-or-every-step", claim, measurements, bool(holds), verdict, data)
