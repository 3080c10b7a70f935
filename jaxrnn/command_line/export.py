"""`jaxrnn export RUN FILE`: a trained model in one file, for other programs or another machine."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, file_to_write
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm.runs import Run

ENDINGS = (".onnx", ".safetensors")


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn export`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn export",
        description="Writes the model of a run to one file. An .onnx is one step, which "
        "onnxruntime runs: token ids and carry in, logits and carry out, with the vocabulary in "
        "its metadata. A .safetensors has parameters, settings and vocabulary, of which jaxrnn "
        "import makes a run again. It takes the checkpoint of the best validation loss. The text "
        "and its path are in neither.",
    )
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "file", metavar="FILE", help="a new file, whose ending says which: .onnx or .safetensors"
    )
    backend.add_device(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Writes the file."""
    path = file_to_write("export", options.file, "model.onnx", "FILE")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        rule = f"a name that ends {' or '.join(ENDINGS)}"
        raise ValueError(sentence("export", "FILE", rule, str(path)))
    if os.path.lexists(path):
        hint = "remove it, or name another"
        raise ValueError(sentence("export", "FILE", "a new file", f"{path}, which exists", hint))
    backend.configure(options.device)
    import jax

    from jaxrnn.charlm import runs

    backend.check("export", options.device)
    opened = runs.open_run(options.run)
    if opened.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if ending == ".onnx":
        step = _write_onnx(path, opened)
    else:
        from jaxrnn.exchange.run_files import write_run

        path.parent.mkdir(parents=True, exist_ok=True)
        step = write_run(path, opened, _note)
    print(f"{path}: {opened.settings.layers_in_words}, step {step:,} of {opened.path}.")
    return 0


def _write_onnx(path: Path, opened: "Run") -> int:
    from jaxrnn.charlm import files, runs
    from jaxrnn.exchange.onnx_package import require_onnx
    from jaxrnn.exchange.onnx_steps import charlm_to_onnx

    require_onnx()  # before the checkpoint is read
    (params, carry), facts = runs.load_sampler(opened, _note)
    model = charlm_to_onnx(opened.config, params, opened.vocab, carry=carry)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, model.SerializeToString())
    return int(facts["step"])


def _note(text: str) -> None:
    print(text, file=sys.stderr)
