"""`jaxrnn sample RUN`: new text with a trained model."""

import argparse
import sys

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, seed


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn sample`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn sample",
        description="Writes text with the model of a run, as it comes. It takes the checkpoint "
        "of the best validation loss.",
    )
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--prime",
        "--primetext",
        metavar="TEXT",
        help="what the text goes on from; default: a new line, where the model knows it",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="X",
        help="above 1 more varied, below 1 more careful (0.8)",
    )
    parser.add_argument(
        "--length", type=int, default=2000, metavar="N", help="characters to write (2000)"
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest only")
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="draw from the likeliest only whose probabilities reach P",
    )
    parser.add_argument(
        "--greedy", action="store_true", help="always the likeliest character: temperature 0"
    )
    parser.add_argument(
        "--sample",
        type=int,
        choices=(0, 1),
        default=1,
        help="char-rnn's switch: 0 is --greedy",
    )
    parser.add_argument("--seed", type=seed, default=123, metavar="N", help="of the drawing (123)")
    parser.add_argument(
        "--count", type=int, default=1, metavar="N", help="texts, one after the other (1)"
    )
    backend.add_device(parser)
    backend.add_deterministic(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Writes the text to standard output."""
    backend.configure(options.device, options.deterministic)
    import jax

    from jaxrnn.charlm import runs, sampling
    from jaxrnn.command_line.compilation_cache import use_compilation_cache

    backend.check("sample", options.device)
    use_compilation_cache()
    trained = runs.open_run(options.run)
    if trained.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    params, carry = runs.load_sampler(trained, lambda note: print(note, file=sys.stderr))
    newline = "\n" if "\n" in trained.vocab else ""
    prime = newline if options.prime is None else options.prime
    temperature = 0.0 if options.greedy or options.sample == 0 else options.temperature
    key = jax.random.key(options.seed)
    arguments = (trained.config, params, trained.vocab, key)
    more = {"top_k": options.top_k, "top_p": options.top_p, "carry": carry}
    if options.count == 1:
        pieces = sampling.stream(*arguments, options.length, prime, temperature, **more)
        sys.stdout.write(options.prime or "")
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        return 0
    texts = sampling.sample_many(
        *arguments, options.count, options.length, prime, temperature, **more
    )
    for number, text in enumerate(texts, 1):
        print(f"--- {number} ---\n{options.prime or ''}{text}")
    return 0
