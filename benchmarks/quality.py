"""How well each cell models a text at equal numbers of parameters: losses, not times.

    python -m benchmarks quality TEXT [--cell NAME]... [--hidden-size 128,256] [--seeds 1,2,3]

A size is that of an LSTM layer; every other cell gets as many units as make its model at most as
large. The recipe is `jaxrnn train`'s default (AdamW, cosine schedule, dropout 0.1), one layer,
but for the cells in `RECIPES`. The learning rate is searched with the first seed, by validation
loss: in a fifth of the steps up or down until it gets worse, then in all steps down, and further
where the first seed does better than all do in the mean, or another one diverges. Of the text the
first 80 % are trained on, the next 10 % choose the checkpoint and the rate, the last 10 % are what
the table shows. What stands in the file of results already, with the same text and recipe, is not
trained again.
"""

import argparse
import hashlib
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.argument_types import positive, positives
from benchmarks.environment import environment
from benchmarks.records import Record, RecordFile, read
from benchmarks.tables import text_table

SUITE = "quality"
RATES = tuple(float(f"{digit}e{exponent}") for exponent in range(-4, 3) for digit in (1, 3))
TRAIN, VALIDATION = 0.8, 0.1
REFERENCE = "lstm"
# As many as training has. As one stream of 111,000 characters, five times what a short trial had
# read, the held-out text drove the c of two LSTMs so far that they came to 7 nats.
STREAMS = 32


class Recipe(NamedTuple):
    """How a cell is trained.

    Attributes:
        options: of `jaxrnn train`, where they are not the default.
        first_rate: at which the search begins.
    """

    options: Mapping[str, str]
    first_rate: float


DEFAULT = Recipe({}, 1e-2)
# Nothing bounds h where a relu makes it, and it is carried from window to window. From the identity
# ELMAN_RELU's grows with the text; and the optimizers that scale each weight's step alike (Adam,
# RMSprop, Adagrad) move all of w_hh one way, to a spectral radius above 1, before any rate has
# taught it something. INDRNN's grows where |u| is above 1; AdamW with a decay of λ keeps every
# weight within 1 / λ (Xie and Li 2024).
RECIPES = {
    "elman_relu": Recipe(
        {"optimizer": "sgd", "grad-clip-norm": "0.1", "initializer": "normal:0.01"}, 10.0
    ),
    "indrnn": Recipe({"weight-decay": "1"}, 3e-2),
}


@dataclass(frozen=True)
class Trial:
    """One model to train.

    Attributes:
        cell: a key of `jaxrnn.CELLS`.
        size: H of the LSTM with as many parameters.
        hidden_size: H of this cell's layer.
        learning_rate: the highest of its schedule.
        steps: windows to train on.
        seed: random seed.
        options: of its recipe.
    """

    cell: str
    size: int
    hidden_size: int
    learning_rate: float
    steps: int
    seed: int
    options: Mapping[str, str]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `quality`."""
    parser = commands.add_parser("quality", help="test loss of every cell at equal parameters")
    parser.add_argument("text", type=Path, metavar="TEXT", help="a text file")
    parser.add_argument("--cell", action="append", metavar="CELL", help="repeatable; default: all")
    parser.add_argument("--hidden-size", type=positives, default=(128, 256), metavar="H,H,...")
    parser.add_argument("--seeds", type=positives, default=(1, 2, 3), metavar="N,N,...")
    parser.add_argument("--steps", type=positive, default=1500, metavar="N", help="(default: 1500)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/benchmarks"), help="folder (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Trains what is not measured yet and prints the table."""
    import jaxrnn as rnn
    from jaxrnn import charlm

    cells = options.cell or list(rnn.CELLS)
    unknown = [name for name in cells if name not in rnn.CELLS]
    if unknown:
        known = ", ".join(rnn.CELLS)
        print(f"benchmarks: --cell: expected one of {known}, got {unknown[0]}", file=sys.stderr)
        return 2
    try:
        vocabulary = len(set(charlm.read_text(options.text).text))
        text = options.text.read_bytes()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    digest = hashlib.sha256(text).hexdigest()
    file = RecordFile(options.out, SUITE, "cpu")
    known_records = read(file.path) if file.path.exists() else []
    about = environment() | {"text": digest, "text_bytes": len(text)}

    def measure(trial: Trial) -> Record:
        for record in known_records:
            same_text = record["environment"]["text"] == digest
            if same_text and record["trial"] == asdict(trial):
                return record
        record = {
            "suite": SUITE,
            "trial": asdict(trial),
            **train(options.text, trial, vocabulary),
        }
        record["environment"] = about
        file.append([record])
        known_records.append(record)
        print(f"{trial}: {record['test']} nats", file=sys.stderr, flush=True)
        return record

    finished = [
        record
        for cell in cells
        for size in options.hidden_size
        for record in _trained(cell, size, options, vocabulary, measure)
    ]
    print(text_table(*table(finished)))
    return 0


def _trained(
    cell: str,
    size: int,
    options: argparse.Namespace,
    vocabulary: int,
    measure: Callable[[Trial], Record],
) -> list[Record]:
    """A cell with every seed, at the rate that is best in their mean."""
    units = equal_hidden_size(cell, size, vocabulary)
    recipe = RECIPES.get(cell, DEFAULT)

    def trial(place: int, steps: int, seed: int) -> Record:
        return measure(Trial(cell, size, units, RATES[place], steps, seed, recipe.options))

    @cache
    def loss(place: int, steps: int) -> float:
        found = trial(place, steps, options.seeds[0])["validation"]
        return math.inf if found is None else float(found)

    place, short, long = RATES.index(recipe.first_rate), options.steps // 5 or 1, options.steps
    while True:
        near = range(max(place - 1, 0), min(place + 2, len(RATES)))
        # Of equal ones `min` takes the first: where all diverge the search goes down.
        best = min(near, key=lambda place: loss(place, short))
        if best == place:
            break
        place = best
    # The longer the training, the lower is the best rate.
    while place and loss(place - 1, long) <= loss(place, long):
        place -= 1
    chosen: list[Record] = []
    mean = math.inf
    # What the first seed stands may throw another one back, or make it diverge.
    for lower in range(place, -1, -1):
        if loss(lower, long) > mean:
            break
        records = []
        for seed in options.seeds:
            records.append(trial(lower, long, seed))
            if records[-1]["validation"] is None:
                break
        losses = [record["validation"] for record in records]
        reached = math.inf if None in losses else sum(losses) / len(losses)
        if not chosen or reached < mean:
            chosen, mean = records, reached
    return chosen


def equal_hidden_size(cell: str, size: int, vocabulary: int) -> int:
    """The most units with which a cell's one-layer model is no larger than the LSTM's.

    >>> equal_hidden_size("lstm", 128, 65), equal_hidden_size("elman", 128, 65)
    (128, 269)
    """
    budget = number_of_weights(REFERENCE, size, vocabulary)
    low, high = 1, 2
    while number_of_weights(cell, high, vocabulary) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if number_of_weights(cell, middle, vocabulary) <= budget:
            low = middle
        else:
            high = middle
    return low


def number_of_weights(cell: str, hidden_size: int, vocabulary: int) -> int:
    """Of a one-layer model with one-hot input.

    >>> number_of_weights("lstm", 128, 65)
    107713
    """
    import jax

    from jaxrnn import charlm

    config = charlm.Config(vocab_size=vocabulary, cell=cell, hidden_size=hidden_size, num_layers=1)
    params = jax.eval_shape(lambda key: charlm.init(config, key), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def train(text: Path, trial: Trial, vocabulary: int) -> Record:
    """Losses of a trained model on the validation and test part, in nats a character.

    Both are None where training diverged.
    """
    from jaxrnn import charlm
    from jaxrnn.charlm import own_text, runs

    weights = number_of_weights(trial.cell, trial.hidden_size, vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        options = {
            "out": path, "model": trial.cell, "rnn-size": trial.hidden_size, "num-layers": 1,
            "lr": trial.learning_rate, "max-steps": trial.steps, "seed": trial.seed,
            "train-frac": TRAIN, "val-frac": VALIDATION, "sample-every": 0, "devices": 1,
            **trial.options,
        }  # fmt: skip
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "jaxrnn", "train", str(text), *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            if "Training stopped:" not in said:
                raise RuntimeError(f"{trial} failed: {said}")
            return {"weights": weights, "validation": None, "test": None, "diverged": said}
        opened = runs.open_run(path)
        trained = charlm.load(path)
        parts = own_text.own_parts(opened, "quality: TEXT", "")
        losses: Record = {
            name: charlm.evaluate(
                trained.config, trained.params, part.tokens.ids, batch_size=STREAMS
            )
            for name, part in (("validation", parts.validation), ("test", parts.rest))
        }
        if not all(map(math.isfinite, losses.values())):
            losses = {"validation": None, "test": None, "diverged": "a loss is not finite"}
        return {"weights": weights, **losses}


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: mean test losses, cells down, sizes across, with half the range over seeds.

    The short trials that chose a rate are left out, and rates and recipes than which others did
    better: more seeds came to an end, or the mean validation loss is lower.
    """
    longest = max((record["trial"]["steps"] for record in records), default=0)
    places: dict[tuple[str, int], dict[str, list[Record]]] = {}
    for record in records:
        trial = record["trial"]
        if trial["steps"] == longest:
            recipes = places.setdefault((trial["cell"], trial["size"]), {})
            recipes.setdefault(str(trial | {"seed": None}), []).append(record)
    sizes = sorted({size for _, size in places})
    header = ["cell"]
    for size in sizes:
        header += ["units", "rate", f"as LSTM {size}"]
    rows = []
    for cell in dict.fromkeys(cell for cell, _ in places):
        row = [cell]
        for size in sizes:
            found = min(places.get((cell, size), {}).values(), key=_standing, default=[])
            trial = found[0]["trial"] if found else {}
            units, rate = trial.get("hidden_size", "–"), trial.get("learning_rate", "–")
            row += [str(units), str(rate), _mean(found)]
        rows.append(row)
    return header, rows


def recipes_in_words(records: Sequence[Record]) -> str:
    """The options of those cells that are not trained with the default."""
    options = {record["trial"]["cell"]: record["trial"]["options"] for record in records}
    return "; ".join(
        f"{cell} with `{' '.join(f'--{name} {value}' for name, value in chosen.items())}`"
        for cell, chosen in options.items()
        if chosen
    )


def _standing(records: Sequence[Record]) -> tuple[int, int, float]:
    """Less is better: of a recipe with some seeds only the search has thought less."""
    losses = [record["validation"] for record in records]
    finite = [loss for loss in losses if loss is not None]
    return -len(finite), len(losses) - len(finite), sum(finite) / max(1, len(finite))


def _mean(records: Sequence[Record]) -> str:
    losses = [record["test"] for record in records]
    finite = [loss for loss in losses if loss is not None]
    if len(finite) < len(losses) or not losses:
        return "diverged" if losses else "–"
    spread = f" ± {(max(finite) - min(finite)) / 2:.3f}" if len(finite) > 1 else ""
    return f"{sum(finite) / len(finite):.3f}{spread}"
