"""The LSTM's two states: why c keeps what h loses (Hochreiter and Schmidhuber 1997).

An LSTM and a plain RNN of the same size read lines such as `[b]dacab:b`, where the letter in
brackets is asked for after any number of other letters. What each state still says of that letter
is read from it by one linear probe for all distances; the gates are looked at where they decide,
and the gradient of the answer is followed back along h and along c.
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
from jaxrnn.microscope.languages import generate, recall
from jaxrnn.microscope.traces import trace_model
from jaxrnn.microscope.traces.gradient_traces import state_gradients

Array = jax.Array
Numbers = NDArray[np.float64]

CELLS = {"LSTM": "lstm", "RNN": "elman"}
UNITS = 32
UPDATES = 3000
LENGTH = 80
CHARACTERS = 200_000
LETTERS = "abcd"
SHORTEST, MEAN = 3, 8.0
"""Letters between the brackets and the question in the text that is trained on."""

GAP = 40
"""Letters between the brackets and the question in the lines that are measured: five times as many
as in the mean of the text that is trained on."""

LINES = 400
FAR = 30
"""The distance at which states and gradients are compared."""

RIDGE = 1e-3
SHOWN = "acbd"
"""Letters in brackets of the lines that the page shows, one a line."""

SHOWN_GAP = 18


class LstmData(NamedTuple):
    """What the experiment's page draws.

    Attributes:
        fitted: the models by name, "LSTM" and "RNN".
        text: the lines of the page, T characters.
        fields: of the LSTM on that text, [T, H] by name: c, h and the gates.
        memory: units, those first whose c says most of the letter.
        readable: share of lines whose letter the probe reads right, [GAP + 2] from the bracket
            on, by state: "LSTM, c", "LSTM, h", "RNN, h".
        gradients: [moments, GAP + 2], mean ‖∂L/∂state‖ of the answer's loss by steps back,
            by state.
        moments: names of the moments of `gradients`.
        right: share of right answers after GAP letters, by model.
    """

    fitted: dict[str, Fitted]
    text: str
    fields: dict[str, Numbers]
    memory: tuple[int, ...]
    readable: dict[str, Numbers]
    gradients: dict[str, Numbers]
    moments: tuple[str, ...]
    right: dict[str, float]


class _Lines(NamedTuple):
    """Lines of one length, time first: tokens read [T, N], and the letters' numbers [N]."""

    tokens: Array
    letters: NDArray[np.int64]


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains an LSTM and an RNN to recall a letter, and looks at what their states keep.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.

    Returns:
        The outcome with LstmData; under a minute on two cores.
    """
    text_key, *model_keys = jax.random.split(key, 3)
    text = generate(recall(LETTERS, SHORTEST, MEAN), text_key, CHARACTERS)
    vocab = charlm.Vocab.from_text(text)
    seed = int(jax.random.randint(text_key, (), 0, 2**31 - 1))
    lines = _lines(vocab, np.random.default_rng(seed))
    fitted: dict[str, Fitted] = {}
    readable: dict[str, Numbers] = {}
    gradients: dict[str, Numbers] = {}
    right: dict[str, float] = {}
    for (name, cell), model_key in zip(CELLS.items(), model_keys, strict=True):
        config = charlm.Config(len(vocab), cell, hidden_size=UNITS, num_layers=1)
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
        fitted[name] = fit(
            config, vocab, charlm.init(config, model_key), optimizer, text, progress,
            what=f"training the {name}", updates=UPDATES, batch_size=32, length=LENGTH,
            keep=(UPDATES // 10,),
        )  # fmt: skip
        progress(f"looking into the {name}", 0, 1)
        seen = _read(fitted[name], lines)
        right[name] = float(_answers(vocab, seen.logits[-1], lines.letters).mean())
        for field, states in seen.layers[0].carries._asdict().items():
            # From the closing bracket on, which is the first to know nothing but the state.
            shares = _read_by_probe(np.asarray(states, np.float64)[2:], lines.letters)
            readable[f"{name}, {field}"] = shares
        gradients |= _gradients(name, fitted[name], lines)
        progress(f"looking into the {name}", 1, 1)
    shown = "".join(_line(letter, SHOWN_GAP, seed + at) for at, letter in enumerate(SHOWN))
    fields = _fields(fitted["LSTM"], shown)
    memory = _memory_units(np.asarray(_read(fitted["LSTM"], lines).layers[0].carries.c), lines)
    gates = _at_work(fields, shown, memory[0])
    left = {name: float(rows[-1, FAR] / rows[-1].max()) for name, rows in gradients.items()}
    kept = {name: float(shares[FAR]) for name, shares in readable.items()}
    measurements = (
        *(
            Measurement(
                f"{name}: right answers after {GAP} letters", share, "",
                "above 0.9" if name == "LSTM" else "",
            )
            for name, share in right.items()
        ),
        *(
            Measurement(f"{name}: letter read from the state {FAR} letters on", share, "",
                        "above 0.8" if name == "LSTM, c" else "")
            for name, share in kept.items()
        ),
        *(
            Measurement(f"{name}: gradient left {FAR} steps back", share)
            for name, share in left.items()
        ),
        Measurement(f"unit {memory[0]}: input gate at the letter in brackets", gates[0]),
        Measurement(f"unit {memory[0]}: input gate at the letters between", gates[1]),
        Measurement(f"unit {memory[0]}: forget gate between", gates[2], "", "above 0.9"),
        Measurement(f"unit {memory[0]}: output gate between", gates[3]),
        Measurement(f"unit {memory[0]}: output gate at the question", gates[4]),
    )  # fmt: skip
    claim = (
        "An LSTM keeps in its memory c what it was told to remember, past any number of other "
        "characters; the gradient comes back along c nearly as it was, and along h it vanishes "
        "(Hochreiter and Schmidhuber 1997)."
    )
    holds = right["LSTM"] > 0.9 and kept["LSTM, c"] > 0.8 and left["LSTM, c"] > 10 * left["LSTM, h"]
    verdict = (
        f"After {GAP} letters the LSTM answers {right['LSTM']:.0%} right and the RNN "
        f"{right['RNN']:.0%} (chance {1 / len(LETTERS):.0%}). {FAR} letters on, a linear probe "
        f"reads the letter from c in {kept['LSTM, c']:.0%} of lines, from the LSTM's h in "
        f"{kept['LSTM, h']:.0%} and from the RNN's h in {kept['RNN, h']:.0%}; of the answer's "
        f"gradient {left['LSTM, c']:.2g} is left along c, {left['LSTM, h']:.2g} along h and "
        f"{left['RNN, h']:.2g} in the RNN."
    )
    moments = ("before training", *(f"{moment:,} updates" for moment in fitted["LSTM"].moments[1:]))
    data = LstmData(fitted, shown, fields, memory, readable, gradients, moments, right)
    return Experiment("lstm", claim, measurements, bool(holds), verdict, data)


def _line(letter: str, gap: int, seed: int) -> str:
    between = np.random.default_rng(seed).choice(list(LETTERS), gap)
    return f"[{letter}]{''.join(between)}:{letter}\n"


def _lines(vocab: charlm.Vocab, draw: np.random.Generator) -> _Lines:
    """Lines with `GAP` letters between, up to the question, each after another line."""
    letters = np.arange(LINES) % len(LETTERS)
    before = [
        _line(str(draw.choice(list(LETTERS))), 12, int(draw.integers(2**31))) for _ in letters
    ]
    after = [_line(LETTERS[k], GAP, int(draw.integers(2**31)))[:-2] for k in letters]
    rows = [vocab.encode(a + b) for a, b in zip(before, after, strict=True)]
    return _Lines(jnp.asarray(np.stack(rows, axis=1)), letters)


WARM = 12 + 6
"""Characters of the line before: twelve letters, brackets, question, answer and its end."""


def _warm(config: charlm.Config, params: charlm.Params, tokens: Array) -> Any:
    zero = charlm.zero_carry(config, params, tokens.shape[1])
    return charlm.apply(config, params, zero, tokens[:WARM])[0]


def _read(fitted: Fitted, lines: _Lines) -> Any:
    """The trained model's trace of the lines, from their bracket on."""
    tokens = lines.tokens[WARM:]
    carry = _warm(fitted.config, fitted.params, lines.tokens)
    return trace_model(fitted.config, fitted.params, carry, tokens, jnp.roll(tokens, -1, axis=0))


def _answers(vocab: charlm.Vocab, logits: Array, letters: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the likeliest of all characters is the letter, [N]."""
    ids = np.asarray(vocab.encode(LETTERS))
    return np.asarray(jnp.argmax(logits, axis=-1)) == ids[letters]


def _read_by_probe(states: Numbers, letters: NDArray[np.int64]) -> Numbers:
    """The share of lines whose letter one linear probe reads right, at every step.

    Half of the lines teach it (all steps alike, ridge regression on one-hot letters), the others
    test it: a probe that works at every distance says that the state keeps the letter in place.
    """
    steps, count, units = states.shape
    taught = np.arange(count) < count // 2
    wide = np.concatenate([states, np.ones((steps, count, 1))], axis=-1)
    x = wide[:, taught].reshape(-1, units + 1)
    y = np.tile(np.eye(len(LETTERS))[letters[taught]], (steps, 1))
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(units + 1), x.T @ y)
    found = (wide[:, ~taught] @ weights).argmax(axis=-1)
    shares: Numbers = (found == letters[~taught]).mean(axis=1)
    return shares


def _gradients(name: str, fitted: Fitted, lines: _Lines) -> dict[str, Numbers]:
    """Mean norm of the answer's gradient by steps back, at every moment, of a few lines."""
    few, config = lines.tokens[:, :16], fitted.config
    answers = fitted.vocab.encode(LETTERS)[lines.letters[:16]]

    @jax.jit
    def norms(params: charlm.Params) -> Any:
        def one(tokens: Array, answer: Array) -> Any:
            carry = _warm(config, params, tokens[:, None])
            carry = jax.tree.map(lambda array: array[0], carry)
            inputs = tokens[WARM:]
            targets = jnp.append(inputs[1:], answer)
            found = state_gradients(config, params, carry, inputs, targets)[0]
            return jax.tree.map(lambda g: jnp.linalg.norm(g[-1], axis=-1)[::-1], found)

        each = jax.vmap(one, in_axes=(1, 0))(few, jnp.asarray(answers))
        return jax.tree.map(lambda g: g.mean(axis=0), each)

    found = [norms(params) for params in fitted.history]
    return {
        f"{name}, {field}": np.stack(
            [np.asarray(getattr(each, field), np.float64)[: GAP + 2] for each in found]
        )
        for field in found[0]._fields
    }


def _fields(fitted: Fitted, text: str) -> dict[str, Numbers]:
    """c, h and the gates of the trained LSTM on a text."""
    tokens = jnp.asarray(fitted.vocab.encode(text))
    zero = charlm.zero_carry(fitted.config, fitted.params, ())
    seen = trace_model(fitted.config, fitted.params, zero, tokens, jnp.roll(tokens, -1))
    layer = seen.layers[0]
    arrays = {"c": layer.carries.c, **{gate: layer.gates[gate] for gate in "fiog"}}
    return {
        name: np.asarray(a, np.float64) for name, a in (*arrays.items(), ("h", layer.carries.h))
    }


def _memory_units(c: NDArray[Any], lines: _Lines) -> tuple[int, ...]:
    """Units by how much of c's variance between the letters' question is the kept letter's."""
    inside = np.asarray(c, np.float64)[3:-1]
    means = np.stack([inside[:, lines.letters == k].mean(axis=(0, 1)) for k in range(len(LETTERS))])
    share = means.var(axis=0) / (inside.var(axis=(0, 1)) + 1e-12)
    return tuple(int(unit) for unit in np.argsort(-share))


def _at_work(fields: dict[str, Numbers], text: str, unit: int) -> tuple[float, ...]:
    """Means of the unit's gates: i at the mark; i, f and o between; o at the question."""
    inside = np.zeros(len(text), bool)
    for start in (at for at, character in enumerate(text) if character == "["):
        inside[start + 3 : start + 3 + SHOWN_GAP] = True
    mark = np.array([at > 0 and text[at - 1] == "[" for at in range(len(text))])
    asked = np.array([character == ":" for character in text])
    gate = {name: values[:, unit] for name, values in fields.items()}
    return tuple(
        float(gate[name][where].mean())
        for name, where in (("i", mark), ("i", inside), ("f", inside), ("o", inside), ("o", asked))
    )
