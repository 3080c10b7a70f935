"""Three units that learn to continue a string of ones and zeros ("Visualizing RNNs").

An Elman network with V = 2, H = 3, weights N(0, 0.1²), windows of four characters, plain SGD at
0.1 on the summed loss, clipped elementwise to ±5, the state carried from window to window and
reset where the text starts over.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.nn import initializers

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.languages import Language, alternating, generate
from jaxrnn.microscope.languages import counting as counting_language
from jaxrnn.microscope.measurements.surprise import softmax
from jaxrnn.microscope.traces import ModelTrace, encode_text, trace_model

Array = jax.Array
LENGTH = 4


class BinaryData(NamedTuple):
    """What the pages of the two experiments draw.

    Attributes:
        fitted: the model and its training.
        text: five characters, one window and the character after it.
        before: the untrained model's trace of the window.
        after: the trained model's trace of the same window, the state warmed up by the characters
            before it.
        carry: the warmed-up state with which `after` begins.
    """

    fitted: Fitted
    text: str
    before: ModelTrace
    after: ModelTrace
    carry: tuple[object, ...]


def run_alternating(key: Array, progress: Progress = silent) -> Experiment:
    """Experiments 1 and 2: alternation is learned, and needs no memory.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with BinaryData; a second or two on two cores.
    """
    data = _learn(alternating(), key, progress, updates=2000)
    before, after = _right(data.before), _right(data.after)
    forgetful = _right_without_memory(data)
    h = np.asarray(data.after.layers[0].carries.h)
    swing = float(np.abs(h[0] - h[1]).max())
    measurements = (
        Measurement("least p of the right character, untrained", before.min(), "", "0.45 to 0.55"),
        Measurement(
            "largest p of the right character, untrained", before.max(), "", "0.45 to 0.55"
        ),
        Measurement("least p of the right character, trained", after.min(), "", "above 0.99"),
        Measurement("the same with the memory cut", forgetful.min(), "", "above 0.5"),
        Measurement("largest move of a unit from one character to the next", swing, "", "about 2"),
    )
    holds = (
        0.45 <= before.min() <= before.max() <= 0.55
        and after.min() > 0.99
        and forgetful.min() > 0.5
    )
    verdict = (
        f"Untrained, every p lies within {before.min():.3f} to {before.max():.3f}; trained, the "
        f"right character gets at least {after.min():.4f}, and still {forgetful.min():.4f} when "
        "the memory is cut: the present character says enough."
    )
    claim = (
        "Untrained, three units give every character p = 0.5; trained on 1010…, p is near 1, the "
        "state flips between two opposite corners, and no memory is needed."
    )
    return Experiment("alternating", claim, measurements, bool(holds), verdict, data)


def run_counting(key: Array, progress: Progress = silent) -> Experiment:
    """Experiment 3: 110110… needs memory, and the two 1s get states far apart.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with BinaryData; a few seconds on two cores.
    """
    data = _learn(counting_language(), key, progress, updates=12000)
    after, forgetful = _right(data.after), _right_without_memory(data)
    h = np.asarray(data.after.layers[0].carries.h)
    apart = float(np.linalg.norm(h[0] - h[1]))
    measurements = (
        Measurement("least p of the right character, trained", after.min(), "", "above 0.99"),
        Measurement("the same with the memory cut", forgetful.min(), "", "below 0.5"),
        Measurement("distance between the states after the two 1s", apart, "", "above 1"),
    )
    holds = after.min() > 0.99 and forgetful.min() < 0.5 and apart > 1
    first, second = (", ".join(f"{value:.2f}" for value in state) for state in h[:2])
    verdict = (
        f"The right character gets at least {after.min():.4f}; with the memory cut one of them "
        f"falls to {forgetful.min():.2g}. h is [{first}] after the first 1 and [{second}] after "
        f"the second, {apart:.2f} apart."
    )
    claim = (
        "Trained on 110110…, three units tell the first 1 from the second by memory: p is near 1 "
        "and the two states are far apart."
    )
    return Experiment("counting", claim, measurements, bool(holds), verdict, data)


def _learn(language: Language, key: Array, progress: Progress, updates: int) -> BinaryData:
    weights_key, text_key = jax.random.split(key)
    vocab = charlm.Vocab("01")
    config = charlm.Config(vocab_size=2, cell="elman", hidden_size=3, num_layers=1)
    params = charlm.init(config, weights_key, weights=initializers.normal(0.1))
    period = len({*language.alphabet}) * 6
    text = generate(language, text_key, 4 * LENGTH * period + 1)
    optimizer = optax.chain(optax.clip(5.0), optax.sgd(0.1))
    fitted = fit(
        config, vocab, params, optimizer, text, progress, what=f"learning {language.name}",
        updates=updates, batch_size=1, length=LENGTH, loss=charlm.summed_cross_entropy,
    )  # fmt: skip
    # Three windows of warming up are whole periods of both languages, so `text` begins with 1.
    warm_up, window = text[: 3 * LENGTH], text[3 * LENGTH : 4 * LENGTH + 1]
    zero = charlm.zero_carry(config, params, ())
    carry, _ = charlm.apply(config, fitted.params, zero, jnp.asarray(vocab.encode(warm_up)))
    inputs, targets = encode_text(vocab, window)
    before = trace_model(config, fitted.untrained, zero, inputs, targets)
    after = trace_model(config, fitted.params, carry, inputs, targets)
    return BinaryData(fitted, window, before, after, carry)


def _right(trace: ModelTrace) -> np.ndarray:
    """[T] the probability of the character that came."""
    return np.exp(-np.asarray(trace.losses, np.float64))


def _right_without_memory(data: BinaryData) -> np.ndarray:
    """[T] the same when every character is read from the zero carry."""
    fitted, targets = data.fitted, np.asarray(data.after.targets)
    carry = charlm.zero_carry(fitted.config, fitted.params, len(targets))
    _, logits = charlm.apply(fitted.config, fitted.params, carry, data.after.inputs[None])
    return softmax(logits[0])[np.arange(len(targets)), targets]
