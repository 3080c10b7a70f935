"""`jaxrnn sample RUN`: new text with a trained model."""

import argparse
import sys

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, read_text, seed, whole_number
from jaxrnn.errors import sentence

TEMPERATURE = 0.8
SEED = 123


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
        help="what the text goes on from, - for standard input (default: a new line, where the "
        "model knows it)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        help=f"above 1 more varied, below 1 more careful (default: {TEMPERATURE})",
    )
    parser.add_argument(
        "--length",
        type=whole_number,
        default=2000,
        metavar="N",
        help="characters to write (default: 2000)",
    )
    parser.add_argument(
        "--stop",
        metavar="TEXT",
        help="end before this text, if it comes before --length characters",
    )
    parser.add_argument(
        "--top-k", type=whole_number, metavar="K", help="draw from the K likeliest only"
    )
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
        "--sample", type=int, choices=(0, 1), help="char-rnn's switch: 0 is --greedy"
    )
    parser.add_argument(
        "--seed", type=seed, metavar="N", help=f"the seed of the drawing (default: {SEED})"
    )
    parser.add_argument(
        "--count",
        type=whole_number,
        default=1,
        metavar="N",
        help="texts, one after the other (default: 1)",
    )
    backend.add_device(parser)
    backend.add_deterministic(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Writes the text to standard output."""
    temperature = _temperature(options)
    backend.configure(options.device, options.deterministic)
    import jax

    from jaxrnn.charlm import runs, sampling
    from jaxrnn.command_line.compilation_cache import use_compilation_cache

    backend.check("sample", options.device)
    use_compilation_cache()
    trained = runs.open_run(options.run)
    if trained.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    shown = options.prime or ""
    if options.prime == "-":
        shown = read_text("-", None, "--prime").text
    newline = "\n" if "\n" in trained.vocab else ""
    prime = newline if options.prime is None else shown
    if temperature == 0 and prime and options.seed is not None:
        rule = "no such option where the likeliest character is taken each time"
        raise ValueError(sentence("sample", "--seed", rule, options.seed))
    unknown = sorted(set(options.stop or "") - set(trained.vocab.characters))
    if unknown:
        rule = f"the {len(trained.vocab)} characters that the model knows"
        raise ValueError(sentence("sample", "--stop", rule, ", ".join(map(repr, unknown))))
    params, carry = runs.load_sampler(trained, lambda note: print(note, file=sys.stderr))
    key = jax.random.key(SEED if options.seed is None else options.seed)
    arguments = (trained.config, params, trained.vocab, key)
    more = {"top_k": options.top_k, "top_p": options.top_p, "carry": carry}
    if options.count == 1:
        pieces = sampling.stream(*arguments, options.length, prime, temperature, **more)
        if options.stop is not None:
            pieces = sampling.until(pieces, options.stop)
        sys.stdout.write(shown)
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        return 0
    texts = sampling.sample_many(
        *arguments, options.count, options.length, prime, temperature, **more
    )
    for number, text in enumerate(texts, 1):
        written = text if options.stop is None else "".join(sampling.until([text], options.stop))
        print(f"--- {number} ---\n{shown}{written}")
    return 0


def _temperature(options: argparse.Namespace) -> float:
    """0 where the likeliest character is taken each time.

    Raises:
        ValueError: an option beside it would then change nothing.
    """
    given = vars(options)
    if options.greedy and options.sample == 1:
        raise ValueError(sentence("sample", "--sample", "0 beside --greedy", 1))
    greedy = "--greedy" if options.greedy else "--sample 0" if options.sample == 0 else ""
    if greedy and options.temperature:
        rule = f"no such option beside {greedy}, which is temperature 0"
        raise ValueError(sentence("sample", "--temperature", rule, options.temperature))
    greedy = greedy or ("--temperature 0" if options.temperature == 0 else "")
    if greedy:
        for name in ("top_k", "top_p"):
            if given[name] is not None:
                rule = f"no such option beside {greedy}, which takes the likeliest character"
                name, value = f"--{name.replace('_', '-')}", given[name]
                raise ValueError(sentence("sample", name, rule, value))
        if options.count > 1 and options.prime != "":
            rule = f"1 beside {greedy}, with which all texts are the same"
            raise ValueError(sentence("sample", "--count", rule, options.count))
        return 0.0
    return TEMPERATURE if options.temperature is None else float(options.temperature)
