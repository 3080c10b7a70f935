"""Arbitrary bytes as texts, and arbitrary numbers as options: success, or one sentence."""

import os
import shutil

import numpy as np
import pytest
from hostile_corpora import corpora
from many_commands import ManyCommands, fault

SEED = 20260101
TINY = """--model elman --rnn-size 8 --num-layers 1 --seq-length 10 --batch-size 4 --devices 1
    --max-steps 2 --print-every 1 --sample-every 0""".split()  # noqa: SIM905


def train_and_sample(commands, folder, raw, encoding):
    """(what is wrong with how the commands ended, or None; whether the model was trained)."""
    (folder / "text").write_bytes(raw)
    shutil.rmtree(folder / "run", ignore_errors=True)
    result = commands.run("train", "text", "--out", "run", "--encoding", encoding, *TINY)
    wrong = fault(result)
    trained = result["code"] == 0
    if wrong is None and trained:
        wrong = fault(commands.run("sample", "run", "--length", 30))
    elif wrong is None and (folder / "run" / "config.json").exists():
        wrong = f"a run is left, although: {result['error']}"
    return wrong, trained


def try_corpora(folder, count, seed):
    wrong, trained = [], 0
    with ManyCommands(folder) as commands:
        for index, (raw, encoding) in enumerate(corpora(np.random.default_rng(seed), count)):
            fault_of_this, success = train_and_sample(commands, folder, raw, encoding)
            trained += success
            if fault_of_this is not None:
                wrong.append(
                    f"{index}: {raw[:60]!r}, {len(raw)} bytes, {encoding}: {fault_of_this}"
                )
    return wrong, trained


def test_a_few_arbitrary_texts(tmp_path):
    wrong, trained = try_corpora(tmp_path, 13, SEED)
    assert not wrong, "\n".join(wrong)
    assert 0 < trained < 13


@pytest.mark.slow
def test_two_thousand_arbitrary_texts(tmp_path):
    seed = int(os.environ.get("JAXRNN_TEST_SEED", SEED))
    wrong, trained = try_corpora(tmp_path, 2000, seed)
    print(f"seed {seed}: {trained} of 2,000 texts were trained on, {len(wrong)} went wrong")
    assert not wrong, "\n".join(wrong)
    assert 500 < trained < 1500
