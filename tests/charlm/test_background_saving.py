"""The thread that writes checkpoints: in order, one at a time, and its errors reach the trainer."""

import threading

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.background_saving import Saver
from jaxrnn.charlm.journal import DivergedError
from jaxrnn.charlm.runs import Run
from jaxrnn.charlm.settings import Settings


class Folder(Run):
    """A run that notes what it is told to save, in place of writing it."""

    def save(self, tree, facts, best):
        gate = facts.get("gate")
        if gate is not None:
            assert gate.wait(20)
        if facts.get("full"):
            raise OSError(28, "No space left on device", f"step-{facts['step']}")
        assert isinstance(tree["x"], np.ndarray)
        SAVED.append((facts["step"], float(tree["x"]), best, threading.current_thread().name))


SAVED = []


@pytest.fixture
def run(tmp_path):
    SAVED.clear()
    return Folder(tmp_path, Settings(), charlm.Vocab.from_text("ab"), "", "")


def tree(value):
    return {"x": jnp.float32(value), "n": jnp.int32(3), "half": jnp.bfloat16(value)}


def test_checkpoints_are_written_in_order_while_the_trainer_goes_on(run):
    gate = threading.Event()
    with Saver(run) as saver:
        saver.save(tree(1), {"step": 1, "gate": gate}, best=True)
        saver.check()
        assert SAVED == []  # it waits at the gate, and we do not
        gate.set()
        saver.save(tree(2), {"step": 2}, best=False)
    assert [entry[:3] for entry in SAVED] == [(1, 1.0, True), (2, 2.0, False)]
    assert all(name.startswith("checkpoints") for *_, name in SAVED)


def test_the_next_checkpoint_waits_for_the_one_before(run):
    gate = threading.Event()
    with Saver(run) as saver:
        saver.save(tree(1), {"step": 1, "gate": gate}, best=False)
        threading.Timer(0.2, gate.set).start()
        saver.save(tree(2), {"step": 2}, best=False)
        assert [entry[0] for entry in SAVED][:1] == [1]


@pytest.mark.parametrize("how", ["check", "save", "end"])
def test_what_went_wrong_reaches_the_trainer(run, how):
    def train():
        with Saver(run) as saver:
            saver.save(tree(1), {"step": 1, "full": True}, best=False)
            if how == "save":
                saver.save(tree(2), {"step": 2}, best=False)
            while how == "check":
                saver.check()

    with pytest.raises(OSError, match="No space left") as caught:
        train()
    assert caught.value.filename == "step-1"
    assert SAVED == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_not_saved(run, value):
    def train():
        with Saver(run) as saver:
            saver.save(tree(value), {"step": 7}, best=False)

    with pytest.raises(DivergedError, match="not finite at step 7"):
        train()
    assert SAVED == []


def test_the_trainers_own_error_comes_first_and_the_checkpoint_is_written(run):
    gate = threading.Event()

    def train():
        with Saver(run) as saver:
            saver.save(tree(1), {"step": 1, "gate": gate}, best=False)
            gate.set()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train()
    assert [entry[0] for entry in SAVED] == [1]
