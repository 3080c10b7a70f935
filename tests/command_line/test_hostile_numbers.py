"""Numbers that no one means, for every option that takes one: success, or one sentence."""

import shutil

import numpy as np
import pytest
from many_commands import ManyCommands, fault

from jaxrnn.command_line import sample, train

TINY = """--model elman --rnn-size 8 --num-layers 1 --seq-length 10 --batch-size 4 --max-steps 2
    --print-every 1 --sample-every 0""".split()  # noqa: SIM905
NUMBERS = """nan inf -inf 1e999 -1 0 -0.0 1 1e-45 1e-320 1e-999 1e38 1e308 2147483648 4294967296
    99999999999999999999 1_0 0x10 ٣ ½ 1,1 , 1e5""".split()  # noqa: SIM905
NUMBERS += ["", " 2 ", "9" * 5000]


def cases():
    """(command, option, number) for every option with a type."""
    for module, command in ((train, "train"), (sample, "sample")):
        for action in module.make_parser()._actions:
            if action.type is not None and action.choices is None:
                for number in NUMBERS:
                    yield command, action.option_strings[0], number


def try_numbers(folder, chosen):
    (folder / "text").write_text("".join(f"{n} green bottles on the wall, \n" for n in range(30)))
    wrong, successes = [], 0
    with ManyCommands(folder) as commands:
        assert commands.run("train", "text", "--out", "trained", *TINY)["code"] == 0
        for command, option, number in chosen:
            if command == "train":
                shutil.rmtree(folder / "run", ignore_errors=True)
                arguments = ("text", "--out", "run", *TINY)
            else:
                arguments = ("trained", "--length", "5")
            result = commands.run(command, *arguments, f"{option}={number}")
            successes += result["code"] == 0
            if fault(result) is not None:
                wrong.append(f"{command} {option} {number[:30]}: {fault(result)}")
    return wrong, successes


def test_a_few_numbers(tmp_path):
    every = list(cases())
    chosen = np.random.default_rng(3).choice(len(every), 20, replace=False)
    wrong, _ = try_numbers(tmp_path, [every[index] for index in chosen])
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_every_number(tmp_path):
    every = list(cases())
    wrong, successes = try_numbers(tmp_path, every)
    print(f"{len(every)} numbers: {successes} taken, {len(wrong)} went wrong")
    assert not wrong, "\n".join(wrong)
