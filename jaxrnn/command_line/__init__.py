"""The command `jaxrnn`.

A command is a module of this package with `make_parser() -> ArgumentParser` and
`run(options) -> exit code`, and a row in COMMANDS. Only the module of the command that was asked
for is imported, and its `make_parser` imports nothing heavy, so that help comes at once.
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from jaxrnn.command_line.standard_streams import guarded

if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "train": "train a language model on a text",
    "sample": "write new text with a trained model",
    "evaluate": "measure how well a trained model predicts a text, beside stated baselines",
    "export": "write a trained model to one file: .onnx for other programs, .safetensors",
    "import": "make a run of a .safetensors file that export wrote",
    "gradcheck": "check hand-derived gradients against jax.grad and central differences",
    "show": "make a page of what happens inside a trained model",
    "demo": "run an experiment: what was claimed, what was measured, and its page",
}
# What these make is files; they go on where nobody reads what they say.
MAKE_FILES = ("train", "show", "demo")

BAD_INPUT = 2
DIVERGED = 3
PEER_LOST = 4
OWN_FAULT = 70  # EX_SOFTWARE
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and turns what people can cause into one sentence and an exit code.

    Args:
        arguments: of the command line, without the program's name; None: those of the process.

    Returns:
        0; 1 where a check failed; 2 for bad input; 3 where training diverged; 4 where another
        process of the same training is lost; 70 for a fault of jaxrnn's own; 128 and the number
        of the signal that stopped it, which is 130 for Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = arguments[0] if arguments else ""
    try:
        with guarded(command if command in MAKE_FILES else None):
            return _run(arguments)
    except BrokenPipeError:
        return 0  # the reader (`| head`) has seen enough
    except KeyboardInterrupt:  # where another program called this function
        print("jaxrnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("JAXRNN_TRACEBACK"):
            raise
        words, code = explained(error)
        print(f"jaxrnn: {in_options(command, words)}", file=sys.stderr)
        return code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        _overview().parse_args(arguments or ["--help"])
        return 0  # parse_args exits, but for no arguments after an option that it takes
    command, *rest = arguments
    module = import_module(f"jaxrnn.command_line.{command}")
    parser = module.make_parser()
    # Intermixed: a TEXT may also follow an option that follows a RUN or another TEXT. In Python
    # 3.11 that loses what stands behind --.
    parse = parser.parse_args if "--" in rest else parser.parse_intermixed_args
    code: int = module.run(parse(normalise(parser, rest)))
    return code


def explained(error: Exception) -> tuple[str, int]:
    """A sentence and an exit code."""
    said = " ".join(str(error).splitlines()) or type(error).__name__
    if isinstance(error, FloatingPointError):
        return said, DIVERGED
    if isinstance(error, OSError) and error.filename and said.startswith("[Errno"):
        # The system's own error: its number says nothing to most people.
        return f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.", BAD_INPUT
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return said, BAD_INPUT
    jax = sys.modules.get("jax")
    failed_in_jax = jax is not None and isinstance(error, jax.errors.JaxRuntimeError)
    if isinstance(error, MemoryError) or (failed_in_jax and "RESOURCE_EXHAUSTED" in said):
        return f"there is not enough memory: {said}", BAD_INPUT
    if failed_in_jax:
        return f"JAX failed: {said}", BAD_INPUT
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f", {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return (
        f"a fault of its own: {type(error).__name__}: {said}{place}. With JAXRNN_TRACEBACK=1 it "
        "comes with its traceback.",
        OWN_FAULT,
    )


def in_options(command: str, said: str) -> str:
    """A library function's sentence in the words of the command line.

    The library speaks of its functions and their arguments: `read_text: encoding: expected …`.
    Where the command has an option of that name, or the argument is what its help calls TEXT or
    RUN, it becomes `train: --encoding: expected …`.

    >>> from jaxrnn.command_line import train
    >>> in_options("train", "Config: hidden_size: expected at least 1, got 0.")
    'train: --rnn-size: expected at least 1, got 0.'
    """
    found = re.match(r"\w+: (?:--)?([\w-]+): (?=expected )", said)
    module = sys.modules.get(f"jaxrnn.command_line.{command}")
    if found is None or module is None:
        return said
    argument = found[1]
    option = "--" + argument.replace("_", "-")
    known = module.make_parser()._option_string_actions
    if option in known:
        argument = known[option].option_strings[0]
    elif not argument.isupper():
        return said
    return f"{command}: {argument}: {said[found.end() :]}"


def normalise(parser: "argparse.ArgumentParser", arguments: Sequence[str]) -> list[str]:
    """Also accepts char-rnn's spelling: `-rnn_size 128` and `--rnn_size=128` are `--rnn-size 128`.

    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> option = parser.add_argument("--rnn-size")
    >>> normalise(parser, ["-rnn_size", "128", "--out", "my_run"])
    ['--rnn-size', '128', '--out', 'my_run']
    """
    known = parser._option_string_actions
    normalised = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        option = "--" + name.lstrip("-").replace("_", "-")
        is_option = name.startswith("-") and name not in known and option in known
        normalised.append(option + equals + value if is_option else argument)
    return normalised


def _overview() -> "argparse.ArgumentParser":
    import argparse

    import jaxrnn

    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="jaxrnn",
        description="Recurrent networks in JAX: train language models, sample, look inside.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        + "\n\njaxrnn COMMAND --help tells more. With JAXRNN_TRACEBACK=1 errors come with their "
        "traceback.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jaxrnn {jaxrnn.__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    return parser
