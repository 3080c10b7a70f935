"""Damaged runs through the real commands: the right answer, or one sentence, and never harm.

`pytest -m slow tests/command_line/test_damaged_runs.py -s` tries 2,000 of them; the ordinary run
some 40. A number in a complaint is that of `damage.damage`, which does the same again.
"""

import collections
import dataclasses
import os
import shutil
import sys
import time

import pytest
import saved_runs
from damage import Damage, damage
from many_commands import MEMORY, SECONDS, Commands, Result, misbehaviour

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches /proc"),
]

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(60))
OPTIONS = """--rnn-size 4 --num-layers 1 --seq-length 10 --batch-size 2 --schedule constant
    --warmup-steps 0 --max-steps 24 --print-every 4 --eval-val-every 8 --sample-every 0
    --devices 1""".split()  # noqa: SIM905
COMMANDS = {
    "sample": ["sample", "RUN", "--length", "30"],
    "count": ["sample", "RUN", "--length", "10", "--count", "2", "--top-k", "1"],
    "evaluate": ["evaluate", "RUN", "--split", "train"],
    "gates": ["show", "RUN", "--view", "gates", "--to", "20", "--out", "PAGE"],
    "training": ["show", "RUN", "--view", "training", "--out", "PAGE"],
    "train": ["train", "--out", "RUN", "--resume", "--max-steps", "26", "--sample-every", "0"],
}
BEST, LAST = "step-000000016", "step-000000024"
LOOKED_AT = ["config.json", "checkpoints/best.json", f"checkpoints/{BEST}.safetensors"]
# What each reads most of all.
LIKELY = {
    "sample": LOOKED_AT,
    "count": LOOKED_AT,
    "evaluate": LOOKED_AT,
    "gates": LOOKED_AT,
    "training": ["config.json", "metrics.jsonl"],
    "train": ["config.json", f"checkpoints/{LAST}.json", f"checkpoints/{LAST}.safetensors"],
}
# Of ten commands.
SHARES = ["sample"] * 3 + ["evaluate", "count", "gates", "training"] + ["train"] * 3


@dataclasses.dataclass
class Bench:
    """What every case starts from.

    Attributes:
        folder: where it happens.
        good: the undamaged run.
        others: undamaged other runs.
    """

    folder: object
    good: object
    others: list

    def prepared(self, number):
        """(command, its damaged run, the damage) of a case."""
        run, outside = self.folder / "case" / "run", self.folder / "case" / "outside"
        shutil.rmtree(run.parent, ignore_errors=True)
        shutil.copytree(self.good, run)
        outside.mkdir()
        (outside / "precious").write_text("precious")
        command = SHARES[number % len(SHARES)]
        return command, run, damage(run, LIKELY[command], self.others, outside, number)

    def arguments(self, command, run):
        page = str(run.parent / "page.html")
        return [{"RUN": str(run), "PAGE": page}.get(word, word) for word in COMMANDS[command]]


def product(command, run, result):
    """What a command made, in a form that can be compared."""
    if command == "train":
        arrays, facts = saved_runs.checkpoint(run / "checkpoints" / "step-000000026.json")
        facts = {name: value for name, value in facts.items() if name != "seconds"}
        return {name: array.tobytes() for name, array in arrays.items()}, facts
    return result.out  # of a page its words: in the page itself every figure has a new name


def tree(folder):
    """Every file, link and other thing below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        regular = path.is_file() and not path.is_symlink() and path.stat().st_size < 2**29
        found[str(path)] = path.read_bytes() if regular else path.lstat().st_mode
    return found


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    cache = {"XDG_CACHE_HOME": str(tmp_path_factory.getbasetemp() / "cache")}
    with Commands(environment=cache, keep_compiled=True) as commands:
        yield commands


@pytest.fixture(scope="module")
def bench(tmp_path_factory, commands):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "text.txt").write_text(TEXT)
    paths = []
    for name, more in (
        ("good", []),
        ("twin", ["--seed", "5"]),
        ("cousin", ["--model", "gru_reset_before"]),
    ):
        path = folder / name
        command = ["train", str(folder / "text.txt"), "--out", str(path), *OPTIONS, *more]
        result = commands.run(command, seconds=300)
        assert result.code == 0, result
        paths.append(path)
    good, *others = paths
    # So that the best is not the last, and what is read can be told from the other.
    checkpoints = good / "checkpoints"
    shutil.copy(checkpoints / f"{BEST}.json", checkpoints / "best.json")
    return Bench(folder, good, others)


@pytest.fixture(scope="module")
def expected(bench, commands):
    """By command: the product of the undamaged run, then of its other checkpoint."""
    found = {}
    for command in COMMANDS:
        found[command] = []
        for best in (BEST, LAST):
            run = bench.folder / "case" / "run"
            shutil.rmtree(run.parent, ignore_errors=True)
            shutil.copytree(bench.good, run)
            checkpoints = run / "checkpoints"
            shutil.copy(checkpoints / f"{best}.json", checkpoints / "best.json")
            result = commands.run(bench.arguments(command, run), seconds=300)
            assert result.code == 0, result
            found[command].append(product(command, run, result))
    assert len(set(found["sample"])) == 2
    return found


def verdict(bench, commands, expected, number):
    """(what is wrong or "", result, words) of a case."""
    command, run, done = bench.prepared(number)
    words = f"{command} of {done.what}"
    before, around = tree(run), tree(run.parent / "outside")
    result = commands.run(bench.arguments(command, run))
    fault = judge(command, run, done, result, expected[command])
    if not fault and tree(run.parent / "outside") != around:
        fault = "something outside was changed"
    changed = {name for name in before if tree(run).get(name) != before[name]}
    # Training may have begun, after an older checkpoint, and met the damage later.
    begun = any(f"could not be {what}" in result.err for what in ("saved", "written", "removed"))
    if not fault and result.code == 2 and changed and not begun:
        fault = f"refused, but {sorted(changed)} changed"
    return fault, result, words


def judge(command, run, done, result, expected):
    wrong = misbehaviour(result)
    if wrong:
        return wrong
    if result.code in (2, 3):
        if result.code == 3 and not done.another_model:
            return "diverged"
        said = result.err.splitlines()[-1]
        named = any(part in said for part in (str(run), "metrics.jsonl", "TEXT", "--"))
        named |= done.another_model  # whose vocabulary is not that of its text
        return "" if named else f"names no file: {said}"
    noted = "Using " in result.out + result.err
    if done.poisoned and not noted and set(done.files) & set(LIKELY[command]):
        return "numbers that are not finite, silently"
    if done.another_model or (command == "training" and "metrics.jsonl" in done.files):
        return ""
    made = product(command, run, result)
    if made == expected[0] or (noted and any(made == other for other in expected)):
        return ""
    return f"another answer, {'though noted' if noted else 'silently'}: {str(made)[:300]}"


def report(bench, commands, expected, numbers, tell=None):
    """Tries damages; the faults, and a summary."""
    faults, codes, worst, most = [], collections.Counter(), 0.0, 0
    began = time.monotonic()
    for count, number in enumerate(numbers, 1):
        fault, result, words = verdict(bench, commands, expected, number)
        codes[result.code] += 1
        worst, most = max(worst, result.seconds), max(most, result.memory)
        if fault:
            faults.append(f"{words}\n    {fault}")
            if tell:
                tell(faults[-1])
        if tell and count % 100 == 0:
            tell(f"{count}: {dict(codes)}, {len(faults)} faults, {time.monotonic() - began:.0f} s")
    summary = (
        f"{sum(codes.values())} damaged runs: {codes[0]} answered, {codes[2]} refused, "
        f"{codes[3]} diverged, {len(faults)} faults; the slowest {worst:.1f} s, the largest "
        f"{most / 2**20:.0f} MiB, {time.monotonic() - began:.0f} s in all"
    )
    return faults, summary


def test_some_damaged_runs(bench, commands, expected):
    faults, summary = report(bench, commands, expected, range(40))
    assert not faults, "\n".join([summary, *faults])


@pytest.mark.slow
def test_two_thousand_damaged_runs(bench, commands, expected):
    first = int(os.environ.get("JAXRNN_TEST_SEED", "1000"))
    count = int(os.environ.get("JAXRNN_TEST_CASES", "2000"))
    numbers = range(first, first + count)

    def tell(text):
        print(text, file=sys.__stderr__, flush=True)

    faults, summary = report(bench, commands, expected, numbers, tell)
    tell(summary)
    assert not faults, "\n".join([summary, *faults])


def test_the_judge_can_tell(tmp_path):
    """What would have been accepted before is a fault to it."""
    done, expected = Damage("nothing", files=["config.json"]), ["best", "last"]
    good = Result(0, "best", "", "", 0.1, 0)

    def fault(**change):
        return judge("sample", tmp_path, done, dataclasses.replace(good, **change), expected)

    assert not fault()
    assert not fault(out="last", err="Using last instead.\n")
    assert not fault(code=2, err=f"A note.\njaxrnn: {tmp_path}/config.json is broken.\n")
    poisoned = dataclasses.replace(done, poisoned=True, another_model=True, files=LOOKED_AT)
    assert judge("sample", tmp_path, poisoned, good, expected)
    for change in (
        {"out": "other"},
        {"out": "last"},
        {"out": "other", "err": "Using other instead.\n"},
        {"raised": "KeyError"},
        {"err": "Traceback"},
        {"memory": MEMORY + 1},
        {"seconds": SECONDS + 1.0},
        {"code": 2},
        {"code": 2, "err": f"jaxrnn: {tmp_path}\njaxrnn: {tmp_path}\n"},
        {"code": 2, "err": f"jaxrnn: {tmp_path}\nmore\n"},
        {"code": 2, "err": "jaxrnn: no file\n"},
        {"code": 3, "err": f"jaxrnn: {tmp_path}\n"},
        {"code": 1},
        {"code": None},
    ):
        assert fault(**change), change
