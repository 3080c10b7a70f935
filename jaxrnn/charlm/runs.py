"""A run is a folder:

    config.json           settings, vocabulary, and which text, so that it can be found again
    metrics.jsonl         one JSON object a line: losses, validations, samples
    checkpoints/
        step-000001000.npz    the last two; each holds everything that training goes on from
        best.npz              the same, at the best validation loss so far

`config.json` is written last, so a folder that has one is a run.
"""  # noqa: D415

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from jaxrnn.charlm import checkpoints, model
from jaxrnn.charlm.checkpoints import BrokenCheckpointError
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.vocabulary import Vocab
from jaxrnn.errors import sentence
from jaxrnn.networks import Stack

Arrays = dict[str, NDArray[Any]]
Note = Callable[[str], None]

KEPT = 2


@dataclass(frozen=True)
class Run:
    """A run's folder and what its config.json says.

    Attributes:
        path: the folder.
        settings: of the run.
        vocab: the characters that its model knows.
        source: the path of its text.
        sha256: of its text.
    """

    path: Path
    settings: Settings
    vocab: Vocab
    source: str
    sha256: str

    @property
    def config(self) -> model.Config:
        """The model."""
        return model_config(self.settings, self.vocab)

    @property
    def metrics_path(self) -> Path:
        """metrics.jsonl."""
        return self.path / "metrics.jsonl"

    @property
    def best_path(self) -> Path:
        """The checkpoint of the best validation loss."""
        return self.path / "checkpoints" / "best.npz"

    def step_paths(self) -> list[Path]:
        """The checkpoints by step, latest first."""
        return sorted(self.path.glob("checkpoints/step-*.npz"), reverse=True)

    def write_config(self) -> None:
        """Writes config.json."""
        facts = {
            "settings": dataclasses.asdict(self.settings),
            "vocabulary": self.vocab.characters,
            "text": {"source": self.source, "sha256": self.sha256},
        }
        checkpoints.write_atomically(
            self.path / "config.json",
            json.dumps(facts, indent=2, ensure_ascii=True).encode() + b"\n",
        )

    def save(self, tree: Any, facts: Mapping[str, Any], best: bool) -> None:
        """Writes the checkpoint of a step, and best.npz if it is the best; keeps the last two.

        Args:
            tree: everything that training goes on from.
            facts: at least the `step`.
            best: whether no validation loss so far was lower.
        """
        data = checkpoints.to_bytes(tree, facts)
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        if best:
            checkpoints.write_atomically(self.best_path, data)
        name = f"step-{facts['step']:09d}.npz"
        checkpoints.write_atomically(self.path / "checkpoints" / name, data)
        for old in self.step_paths()[KEPT:]:
            old.unlink()

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        with open(self.metrics_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def remove_unfinished(self) -> None:
        """Removes files that a kill left half written."""
        for file in self.path.rglob(f".*{checkpoints.TEMPORARY}"):
            file.unlink()

    def cut_metrics(self, step: int, reported: int) -> None:
        """Drops what a run will write again, and a last line cut short.

        Args:
            step: that the run goes on from; losses after it go.
            reported: the last step whose validation and sample are done; later ones go.
        """
        if not self.metrics_path.exists():
            return
        kept = [
            json.dumps(record) + "\n"
            for record in self.metrics()
            if record["step"] <= (step if "loss" in record else reported)
        ]
        checkpoints.write_atomically(self.metrics_path, "".join(kept).encode())

    def metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl up to a line that is cut short."""
        records = []
        for line in self.metrics_path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return records


def model_config(settings: Settings, vocab: Vocab) -> model.Config:
    """The model that settings and a vocabulary make."""
    cell: Any = settings.model
    if len(settings.cells) > 1:
        cells = tuple(model.known_cell(name) for name in settings.cells)
        cell = Stack(cells, dropout=settings.dropout)
    return model.Config(
        vocab_size=len(vocab),
        cell=cell,
        hidden_size=settings.rnn_size,
        num_layers=settings.num_layers,
        embed_size=settings.embed_size,
        dropout=settings.dropout,
        proj_size=settings.proj_size,
    )


def create(path: str | Path, settings: Settings, vocab: Vocab, corpus: Corpus) -> Run:
    """Makes the folder of a new run; its config.json is left to `Run.write_config`.

    Raises:
        ValueError: the folder holds a run already, or files of one.
        OSError: the folder cannot be made.
    """
    path = Path(path)
    if (path / "config.json").exists():
        raise ValueError(
            sentence(
                "train",
                "--out",
                "a folder without a run",
                f"{path}, which holds one",
                "--resume goes on with it; another --out starts a new one",
            )
        )
    run = Run(path, settings, vocab, corpus.source, corpus.sha256)
    # A start that was killed before it wrote config.json leaves its first checkpoint, no more.
    first = path / "checkpoints" / "step-000000000.npz"
    valuable = {*run.step_paths(), run.best_path, run.metrics_path} - {first}
    found = sorted(str(file) for file in valuable if file.exists())
    if found:
        raise ValueError(
            sentence("train", "--out", "a new folder", f"{path}, where {found[0]} would be lost")
        )
    if path.exists() and not path.is_dir():
        raise ValueError(sentence("train", "--out", "a new folder", f"{path}, which is a file"))
    run.remove_unfinished()
    return run


def open_run(path: str | Path) -> Run:
    """Reads the config.json of a run.

    Raises:
        ValueError: config.json is not that of a run.
        OSError: there is no run.
    """
    path = Path(path)
    file = path / "config.json"
    if not file.exists():
        what = "which has no config.json" if path.exists() else "which does not exist"
        raise FileNotFoundError(
            sentence(
                "open_run",
                "RUN",
                "the folder of a run",
                f"{path}, {what}",
                f"jaxrnn train --out {path} makes one",
            )
        )
    try:
        facts = json.loads(file.read_bytes())
        return Run(
            path,
            Settings(**facts["settings"]),
            Vocab(facts["vocabulary"]),
            facts["text"]["source"],
            facts["text"]["sha256"],
        )
    except (KeyError, TypeError, ValueError) as error:
        fault = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            sentence("open_run", str(file), "the settings of a run", f"a file at fault: {fault}")
        ) from None


def read_last(run: Run, note: Note) -> tuple[Path, Arrays, dict[str, Any]]:
    """The last good checkpoint.

    Args:
        run: the run.
        note: is told, in a sentence, of every checkpoint that is broken.

    Returns:
        Its file, its arrays and its facts.

    Raises:
        BrokenCheckpointError: there is no good one.
    """
    return _first_good(run, [*run.step_paths(), run.best_path], note)


def restore_last(run: Run, template: Any, note: Note) -> tuple[Any, dict[str, Any]]:
    """Scaffold."""
    path, arrays, facts = read_last(run, note)
    return checkpoints.restore(template, arrays, path), facts


def read_best(run: Run, note: Note) -> tuple[Path, Arrays, dict[str, Any]]:
    """The checkpoint of the best validation loss; where there is none, the last good one.

    `note` is also told where that is the one before the first step.
    """
    path, arrays, facts = _first_good(run, [run.best_path, *run.step_paths()], note)
    if facts["step"] == 0:
        note(f"The run {run.path} is not trained: its only checkpoint is that of step 0.")
    return path, arrays, facts


def load_params(run: Run, note: Note) -> tuple[model.Params, dict[str, Any]]:
    """The parameters of the best checkpoint, and its facts."""
    path, arrays, facts = read_best(run, note)
    template = jax.eval_shape(lambda: blank_params(run))
    return checkpoints.restore(template, arrays, path, "state.params"), facts


def load_history(run: Run, note: Note) -> dict[int, model.Params]:
    """The parameters of every good checkpoint by its step, in order of steps."""
    template = jax.eval_shape(lambda: blank_params(run))
    found = {}
    for path in {*run.step_paths(), run.best_path}:
        if path.exists():
            try:
                arrays, facts = checkpoints.read(path)
            except BrokenCheckpointError as error:
                note(str(error))
                continue
            found[int(facts["step"])] = checkpoints.restore(template, arrays, path, "state.params")
    return dict(sorted(found.items()))


def load_sampler(run: Run, note: Note) -> tuple[model.Params, Any]:
    """The parameters of the best checkpoint, and the carry that its first stream had reached.

    That carry is one that the model knows from training, which the zero carry need not be: a
    model that has not come to the end of its text has been at zero once.
    """
    path, arrays, _ = read_best(run, note)
    template = jax.eval_shape(lambda: blank_params(run))
    params = checkpoints.restore(template, arrays, path, "state.params")
    blank = model.zero_carry(run.config, params, run.settings.batch_size)
    carry = checkpoints.restore(blank, arrays, path, "carry")
    return params, jax.tree.map(lambda leaf: leaf[0], carry)


def blank_params(run: Run) -> model.Params:
    """Parameters of the run's shapes and dtype."""
    dtype = jnp.dtype(run.settings.parameter_dtype)
    return model.init(run.config, jax.random.key(0), dtype=dtype)


def _first_good(run: Run, paths: list[Path], note: Note) -> tuple[Path, Arrays, dict[str, Any]]:
    broken = []
    for path in paths:
        if not path.exists():
            continue
        try:
            arrays, facts = checkpoints.read(path)
        except BrokenCheckpointError as error:
            broken.append(str(error))
            continue
        for complaint in broken:
            note(complaint)
        if broken:
            note(f"Using {path} of step {facts['step']:,} instead.")
        return path, arrays, facts
    hint = "Train it anew, in another folder: jaxrnn train TEXT --out RUN."
    found = " ".join(broken) or f"The run {run.path} has no checkpoint."
    raise BrokenCheckpointError(f"{found} {hint}")


def new_run_path(parent: Path = Path("runs")) -> Path:
    """The first of runs/1, runs/2, … that does not exist."""
    number = 1
    while os.path.lexists(parent / str(number)):
        number += 1
    return parent / str(number)
