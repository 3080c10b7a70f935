"""`jaxrnn import FILE.safetensors`: a run of a file that `jaxrnn export` wrote."""

import argparse
import sys
from pathlib import Path

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, check_parents
from jaxrnn.errors import sentence


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn import`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn import",
        description="Makes a run of a .safetensors file that jaxrnn export wrote, for sample, "
        "evaluate and show. No program in the file is run; it may come from a stranger. Training "
        "cannot resume from it, since the optimizer's state and the text are not in the file: "
        "jaxrnn train TEXT --init-from RUN starts a new run from its weights.",
    )
    parser.add_argument("file", metavar="FILE", help="a .safetensors file of jaxrnn export")
    parser.add_argument(
        "--out",
        metavar="RUN",
        help="the folder of the new run (default: the first free of runs/1, runs/2, ...)",
    )
    backend.add_device(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Makes the run."""
    backend.configure(options.device)
    import jax

    from jaxrnn.charlm import runs
    from jaxrnn.exchange.pickles import refuse_programs
    from jaxrnn.exchange.run_files import check_new, make_run, read_file

    backend.check("import", options.device)
    path = Path(options.file)
    refuse_programs("import", "FILE", path)
    if path.suffix.lower() == ".onnx":
        got = f"{path}, a step for other programs, without the settings of a run"
        hint = "jaxrnn export RUN FILE.safetensors writes what can be imported"
        raise ValueError(sentence("import", "FILE", "a .safetensors file", got, hint))
    file = read_file(path)
    if file.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    out = runs.new_run_path() if options.out is None else Path(options.out)
    check_new(out)
    check_parents("import", out, "a new folder")
    made = make_run(file, out, _note)
    tokens = f"{len(made.vocab):,} different {file.settings.tokens}"
    print(
        f"{file.settings.layers_in_words}, {tokens}, step {file.step:,}; run {out}. jaxrnn sample "
        f"{out} writes with it. The optimizer's state and the text are not in the file, so "
        f"training cannot resume from it; jaxrnn train TEXT --init-from {out} starts a new run "
        "from its weights."
    )
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr)
