"""Whole runs: what they write, resuming to the bit, and stopping when training diverges."""

import dataclasses
import itertools
import json
import shutil

import jax
import numpy as np
import pytest
import saved_runs

from jaxrnn import charlm
from jaxrnn.charlm import checkpoints, plan, runs, training_loop
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.journal import DivergedError
from jaxrnn.charlm.settings import PRESETS, Settings

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
SMALL = Settings(
    model="elman",
    rnn_size=16,
    num_layers=1,
    dropout=0.2,
    seq_length=10,
    batch_size=4,
    learning_rate=0.03,
    max_steps=60,
    print_every=7,
    eval_val_every=14,
    sample_every=0,
)


def fresh(path, settings=SMALL, text=TEXT):
    corpus = Corpus(text, ("text",))
    return runs.create(path, settings, charlm.Vocab.from_text(text), corpus), corpus


def last_arrays(run):
    return saved_runs.checkpoint(run.step_paths()[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run to its end, its records and the notes."""
    run, corpus = fresh(tmp_path_factory.mktemp("whole") / "run")
    records = list(training_loop.train(training_loop.start(run, corpus)))
    return run, corpus, records


def test_a_run_learns_and_writes_what_it_yields(whole):
    run, _, records = whole
    losses = [record["loss"] for record in records if "loss" in record]
    validations = [record for record in records if "validation_loss" in record]
    assert losses[0] > 3 > 2.5 > losses[-1]
    assert [record["step"] for record in validations] == [14, 28, 42, 56, 60]
    assert run.metrics() == records
    assert json.loads((run.path / "config.json").read_text())["settings"]["rnn_size"] == 16
    assert [path.name for path in run.step_paths()] == [
        "step-000000060.json",
        "step-000000056.json",
    ]


def test_best_is_the_lowest_validation_and_can_be_evaluated(whole):
    run, corpus, records = whole
    lowest = min(record["validation_loss"] for record in records if "validation_loss" in record)
    params, facts = runs.load_params(run, pytest.fail)
    assert facts["best_validation"] == lowest
    _, validation_text = charlm.split(corpus.text, 0.9, 0.1)
    value = charlm.evaluate(run.config, params, run.vocab.encode(validation_text))
    np.testing.assert_allclose(value, lowest, rtol=1e-6)


def test_a_run_goes_by_the_rates_of_its_settings(whole):
    steps = np.array([record["step"] for record in whole[2] if "loss" in record])
    rates = [record["learning_rate"] for record in whole[2] if "loss" in record]
    before = np.array([0, *steps[:-1]])  # a record's rate is that of its first step
    expected = 0.015 * (1 + np.cos(np.pi * np.clip((before - 6) / 54, 0, 1)))
    expected *= np.minimum(1, (before + 1) / 6)  # the warm-up of 100 steps is cut to a tenth of 60
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_samplers_start_where_the_first_stream_is(whole):
    run, *_ = whole
    (params, carry), _ = runs.load_sampler(run, pytest.fail)
    arrays, _ = saved_runs.checkpoint(run.best_path)
    np.testing.assert_array_equal(params.w_hy, arrays["state.params.w_hy"])
    np.testing.assert_array_equal(carry[0].h, arrays["carry[0].h"][0])
    assert np.abs(carry[0].h).max() > 0


def without_time(records):
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in record.items() if k not in timed} for record in records]


def assert_the_same_end(run, other):
    (arrays, facts), (expected, expected_facts) = last_arrays(run), last_arrays(other)
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])
    assert {**facts, "seconds": 0} == {**expected_facts, "seconds": 0}
    assert without_time(run.metrics()) == without_time(other.metrics())


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, whole):
    run, corpus = fresh(tmp_path / "run")
    asked = iter(range(100))
    for _ in training_loop.train(training_loop.start(run, corpus), lambda: next(asked) == 2):
        pass
    reopened = runs.open_run(run.path)
    assert reopened == run
    work = training_loop.resume(reopened, corpus, pytest.fail)
    assert 0 < work.journal.step < 60
    for _ in training_loop.train(work):
        pass
    assert_the_same_end(run, whole[0])


@pytest.mark.parametrize("windows", [3])
def test_how_steps_are_dispatched_and_where_it_stops_changes_nothing(
    tmp_path, whole, monkeypatch, windows
):
    # Dispatches that end between two records, and stops at some of them.
    monkeypatch.setattr(plan, "dispatch_size", lambda run: windows)
    run, corpus = fresh(tmp_path / "run")
    work = training_loop.start(run, corpus)
    answers = itertools.cycle([False, False, True, False])  # always told to, it never validates
    stops = 0
    while not work.done:
        for _ in training_loop.train(work, lambda: next(answers)):
            pass
        work = training_loop.resume(run, corpus, pytest.fail)
        stops += 1
    assert stops > 4
    assert_the_same_end(run, whole[0])


def test_a_stop_in_validation_leaves_it_to_who_goes_on(tmp_path, whole, monkeypatch):
    run, corpus = fresh(tmp_path / "run")
    stopped = []

    def interrupted(*arguments, should_stop, **more):
        if not stopped:
            stopped.append(True)
            return None  # as `evaluate` does where should_stop() is true
        return evaluate(*arguments, should_stop=should_stop, **more)

    evaluate = training_loop.evaluate
    monkeypatch.setattr(training_loop, "evaluate", interrupted)
    records = list(training_loop.train(training_loop.start(run, corpus)))
    assert (records[-1]["step"], "loss" in records[-1]) == (14, True)
    work = training_loop.resume(run, corpus, pytest.fail)
    assert (work.journal.step, work.journal.reported) == (14, 7)
    assert next(iter(training_loop.train(work)))["validation_loss"]
    # A kill after that record, before its checkpoint: it is not written twice.
    work = training_loop.resume(run, corpus, pytest.fail)
    for _ in training_loop.train(work):
        pass
    assert_the_same_end(run, whole[0])


def test_where_training_ended_is_what_it_returns(tmp_path):
    run, corpus = fresh(tmp_path / "run", dataclasses.replace(SMALL, print_every=60))
    asked = iter(range(100))

    def ended(should_stop, work):
        records = training_loop.train(work, should_stop)
        journal = yield from records
        ends.append(journal)

    ends = []
    work = training_loop.start(run, corpus)
    records = list(ended(lambda: next(asked) == 0, work))
    assert records == []  # the first record of losses would be that of step 60
    assert (ends[0].step, ends[0].reported) == (14, 0)
    work = training_loop.resume(run, corpus, pytest.fail)
    assert work.journal._replace(seconds=0) == ends[0]._replace(seconds=0)
    list(ended(lambda: False, work))
    assert work._replace(journal=ends[1]).done


def test_a_folder_that_is_gone_stays_gone(tmp_path):
    run, corpus = fresh(tmp_path / "run", dataclasses.replace(SMALL, print_every=60, val_frac=0.0))
    work = training_loop.start(run, corpus)
    shutil.rmtree(run.path)
    with pytest.raises(OSError, match=r"run is gone, with what was saved in it"):
        list(training_loop.train(work))
    assert not run.path.exists()


def test_nothing_is_saved_twice(tmp_path, monkeypatch):
    saved = []
    save = runs.Run.save

    def counting(run, tree, facts, best):
        saved.append(facts["step"])
        save(run, tree, facts, best)

    monkeypatch.setattr(runs.Run, "save", counting)
    run, corpus = fresh(tmp_path / "run")
    asked = iter(range(100))
    list(training_loop.train(training_loop.start(run, corpus), lambda: next(asked) == 3))
    list(training_loop.train(training_loop.resume(run, corpus, pytest.fail)))
    assert saved == [0, 14, 21, 28, 42, 56, 60]


def test_another_number_of_devices_goes_on_with_the_same_text(tmp_path, whole):
    run, corpus = fresh(tmp_path / "run")
    asked = iter(range(100))
    for _ in training_loop.train(training_loop.start(run, corpus), lambda: next(asked) == 2):
        pass
    run = dataclasses.replace(run, settings=dataclasses.replace(SMALL, devices=2))
    for _ in training_loop.train(training_loop.resume(run, corpus, pytest.fail)):
        pass
    assert last_arrays(run)[0]["state.step"] == 60
    numbers, expected = without_time(run.metrics()), without_time(whole[2])
    assert [record["step"] for record in numbers] == [record["step"] for record in expected]
    for record, other in zip(numbers, expected, strict=True):
        for name in ("loss", "validation_loss", "gradient_norm"):
            if name in other:
                np.testing.assert_allclose(record[name], other[name], rtol=1e-4)


def test_a_resumed_run_remembers_its_best_validation_and_its_seconds(tmp_path):
    run, corpus = fresh(tmp_path / "run", dataclasses.replace(SMALL, max_steps=2))
    work = training_loop.start(run, corpus)
    # No model of two steps will be better than this one is said to have been.
    journal = work.journal._replace(
        first_loss=6.0, smoothed_loss=5.0, best_validation=0.25, seconds=5000.0
    )
    run.save(work.everything, journal._asdict(), best=True)
    best = run.best_path.read_bytes()
    resumed = training_loop.resume(runs.open_run(run.path), corpus, pytest.fail)
    assert resumed.journal == journal
    records = list(training_loop.train(resumed))
    assert [record["best"] for record in records if "validation_loss" in record] == [False]
    assert run.best_path.read_bytes() == best
    assert all(5000 < record["seconds"] < 5600 for record in records)
    facts = last_arrays(run)[1]
    assert (facts["step"], facts["best_validation"], facts["first_loss"]) == (2, 0.25, 6.0)
    assert records[-1]["seconds"] - 1e-3 < facts["seconds"] < 5600


def test_a_broken_last_checkpoint_falls_back_and_says_so(tmp_path, whole):
    run, corpus = fresh(tmp_path / "run")
    for _ in training_loop.train(training_loop.start(run, corpus)):
        pass
    last, before = run.step_paths()
    arrays = saved_runs.arrays_file(last)
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with open(run.metrics_path, "a") as file:
        file.write('{"step": 6')  # a line cut short by a kill
    (last.parent / ".step-000000070.json.tmp").write_bytes(b"half")
    notes = []
    work = training_loop.resume(run, corpus, notes.append)
    assert not list(run.path.rglob("*.tmp"))
    assert work.journal.step == 56
    assert str(arrays) in notes[0]
    assert str(before) in notes[1]
    assert max(record["step"] for record in run.metrics()) == 56
    for _ in training_loop.train(work):
        pass
    for name, array in last_arrays(whole[0])[0].items():
        np.testing.assert_array_equal(last_arrays(run)[0][name], array)
    for path in [*run.step_paths(), run.best_path]:
        path.write_bytes(b"")
    with pytest.raises(checkpoints.BrokenCheckpointError, match=r"step-000000060\.json"):
        training_loop.resume(run, corpus, notes.append)


def test_another_text_is_refused(tmp_path, whole):
    run, corpus, _ = whole
    with pytest.raises(ValueError, match="differs"):
        training_loop.resume(run, Corpus(corpus.text + "x", ("other",)), pytest.fail)


def test_a_loss_that_is_not_a_number_stops_the_run_with_advice(tmp_path):
    settings = dataclasses.replace(
        SMALL,
        model="elman_relu",
        optimizer="sgd",
        weight_decay=0.0,
        learning_rate=1e30,
        grad_clip_norm=0.0,
        warmup_steps=0,
        dropout=0.0,
    )
    run, corpus = fresh(tmp_path / "run", settings)
    work = training_loop.start(run, corpus)
    with pytest.raises(DivergedError) as caught:
        list(training_loop.train(work))
    message = str(caught.value)
    assert "not finite" in message
    assert "--learning-rate" in message
    assert "--grad-clip-norm" in message
    assert str(run.step_paths()[0]) in message
    assert saved_runs.checkpoint(run.step_paths()[0])[1]["step"] == 0


def test_a_loss_over_three_times_the_first_stops_the_run(tmp_path):
    settings = dataclasses.replace(
        SMALL,
        optimizer="sgd",
        weight_decay=0.0,
        learning_rate=1000.0,
        warmup_steps=0,
        schedule="constant",
        max_steps=500,
    )
    run, corpus = fresh(tmp_path / "run", settings)
    with pytest.raises(DivergedError, match="three times"):
        list(training_loop.train(training_loop.start(run, corpus)))


def test_a_run_does_not_overwrite_another(tmp_path, whole):
    with pytest.raises(ValueError, match="--resume"):
        fresh(whole[0].path)


def test_checkpoints_without_a_config_are_not_overwritten_but_a_killed_start_is(tmp_path):
    run, corpus = fresh(tmp_path / "run")
    training_loop.start(run, corpus)
    (run.path / "config.json").unlink()
    training_loop.start(fresh(run.path)[0], corpus)
    (run.path / "config.json").unlink()
    run.best_path.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"best\.json would be lost"):
        fresh(run.path)
    assert run.best_path.read_bytes() == b"precious"


def test_too_short_a_text_is_said_before_anything_is_a_run(tmp_path):
    run, corpus = fresh(tmp_path / "run", text="short")
    sizes = "--batch-size 4 x --seq-length 10"
    hint = "a longer text, or --batch-size 1 --seq-length 3"
    with pytest.raises(ValueError, match=f"at least 41 characters to train on .{sizes}.*{hint}$"):
        training_loop.start(run, corpus)
    with pytest.raises(FileNotFoundError):
        runs.open_run(run.path)


def test_bfloat16_resumes(tmp_path):
    settings = dataclasses.replace(SMALL, dtype="bfloat16", max_steps=20, dropout=0.0)
    run, corpus = fresh(tmp_path / "run", settings)
    list(training_loop.train(training_loop.start(run, corpus), lambda: True))
    expected, facts = last_arrays(run)
    assert facts["step"] == 7
    work = training_loop.resume(run, corpus, pytest.fail)
    assert work.everything.state.params.w_hy.dtype == jax.numpy.float32
    assert work.everything.carry[0].h.dtype == jax.numpy.bfloat16
    np.testing.assert_array_equal(work.everything.state.params.w_hy, expected["state.params.w_hy"])
    list(training_loop.train(work))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings(name):
    settings = Settings(**PRESETS[name])
    assert settings.loss in charlm.LOSSES


def test_more_epochs_than_steps_end_at_the_earlier(tmp_path):
    for steps, epochs, expected in ((None, 2, 2 * 132), (50, 2, 50), (1000, 0.5, 66)):
        settings = dataclasses.replace(SMALL, max_steps=steps, max_epochs=epochs)
        run, corpus = fresh(tmp_path / f"{steps}", settings)
        windows = charlm.number_of_windows(training_loop.make_plan(run, corpus).streams, 10)
        assert windows == 132
        assert training_loop.make_plan(run, corpus).total_steps == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq_length": 0},
        {"max_steps": 0},
        {"max_steps": None},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"dtype": "float16"},
        {"initializer": "gaussian:1"},
        {"initializer": "normal:x"},
        {"initializer": "normal"},
        {"val_frac": 0.2},
        {"grad_clip": -1.0},
        {"max_minutes": 0.0},
        {"rnn_size": 0},
        {"num_layers": 0},
        {"embed_size": 0},
        {"dropout": 1.0},
        {"decay_rate": 3},
        {"learning_rate_decay": 3},
        {"learning_rate_decay": 0.0},
    ],
)
def test_settings_out_of_range_name_the_option(wrong):
    option = next(iter(wrong)).replace("_", "-")
    with pytest.raises(ValueError, match=f"^train: --{option}: expected .*, got "):
        dataclasses.replace(SMALL, **wrong)
