"""A run's folder, and what is written in it."""

import dataclasses
import math
import os
import re
import secrets
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxrnn.charlm import checkpoints, files, metrics, model, strict_json
from jaxrnn.charlm.checkpoints import Identity, Manifest
from jaxrnn.charlm.files import BrokenFileError, UnsavedError
from jaxrnn.charlm.journal import Journal
from jaxrnn.charlm.settings import ADJUSTABLE, Settings
from jaxrnn.charlm.settings_toml import settings_toml
from jaxrnn.charlm.sources import in_words
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.networks import Stack

Note = Callable[[str], None]

KEPT = 2
FIRST_MOMENT = 100
"""Steps from which on moments are kept; a younger model is nearly the untrained one."""

FACTS = typing.get_type_hints(Journal)


@dataclass(frozen=True)
class Run:
    """A run's folder and what its config.json says.

    Attributes:
        path: the folder.
        settings: of the run.
        vocab: the tokens that its model knows.
        sources: of its text: files, folders, patterns, `-` or `pydoc_data.topics`; none of a run
            that was imported, whose text nobody knows.
        sha256: of its text.
        characters: of its text.
        indexed: whether its text is read from the index in this folder.
        id: its own, which every file of it has.
    """

    path: Path
    settings: Settings
    vocab: Tokenizer
    sources: tuple[str, ...]
    sha256: str
    characters: int = 0
    indexed: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def source(self) -> str:
        """Where its text is from, in words."""
        return in_words(self.sources) if self.sources else "a text that is not known"

    @property
    def config(self) -> model.Config:
        """The model."""
        return model_config(self.settings, self.vocab)

    @property
    def metrics_path(self) -> Path:
        """metrics.jsonl."""
        return self.path / "metrics.jsonl"

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The manifest of the best validation loss."""
        return self.folder / "best.json"

    @cached_property
    def identity(self) -> Identity:
        """What its checkpoints are known by."""
        values = dataclasses.asdict(self.settings)
        return Identity(
            self.id,
            strict_json.checksum(
                {
                    "settings": {k: v for k, v in values.items() if k not in ADJUSTABLE},
                    "vocabulary": self.vocab.to_json(),
                    "text": self.sha256,
                }
            ),
        )

    def step_paths(self) -> list[Path]:
        """The manifests by step, latest first."""
        return [path for _, path in sorted(self._steps(checkpoints.MANIFEST), reverse=True)]

    def write_config(self) -> None:
        """Writes settings.toml, which is for people, and config.json, by which the run goes.

        Raises:
            UnsavedError: it could not be written; the old one is kept.
        """
        facts = {
            "format": checkpoints.FORMAT,
            "run": self.id,
            "settings": dataclasses.asdict(self.settings),
            "vocabulary": self.vocab.to_json(),
            "text": {
                "sources": self.sources,
                "sha256": self.sha256,
                "characters": self.characters,
                "indexed": self.indexed,
            },
        }
        config = self.path / "config.json"
        for path, data in (
            (self.path / "settings.toml", settings_toml(self.settings, self.sources)),
            (config, strict_json.seal(facts)),
        ):
            kept = "The old one is kept." if config.exists() else "The folder is no run yet."
            try:
                files.write_atomically(path, data)
            except OSError as error:
                if config.exists() and path.exists() and path.read_bytes() == data:
                    kept = "It is there, but a power cut might take it."
                raise _unsaved(f"{path} could not be written", error, kept) from error

    def save(self, tree: Any, facts: Mapping[str, Any], best: bool) -> None:
        """Writes the checkpoint of a step, and best.json if it is the best.

        Of those before it the last one is kept, and the moments of training: `moments`.

        Args:
            tree: everything that training goes on from.
            facts: a `Journal` as a dict.
            best: whether no validation loss so far was lower.

        Raises:
            UnsavedError: something could not be written; what was saved before is kept.
        """
        data = checkpoints.to_bytes(tree)
        manifest = checkpoints.manifest_bytes(data, facts, self.identity)
        step = facts["step"]
        name = checkpoints.step_name(step)
        try:
            self._make_folder(new=step == 0)
            files.write_atomically(self.folder / (name + checkpoints.ARRAYS), data)
            metrics.sync(self.metrics_path)
            if best:
                files.write_atomically(self.best_path, manifest)
            files.write_atomically(self.folder / (name + checkpoints.MANIFEST), manifest)
        except OSError as error:
            what = f"The checkpoint of step {step:,} could not be saved"
            raise _unsaved(what, error, self._kept(begun=step > 0)) from error
        try:
            # A later one than this could not be read; it is a person's to remove.
            steps = sorted(self._steps(checkpoints.MANIFEST), reverse=True)
            kept = moments(number for number, _ in steps)
            for number, old in [pair for pair in steps if pair[0] <= step][KEPT:]:
                if number not in kept:
                    old.unlink(missing_ok=True)
            self._remove_orphans()
        except OSError as error:
            what = f"The checkpoint of step {step:,} is saved, but an old one could not be removed"
            raise _unsaved(what, error, self._kept()) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl.

        Raises:
            UnsavedError: it could not be written.
        """
        try:
            metrics.append(self.metrics_path, record)
        except OSError as error:
            what = f"{self.metrics_path} could not be written"
            raise _unsaved(what, error, self._kept()) from error

    def remove_unfinished(self) -> None:
        """Removes what a kill left: files half written, and arrays that no manifest names."""
        for folder in (self.path, self.folder):
            for file in sorted(folder.glob(f".*{files.TEMPORARY}")):
                if re.fullmatch(
                    r"\.(config|settings|best|step-\d+|metrics|text)\.\w+\.tmp", file.name
                ):
                    file.unlink(missing_ok=True)
        self._remove_orphans()

    def cut_metrics(self, journal: Journal, note: Note) -> None:
        """Drops lines of metrics.jsonl that will be written again, and those that cannot be read.

        Args:
            journal: that the run goes on from: losses after its step go, and what was reported
                after the last step of which it says so.
            note: is told, in a sentence, of lines that cannot be read.
        """

        def keep(record: dict[str, Any]) -> bool:
            return int(record["step"]) <= (journal.step if "loss" in record else journal.reported)

        try:
            metrics.cut(self.metrics_path, keep, note)
        except OSError as error:
            what = f"{self.metrics_path} could not be written"
            raise _unsaved(what, error, "The old one is kept.") from error

    def metrics(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl up to a last line that is cut short.

        Raises:
            BrokenFileError: a line is not a record; its number is named.
        """
        return metrics.read(self.metrics_path)

    def manifests(self, paths: Iterable[Path]) -> tuple[list[Manifest], list[BrokenFileError]]:
        """The manifests that can be read, latest step first, and what is wrong with the others.

        Args:
            paths: of manifests; those that are not there are left out.

        Raises:
            FileNotFoundError: one went while it was read.
        """
        good, broken = [], []
        for path in paths:
            if os.path.lexists(path):
                try:
                    good.append(self._read(path))
                except BrokenFileError as error:
                    broken.append(error)
        return sorted(good, key=lambda manifest: -manifest.step), broken

    def _read(self, path: Path) -> Manifest:
        return checkpoints.read_manifest(path, self.identity, FACTS)

    def _steps(self, ending: str) -> list[tuple[int, Path]]:
        files.check_folder(self.folder)
        found = []
        for path in self.folder.glob(f"step-*{ending}"):
            step = checkpoints.step_of(path)
            if step is not None:
                found.append((step, path))
        return found

    def _make_folder(self, new: bool) -> None:
        files.check_folder(self.folder)
        if not self.folder.exists():
            # Once it is a run, a folder that is gone has lost what makes it one.
            self.folder.mkdir(parents=new, exist_ok=True)
            files.sync_folder(self.path)
            files.sync_folder(self.path.parent)

    def _remove_orphans(self) -> None:
        named, unread = set(), set()
        for path in [*self.step_paths(), self.best_path]:
            try:
                named.add(self._read(path).arrays)
            except FileNotFoundError:
                continue
            except BrokenFileError:
                unread.add(path)
        if self.best_path in unread:  # whatever it named
            return
        kept = named | {path.with_suffix(checkpoints.ARRAYS) for path in unread}
        for _, path in self._steps(checkpoints.ARRAYS):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _kept(self, begun: bool = True) -> str:
        if begun and not self.path.exists():
            return f"The folder {self.path} is gone, with what was saved in it."
        steps = self.step_paths()
        if not (steps and (self.path / "config.json").exists()):
            return "The folder is no run yet."
        return f"{steps[0]} is kept, and jaxrnn train --out {self.path} --resume goes on from it."


def moments(steps: Iterable[int]) -> set[int]:
    """Which checkpoints tell how training went: the first one in each half of a power of ten.

    These need not know how long a run will be, and are the same for one that was resumed.

    >>> sorted(moments(range(0, 5000, 50)))
    [100, 350, 1000, 3200]
    """
    first: dict[int, int] = {}
    for step in sorted(steps, reverse=True):
        if step >= FIRST_MOMENT:
            first[math.floor(2 * math.log10(step))] = step
    return set(first.values())


def model_config(settings: Settings, vocab: Tokenizer) -> model.Config:
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


def _unsaved(what: str, error: OSError, kept: str) -> UnsavedError:
    why = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename and str(error.filename) not in what else ""
    return UnsavedError(f"{what}: {why}{where}. {kept}", error)
