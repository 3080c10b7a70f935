"""The table of what is tuned by platform: whose record is taken, and that every number is read."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from oracles import OPTIONS, random_options, random_problem, renamed, worst_relative

import jaxrnn as rnn
from jaxrnn import tuning
from jaxrnn.charlm.plan import dispatch_size
from jaxrnn.charlm.runs import Run
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.vocabulary import Vocab


@pytest.fixture
def tuned(monkeypatch):
    """Sets the record."""
    return lambda record: monkeypatch.setattr(tuning, "here", lambda: record)


@pytest.mark.parametrize(
    ("backend", "record"),
    [("cpu", tuning.CPU), ("gpu", tuning.GPU), ("tpu", tuning.TPU), ("another", tuning.GPU)],
)
def test_the_record_is_the_platforms(backend, record, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert tuning.here() is record
    for default in ("cpu", jax.devices("cpu")[1]):
        with jax.default_device(default):
            assert tuning.here() is tuning.CPU


def test_a_default_device_has_programs_of_its_own(monkeypatch):
    """What was traced for one platform is not taken for another."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    cell = renamed(rnn.ELMAN)
    params, carry, xs = random_problem(cell, length=32)

    def gradient(params):
        return jax.grad(lambda params: jnp.sum(rnn.unroll(cell, params, carry, xs)[1]))(params)

    on_gpu = jax.jit(gradient).lower(params).as_text()
    with jax.default_device("cpu"):
        on_cpu = jax.jit(gradient).lower(params).as_text()
    assert "tensor<16x" in on_cpu  # two chunks of 32 steps
    assert "tensor<16x" not in on_gpu


LONG = {"length": 64, "batch": (3,), "inputs": 9, "hidden": 8, "tokens": True}


def programs():
    """The forward pass alone, and with the gradient, as text."""
    cell = renamed(rnn.GRU)
    params, carry, xs = random_problem(cell, **LONG)

    def loss(params):
        return jnp.sum(rnn.unroll(cell, params, carry, xs)[1])

    return [jax.jit(f).lower(params).as_text() for f in (loss, jax.grad(loss))]


@pytest.mark.parametrize(
    ("number", "value", "forward"),
    [
        ("projected_bytes", 0, False),
        ("projected_bytes_forward", 8 << 20, True),
        ("chunk_bytes", 3 * 8 * 3 * 8 * 10, False),
        ("shortest_chunk", 33, False),
        ("longest_chunk", 16, False),
        ("fewest_chunks", 1, False),
        ("one_hot_vocabulary", 8, False),
        ("scan_unroll", 2, True),
    ],
)
def test_every_number_changes_the_program(number, value, forward, tuned):
    tuned(tuning.CPU)
    before = programs()
    tuned(dataclasses.replace(tuning.CPU, **{number: value}))
    after = programs()
    assert (before[0] != after[0]) is forward
    assert (before[1] != after[1]) is (number != "projected_bytes_forward")


@pytest.mark.parametrize("record", [tuning.GPU, tuning.TPU], ids=["gpu", "tpu"])
def test_values_and_gradients_are_those_of_the_scan(record, tuned):
    tuned(dataclasses.replace(record, scan_unroll=3))
    cell = renamed(rnn.LSTM)
    params, carry, xs = random_problem(cell, length=20)
    given = random_options(cell, OPTIONS, params, carry, 20)

    def gradient(unroll):
        def loss(params, xs):
            last, hs = unroll(cell, params, carry, xs, **given)
            return jnp.sum(hs**2) + jnp.sum(last.c), hs

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, xs)

    ours, expected = gradient(rnn.unroll), gradient(rnn.unroll_autodiff)
    assert worst_relative(ours, expected) < 1e-10


def test_a_dispatch_is_as_large_as_the_platform_says(tuned):
    run = Run(None, Settings(), Vocab.from_text("abcdefgh"), ("book.txt",), "")
    tuned(tuning.CPU)
    few = dispatch_size(run)
    tuned(tuning.GPU)
    assert 1 < few < dispatch_size(run) == 100
