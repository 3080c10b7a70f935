"""The table of losses, from one command, with tiny models."""

import json
import subprocess

import pytest

from benchmarks import quality, report
from benchmarks.command import main

pytestmark = pytest.mark.integration

TEXT = "the cat sat on the mat and the dog ran after the cat\n" * 60


def test_one_command_trains_measures_and_keeps(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(quality, "RATES", (1e-2,))
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    command = ["quality", str(text), "--hidden-size", "4", "--seeds", "1", "--steps", "2"]
    command += ["--cell", "elman", "--out", str(tmp_path)]
    recipe = quality.Recipe({"optimizer": "rmsprop"}, 1e-2)
    monkeypatch.setitem(quality.RECIPES, "elman", recipe)
    commands = []
    run = subprocess.run

    def told(command, **rest):
        commands.append(" ".join(map(str, command)))
        return run(command, **rest)

    monkeypatch.setattr(subprocess, "run", told)
    assert main(command) == 0
    trained = [each for each in commands if "jaxrnn train" in each]
    assert len(trained) == 2
    assert all("--optimizer rmsprop" in each for each in trained)
    printed = capsys.readouterr().out
    lines = (tmp_path / "quality-cpu.jsonl").read_text().splitlines()
    search, final = map(json.loads, lines)
    assert search["trial"]["steps"] == 1
    assert final["trial"]["steps"] == 2
    assert final["trial"]["hidden_size"] == quality.equal_hidden_size("elman", 4, len(set(TEXT)))
    assert final["weights"] == quality.number_of_weights(
        "elman", final["trial"]["hidden_size"], len(set(TEXT))
    )
    assert 2 < final["test"] < 4
    assert f"{final['test']:.3f}" in printed
    # What is measured is not trained again.
    monkeypatch.setattr(quality, "train", None)
    assert main(command) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("cell", ["elman", "indrnn", "lstm_projected"])
def test_sizes_are_the_largest_that_fit(cell):
    budget = quality.number_of_weights("lstm", 16, 10)
    units = quality.equal_hidden_size(cell, 16, 10)
    assert quality.number_of_weights(cell, units, 10) <= budget
    assert quality.number_of_weights(cell, units + 1, 10) > budget


def test_the_table_shows_means_and_half_the_range():
    records = [
        {"trial": {"cell": "gru", "size": 128, "hidden_size": 147, "learning_rate": rate,
                   "steps": steps, "seed": seed, "options": options},
         "validation": validation, "test": loss,
         "environment": {"text": "0123456789abcdef", "text_bytes": 99, "commit": "c0ffee"}}
        for rate, loss, validation, steps, seed, options in (
            (0.01, 1.2, 1.0, 10, 1, {}),
            (0.01, None, None, 10, 2, {}),
            (0.001, 1.3, 1.4, 10, 1, {}),
            (0.005, 1.4, 1.4, 10, 1, {}),
            (0.003, 1.4, 1.2, 10, 1, {}),
            (0.005, 1.5, 1.3, 10, 1, {"optimizer": "sgd"}),
            (0.005, 1.6, 1.3, 10, 2, {"optimizer": "sgd"}),
            (0.005, 9.0, 0.1, 2, 1, {"optimizer": "sgd"}),
        )
    ]  # fmt: skip
    header, rows = quality.table(records)
    assert header == ["cell", "units", "rate", "as LSTM 128"]
    assert rows == [["gru", "147", "0.005", "1.550 ± 0.050"]]
    page = report.section_on_losses(records)
    assert "| gru | 147 | 0.005 | 1.550 ± 0.050 |" in page
    assert "after 10 windows" in page
    assert "seeds 1, 2; commit c0ffee; gru with `--optimizer sgd`)" in page


def rates_that_train(monkeypatch, best, diverges):
    """In place of training: the loss is the distance from the best rate."""
    trials = []

    def train(text, trial, vocabulary):
        trials.append((trial.learning_rate, trial.steps, trial.seed))
        goal = best(trial) if callable(best) else best
        loss = None if diverges(trial) else abs(trial.learning_rate - goal) / goal
        return {"weights": 1, "validation": loss, "test": loss}

    monkeypatch.setattr(quality, "train", train)
    monkeypatch.setattr(quality, "RATES", (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0))
    monkeypatch.setattr(quality, "DEFAULT", quality.Recipe({}, 1.0))
    return trials


def run(folder, capsys):
    text = folder / "text.txt"
    text.write_text(TEXT)
    command = ["quality", str(text), "--hidden-size", "4", "--seeds", "1,2", "--cell", "gru"]
    assert main([*command, "--steps", "50", "--out", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()[1].split()[2:]


@pytest.mark.parametrize(("best", "short"), [(0.5, (0.25, 0.5, 1.0, 2.0)), (4.0, (0.5, 1, 2, 4))])
def test_the_search_goes_on_while_it_gets_better(tmp_path, capsys, monkeypatch, best, short):
    trials = rates_that_train(monkeypatch, best, lambda trial: False)
    assert run(tmp_path, capsys) == [str(best), "0.000", "±", "0.000"]
    assert sorted(rate for rate, steps, _ in trials if steps == 10) == list(short)
    # In all steps the next lower one is tried too.
    long = [(rate, seed) for rate, steps, seed in trials if steps == 50]
    assert sorted(long) == [(best / 2, 1), (best, 1), (best, 2)]


def test_a_longer_training_may_have_a_lower_rate(tmp_path, capsys, monkeypatch):
    rates_that_train(
        monkeypatch, lambda trial: 0.125 if trial.steps == 50 else 1.0, lambda _: False
    )
    assert run(tmp_path, capsys) == ["0.125", "0.000", "±", "0.000"]


def test_a_model_that_diverges_is_no_ones_choice(tmp_path, capsys, monkeypatch):
    # 2 diverges at once, 1 in long trials only, 0.5 with the other seed only.
    def diverges(trial):
        rate, long = trial.learning_rate, trial.steps == 50
        return rate > (0.5 if long else 1) or (rate == 0.5 and long and trial.seed == 2)

    rates_that_train(monkeypatch, 1, diverges)
    assert run(tmp_path, capsys) == ["0.25", "0.750", "±", "0.000"]
    rates_that_train(monkeypatch, 1, lambda trial: trial.learning_rate > 1 / 16)
    (tmp_path / "low").mkdir()
    assert run(tmp_path / "low", capsys) == ["0.0625", "0.938", "±", "0.000"]
    trials = rates_that_train(monkeypatch, 1, lambda trial: True)
    (tmp_path / "all").mkdir()
    assert run(tmp_path / "all", capsys)[1] == "diverged"
    assert len(trials) == len(set(trials))


def test_a_rate_that_throws_a_seed_back_gives_way(tmp_path, capsys, monkeypatch):
    losses = {1.0: (0.1, 0.9), 0.5: (0.4, 0.3), 0.25: (0.36, 0.0)}

    def best(trial):
        loss = losses.get(trial.learning_rate, (2.0, 2.0))[trial.seed - 1]
        return 1.0 if trial.steps == 10 else trial.learning_rate / (1 + loss)

    trials = rates_that_train(monkeypatch, best, lambda _: False)
    assert run(tmp_path, capsys) == ["0.5", "0.350", "±", "0.050"]
    assert (0.25, 50, 1) in trials
    assert (0.25, 50, 2) not in trials  # the first seed is above the mean at 0.5


def test_bad_input_gets_a_sentence(tmp_path, capsys):
    missing = ["quality", str(tmp_path / "none.txt")]
    assert main(missing) == 2
    assert "none.txt, which does not exist" in capsys.readouterr().err
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert main(["quality", str(tmp_path / "latin.txt")]) == 2
    assert "0xe9" in capsys.readouterr().err
    assert main([*missing, "--cell", "perceptron"]) == 2
    assert "got perceptron" in capsys.readouterr().err
