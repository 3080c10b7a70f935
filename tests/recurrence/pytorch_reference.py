"""What PyTorch computes for the recurrent networks that jaxrnn has too: cases, problems, results.

PyTorch is no requirement of the tests, so its numbers are stored beside this file. Inputs and
weights are drawn again from the case's name; only what PyTorch makes of them is kept. Made with
PyTorch 2.13.0 (CPU, float64), and made anew, where torch is installed, by

    python tests/recurrence/pytorch_reference.py
"""

import functools
import itertools
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

STORED = Path(__file__).with_suffix(".npz")

LENGTH, BATCH, INPUT, HIDDEN, PROJECTED = 5, 3, 2, 3, 2
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "lstm_projected": 4}
LENGTHS = {"whole": None, "sorted": (5, 3, 1), "unsorted": (3, 1, 5)}


class Case(NamedTuple):
    """A torch.nn.RNN, LSTM or GRU (a key of GATES) over a batch of sequences (a key of LENGTHS)."""

    kind: str
    layers: int
    directions: int
    lengths: str

    def __str__(self):
        return f"{self.kind}-layers{self.layers}-directions{self.directions}-{self.lengths}"


CASES = [Case(*fields) for fields in itertools.product(GATES, (1, 2, 3), (1, 2), LENGTHS)]


class Problem(NamedTuple):
    """Arrays by PyTorch's names and in its shapes, time first."""

    arrays: dict  # parameters; "input" [T, B, I]; "h_0", "c_0" [layers·directions, B, ·]
    lengths: tuple | None  # of each sequence; None: all of them T
    loss_weights: dict  # of "output" [T, B, ·], "h_n" and "c_n"; the loss is Σ weights · values

    @property
    def result_shapes(self):
        """Shape of each result: the values, and the loss's gradient for every array."""
        values = {name: value.shape for name, value in self.loss_weights.items()}
        return values | {f"d_{name}": value.shape for name, value in self.arrays.items()}


def draw_problem(case):
    """The problem of a case: every number is drawn, none is zero.

    Biases are positive and weights more often than not, else many relu units would be silent at
    every step and test nothing.
    """
    bits = np.random.PCG64(zlib.crc32(str(case).encode()))

    def draw(low, high, *shape):
        # Of NumPy's random numbers only the raw ones are promised to stay the same for ever.
        fractions = bits.random_raw(np.prod(shape)).reshape(shape) / 2.0**64
        return low + (high - low) * fractions

    rows, states = GATES[case.kind] * HIDDEN, case.layers * case.directions
    outputs = PROJECTED if case.kind == "lstm_projected" else HIDDEN
    arrays = {}
    for layer in range(case.layers):
        inputs = outputs * case.directions if layer else INPUT
        for end in ("", "_reverse")[: case.directions]:
            end = f"_l{layer}{end}"
            arrays[f"weight_ih{end}"] = draw(-0.5, 0.7, rows, inputs)
            arrays[f"weight_hh{end}"] = draw(-0.5, 0.7, rows, outputs)
            arrays[f"bias_ih{end}"] = draw(0.1, 0.6, rows)
            arrays[f"bias_hh{end}"] = draw(0.1, 0.6, rows)
            if case.kind == "lstm_projected":
                arrays[f"weight_hr{end}"] = draw(-0.5, 0.7, outputs, HIDDEN)
    arrays["input"] = draw(-1, 1, LENGTH, BATCH, INPUT)
    arrays["h_0"] = draw(-1, 1, states, BATCH, outputs)
    loss_weights = {
        "output": draw(-1, 1, LENGTH, BATCH, outputs * case.directions),
        "h_n": draw(-1, 1, states, BATCH, outputs),
    }
    if case.kind.startswith("lstm"):
        arrays["c_0"] = draw(-1, 1, states, BATCH, HIDDEN)
        loss_weights["c_n"] = draw(-1, 1, states, BATCH, HIDDEN)
    return Problem(arrays, LENGTHS[case.lengths], loss_weights)


def computed_results(case):
    """Results by name, from the installed PyTorch; the output past a sequence's end is 0."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    problem = draw_problem(case)
    leaves = {name: torch.tensor(value) for name, value in problem.arrays.items()}
    make = {
        "rnn_tanh": functools.partial(torch.nn.RNN, nonlinearity="tanh"),
        "rnn_relu": functools.partial(torch.nn.RNN, nonlinearity="relu"),
        "lstm": torch.nn.LSTM,
        "gru": torch.nn.GRU,
        "lstm_projected": functools.partial(torch.nn.LSTM, proj_size=PROJECTED),
    }[case.kind]
    module = make(
        INPUT, HIDDEN, case.layers, bidirectional=case.directions == 2, dtype=torch.float64
    )
    states = [name for name in ("h_0", "c_0") if name in leaves]
    parameters = leaves.keys() - {"input", *states}
    module.load_state_dict({name: leaves[name] for name in parameters})  # asks for all of them
    leaves |= dict(module.named_parameters())
    for name in ("input", *states):
        leaves[name].requires_grad_()

    inputs = leaves["input"]
    if problem.lengths is not None:
        inputs = pack_padded_sequence(inputs, problem.lengths, enforce_sorted=False)
    start = tuple(leaves[name] for name in states)
    output, last = module(inputs, start if len(states) == 2 else start[0])
    if problem.lengths is not None:
        output, _ = pad_packed_sequence(output, total_length=LENGTH)
    values = {"output": output, "h_n": last}
    if len(states) == 2:
        values["h_n"], values["c_n"] = last
    loss = sum((torch.tensor(w) * values[name]).sum() for name, w in problem.loss_weights.items())
    loss.backward()
    results = {name: value.detach().numpy() for name, value in values.items()}
    return results | {f"d_{name}": leaf.grad.numpy() for name, leaf in leaves.items()}


@functools.cache
def _stored():
    with np.load(STORED) as file:
        return dict(file)


def stored_results(case):
    """The same results by name, as they were stored."""
    shapes = draw_problem(case).result_shapes
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    *parts, rest = np.split(_stored()[str(case)], ends)
    assert rest.size == 0, f"{case} has another shape now: write the stored numbers anew"
    return {name: x.reshape(shapes[name]) for name, x in zip(shapes, parts, strict=True)}


def write():
    """Stores the results of every case, one flat array a case: names would take half the file."""
    flat = {}
    for case in CASES:
        results = computed_results(case)
        shapes = draw_problem(case).result_shapes
        assert {name: value.shape for name, value in results.items()} == shapes
        flat[str(case)] = np.concatenate([results[name].ravel() for name in shapes])
    np.savez_compressed(STORED, **flat)


if __name__ == "__main__":
    write()
