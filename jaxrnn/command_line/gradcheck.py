"""`jaxrnn gradcheck`: hand-derived BPTT against jax.grad against central differences."""

import argparse

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, seed, whole_number
from jaxrnn.errors import sentence


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn gradcheck`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn gradcheck",
        description="Checks in float64, for each cell, the hand-derived gradient of every "
        "parameter, the inputs and the initial carry against jax.grad and against central "
        "differences, on the CPU. Exit code 1 where one is wrong.",
    )
    parser.add_argument("--cell", "--model", help="this cell only, e.g. lstm; default: every cell")
    parser.add_argument("--input-size", type=whole_number, default=3, metavar="I")
    parser.add_argument("--hidden-size", type=whole_number, default=4, metavar="H")
    parser.add_argument("--batch-size", type=whole_number, default=2, metavar="B")
    parser.add_argument("--length", type=whole_number, default=7, metavar="T", help="time steps")
    parser.add_argument(
        "--options",
        default="",
        metavar="LIST",
        help="what unroll is given, of lengths,resets,reverse,masks; default: nothing",
    )
    parser.add_argument(
        "--recompute", action="store_true", help="with unroll's recompute, for long sequences"
    )
    parser.add_argument("--seed", type=seed, default=0)
    backend.add_device(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints a report per cell; 0 if all gradients are right, else 1."""
    if options.device not in ("cpu", None):
        rule = "cpu, on which gradients are checked"
        raise ValueError(sentence("gradcheck", "--device", rule, options.device))
    backend.configure("cpu")  # so that no accelerator is taken from those who use it
    import jax

    import jaxrnn

    if options.cell is not None and options.cell not in jaxrnn.CELLS:
        expected = f"one of {', '.join(jaxrnn.CELLS)}"
        raise ValueError(sentence("gradcheck", "--cell", expected, options.cell))
    names = [options.cell] if options.cell else list(jaxrnn.CELLS)
    right = True
    for name in names:
        report = jaxrnn.gradcheck(
            jaxrnn.CELLS[name],
            jax.random.key(options.seed),
            input_size=options.input_size,
            hidden_size=options.hidden_size,
            batch_size=options.batch_size,
            length=options.length,
            options=[name for name in options.options.split(",") if name],
            recompute=options.recompute,
        )
        print(report, end="\n\n", flush=True)
        right = right and report.ok
    print("All gradients are right." if right else "Some gradients are WRONG.")
    return 0 if right else 1
