"""The command `jaxrnn`.

A command is a module of this package with `make_parser() -> ArgumentParser` and
`run(options) -> exit code`, and a row in COMMANDS. Only the module of the command that was asked
for is imported, and its `make_parser` imports nothing heavy, so that help comes at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

COMMANDS = {
    "train": "train a character model on a text",
    "sample": "write new text with a trained model",
    "gradcheck": "check hand-derived gradients against jax.grad and central differences",
    "show": "make a page of what happens inside a trained model",
    "demo": "run an experiment: what was claimed, what was measured, and its page",
}

BAD_INPUT = 2
DIVERGED = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and turns what people can cause into one sentence and an exit code.

    Args:
        arguments: of the command line, without the program's name; None: those of the process.

    Returns:
        0; 1 where a check failed; 2 for bad input; 3 where training diverged; 130 for Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        _overview().parse_args(arguments or ["--help"])
        return 0  # parse_args exits, but for no arguments after an option that it takes
    command, *rest = arguments
    module = import_module(f"jaxrnn.command_line.{command.replace('-', '_')}")
    parser = module.make_parser()
    options = parser.parse_args(normalise(parser, rest))
    try:
        return module.run(options)
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader (`| head`) has seen enough; Python would complain once more at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if os.environ.get("JAXRNN_TRACEBACK"):
            raise
        print(f"jaxrnn: {error}", file=sys.stderr)
        return DIVERGED if isinstance(error, FloatingPointError) else BAD_INPUT
    except KeyboardInterrupt:
        print("jaxrnn: interrupted", file=sys.stderr)
        return INTERRUPTED


def normalise(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Takes char-rnn's spelling too: `-rnn_size 128` and `--rnn_size=128` are `--rnn-size 128`.

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


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="jaxrnn",
        description="Recurrent networks in JAX: train character models, sample, look inside.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        + "\n\njaxrnn COMMAND --help tells more. With JAXRNN_TRACEBACK=1 errors come with their "
        "traceback.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jaxrnn {_version()}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    return parser


def _version() -> str:
    try:
        return metadata.version("jaxrnn")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "(not installed)"
