"""`jaxrnn demo NAME`: an experiment, what was claimed of it, what was measured, and its page."""

import argparse

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import file_to_write, read_text, seed
from jaxrnn.errors import sentence

NAMES = {
    "alternating": "1010…: three units learn it, and need no memory",
    "counting": "110110…: three units learn it by memory",
    "order": "word order, which a bag of words cannot see",
    "five-shapes": "one to one, one to many, many to one, aligned, encoder to decoder: a task each",
    "parentheses": "a GRU with 15 units, its distance to the exact floor, what its units encode",
    "gradients": "vanishing gradients of RNN, LSTM and GRU over training",
    "connectivity": "how far back the predictions of an RNN and an LSTM look",
    "embedding-or-one-hot": "whether a character model reads better through an embedding table",
    "last-or-every-step": "a loss at the last step only against one at every step",
    "parallel": "Newton's method over time, and the Lyapunov exponent that decides it",
    "online": "learning while reading: RTRL past the window of truncated backpropagation",
}
READ_TEXT = ("gradients", "connectivity", "embedding-or-one-hot", "last-or-every-step")


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn demo`."""
    width = max(map(len, NAMES))
    parser = argparse.ArgumentParser(
        prog="jaxrnn demo",
        description="Runs an experiment: trains what it needs in seconds to a minute or two, says "
        "what was claimed, what was measured and the verdict, and writes a page to look at.",
        epilog="experiments:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in NAMES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=NAMES, help="an experiment, see below")
    parser.add_argument("--out", metavar="PAGE", help="the page; default: NAME.html")
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="random seed (default: 0)"
    )
    parser.add_argument(
        "--text",
        metavar="FILE",
        help=f"a text for {', '.join(READ_TEXT)}; default: Python's own documentation",
    )
    parser.add_argument(
        "--encoding", metavar="NAME", help="the encoding of the text file (default: utf-8)"
    )
    backend.add_device(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Runs the experiment, writes its page and prints the report."""
    if options.text is not None and options.name not in READ_TEXT:
        rule, got = f"one of {', '.join(READ_TEXT)} beside --text", options.name
        raise ValueError(sentence("demo", "NAME", rule, got))
    if options.encoding is not None and options.text is None:
        rule = "a text beside it, --text FILE"
        raise ValueError(sentence("demo", "--encoding", rule, "none"))
    out = file_to_write("demo", options.out, f"{options.name}.html")
    if out.suffix.lower() not in ("", ".html", ".htm"):
        rule = "a page ending in .html"
        raise ValueError(sentence("demo", "--out", rule, str(out)))
    backend.configure(options.device)
    from jaxrnn.command_line.compilation_cache import use_compilation_cache
    from jaxrnn.command_line.task_bar import TaskBar
    from jaxrnn.microscope.demos import run_demo
    from jaxrnn.microscope.experiments.record import report
    from jaxrnn.microscope.pages.html import write_page

    backend.check("demo", options.device)
    use_compilation_cache()
    text = None
    if options.text is not None:
        text = read_text(options.text, options.encoding, "--text").text
    with TaskBar() as bar:
        experiment, page = run_demo(options.name, options.seed, bar, text)
    write_page(out, page)
    print(report(experiment))
    print(f"page      {out}")
    return 0
