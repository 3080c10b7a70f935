"""A trained model from the folder of its run."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxrnn.charlm import model, runs
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.errors import sentence


class TrainedModel(NamedTuple):
    """What `sample`, `apply` and `evaluate` take.

    Attributes:
        config: the model.
        params: its parameters.
        vocab: the tokens that it knows: a `Vocab`, a `ByteVocab` or a `WordVocab`.
    """

    config: model.Config
    params: model.Params
    vocab: Tokenizer


def load(run: str | Path, *, note: Callable[[str], None] = warnings.warn) -> TrainedModel:
    """The model of a run, from the checkpoint of its best validation loss.

    Where there is no such checkpoint, or it is broken, the last good one is taken. Nothing in the
    folder is run: it may come from a stranger.

    Args:
        run: the folder, as `jaxrnn train --out` makes it.
        note: is told, in a sentence, of checkpoints that are broken, and of a run that is not
            trained.

    Returns:
        A NamedTuple (config, params, vocab).

    Raises:
        ValueError: the folder is not that of a run, its config.json or all its checkpoints are
            broken, or it is a float64 run and JAX has no 64-bit numbers.
        TypeError: the folder is no path.
        OSError: there is no run.
        ImportError: safetensors is missing, which the checkpoints are read with.

    Example:
        model = charlm.load("runs/book")
        text = charlm.sample(*model, jax.random.key(0), length=200, prime="The ")
    """
    if not isinstance(run, str | os.PathLike):
        raise TypeError(sentence("load", "run", "the path of a run's folder", type(run).__name__))
    opened = runs.open_run(run)
    params, _ = runs.load_params(opened, note)
    return TrainedModel(opened.config, params, opened.vocab)
