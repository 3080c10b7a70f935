"""Arbitrary bytes as texts, arbitrary numbers as options: success, or one sentence."""

import os
import shutil

import numpy as np
import pytest
from hostile_corpora import corpora
from many_commands import Commands, misbehaviour

from jaxrnn.command_line import sample, train

pytestmark = pytest.mark.integration

SEED = 10
TINY = """--model elman --rnn-size 8 --num-layers 1 --seq-length 10 --batch-size 4 --devices 1
    --max-steps 2 --print-every 1 --sample-every 0""".split()  # noqa: SIM905
NUMBERS = """nan inf -inf 1e999 -1 0 -0.0 1 1e-45 1e-320 1e-999 1e38 1e308 2147483648 4294967296
    99999999999999999999 1_0 0x10 ٣ ½ 1,1 , 1e10""".split()  # noqa: SIM905
NUMBERS += ["", " 2 ", "9" * 5000]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """A process for many commands, in whose folder `trained` is a run."""
    folder = tmp_path_factory.mktemp("commands")
    lines = (f"{number} green bottles on the wall, \n" for number in range(30))
    (folder / "bottles").write_text("".join(lines))
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    with Commands(folder, cache, most=150) as commands:
        assert commands.run(["train", "bottles", "--out", "trained", *TINY]).code == 0
        yield commands


def train_and_sample(commands, raw, encoding):
    """(what is wrong with how the commands ended, or ""; whether the model was trained)."""
    (commands.folder / "text").write_bytes(raw)
    shutil.rmtree(commands.folder / "run", ignore_errors=True)
    result = commands.run(["train", "text", "--out", "run", "--encoding", encoding, *TINY])
    wrong = misbehaviour(result)
    trained = result.code == 0
    if not wrong and trained:
        result = commands.run(["sample", "run", "--length", "30"])
        wrong = misbehaviour(result) or (result.err if result.code else "")
    elif not wrong and (commands.folder / "run" / "config.json").exists():
        wrong = f"a run is left, although: {result.err}"
    return wrong, trained


def try_corpora(commands, count, seed):
    wrong, trained = [], 0
    for index, (raw, encoding) in enumerate(corpora(np.random.default_rng(seed), count)):
        fails, success = train_and_sample(commands, raw, encoding)
        trained += success
        if fails:
            wrong.append(f"{index}: {raw[:60]!r}, {len(raw)} bytes, {encoding}: {fails}")
            print(wrong[-1])
        if index % 100 == 99:
            print(f"{index + 1} texts: {trained} trained on, {len(wrong)} went wrong")
    return wrong, trained


def numbers():
    """(command, option, number) for every option with a type."""
    for module, command in ((train, "train"), (sample, "sample")):
        for action in module.make_parser()._actions:
            if action.type is not None and action.choices is None:
                for number in NUMBERS:
                    yield command, action.option_strings[0], number


def try_numbers(commands, chosen):
    wrong, taken = [], []
    for command, option, number in chosen:
        arguments = ("trained", "--length", "5")
        if command == "train":
            shutil.rmtree(commands.folder / "run", ignore_errors=True)
            arguments = ("bottles", "--out", "run", *TINY)
        result = commands.run([command, *arguments, f"{option}={number}"])
        if result.code == 0:
            taken.append((command, option, number))
        if misbehaviour(result):
            wrong.append(f"{command} {option} {number[:30]}: {misbehaviour(result)}")
    return wrong, taken


def test_a_few_arbitrary_texts(commands):
    wrong, trained = try_corpora(commands, 6, SEED)
    assert not wrong, "\n".join(wrong)
    assert 0 < trained < 6


@pytest.mark.slow
def test_two_thousand_arbitrary_texts(commands):
    seed = int(os.environ.get("JAXRNN_TEST_SEED", SEED))
    wrong, trained = try_corpora(commands, 2000, seed)
    print(f"seed {seed}: {trained} of 2,000 texts were trained on, {len(wrong)} went wrong")
    assert not wrong, "\n".join(wrong)
    assert 500 < trained < 1500


def test_numbers_that_no_option_takes(commands):
    refused = [case for case in numbers() if case[2] in ("nan", "-1", "1e999")]
    assert len(refused) > 100
    wrong, taken = try_numbers(commands, refused)
    assert not wrong, "\n".join(wrong)
    assert not taken


@pytest.mark.slow
def test_all_arbitrary_numbers(commands):
    every = list(numbers())
    wrong, taken = try_numbers(commands, every)
    print(f"{len(every)} numbers: {len(taken)} taken, {len(wrong)} went wrong")
    assert not wrong, "\n".join(wrong)
