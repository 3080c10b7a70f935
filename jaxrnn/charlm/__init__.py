"""Language models: from a text to a model, from a model to new text.

A model knows token ids only. What they stand for, characters, bytes or words, is a `Tokenizer`'s.

Names are imported on first use; `settings` alone is needed by the command line's help.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxrnn.charlm.baselines import NGrams, count_ngrams, ngram_surprisals
    from jaxrnn.charlm.beams import Beam, beam_search
    from jaxrnn.charlm.byte_vocabulary import ByteVocab
    from jaxrnn.charlm.corpus import Corpus, python_documentation, read_text, split
    from jaxrnn.charlm.evaluation import evaluate, surprisals
    from jaxrnn.charlm.loading import TrainedModel, load
    from jaxrnn.charlm.loss_groups import Group, character_classes, group_losses
    from jaxrnn.charlm.losses import (
        LOSSES,
        bits,
        cross_entropy,
        last_cross_entropy,
        nats,
        summed_cross_entropy,
    )
    from jaxrnn.charlm.model import Config, Params, apply, init, step, zero_carry
    from jaxrnn.charlm.placement import make_mesh
    from jaxrnn.charlm.sampling import (
        Scored,
        sample,
        sample_many,
        sample_many_scored,
        sample_scored,
        stream,
        stream_scored,
    )
    from jaxrnn.charlm.streams import make_streams, number_of_windows, window
    from jaxrnn.charlm.tokenizers import Decoder, Encoder, Tokenizer, make_tokenizer
    from jaxrnn.charlm.training import (
        TrainState,
        initial_state,
        make_train_step,
        make_train_windows,
    )
    from jaxrnn.charlm.vocabulary import Vocab
    from jaxrnn.charlm.word_vocabulary import WordVocab
    from jaxrnn.charlm.writing import Sampling

_HOME = {
    "baselines": ("NGrams", "count_ngrams", "ngram_surprisals"),
    "beams": ("Beam", "beam_search"),
    "byte_vocabulary": ("ByteVocab",),
    "corpus": ("Corpus", "python_documentation", "read_text", "split"),
    "evaluation": ("evaluate", "surprisals"),
    "loading": ("TrainedModel", "load"),
    "loss_groups": ("Group", "character_classes", "group_losses"),
    "losses": (
        "LOSSES",
        "bits",
        "cross_entropy",
        "last_cross_entropy",
        "nats",
        "summed_cross_entropy",
    ),
    "model": ("Config", "Params", "apply", "init", "step", "zero_carry"),
    "placement": ("make_mesh",),
    "sampling": (
        "Scored",
        "sample",
        "sample_many",
        "sample_many_scored",
        "sample_scored",
        "stream",
        "stream_scored",
    ),
    "streams": ("make_streams", "number_of_windows", "window"),
    "tokenizers": ("Decoder", "Encoder", "Tokenizer", "make_tokenizer"),
    "training": ("TrainState", "initial_state", "make_train_step", "make_train_windows"),
    "vocabulary": ("Vocab",),
    "word_vocabulary": ("WordVocab",),
    "writing": ("Sampling",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "LOSSES",
    "Beam",
    "ByteVocab",
    "Config",
    "Corpus",
    "Decoder",
    "Encoder",
    "Group",
    "NGrams",
    "Params",
    "Sampling",
    "Scored",
    "Tokenizer",
    "TrainState",
    "TrainedModel",
    "Vocab",
    "WordVocab",
    "apply",
    "beam_search",
    "bits",
    "character_classes",
    "count_ngrams",
    "cross_entropy",
    "evaluate",
    "group_losses",
    "init",
    "initial_state",
    "last_cross_entropy",
    "load",
    "make_mesh",
    "make_streams",
    "make_tokenizer",
    "make_train_step",
    "make_train_windows",
    "nats",
    "ngram_surprisals",
    "number_of_windows",
    "python_documentation",
    "read_text",
    "sample",
    "sample_many",
    "sample_many_scored",
    "sample_scored",
    "split",
    "step",
    "stream",
    "stream_scored",
    "summed_cross_entropy",
    "surprisals",
    "window",
    "zero_carry",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'jaxrnn.charlm' has no attribute {name!r}")
    value = getattr(import_module(f"jaxrnn.charlm.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
