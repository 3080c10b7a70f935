"""`jaxrnn sample RUN`: new text with a trained model."""

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from jaxrnn.charlm.writing import LENGTH, TEMPERATURE
from jaxrnn.command_line import backend, surprise_shown
from jaxrnn.command_line.arguments import add_import, read_text, seed, whole_number
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm import Sampling, Scored
    from jaxrnn.charlm.tokenizers import Tokenizer

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
        help="what the text goes on from, - for standard input; of a run of words it should not "
        "end in a space, which belongs to the next word (default: a new line, where the model "
        "knows it)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        help=f"above 1 more varied, below 1 more careful (default: {TEMPERATURE:g})",
    )
    parser.add_argument(
        "--length",
        type=whole_number,
        default=LENGTH,
        metavar="N",
        help=f"tokens to write, which are characters, bytes or words as the run has them (default: "
        f"{LENGTH})",
    )
    parser.add_argument(
        "--stop",
        metavar="TEXT",
        help="end before this text, if it comes before --length tokens",
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
        "--greedy", action="store_true", help="always the likeliest token: temperature 0"
    )
    parser.add_argument(
        "--sample", type=int, choices=(0, 1), help="char-rnn's switch: 0 is --greedy"
    )
    parser.add_argument(
        "--seed", type=seed, metavar="N", help=f"the sampling seed (default: {SEED})"
    )
    parser.add_argument(
        "--count",
        type=whole_number,
        default=1,
        metavar="N",
        help="texts, one after the other (default: 1)",
    )
    parser.add_argument(
        "--beam",
        type=whole_number,
        metavar="K",
        help="nothing is drawn: the likeliest text that a beam search of width K finds, or the "
        "--count likeliest",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="type a text, and the model goes on from it, in turns of --length tokens",
    )
    parser.add_argument(
        "--surprise",
        action="store_true",
        help="show how much each token surprises the model, −ln p at temperature 1: as its "
        "background on a terminal, elsewhere as a table, token<TAB>nats, of what was written",
    )
    backend.add_device(parser)
    backend.add_deterministic(parser)
    add_import(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Writes the text to standard output."""
    _check_together(options)
    temperature = _temperature(options)
    backend.configure(options.device, options.deterministic)
    import jax

    from jaxrnn.charlm import beams, runs, sampling, turns
    from jaxrnn.command_line.compilation_cache import use_compilation_cache

    backend.check("sample", options.device)
    use_compilation_cache()
    trained = runs.open_run(options.run)
    if trained.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    shown = options.prime or ""
    if options.prime == "-":
        shown = read_text("-", None, "--prime", trained.settings.newlines).text
    newline = "\n" if "\n" in trained.vocab else ""
    prime = newline if options.prime is None else shown
    if temperature == 0 and prime and options.seed is not None:
        rule = "no such option where the likeliest token is taken each time"
        raise ValueError(sentence("sample", "--seed", rule, options.seed))
    (params, carry), _ = runs.load_sampler(trained, _note)
    key = jax.random.key(SEED if options.seed is None else options.seed)
    arguments = (trained.config, params, trained.vocab)
    how: Sampling = {
        "length": options.length,
        "temperature": temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "stop": options.stop,
    }
    show, is_table = _show(options, trained.vocab)
    if options.interactive:
        from jaxrnn.command_line.conversation import converse

        written = turns.Turns(*arguments, key, carry)
        converse(written, how, lambda: written.read(prime), show)
        return 0
    how["prime"], how["carry"] = prime, carry
    texts: list[Iterable[str]]
    if options.beam is not None:
        found = beams.beam_search(
            *arguments, prime, width=options.beam, length=options.length, stop=options.stop,
            carry=carry,
        )  # fmt: skip
        texts = [[show(beam.written)] for beam in found[: options.count]]
    elif options.count > 1 and options.surprise:
        scored = sampling.sample_many_scored(*arguments, key, options.count, **how)
        texts = [[show(each)] for each in scored]
    elif options.count > 1:
        many = sampling.sample_many(*arguments, key, options.count, **how)
        texts = [[text] for text in many]
    elif options.surprise:
        texts = [map(show, sampling.stream_scored(*arguments, key, **how))]
    else:
        texts = [sampling.stream(*arguments, key, **how)]
    for number, pieces in enumerate(texts, 1):
        if options.count > 1:
            print(f"--- {number} ---")
        sys.stdout.write(surprise_shown.TABLE_HEAD if is_table else shown)
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("" if is_table else "\n")
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _show(
    options: argparse.Namespace, vocab: "Tokenizer"
) -> tuple[Callable[["Scored"], str], bool]:
    """What to write of a text and its surprisals, and whether that is a table."""
    if not options.surprise:
        return lambda written: written.text, False
    if not surprise_shown.has_colours(sys.stdout):
        labels = vocab.labels if vocab.kind == "bytes" else None
        return partial(surprise_shown.as_table, labels=labels), True
    print(surprise_shown.legend(), file=sys.stderr)
    return surprise_shown.in_colours, False


def _check_together(options: argparse.Namespace) -> None:
    """Raises ValueError for numbers of texts below 1, and options that others leave no meaning."""
    given = vars(options)
    for name in ("count", "beam"):
        if given[name] is not None and given[name] < 1:
            raise ValueError(sentence("sample", f"--{name}", "at least 1", given[name]))
    if options.beam is not None:
        for name in ("temperature", "top_k", "top_p", "greedy", "sample", "seed", "interactive"):
            if given[name] is not None and given[name] is not False:
                rule = "no such option beside --beam, which looks for the likeliest text"
                got = "one" if given[name] is True else given[name]
                raise ValueError(sentence("sample", f"--{name.replace('_', '-')}", rule, got))
        if options.count > options.beam:
            rule = f"at most the {options.beam} of --beam"
            hint = f"--beam {options.count}"
            raise ValueError(sentence("sample", "--count", rule, options.count, hint))
    if options.interactive:
        if options.count != 1:
            rule = "no such option beside --interactive, which writes one text"
            raise ValueError(sentence("sample", "--count", rule, options.count))
        if options.prime == "-":
            rule = "a text beside --interactive, which reads standard input itself"
            raise ValueError(sentence("sample", "--prime", rule, "-"))


def _temperature(options: argparse.Namespace) -> float:
    """0 where the likeliest token is taken each time.

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
                rule = f"no such option beside {greedy}, which takes the likeliest token"
                name, value = f"--{name.replace('_', '-')}", given[name]
                raise ValueError(sentence("sample", name, rule, value))
        if options.count > 1 and options.prime != "":
            rule = f"1 beside {greedy}, with which all texts are the same"
            raise ValueError(sentence("sample", "--count", rule, options.count))
        return 0.0
    return TEMPERATURE if options.temperature is None else float(options.temperature)
