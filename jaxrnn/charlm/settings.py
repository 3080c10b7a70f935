"""What can be chosen about a training run, and the presets. Imports no JAX."""

import dataclasses
import functools
import math
import typing
from typing import Any

from jaxrnn.charlm import strict_json
from jaxrnn.errors import sentence

# Bounds above what any machine does, low enough that whatever is counted with them stays a number.
LARGEST_SIZE = 2**20
LARGEST_NUMBER = 1e30  # less than float32 holds, and bfloat16
MOST_LAYERS = 256
MOST_STEPS = 2**31 - 1  # a step is an int32
LARGEST_SEED = 2**32 - 1
LONGEST_NAME = 1000
MOST_PATTERNS = 100

# What one of them is called; a word's punctuation is one too.
TOKENS = {"characters": "character", "bytes": "byte", "words": "token"}
# Of words, where nothing else is said: 4.4 % of tinyshakespeare's tokens are then unknown. 10,000
# leave 1.7 %, and take about twice the time a step, most of which is the readout's.
VOCAB_SIZE = 5_000
MOST_TOKENS = 2**18  # of words, so that a run's config.json can hold them


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is. Names are char-rnn's where they mean the same.

    Attributes:
        model: the cell, a key of `jaxrnn.CELLS`; or several with commas between, one per layer.
        rnn_size: H, units in a layer; or a tuple of them, one per layer, bottom first.
        num_layers: L.
        proj_size: P, outputs of a layer whose cell has a projection; None: half of H.
        embed_size: E, size of a learned vector a token; None: one-hot.
        dropout: probability of dropping a layer's output in training.
        initializer: how weight matrices are drawn: `cell` (each cell's own), `normal:0.01`
            (standard deviation) or `uniform:0.08` (bound).
        dtype: of parameters and arithmetic: float32 or float64; or bfloat16 for mixed precision:
            arithmetic in bfloat16, parameters, optimizer and loss in float32.
        encoding: of the text's files.
        newlines: `unify`: line ends become `\\n`; `keep`: they stay as they are in the file.
        include: patterns of the names of the files that are read of a folder; none: every file.
        documents: whether each file begins with a zero carry.
        tokens: what the text is made of: characters, bytes or words.
        vocab_size: the most words; None: 5,000, or no choice with other tokens.
        train_frac: share of the text, from its start, to train on.
        val_frac: share after that for validation; 0: none.
        seq_length: T, tokens in a window.
        batch_size: B, streams side by side.
        devices: parts of the batch that are trained side by side, each on a device (of a CPU:
            on a core or so), over all processes.
        accumulate: parts of a device's part that are trained on one after the other, for less
            memory.
        loss: a key of `jaxrnn.charlm.LOSSES`.
        optimizer: one of `jaxrnn.optimizers.OPTIMIZERS`.
        learning_rate: the highest rate.
        schedule: one of `jaxrnn.optimizers.SCHEDULES`.
        warmup_steps: steps in which the rate rises in a straight line.
        learning_rate_decay: schedule `epochs`: factor per epoch.
        learning_rate_decay_after: schedule `epochs`: in epochs, when to start.
        decay_rate: rmsprop's, adam's and adamw's memory of squared gradients; None: the usual.
        weight_decay: adamw's.
        grad_clip: bound of every entry of the gradient; 0: none.
        grad_clip_norm: bound of the gradient's Euclidean norm; 0: none.
        max_steps: windows to train on; None: max_epochs decides.
        max_epochs: passes over the text; None: max_steps decides. With both, the earlier end.
        seed: the random seed.
        print_every: steps between two lines of metrics; None: about 0.2 s of work.
        eval_val_every: steps between two validations, each with a checkpoint; None: a 20th of
            the run.
        sample_every: steps between two samples; None: a 5th of the run; 0: none.
        sample_length: tokens of such a sample.
        max_minutes: stops, with a checkpoint, after so long; None: no limit.

    Raises:
        ValueError: a number out of range; the message names the command-line option.
    """

    model: str = "gru"
    rnn_size: int | tuple[int, ...] = 192
    num_layers: int = 2
    proj_size: int | None = None
    embed_size: int | None = None
    dropout: float = 0.1
    initializer: str = "cell"
    dtype: str = "float32"
    encoding: str = "utf-8"
    newlines: str = "unify"
    include: tuple[str, ...] = ()
    documents: bool = False
    tokens: str = "characters"
    vocab_size: int | None = None
    train_frac: float = 0.9
    val_frac: float = 0.1
    seq_length: int = 64
    batch_size: int = 32
    devices: int = 1
    accumulate: int = 1
    loss: str = "cross_entropy"
    optimizer: str = "adamw"
    learning_rate: float = 1e-2
    schedule: str = "cosine"
    warmup_steps: int = 100
    learning_rate_decay: float = 0.97
    learning_rate_decay_after: int = 10
    decay_rate: float | None = None
    weight_decay: float = 0.1
    grad_clip: float = 0.0
    grad_clip_norm: float = 1.0
    max_steps: int | None = 1500
    max_epochs: float | None = None
    seed: int = 123
    print_every: int | None = None
    eval_val_every: int | None = None
    sample_every: int | None = None
    sample_length: int = 300
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rnn_size, list):  # as JSON has it
            object.__setattr__(self, "rnn_size", tuple(self.rnn_size))
        if isinstance(self.include, list):
            object.__setattr__(self, "include", tuple(self.include))
        for name, hint in _types().items():
            self._check_type(name, hint)
        self._require("num_layers", self.num_layers <= MOST_LAYERS, f"at most {MOST_LAYERS:,}")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("rnn_size", min(self.sizes, default=0) >= 1, "at least 1")
        layers = f"one, or {self.num_layers}, as many as --num-layers"
        self._require("rnn_size", len(self.sizes) in (1, self.num_layers), layers)
        self._require("model", len(self.cells) in (1, self.num_layers), layers)
        for name in (
            "num_layers", "seq_length", "batch_size", "devices", "accumulate", "sample_length",
        ):  # fmt: skip
            self._require(name, getattr(self, name) >= 1, "at least 1")
        divides = self.batch_size % self.devices == 0
        self._require("devices", divides, f"a divisor of --batch-size {self.batch_size}")
        on_each = self.batch_size // self.devices
        streams = f"{on_each}, the streams of one of {self.devices} devices"
        if self.devices == 1:
            streams = f"--batch-size {self.batch_size}"
        self._require("accumulate", on_each % self.accumulate == 0, f"a divisor of {streams}")
        for name in ("embed_size", "proj_size", "max_steps", "print_every", "eval_val_every"):
            value = getattr(self, name)
            self._require(name, value is None or value >= 1, "at least 1")
        for name in ("max_epochs", "max_minutes"):
            value = getattr(self, name)
            self._require(name, value is None or value > 0, "above 0")
        for name in (
            "grad_clip", "grad_clip_norm", "weight_decay", "warmup_steps", "sample_every",
            "learning_rate_decay_after",
        ):  # fmt: skip
            self._require(name, (getattr(self, name) or 0) >= 0, "at least 0")
        self._require("learning_rate", self.learning_rate > 0, "above 0")
        decay = self.learning_rate_decay
        self._require("learning_rate_decay", 0 < decay <= 1, "above 0 and at most 1")
        self._require("decay_rate", 0 <= (self.decay_rate or 0) < 1, "from 0 to below 1")
        self._require("dropout", 0 <= self.dropout < 1, "from 0 to below 1")
        self._require("dtype", self.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
        self._require("newlines", self.newlines in NEWLINES, f"one of {', '.join(NEWLINES)}")
        self._require("include", len(self.include) <= MOST_PATTERNS, f"at most {MOST_PATTERNS}")
        self._require("tokens", self.tokens in TOKENS, f"one of {', '.join(TOKENS)}")
        size, rule = self.vocab_size, f"no such option beside --tokens {self.tokens}"
        self._require("vocab_size", size is None or self.tokens == "words", rule)
        self._require("vocab_size", size is None or size >= 2, "at least 2")
        self._require("train_frac", 0 < self.train_frac <= 1, "above 0 and at most 1")
        self._require("val_frac", 0 <= self.val_frac < 1, "from 0 to below 1")
        if self.train_frac + self.val_frac > 1 + 1e-9:
            share = round(1 - self.train_frac, 6)
            self._require(
                "val_frac", False, f"at most {share} beside --train-frac {self.train_frac}"
            )
        if self.max_steps is None and self.max_epochs is None:
            self._require("max_steps", False, "a number where there is no --max-epochs")
        distribution, scale = self.weight_distribution
        self._require(
            "initializer",
            distribution == "cell" or (distribution in ("normal", "uniform") and scale > 0),
            "cell, normal:SCALE or uniform:SCALE with a SCALE above 0",
        )

    @classmethod
    def from_json(cls, values: Any) -> "Settings":
        """Settings from a file, which must have them all and nothing else.

        Args:
            values: an object, as JSON has it.

        Raises:
            ValueError: a setting that is missing, unknown, of another type or out of range.

        >>> values = dataclasses.asdict(Settings())
        >>> Settings.from_json(values) == Settings()
        True
        """
        strict_json.check_fields(values, dict.fromkeys(_types(), object), "settings")
        return cls(**values)

    def _check_type(self, name: str, hint: Any) -> None:
        value = getattr(self, name)
        self._require(name, strict_json.fits(value, hint), str(getattr(hint, "__name__", hint)))
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, int):
                most = _MOST.get(name, LARGEST_SIZE)
                self._require(name, part <= most, f"at most {most:,}")
            elif isinstance(part, float):
                self._require(name, math.isfinite(part), "a finite number")
                self._require(name, abs(part) <= LARGEST_NUMBER, f"at most {LARGEST_NUMBER:g}")
            elif isinstance(part, str):
                most = LONGEST_NAME
                self._require(name, len(part) <= most, f"at most {most:,} characters")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            option = "--" + name.replace("_", "-")
            raise ValueError(sentence("train", option, expected, getattr(self, name)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """H of each layer, or one for all."""
        return self.rnn_size if isinstance(self.rnn_size, tuple) else (self.rnn_size,)

    @property
    def cells(self) -> tuple[str, ...]:
        """The cell of each layer, or one for all."""
        return tuple(self.model.split(","))

    @property
    def token(self) -> str:
        """What one token is called."""
        return TOKENS[self.tokens]

    @property
    def parameter_dtype(self) -> str:
        """That of parameters, optimizer and loss."""
        return "float32" if self.dtype == "bfloat16" else self.dtype

    @property
    def layers_in_words(self) -> str:
        """The layers, e.g. "2 × 192 gru", or "256 lstm, 64 gru".

        >>> Settings().layers_in_words, Settings(model="lstm,gru", rnn_size=(8, 4)).layers_in_words
        ('2 × 192 gru', '8 lstm, 4 gru')
        """
        if len(self.sizes) == len(self.cells) == 1:
            return f"{self.num_layers} × {self.rnn_size} {self.model}"
        sizes, cells = (
            values * self.num_layers if len(values) == 1 else values
            for values in (self.sizes, self.cells)
        )
        return ", ".join(f"{size} {cell}" for size, cell in zip(sizes, cells, strict=True))

    @property
    def weight_distribution(self) -> tuple[str, float]:
        """The initializer as (distribution, scale): `normal:0.01` is ("normal", 0.01)."""
        distribution, colon, scale = self.initializer.partition(":")
        try:
            return distribution, float(scale) if colon else 0.0
        except ValueError:
            return distribution, 0.0


@functools.cache
def _types() -> dict[str, Any]:
    return typing.get_type_hints(Settings)


_MOST = {
    "vocab_size": MOST_TOKENS,
    "max_steps": MOST_STEPS,
    "eval_val_every": MOST_STEPS,
    "sample_every": MOST_STEPS,
    "warmup_steps": MOST_STEPS,
    "learning_rate_decay_after": MOST_STEPS,
    "seed": LARGEST_SEED,
}

NEWLINES = ("unify", "keep")

DTYPES = ("float32", "bfloat16", "float64")

# What may change when a run is resumed; everything else makes it another run.
ADJUSTABLE = frozenset(
    (
        "max_steps",
        "max_epochs",
        "max_minutes",
        "devices",
        "accumulate",
        "print_every",
        "eval_val_every",
        "sample_every",
        "sample_length",
    )
)

PRESETS: dict[str, dict[str, Any]] = {
    # Chosen by validation loss at equal numbers of characters, on Shakespeare's plays (6 million)
    # and Python's documentation (4 to 5 million), in nats:
    #   2 x 192 GRU 1.520 and 1.152, 1 x 256 GRU 1.542 and 1.238, 1 x 256 LSTM 1.610 and not tried,
    # at a rate of 5e-3. On the documentation the 2 x 192 GRU comes to 1.120 at 1e-2, 1.101 at 2e-2
    # and 1.162 at 5e-2, an Elman network to 1.316 at 5e-3 and 1.301 at 1e-2; one of 526 units gets
    # worse above 3e-3.
    "default": {},
    # Karpathy's min-char-rnn.py: one window at a time, loss summed over it, all text trained on.
    "min-char-rnn": {
        "model": "elman",
        "rnn_size": 100,
        "num_layers": 1,
        "dropout": 0.0,
        "initializer": "normal:0.01",
        "train_frac": 1.0,
        "val_frac": 0.0,
        "seq_length": 25,
        "batch_size": 1,
        "loss": "summed_cross_entropy",
        "optimizer": "adagrad",
        "learning_rate": 0.1,
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "grad_clip": 5.0,
        "grad_clip_norm": 0.0,
        "max_steps": 100_000,
        "print_every": 100,
        "sample_length": 200,
    },
    # Karpathy's char-rnn, train.lua. Its gradient is that of the loss summed over the window.
    "char-rnn": {
        "model": "lstm",
        "rnn_size": 128,
        "num_layers": 2,
        "dropout": 0.0,
        "initializer": "uniform:0.08",
        "train_frac": 0.95,
        "val_frac": 0.05,
        "seq_length": 50,
        "batch_size": 50,
        "loss": "summed_cross_entropy",
        "optimizer": "rmsprop",
        "learning_rate": 2e-3,
        "schedule": "epochs",
        "warmup_steps": 0,
        "learning_rate_decay": 0.97,
        "learning_rate_decay_after": 10,
        "decay_rate": 0.95,
        "weight_decay": 0.0,
        "grad_clip": 5.0,
        "grad_clip_norm": 0.0,
        "max_steps": None,
        "max_epochs": 50,
        "eval_val_every": 1000,
    },
}
