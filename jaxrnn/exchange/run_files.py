"""The model of a run in one `.safetensors` file, and a run of such a file.

The file holds what `sample`, `evaluate` and `show` need: the parameters of the best checkpoint, the
carry from which `sample` begins, the settings, the vocabulary. It does not hold the text, nor where
that was; nor the optimizer's state, the other streams' carries and the losses so far, without which
training cannot go on. A run that is made of it has zeros in their place and names no text, so that
`train --resume` refuses it.
"""

import dataclasses
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm import files, lock, runs, state, strict_json
from jaxrnn.charlm.corpus import Corpus
from jaxrnn.charlm.files import BrokenFileError
from jaxrnn.charlm.journal import Journal
from jaxrnn.charlm.plan import check_names
from jaxrnn.charlm.run_folder import Note, Run, model_config
from jaxrnn.charlm.settings import Settings
from jaxrnn.charlm.tokenizers import Tokenizer, tokenizer_from_json
from jaxrnn.errors import sentence
from jaxrnn.exchange.safetensors_files import (
    check_object,
    compare,
    named,
    read_description,
    read_header,
    require_safetensors,
    some_arrays,
    write_arrays,
)

FORMAT = 1
_LARGEST_DESCRIPTION = 2**25
_FIELDS = {
    "format": int,
    "settings": dict,
    "vocabulary": dict,
    "step": int,
    "best_validation": float | None,
}


class _Arrays(NamedTuple):
    """What the file holds: the model's parameters, and a single stream's carry."""

    params: Any
    carry: Any


class FileOfRun(NamedTuple):
    """What a file says, before its arrays are read.

    Attributes:
        path: the file.
        settings: of the run.
        vocab: its vocabulary.
        step: updates before the checkpoint.
        best_validation: nats per token at that step, the lowest of the run; None: not measured.
    """

    path: Path
    settings: Settings
    vocab: Tokenizer
    step: int
    best_validation: float | None


def write_run(path: Path, run: Run, note: Note) -> int:
    """Writes the file of a run's best checkpoint.

    Args:
        path: the file.
        run: the run.
        note: is told, in a sentence, of broken checkpoints.

    Returns:
        The checkpoint's step.

    Raises:
        ValueError: all checkpoints are broken.
        OSError: the file cannot be written.
        ImportError: the package safetensors is missing.
    """
    require_safetensors()
    (params, carry), facts = runs.load_sampler(run, note)
    description = {
        "format": FORMAT,
        "settings": dataclasses.asdict(run.settings),
        "vocabulary": run.vocab.to_json(),
        "step": facts["step"],
        "best_validation": facts["best_validation"],
    }
    write_arrays(path, _Arrays(params, carry), description)
    return int(facts["step"])


def read_file(path: Path) -> FileOfRun:
    """What a file says of itself, checked; it may be a stranger's.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no such file, or was cut short; it describes no model, or one with a cell
            that is not known here; the sentence names it.
        ImportError: the package safetensors is missing.
    """
    require_safetensors()
    text = read_description(path, read_header(path), _LARGEST_DESCRIPTION)
    name = f"The description in {path}"
    said = None if text is None else strict_json.parse(text.encode(), name, _LARGEST_DESCRIPTION)
    if not isinstance(said, dict) or "settings" not in said:
        raise BrokenFileError(
            f"{path} is not of a run: jaxrnn export RUN FILE.safetensors writes such files. One "
            "with a network's weights alone is read by jaxrnn.exchange, load_safetensors where "
            "save_safetensors wrote it and from_torch where PyTorch did."
        )
    if said.get("format") != FORMAT:
        found = strict_json.shorten(said.get("format"))
        raise BrokenFileError(f"{name} has the format {found}, where {FORMAT} is known.")
    check_object(said, _FIELDS, name)
    if not 0 <= said["step"] < 2**31:
        raise BrokenFileError(f"{name} counts {strict_json.shorten(said['step'])} steps.")
    try:
        settings = Settings.from_json(said["settings"])
        vocab = tokenizer_from_json(said["vocabulary"], "vocabulary")
        if vocab.kind != settings.tokens:
            rule = f"{settings.tokens}, the tokens of its settings"
            raise ValueError(sentence("import", "vocabulary", rule, vocab.kind))
        model_config(settings, vocab)
        check_names(settings)
    except ValueError as error:
        raise BrokenFileError(f"{name} does not describe a model. {error}") from None
    return FileOfRun(path, settings, vocab, said["step"], said["best_validation"])


def make_run(file: FileOfRun, out: Path, note: Note) -> Run:
    """Makes a run of a file.

    Args:
        file: from `read_file`.
        out: the run's folder.
        note: is told where the file system has no locks.

    Raises:
        ValueError: the folder is there and not empty; the file's arrays are missing, misshapen or
            too many (all are named), or not finite; a float64 run and JAX has no 64-bit numbers.
        OSError: the run cannot be written; the folder is then none.
    """
    config = model_config(file.settings, file.vocab)
    template = state.template(config, file.settings)
    params = template.state.params
    first = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], params.w_hy.dtype), template.carry
    )
    wanted = _Arrays(params, first)
    expected = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in named(wanted)}
    compare(file.path, expected, read_header(file.path))
    # The run has more than the file: an optimizer's state, and a carry for each of B streams.
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(template))
    files.check_memory(file.path, size)
    arrays = some_arrays(file.path, list(expected))
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BrokenFileError(f"{file.path}: {name} has numbers that are not finite.")
    found = jax.tree.unflatten(jax.tree.structure(wanted), [arrays[name] for name in expected])
    everything = _everything(template, found, file.step)
    journal = Journal(step=file.step, reported=file.step, best_validation=file.best_validation)
    # Beside its place, so that a process that is killed leaves no half of a run there.
    place = Path(os.path.abspath(out))
    unfinished = place.with_name(f".{place.name}{files.TEMPORARY}")
    with runs.lock(unfinished, note):
        _remove_inside(unfinished)  # of an import that was killed
        try:
            # No text is empty, so that none has the SHA-256 of this one.
            run = runs.create(unfinished, file.settings, file.vocab, Corpus("", ()))
            run.save(everything, journal._asdict(), best=True)
            run.write_config()
            # A folder that is there may be somebody's working directory.
            out.mkdir(exist_ok=True)
            check_new(out)
            for part in sorted(unfinished.iterdir(), key=lambda part: part.name == "config.json"):
                if part.name != lock.NAME:
                    os.replace(part, out / part.name)
        except BaseException:
            _remove_inside(unfinished)
            raise
    with suppress(OSError):
        unfinished.rmdir()
    files.sync_folder(out)
    return dataclasses.replace(run, path=out)


def check_new(out: Path) -> None:
    """Raises ValueError where something is in the place of a new run."""
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        which = "is there and not empty" if out.is_dir() else "is a file"
        got = f"{out}, which {which}"
        raise ValueError(sentence("import", "--out", "a new folder", got, "name another"))


def _remove_inside(folder: Path) -> None:
    for part in folder.iterdir():
        if part.is_dir():
            shutil.rmtree(part)
        elif part.name != lock.NAME:
            part.unlink()


def _everything(template: state.RunState, found: Any, step: int) -> state.RunState:
    """What a checkpoint holds: every stream begins where the first one was, the rest is 0."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), template)
    streams = jax.tree.map(
        lambda leaf, like: jnp.broadcast_to(jnp.asarray(leaf, like.dtype), like.shape),
        found.carry,
        template.carry,
    )
    counted = jnp.asarray(step, template.state.step.dtype)
    params = jax.tree.map(jnp.asarray, found.params)
    return zeros._replace(state=zeros.state._replace(params=params, step=counted), carry=streams)
