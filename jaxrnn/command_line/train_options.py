"""The options of `jaxrnn train`."""

import argparse
from typing import Any

from jaxrnn.charlm.settings import PRESETS, Settings
from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, cell_names, seed
from jaxrnn.command_line.devices import devices


class _Parser(argparse.ArgumentParser):
    """Its help lists the cells that there are when it is asked for, imported ones among them."""

    def format_help(self) -> str:
        for action in self._actions:
            if action.dest == "model":
                names = ", ".join(cell_names())
                action.help = (
                    f"the cell, with commas one for each layer: rnn (elman), {names} (gru)"
                )
        return super().format_help()


def sizes(text: str) -> int | tuple[int, ...]:
    """One number, or several with commas between.

    >>> sizes("128"), sizes("256,128")
    (128, (256, 128))
    """
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(
            f"expected whole numbers such as 128 or 256,128, got {text}"
        )
    found = tuple(map(int, numbers))
    return found if len(found) > 1 else found[0]


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn train`; only those given are in the namespace."""
    default = Settings()
    parser = _Parser(
        prog="jaxrnn train",
        description="Trains a character model on a text and keeps it, with checkpoints and "
        "metrics, in a folder RUN. Without TEXT it reads the documentation of the Python "
        "language that Python itself contains. Options have char-rnn's names where they mean "
        "the same; its spelling, -rnn_size 128, is taken too.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="a text file")
    add_import(parser)
    parser.add_argument(
        "--out", "--checkpoint-dir", metavar="RUN", help="the folder; default: a new one in runs/"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="start from the settings of min-char-rnn or char-rnn; other options come on top",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out RUN where it stopped"
    )
    parser.add_argument(
        "--init-from", metavar="RUN", help="a new run that starts from the weights of this one"
    )

    def add(group: Any, name: str, *aliases: str, help: str, **more: Any) -> None:
        value = getattr(default, name)
        shown = "" if value is None else f" ({value})"
        flags = ["--" + flag.replace("_", "-") for flag in (name, *aliases)]
        group.add_argument(*flags, dest=name, help=help + shown, **more)

    group = parser.add_argument_group("model (values in brackets: the default preset's)")
    add(group, "model", "cell", help="the cell", metavar="CELL")
    add(
        group,
        "rnn_size",
        "hidden_size",
        type=sizes,
        metavar="H",
        help="units in a layer; with commas, one for each: 256,128",
    )
    add(group, "num_layers", type=int, metavar="L", help="layers")
    add(group, "proj_size", type=int, metavar="P", help="outputs of lstm_projected; else half of H")
    add(group, "embed_size", type=int, metavar="E", help="learn vectors of this size; else one-hot")
    add(group, "dropout", type=float, metavar="P", help="drop layers' outputs with probability P")
    add(
        group,
        "initializer",
        metavar="HOW",
        help="of weight matrices: cell (each cell's own), normal:0.01 or uniform:0.08",
    )
    add(
        group,
        "dtype",
        metavar="DTYPE",
        help="of the arithmetic: float32, float64, or bfloat16, which keeps parameters and "
        "optimizer in float32",
    )

    group = parser.add_argument_group("text")
    add(group, "encoding", metavar="NAME", help="of the file, e.g. latin-1")
    add(group, "train_frac", type=float, metavar="X", help="share to train on, from the start")
    add(group, "val_frac", type=float, metavar="X", help="share after that for validation")
    add(group, "seq_length", type=int, metavar="T", help="characters in a window")
    add(group, "batch_size", type=int, metavar="B", help="streams of text side by side")

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
        "a core. Default: on a CPU as many cores as divide the batch and make it faster; otherwise "
        "one GPU or TPU, or all of them where there are several processes",
    )
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="only to train in several processes: host and free port of process 0, the same in "
        "each. Processes that Slurm, MPI, GKE or a TPU pod started do not need it",
    )
    group.add_argument(
        "--num-processes",
        type=int,
        metavar="N",
        help="how many processes; 1 ignores the cluster that started this one",
    )
    group.add_argument("--process-id", type=int, metavar="I", help="which this is, from 0 to N - 1")

    group = parser.add_argument_group("training")
    add(
        group,
        "loss",
        metavar="NAME",
        help="cross_entropy (mean), summed_cross_entropy (sum over the window) or "
        "last_cross_entropy (last character of the window only)",
    )
    add(group, "optimizer", metavar="NAME", help="adagrad, rmsprop, adam, adamw or sgd")
    add(group, "learning_rate", type=float, metavar="X", help="the highest rate")
    add(
        group,
        "schedule",
        metavar="NAME",
        help="of the rate: constant, cosine (down to 0 at the end) or epochs (char-rnn's)",
    )
    add(
        group,
        "warmup_steps",
        type=int,
        metavar="N",
        help="the rate rises over N steps, at most a tenth of the run",
    )
    add(group, "learning_rate_decay", type=float, metavar="X", help="epochs: factor an epoch")
    add(
        group,
        "learning_rate_decay_after",
        type=int,
        metavar="N",
        help="epochs: the first epoch with that factor",
    )
    add(
        group,
        "decay_rate",
        type=float,
        metavar="X",
        help="memory of squared gradients in rmsprop (0.95), adam and adamw (0.999)",
    )
    add(group, "weight_decay", type=float, metavar="X", help="adamw's")
    add(group, "grad_clip", type=float, metavar="X", help="clip each entry to ±X; 0: off")
    add(
        group,
        "grad_clip_norm",
        type=float,
        metavar="X",
        help="scale the gradient down to this norm; 0: off",
    )
    add(group, "seed", type=seed, metavar="N", help="of everything random")

    group = parser.add_argument_group("length of the run, and what it tells (may change on resume)")
    add(group, "max_steps", type=int, metavar="N", help="windows to train on")
    add(group, "max_epochs", type=float, metavar="X", help="passes over the text, instead")
    add(
        group,
        "max_minutes",
        type=float,
        metavar="X",
        help="stop after so long, with a checkpoint to resume from",
    )
    add(group, "print_every", type=int, metavar="N", help="steps between two lines of metrics")
    add(group, "eval_val_every", type=int, metavar="N", help="steps between two validations")
    add(group, "sample_every", type=int, metavar="N", help="steps between two samples; 0: none")
    add(group, "sample_length", type=int, metavar="N", help="characters of such a sample")
    return parser
