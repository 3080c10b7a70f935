"""The options of `jaxrnn train`."""

import argparse
from typing import Any

from jaxrnn.charlm.settings import NEWLINES, PRESETS, VOCAB_SIZE, Settings
from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, cell_names, seed, shorten, whole_number
from jaxrnn.command_line.devices import devices


class _Parser(argparse.ArgumentParser):
    """Its help lists the cells that there are when it is asked for, imported ones among them."""

    def format_help(self) -> str:
        for action in self._actions:
            if action.dest == "model":
                names = ", ".join(cell_names())
                action.help = (
                    "the cell, with commas one for each layer: rnn (which is elman), "
                    f"{names}. With --preset char-rnn, gru is gru_reset_before, as it was there "
                    "(default: gru)"
                )
        return super().format_help()


class _Once(argparse.Action):
    """An option of which the last one must not win without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if hasattr(namespace, self.dest):
            both = f"{getattr(namespace, self.dest)} and {values}"
            raise argparse.ArgumentError(self, f"expected one, got {both}")
        setattr(namespace, self.dest, values)


def sizes(text: str) -> int | tuple[int, ...]:
    """One number, or several with commas between.

    >>> sizes("128"), sizes("256,128")
    (128, (256, 128))
    """
    try:
        found = tuple(map(whole_number, text.split(",")))
    except argparse.ArgumentTypeError:
        rule = "expected whole numbers such as 128 or 256,128"
        raise argparse.ArgumentTypeError(f"{rule}, got {shorten(text)}") from None
    return found if len(found) > 1 else found[0]


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn train`; only those given are in the namespace."""
    default = Settings()
    parser = _Parser(
        prog="jaxrnn train",
        usage="jaxrnn train [TEXT ...] [--out RUN] [options]\n"
        "       jaxrnn train --out RUN --resume [options]",
        description="Trains a language model on a text, character by character unless --tokens "
        "says otherwise, and keeps it, with checkpoints and metrics, in a folder RUN. Without TEXT "
        "it reads the documentation of the Python language that Python itself contains. Defaults "
        "are those of the preset default. char-rnn's names and spelling, -rnn_size 128, are also "
        "accepted, and 1e4 where a whole number is wanted.",
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )

    def add(group: Any, name: str, *aliases: str, help: str, shown: str = "", **more: Any) -> None:
        value = getattr(default, name)
        shown = shown or (
            "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        )
        flags = ["--" + flag.replace("_", "-") for flag in (name, *aliases)]
        if more.get("type") is int:
            more["type"] = whole_number
        text = f"{help} (default: {shown})" if shown else help
        group.add_argument(*flags, dest=name, help=text, **more)

    group = parser.add_argument_group("the run")
    group.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="a text file, a folder of them, a pattern such as 'books/*.txt', or - for standard "
        "input; several are read one after the other. What gzip, bz2, xz or zstd compressed is "
        "read as what it was",
    )
    group.add_argument(
        "--out",
        "--checkpoint-dir",
        metavar="RUN",
        help="the folder to keep the run in (default: the first free of runs/1, runs/2, ...)",
    )
    group.add_argument(
        "--preset",
        choices=PRESETS,
        help="which settings to start from: default, or those of Karpathy's min-char-rnn or "
        "char-rnn; all other options come on top (default: default)",
    )
    group.add_argument(
        "--config",
        action=_Once,
        metavar="FILE",
        help="take options from this TOML file, one per line, as in rnn_size = 128, or from those "
        "of a run, RUN/settings.toml; options of the command line come on top",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the run in --out RUN where it stopped"
    )
    group.add_argument(
        "--init-from", metavar="RUN", help="start a new run from the weights of this one"
    )
    add_import(group)
    group.add_argument("-h", "--help", action="help", help="show this help and exit")

    group = parser.add_argument_group("length of the run (may change on resume)")
    add(group, "max_steps", type=int, metavar="N", help="stop after N steps, a window each")
    add(group, "max_epochs", type=float, metavar="X", help="stop after X passes over the text")
    add(
        group,
        "max_minutes",
        type=float,
        metavar="X",
        help="stop after X minutes, with a checkpoint to resume from (default: no limit)",
    )

    group = parser.add_argument_group("model")
    add(group, "model", "cell", help="the cell", metavar="CELL")
    add(
        group,
        "rnn_size",
        "hidden_size",
        type=sizes,
        metavar="H",
        help="units in a layer; with commas, one number for each layer: 256,128",
    )
    add(group, "num_layers", type=int, metavar="L", help="layers")
    add(
        group,
        "proj_size",
        type=int,
        metavar="P",
        help="outputs of an lstm_projected layer",
        shown="half of H",
    )
    add(
        group,
        "embed_size",
        type=int,
        metavar="E",
        help="learn a vector of this size for each token",
        shown="one-hot tokens",
    )
    add(
        group,
        "dropout",
        type=float,
        metavar="P",
        help="while training, drop each output of a layer with probability P",
    )
    add(
        group,
        "initializer",
        metavar="HOW",
        help="how weight matrices are drawn: cell (each cell's own way), normal:0.01 (standard "
        "deviation) or uniform:0.08 (bound)",
    )
    add(
        group,
        "dtype",
        metavar="DTYPE",
        help="the arithmetic: float32, float64, or bfloat16, which keeps parameters and optimizer "
        "in float32",
    )

    group = parser.add_argument_group("text")
    add(group, "encoding", metavar="NAME", help="the encoding of TEXT, for example latin-1")
    add(
        group,
        "newlines",
        choices=NEWLINES,
        help="the line ends \\r\\n and \\r: unify makes them \\n, as Python's text files have it, "
        "so that a text is the same wherever it was written; keep leaves them",
    )
    add(
        group,
        "include",
        action="append",
        metavar="PATTERN",
        help="of a folder, read the files with such names only, for example '*.py'; may be given "
        "several times. Files come in the order of their paths, hidden ones are left out",
        shown="all of them",
    )
    add(
        group,
        "documents",
        action=argparse.BooleanOptionalAction,
        help="begin each file with a zero state, in validation too, so that none is read in the "
        "light of the one before",
        shown="no",
    )
    add(
        group,
        "tokens",
        metavar="KIND",
        help="what the model reads and predicts one of at a time: characters; bytes, those of the "
        "text in UTF-8, with which it can read any text; or words",
    )
    add(
        group,
        "vocab_size",
        type=int,
        metavar="N",
        help="with --tokens words: know the N most frequent words and punctuation marks; the "
        "others are unknown",
        shown=f"{VOCAB_SIZE:,}",
    )
    add(
        group,
        "train_frac",
        type=float,
        metavar="X",
        help="the share of the text to train on, from its start",
    )
    add(
        group,
        "val_frac",
        type=float,
        metavar="X",
        help="the share after that to validate on; what is left is a test part, which jaxrnn "
        "evaluate RUN --split rest measures",
    )
    add(group, "seq_length", type=int, metavar="T", help="tokens in a window")
    add(group, "batch_size", type=int, metavar="B", help="streams of text side by side")

    group = parser.add_argument_group("training")
    add(group, "optimizer", metavar="NAME", help="adagrad, rmsprop, adam, adamw or sgd")
    add(group, "learning_rate", "lr", type=float, metavar="X", help="the highest learning rate")
    add(
        group,
        "schedule",
        metavar="NAME",
        help="how the learning rate changes: constant, cosine (down to 0 at the end) or epochs "
        "(char-rnn's)",
    )
    add(
        group,
        "warmup_steps",
        type=int,
        metavar="N",
        help="the rate first rises over N steps, at most a tenth of the run",
    )
    add(
        group,
        "learning_rate_decay",
        type=float,
        metavar="X",
        help="with --schedule epochs: the factor of the rate after each epoch",
    )
    add(
        group,
        "learning_rate_decay_after",
        type=int,
        metavar="N",
        help="with --schedule epochs: the first epoch that has the factor",
    )
    add(
        group,
        "decay_rate",
        type=float,
        metavar="X",
        help="how slowly the mean of squared gradients forgets",
        shown="0.95 with rmsprop, 0.999 with adam and adamw",
    )
    add(group, "weight_decay", type=float, metavar="X", help="adamw's pull of weights towards 0")
    add(
        group,
        "grad_clip",
        type=float,
        metavar="X",
        help="clip each entry of the gradient to ±X; 0 turns it off",
    )
    add(
        group,
        "grad_clip_norm",
        type=float,
        metavar="X",
        help="scale the gradient down to this norm; 0 turns it off",
    )
    add(
        group,
        "loss",
        metavar="NAME",
        help="cross_entropy (mean over the window), summed_cross_entropy (sum over it) or "
        "last_cross_entropy (its last token only)",
    )
    add(group, "seed", type=seed, metavar="N", help="random seed")

    group = parser.add_argument_group("reporting (may change on resume)")
    add(
        group,
        "print_every",
        type=int,
        metavar="N",
        help="steps from one line of metrics to the next",
        shown="about 0.2 s of work",
    )
    add(
        group,
        "eval_val_every",
        type=int,
        metavar="N",
        help="steps from one validation, with a checkpoint, to the next",
        shown="a twentieth of the run",
    )
    add(
        group,
        "sample_every",
        type=int,
        metavar="N",
        help="steps from one sample to the next; 0 turns them off",
        shown="a fifth of the run",
    )
    add(group, "sample_length", type=int, metavar="N", help="tokens of such a sample")

    group = parser.add_argument_group("devices and processes (may change on resume)")
    backend.add_device(group)
    backend.add_deterministic(group)
    add(
        group,
        "accumulate",
        type=int,
        metavar="N",
        help="compute a device's streams in N parts, one after the other, which takes less memory",
    )
    group.add_argument(
        "--devices",
        type=devices,
        metavar="N|all",
        help="divide the streams over N devices, counted over all processes; on a CPU a device is "
        "a core (default: on a CPU as many cores as divide the batch and make it faster; otherwise "
        "one GPU or TPU, or all of them where there are several processes)",
    )
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="only to train in several processes: host and free port of process 0, the same in "
        "each. Processes that Slurm, MPI, GKE or a TPU pod started do not need it",
    )
    group.add_argument(
        "--num-processes",
        type=whole_number,
        metavar="N",
        help="how many processes; 1 ignores the cluster that started this one",
    )
    group.add_argument(
        "--process-id", type=whole_number, metavar="I", help="which this is, from 0 to N - 1"
    )
    return parser
