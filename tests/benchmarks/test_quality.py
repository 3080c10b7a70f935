"""The table of losses, from one command, with tiny models."""

import json

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
    assert main(command) == 0
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
        {"trial": {"cell": "gru", "size": 128, "hidden_size": 147, "learning_rate": 0.005,
                   "steps": steps, "seed": seed},
         "test": loss,
         "environment": {"text": "0123456789abcdef", "text_bytes": 99, "commit": "c0ffee"}}
        for loss, steps, seed in ((1.5, 10, 1), (1.6, 10, 2), (9.0, 2, 1))
    ]  # fmt: skip
    header, rows = quality.table(records)
    assert header == ["cell", "units", "rate", "as LSTM 128"]
    assert rows == [["gru", "147", "0.005", "1.550 ± 0.050"]]
    page = report.section_on_losses(records)
    assert "| gru | 147 | 0.005 | 1.550 ± 0.050 |" in page
    assert "after 10 windows" in page
    assert "seeds 1, 2;" in page


def test_a_model_that_diverges_is_no_ones_choice(tmp_path, capsys, monkeypatch):
    def train(text, trial, vocabulary):
        # The highest rate diverges, the next in long trials only.
        diverges = trial.learning_rate > (0.5 if trial.steps < 1500 else 0.25)
        loss = None if diverges else 1 - trial.learning_rate
        return {"weights": 1, "validation": loss, "test": loss}

    monkeypatch.setattr(quality, "train", train)
    monkeypatch.setattr(quality, "RATES", (1.0, 0.25, 0.5))
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    command = ["quality", str(text), "--hidden-size", "4", "--seeds", "1,2", "--cell", "gru"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:] == ["0.25", "0.750", "±", "0.000"]
    monkeypatch.setattr(quality, "RATES", (1.0,))
    assert main([*command, "--out", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:] == ["1.0", "diverged"]


def test_bad_input_gets_a_sentence(tmp_path, capsys):
    missing = ["quality", str(tmp_path / "none.txt")]
    assert main(missing) == 2
    assert "none.txt, which does not exist" in capsys.readouterr().err
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert main(["quality", str(tmp_path / "latin.txt")]) == 2
    assert "0xe9" in capsys.readouterr().err
    assert main([*missing, "--cell", "perceptron"]) == 2
    assert "got perceptron" in capsys.readouterr().err
