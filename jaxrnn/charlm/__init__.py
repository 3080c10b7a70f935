"""Character language models: from a text to a model, from a model to new text."""

from jaxrnn.charlm.corpus import Corpus, python_documentation, read_text, split
from jaxrnn.charlm.evaluation import evaluate
from jaxrnn.charlm.losses import (
    LOSSES,
    bits,
    cross_entropy,
    last_cross_entropy,
    nats,
    summed_cross_entropy,
)
from jaxrnn.charlm.model import Config, Params, apply, init, step, zero_carry
from jaxrnn.charlm.sampling import sample, sample_many, stream
from jaxrnn.charlm.streams import make_streams, number_of_windows, window
from jaxrnn.charlm.training import (
    TrainState,
    initial_state,
    make_train_step,
    make_train_windows,
)
from jaxrnn.charlm.vocabulary import Vocab

__all__ = [
    "LOSSES",
    "Config",
    "Corpus",
    "Params",
    "TrainState",
    "Vocab",
    "apply",
    "bits",
    "cross_entropy",
    "evaluate",
    "init",
    "initial_state",
    "last_cross_entropy",
    "make_streams",
    "make_train_step",
    "make_train_windows",
    "nats",
    "number_of_windows",
    "python_documentation",
    "read_text",
    "sample",
    "sample_many",
    "split",
    "step",
    "stream",
    "summed_cross_entropy",
    "window",
    "zero_carry",
]
