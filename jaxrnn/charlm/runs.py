"""A run is a folder:

    config.json            settings, vocabulary, which text, so that it can be found again, the
                           run's id, and a checksum of all that
    settings.toml          the settings once more, for people and for `train --config`
    text.tokens, .documents, .json    of a text that is large, or from a pipe: `text_index`
    metrics.jsonl          one JSON object a line: losses, validations, samples
    .lock                  held by the process that trains
    checkpoints/
        step-000001000.safetensors    arrays: everything that training goes on from
        step-000001000.json           the manifest that names them; the last two are kept, and
                                      from step 100 on the first in each half of a power of ten
                                      (100, 316, 1,000, …), moments to look back at
        best.json                     the manifest of the best validation loss so far

`config.json` is written last, so a folder that has one is a run. A checkpoint's arrays come before
the manifests that name them, best.json before the step's own: whatever a manifest names is there.
"""  # noqa: D415

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxrnn.charlm import checkpoints, files, model, state, strict_json
from jaxrnn.charlm.checkpoints import BrokenCheckpointError, Manifest
from jaxrnn.charlm.corpus import Text
from jaxrnn.charlm.files import BrokenFileError, UnreadableFileError
from jaxrnn.charlm.lock import lock
from jaxrnn.charlm.run_folder import Note, Run
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.text_index import TextIndex
from jaxrnn.charlm.tokenizers import Tokenizer, tokenizer_from_json
from jaxrnn.errors import sentence

__all__ = [
    "Note",
    "Run",
    "create",
    "load_history",
    "load_params",
    "load_sampler",
    "lock",
    "new_run_path",
    "open_run",
    "restore_last",
    "restore_part",
]

LARGEST_CONFIG = 2**25
LONGEST_SOURCE = 4096
MOST_MANIFESTS = 16
ATTEMPTS = 20
SECONDS_BETWEEN_ATTEMPTS = 0.05


def create(path: str | Path, settings: Settings, vocab: Tokenizer, text: Text) -> Run:
    """Makes a new run, with an id of its own; its config.json is left to `Run.write_config`.

    Raises:
        ValueError: the folder holds a run already, or files of one.
        ImportError: checkpoints cannot be written here.
        OSError: the folder cannot be made.
    """
    checkpoints.require_safetensors()
    path = Path(path)
    if os.path.lexists(path / "config.json"):
        raise ValueError(
            sentence(
                "train",
                "--out",
                "a folder without a run",
                f"{path}, which holds one",
                "--resume goes on with it; another --out starts a new one",
            )
        )
    run = run_of(path, settings, vocab, text)
    files.check_folder(run.folder)
    # A start that was killed before it wrote config.json leaves its first checkpoint, no more.
    first = checkpoints.step_name(0)
    found = [run.metrics_path] if os.path.lexists(run.metrics_path) else []
    found += [
        file
        for file in sorted(run.folder.glob("*"))
        if file.name not in (first + checkpoints.MANIFEST, first + checkpoints.ARRAYS)
        and not file.name.endswith(files.TEMPORARY)
    ]
    if found:
        raise ValueError(
            sentence("train", "--out", "a new folder", f"{path}, where {found[0]} would be lost")
        )
    run.remove_unfinished()
    return run


def run_of(path: Path, settings: Settings, vocab: Tokenizer, text: Text) -> Run:
    """A new run of a text."""
    indexed = isinstance(text, TextIndex)
    return Run(path, settings, vocab, text.sources, text.sha256, text.characters, indexed)


def open_run(path: str | Path, argument: str = "RUN") -> Run:
    """Reads the config.json of a run.

    Args:
        path: of its folder.
        argument: what it was given as, for the sentences of errors.

    Raises:
        BrokenFileError: config.json is not that of a run, or was altered since it was written.
        OSError: there is no run.
    """
    path = Path(path)
    file = path / "config.json"
    if not os.path.lexists(file):
        what, hint = "which does not exist", f"jaxrnn train --out {path} makes one"
        if path.is_dir():
            what = "which has no config.json"
        elif path.exists():
            what, hint = "which is a file", ""
            if path.suffix == ".safetensors":
                hint = f"jaxrnn import {path} makes a run of what jaxrnn export wrote"
        rule = "the folder of a run"
        raise FileNotFoundError(sentence("open_run", argument, rule, f"{path}, {what}", hint))
    content = strict_json.parse(files.read_bytes(file, LARGEST_CONFIG), file)
    if isinstance(content, dict) and "settings" in content and "format" not in content:
        raise BrokenFileError(
            f"{file} was made by an earlier version of jaxrnn, whose checkpoints (.npz) this one "
            "does not read: train it anew, in another folder."
        )
    if isinstance(content, dict) and content.get("format") != checkpoints.FORMAT:
        raise BrokenFileError(
            f"{file} has the format {strict_json.shorten(content.get('format'))}, where "
            f"{checkpoints.FORMAT} is known."
        )
    hint = (
        "Put back what it was; what may change of a run are options of jaxrnn train --resume, and "
        "anything else makes a new run, maybe with --init-from."
    )
    content = strict_json.unseal(content, file, hint)
    hints = {"format": int, "run": str, "settings": dict, "vocabulary": dict, "text": dict}
    strict_json.check_fields(content, hints, file)
    text = content["text"]
    fields = {"sources": list, "sha256": str, "characters": int, "indexed": bool}
    strict_json.check_fields(text, fields, file)
    known = text["sources"] or not text["characters"]  # neither is known of an imported run
    if not known or not all(map(_may_be_a_path, text["sources"])):
        raise BrokenFileError(f"{file} names a text that no file system has.")
    try:
        settings = Settings.from_json(content["settings"])
        vocab = tokenizer_from_json(content["vocabulary"], "vocabulary")
        if vocab.kind != settings.tokens:
            rule = f"{settings.tokens}, as its settings have it"
            raise ValueError(sentence("open_run", "vocabulary", rule, vocab.kind))
        text["sources"] = tuple(text["sources"])
        run = Run(path, settings, vocab, **text, id=content["run"])
        _ = run.config
    except ValueError as error:
        raise BrokenFileError(f"{file} does not describe a model. {error}") from None
    return run


def restore_last(run: Run, template: Any, note: Note) -> tuple[Any, dict[str, Any]]:
    """The last good checkpoint.

    Args:
        run: the run.
        template: the `state.RunState` that was saved, its leaves with `.shape` and `.dtype`.
        note: is told, in a sentence, of every checkpoint that is broken.

    Returns:
        The tree, with JAX arrays as leaves, and the facts.

    Raises:
        BrokenCheckpointError: there is no good one.
        UnreadableFileError: the system does not read one that may be good.
    """
    manifest, tree = _first_good(run, template, lambda tree: tree, note, resuming=True)
    if int(tree.state.step) != manifest.step:
        raise BrokenCheckpointError(
            f"{manifest.path} is of step {manifest.step:,}, its arrays of {int(tree.state.step):,}."
        )
    return tree, manifest.facts


def restore_part(
    run: Run, part: Callable[[state.RunState], Any], note: Note
) -> tuple[Any, dict[str, Any]]:
    """A part of the checkpoint of the best validation loss; where there is none, of the last.

    Args:
        run: the run.
        part: chooses it.
        note: is told, in a sentence, of every checkpoint that is broken, and where it is the one
            before the first step.

    Returns:
        The part, with JAX arrays as leaves, and the facts.

    Raises:
        BrokenCheckpointError: there is no good checkpoint.
    """
    template = state.template(run.config, run.settings)
    manifest, tree = _first_good(run, template, part, note, resuming=False)
    if not run.best_path.exists() and manifest.facts["best_validation"] is not None:
        note(f"{run.best_path} is not there. Using {manifest.path} instead.")
    if manifest.step == 0:
        note(f"The run {run.path} is not trained: its only checkpoint is that of step 0.")
    return tree, manifest.facts


def load_params(run: Run, note: Note) -> tuple[model.Params, dict[str, Any]]:
    """The parameters of the best checkpoint, and its facts."""
    return restore_part(run, lambda everything: everything.state.params, note)


def load_sampler(run: Run, note: Note) -> tuple[tuple[model.Params, Any], dict[str, Any]]:
    """(Parameters, the carry that the first stream had reached) of the best checkpoint, its facts.

    That carry is one that the model knows from training, which the zero carry need not be: a
    model that has not come to the end of its text has been at zero once.
    """
    part = lambda everything: (everything.state.params, everything.carry)  # noqa: E731
    (params, carry), facts = restore_part(run, part, note)
    # In mixed precision the carry is in the dtype of training.
    return (params, model.first_stream(carry, params.w_hy.dtype)), facts


def load_history(run: Run, note: Note) -> dict[int, model.Params]:
    """The parameters of every good checkpoint by its step, in order of steps.

    Raises:
        BrokenCheckpointError: there is no good one.
    """
    template = state.template(run.config, run.settings)

    def found() -> tuple[dict[int, model.Params], list[BrokenFileError]]:
        manifests, broken = run.manifests(_wanted(run))
        history = {}
        for manifest in manifests:
            if manifest.step not in history:
                with _collected(broken, run, manifest):
                    history[manifest.step] = checkpoints.read(
                        manifest, template, lambda everything: everything.state.params
                    )
        return history, broken

    history, broken = _settled(run, found)
    complaints = list(dict.fromkeys(map(str, broken)))
    if not history:
        raise _nothing_good(run, complaints)
    for complaint in complaints:
        note(complaint)
    return dict(sorted(history.items()))


def new_run_path(parent: Path = Path("runs")) -> Path:
    """The first of runs/1, runs/2, … that does not exist."""
    number = 1
    while os.path.lexists(parent / str(number)):
        number += 1
    return parent / str(number)


def _may_be_a_path(source: Any) -> bool:
    try:
        name = os.fsencode(source)
    except (UnicodeEncodeError, TypeError):
        return False
    return b"\0" not in name and len(name) <= LONGEST_SOURCE


def _first_good(
    run: Run, template: Any, part: Callable[[Any], Any], note: Note, resuming: bool
) -> tuple[Manifest, Any]:
    """The last good checkpoint to resume from, else the best to look at."""

    def found() -> tuple[tuple[Manifest, Any] | None, list[BrokenFileError]]:
        # After a kill between the two, best.json may be of a later step than any other.
        order = [_wanted(run)] if resuming else [[run.best_path], _wanted(run)[:-1]]
        broken: list[BrokenFileError] = []
        for paths in order:
            manifests, unread = run.manifests(paths)
            broken += unread
            for manifest in manifests:
                with _collected(broken, run, manifest):
                    return (manifest, checkpoints.read(manifest, template, part)), broken
        return None, broken

    good: tuple[Manifest, Any] | None
    good, broken = _settled(run, found)
    for error in broken:
        # To go back would cut metrics.jsonl, and then the disk might read it again.
        if resuming and isinstance(error, UnreadableFileError):
            hint = "Once it is removed, training goes on from an older checkpoint."
            raise UnreadableFileError(f"{error} {hint}")
    complaints = list(dict.fromkeys(map(str, broken)))
    if good is None:
        raise _nothing_good(run, complaints)
    for complaint in complaints:
        note(complaint)
    first = [*run.step_paths(), run.best_path][0] if resuming else run.best_path
    if complaints and good[0].path != first:
        note(f"Using {good[0].path} of step {good[0].step:,} instead.")
    return good


def _nothing_good(run: Run, complaints: list[str]) -> BrokenCheckpointError:
    hint = "Train it anew, in another folder: jaxrnn train TEXT --out RUN."
    what = " ".join(complaints) or f"The run {run.path} has no checkpoint."
    return BrokenCheckpointError(f"{what} {hint}")


def _wanted(run: Run) -> list[Path]:
    """The manifests that matter: the latest, and last the best; a stranger's run may have more."""
    return [*run.step_paths()[:MOST_MANIFESTS], run.best_path]


@contextmanager
def _collected(broken: list[BrokenFileError], run: Run, manifest: Manifest) -> Iterator[None]:
    """Notes what is wrong with a checkpoint, but for one that went because training moved on."""
    try:
        yield
    except BrokenFileError as error:
        broken.append(error)
    except FileNotFoundError:
        if manifest not in run.manifests([manifest.path])[0]:
            raise
        missing = f"{manifest.path} names {manifest.arrays}, which is not there."
        broken.append(BrokenCheckpointError(missing))


def _settled(run: Run, found: Callable[[], Any]) -> Any:
    """What `found` finds; once more where a file of a run that trains went while it looked."""
    for _ in range(ATTEMPTS):
        try:
            return found()
        except FileNotFoundError:
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
    raise BrokenCheckpointError(f"The checkpoints of {run.path} change faster than they are read.")
