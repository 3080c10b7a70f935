"""The gradient on its way back through time: RNN, LSTM and GRU on one text ("Under the hood of
RNNs").

Claim: a largest singular value of w_hh above 1 makes the gradient explode, below 1 vanish. The
true form: below 1 suffices to vanish, above 1 is only necessary to explode.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import Fitted, fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.measurements.gradient_flow import (
    FlowOverTraining,
    RecurrentSpectrum,
    Verdict,
    explode_or_vanish,
    flow_of_gradients,
    gradient_histograms,
    recurrent_spectrum,
)
from jaxrnn.microscope.traces.gradient_traces import state_gradients

Array = jax.Array

CELLS = {"RNN": "elman", "LSTM": "lstm", "GRU": "gru"}
UPDATES = 600
MOMENTS = (100, 300)
LENGTH = 50
WINDOWS = 16
FAR = 25
"""The distance at which the cells are compared."""


class GradientsData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        flows: by the model's name and the carry's field, e.g. "LSTM, c".
        spectra: by the model's name, w_hh before and after training.
        verdicts: on the claim, for the RNN before and after training.
        fitted: the models by name.
    """

    flows: dict[str, FlowOverTraining]
    spectra: dict[str, tuple[tuple[RecurrentSpectrum, ...], tuple[RecurrentSpectrum, ...]]]
    verdicts: tuple[Verdict, Verdict]
    fitted: dict[str, Fitted]


def run(key: Array, progress: Progress = silent, text: str | None = None) -> Experiment:
    """Trains three models and follows their gradients back, at several moments.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.
        text: to train on; None: the documentation that comes with Python.

    Returns:
        The outcome with GradientsData; about a minute on two cores.
    """
    text = charlm.python_documentation().text if text is None else text
    training, held_out = charlm.split(text, 0.9, 0.1)
    vocab = charlm.Vocab.from_text(text)
    flows: dict[str, FlowOverTraining] = {}
    fitted: dict[str, Fitted] = {}
    spectra = {}
    windows = jnp.asarray(charlm.make_streams(vocab.encode(held_out), WINDOWS, 2 * LENGTH))
    for (name, cell), model_key in zip(CELLS.items(), jax.random.split(key, 3), strict=True):
        config = charlm.Config(len(vocab), cell, hidden_size=64, num_layers=1)
        fitted[name] = fit(
            config, vocab, charlm.init(config, model_key),
            optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3)),
            training, progress, what=f"training the {name}", updates=UPDATES, batch_size=32,
            length=LENGTH, keep=MOMENTS,
        )  # fmt: skip
        flows |= _flows(name, fitted[name], windows[:, : 2 * LENGTH + 1].astype(jnp.int32))
        before, after = fitted[name].untrained.layers[0], fitted[name].params.layers[0]
        recurrent = config.cells[0]
        spectra[name] = (
            recurrent_spectrum(recurrent, before), recurrent_spectrum(recurrent, after)
        )  # fmt: skip
    rnn = flows["RNN"]
    verdicts = (
        explode_or_vanish(spectra["RNN"][0][0], rnn.flows[0]),
        explode_or_vanish(spectra["RNN"][1][0], rnn.flows[-1]),
    )
    words = verdicts[1].words[:1].upper() + verdicts[1].words[1:]
    flows["RNN"] = rnn._replace(words=words)
    left = {name: _left(flow) for name, flow in flows.items()}
    measurements = (
        *(
            Measurement(f"{name}: gradient left after {FAR} steps, trained", share)
            for name, share in left.items()
        ),
        *(
            Measurement(f"{name}: factor a step, trained", flow.flows[-1].factor_a_step)
            for name, flow in flows.items()
        ),
        Measurement("RNN: largest singular value of w_hh, untrained", verdicts[0][0]),
        Measurement("RNN: largest singular value of w_hh, trained", verdicts[1][0]),
        Measurement("RNN: spectral radius of w_hh, trained", verdicts[1][1]),
    )
    claim = (
        "A largest singular value of w_hh above 1 makes the gradient explode, below 1 vanish; an "
        "RNN's gradient vanishes where an LSTM's does not."
    )
    lasting = left["LSTM, c"] / left["RNN"]
    verdict = (
        f"{words} After {FAR} steps {left['RNN']:.2g} of the RNN's gradient is left "
        f"and {left['LSTM, c']:.2g} of the LSTM's memory's, {lasting:.3g} times as much."
    )
    holds = verdicts[0].holds and verdicts[1].holds and lasting > 1
    data = GradientsData(flows, spectra, verdicts, fitted)
    return Experiment("gradients", claim, measurements, bool(holds), verdict, data)


def _flows(name: str, fitted: Fitted, windows: Array) -> dict[str, FlowOverTraining]:
    """Every field of the carry at every moment, averaged over windows [N, 2 T + 1]."""
    config = fitted.config

    @jax.jit
    def gradients(params: charlm.Params) -> Any:
        def one(window: Array) -> Any:
            zero = charlm.zero_carry(config, params, ())
            carry, _ = charlm.apply(config, params, zero, window[:LENGTH])
            inputs, targets = window[LENGTH:-1], window[LENGTH + 1 :]
            return state_gradients(config, params, carry, inputs, targets)[0]

        return jax.vmap(one)(windows)

    found = [gradients(params) for params in fitted.history]
    moments = ("before training", *(f"{moment} updates" for moment in fitted.moments[1:]))
    fields = type(found[0])._fields
    return {
        (f"{name}, {field}" if len(fields) > 1 else name): FlowOverTraining(
            moments,
            gradient_histograms(
                np.stack([_of_last_loss(getattr(gradient, field)) for gradient in found])
            ),
            tuple(flow_of_gradients(getattr(gradient, field)) for gradient in found),
        )
        for field in fields
    }


def _of_last_loss(gradient: Array) -> NDArray[np.float64]:
    """[N, T, T, H] -> [T, N · H], the gradients of the last step's loss."""
    last = np.asarray(gradient, np.float64)[:, -1]
    return last.transpose(1, 0, 2).reshape(last.shape[1], -1)


def _left(flow: FlowOverTraining) -> float:
    """The trained model's mean norm at the far distance, as a share of its largest."""
    means = flow.flows[-1].by_distance
    return float(means[FAR] / means.max())
