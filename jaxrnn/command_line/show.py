"""`jaxrnn show RUN`: a page of what happens inside a trained model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, file_to_write, read_text, whole_number
from jaxrnn.errors import sentence
from jaxrnn.microscope.views import VIEWS

if TYPE_CHECKING:
    from jaxrnn.microscope.views.subject import Subject

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf")
LARGEST_UNIT = 99_999
DEFINITIONS = (
    "loss_gradient_squared",
    "logit_gradient_norm",
    "logit_gradient_norm_squared",
    "integrated_gradients",
    "occlusion",
)


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn show`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn show",
        description="Reads a text with the model of a run and writes a page of what happens\n"
        "inside it: one HTML file that needs no network. It takes the checkpoint of the\n"
        "best validation loss.",
        epilog="views, and the options that they take beside --out:\n"
        + "\n".join(
            f"  {name:13}  {view.summary}{_listed(view.options)}" for name, view in VIEWS.items()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="the folder of a run; gradient-flow compares several",
    )
    parser.add_argument(
        "--view",
        choices=VIEWS,
        default="story",
        help="what to look at, see below (default: story, all of it on one page)",
    )
    parser.add_argument(
        "--text",
        metavar="FILE",
        help="a text to read, - for standard input (default: the held-out part of the run's own)",
    )
    parser.add_argument("--encoding", metavar="NAME", help="of the text file (default: utf-8)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the page, or a still picture where it ends in .png, .svg or .pdf (default: VIEW.html "
        "in the folder of the run)",
    )
    parser.add_argument(
        "--from", type=whole_number, metavar="N", help="first character, byte or word (default: 0)"
    )
    parser.add_argument(
        "--to", type=whole_number, metavar="N", help="after the last one (default: by the view)"
    )
    parser.add_argument(
        "--layer", type=whole_number, metavar="N", help="counted from 1 (default: the last one)"
    )
    parser.add_argument(
        "--units",
        metavar="LIST",
        help="for example 0-15,40 (default: all, of the stepper those that move most where there "
        "are many)",
    )
    parser.add_argument(
        "--definition",
        choices=DEFINITIONS,
        help="of connectivity: the measure of what mattered (default: all of them)",
    )
    parser.add_argument(
        "--value",
        type=float,
        metavar="X",
        help="of clamping: what to hold units at (default: 0, silence)",
    )
    backend.add_device(parser)
    add_import(parser)
    return parser


def _listed(taken: Sequence[str]) -> str:
    options = " ".join(f"--{option}" for option in taken)
    return f"\n{'':17}{options}" if options else ""


def run(options: argparse.Namespace) -> int:
    """Writes the page and says what it shows."""
    given = vars(options)
    taken = VIEWS[options.view].options
    for name in ("text", "encoding", "from", "to", "layer", "units", "definition", "value"):
        if given[name] is not None and name not in taken:
            others = [named for named, view in VIEWS.items() if name in view.options]
            rule = f"one of the views {', '.join(others)} beside --{name}"
            raise ValueError(sentence("show", "--view", rule, options.view))
    if options.encoding is not None and options.text is None:
        rule = "a text beside it, --text FILE"
        raise ValueError(sentence("show", "--encoding", rule, "none"))
    units = None if options.units is None else parse_units(options.units)
    backend.configure(options.device)
    from jaxrnn.command_line.compilation_cache import use_compilation_cache
    from jaxrnn.command_line.task_bar import TaskBar
    from jaxrnn.microscope.pages.html import write_page
    from jaxrnn.microscope.views.subject import Stretch, Subject

    backend.check("show", options.device)
    use_compilation_cache()
    subjects = [Subject(path, lambda note: print(note, file=sys.stderr)) for path in options.runs]
    default = subjects[0].run.path / f"{options.view}.html"
    out = file_to_write("show", options.out, default)
    if out.suffix.lower() not in (*PAGES, *PICTURES):
        rule = f"a file ending in .html, or in {', '.join(PICTURES)} for a still picture"
        raise ValueError(sentence("show", "--out", rule, str(out)))
    text, source = _text(options, subjects[0]) if "text" in taken else ("", "")
    layer = -1 if options.layer is None else _layer(options.layer)
    stretch = Stretch(
        text,
        source,
        given["from"] or 0,
        options.to,
        layer,
        units,
        options.definition,
        options.value,
    )
    with TaskBar() as bar:
        view = VIEWS[options.view](subjects, stretch, bar)
    if out.suffix.lower() in PAGES:
        kind, out = "page", write_page(out, view.page())
    elif view.draw is not None:
        from jaxrnn.microscope.figures.canvas import save

        kind, out = "picture", save(view.draw, out)
    else:
        rule = f"a page ending in .html, since {options.view} has no still picture"
        raise ValueError(sentence("show", "--out", rule, str(out)))
    print(view.words)
    print(f"{kind}: {out}")
    return 0


def parse_units(text: str) -> tuple[int, ...]:
    """Unit numbers from a list of numbers and ranges.

    >>> parse_units("0-3,7")
    (0, 1, 2, 3, 7)
    """
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError(
                sentence("show", "--units", "numbers and ranges such as 0-15,40", repr(text))
            )
        if int(last or first) > LARGEST_UNIT:
            rule, got = f"unit numbers up to {LARGEST_UNIT:,}", repr(text)
            raise ValueError(sentence("show", "--units", rule, got))
        units += range(int(first), int(last or first) + 1)
    if not units:
        raise ValueError(sentence("show", "--units", "at least one unit", repr(text)))
    return tuple(dict.fromkeys(units))


def _layer(number: int) -> int:
    if number < 1:
        raise ValueError(sentence("show", "--layer", "a layer, counted from 1", number))
    return number - 1


def _text(options: argparse.Namespace, subject: "Subject") -> tuple[str, str]:
    from jaxrnn.charlm.sources import in_words

    if options.text is None:
        return subject.held_out_text()
    newlines = subject.run.settings.newlines
    corpus = read_text(options.text, options.encoding, "--text", newlines)
    return corpus.text, Path(in_words(corpus.sources)).name
