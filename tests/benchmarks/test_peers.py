"""Every peer computes what jax.grad of the plain scan computes; run here, without workers."""

import warnings
from contextlib import ExitStack
from functools import cache

import jax
import numpy as np
import pytest

import jaxrnn as rnn
from benchmarks.agreement import compare
from benchmarks.command import takes
from benchmarks.contest import absent
from benchmarks.environment import installed_version
from benchmarks.peers import OURS, PEERS
from benchmarks.peers.cudnn import flat_weights, with_second_bias
from benchmarks.peers.peer import DEVICE_OF
from benchmarks.problems import REFERENCE, LayerProblem, Size, TrainProblem

SIZE = Size(2, 5, 3, 4)
# Each conversion of weights once. Peers with the weights of every cell are jaxrnn's own, whose
# values the tests of the library hold.
PAIRS = [
    (name, cell)
    for name, peer in PEERS.items()
    for cell in peer.cells or ()
    if peer.maths(cell) == cell
    and "layer" in peer.prepare
    and "cpu" in peer.devices
    and (cell != "elman_relu" or name == "haiku")
]
PROJECTED = next(name for name, cell in rnn.CELLS.items() if cell.has_projection)


@pytest.fixture(autouse=True)
def as_in_a_worker(monkeypatch):
    """JAX's defaults, and other people's warnings left alone."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(jax.enable_x64(False))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        yield


@cache
def expected_results(problem):
    return results(REFERENCE, problem)


def results(name, problem):
    distribution = PEERS[name].distribution
    if distribution is not None and installed_version(distribution) is None:
        pytest.skip(f"{distribution} is not installed")
    return PEERS[name].prepare[problem.kind](problem, "cpu").results()


def test_ours_comes_first_and_the_reference_is_there():
    assert next(iter(PEERS)) == OURS
    assert REFERENCE in PEERS


@pytest.mark.parametrize(("name", "cell"), PAIRS)
def test_outputs_and_gradients(name, cell):
    problem = LayerProblem(cell, SIZE)
    expected = expected_results(problem)
    assert expected["hs"].shape[:2] == (5, 2)
    assert all(np.abs(value).max() > 1e-4 for value in expected.values())
    compare(results(name, problem), expected, tolerance=1e-5)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("jaxrnn", TrainProblem(PROJECTED, SIZE)),
        ("jaxrnn-windows", TrainProblem("gru", SIZE)),
        ("torch", TrainProblem("gru", SIZE)),
        ("torch", TrainProblem(PROJECTED, SIZE)),
        ("torch", TrainProblem("elman", SIZE, layers=1, recipe="min-char-rnn")),
        ("numpy", TrainProblem("elman", SIZE, layers=1, recipe="min-char-rnn")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.label(),
)
def test_training(name, problem):
    compare(results(name, problem), expected_results(problem), tolerance=1e-4)


def test_cudnn_weights_are_in_its_order():
    """cuDNN itself needs a GPU; its reference in JAX does not."""
    from jax.experimental import rnn as cudnn_rnn

    params, carry, xs, _ = LayerProblem("lstm", SIZE).arrays()
    flat = flat_weights(jax.tree.map(jax.numpy.asarray, params))
    flat = with_second_bias(flat, SIZE.hidden_size)
    weights = cudnn_rnn.unpack_lstm_weights(flat, SIZE.input_size, SIZE.hidden_size, 1, False)
    hs, _, _ = cudnn_rnn.lstm_ref(
        xs.swapaxes(0, 1),
        carry.h[None],
        carry.c[None],
        *weights,
        np.full(SIZE.batch, SIZE.time, np.int32),
        SIZE.input_size,
        SIZE.hidden_size,
        1,
        0.0,
        False,
    )
    _, expected = rnn.unroll(rnn.LSTM, params, carry, xs)
    np.testing.assert_allclose(hs.swapaxes(0, 1), expected, atol=1e-6)


@pytest.mark.parametrize(
    "problem",
    [LayerProblem("lstm", SIZE), TrainProblem("lstm", SIZE)],
    ids=lambda problem: problem.kind,
)
def test_cudnn_computes_and_trains_what_the_others_do(problem, monkeypatch):
    """With its reference in the kernel's place; two trained biases would learn twice as fast."""
    from jax.experimental import rnn as cudnn_rnn

    def on_a_cpu(xs, h, c, weights, lengths, **sizes):
        shape = [sizes[name] for name in ("input_size", "hidden_size", "num_layers")]
        parts = cudnn_rnn.unpack_lstm_weights(weights, *shape, sizes["bidirectional"])
        return cudnn_rnn.lstm_ref(xs, h, c, *parts, lengths, **sizes)

    monkeypatch.setattr(cudnn_rnn, "lstm", on_a_cpu)
    compare(results("cudnn", problem), expected_results(problem), tolerance=1e-5)


def test_cudnn_is_offered_on_cuda_alone():
    assert [PEERS["cudnn"].runs_on(platform) for platform in DEVICE_OF] == [
        platform == "cuda" for platform in DEVICE_OF
    ]
    problem = LayerProblem("lstm", SIZE)
    assert absent("cudnn", "rocm", problem) == "does not run on rocm"
    assert absent("cudnn", "cuda", problem) is None
    assert not takes("cudnn", "rocm", [problem])
    assert takes("cudnn", "cuda", [problem])
    assert PEERS["torch"].runs_on("rocm")
