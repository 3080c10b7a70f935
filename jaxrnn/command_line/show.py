"""`jaxrnn show RUN`: a page of what happens inside a trained model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.microscope.views import Subject

PICTURES = (".png", ".svg", ".pdf")
VIEWS = ("activations", "connectivity", "gradient-flow", "training", "stepper")
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
        description="Reads a text with the model of a run and writes a page of what happens "
        "inside it: one HTML file that needs no network. It takes the checkpoint of the best "
        "validation loss.",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="the folder of a run; gradient-flow compares several",
    )
    parser.add_argument(
        "--view", choices=VIEWS, default="activations", help="what to look at (activations)"
    )
    parser.add_argument(
        "--text",
        metavar="FILE",
        help="a text to read, - for standard input; default: the held-out part of the run's own",
    )
    parser.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of the text file (utf-8)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the page, or a still picture where it ends in .png, .svg or .pdf; default: VIEW.html "
        "in the folder of the run",
    )
    parser.add_argument(
        "--from", dest="start", type=int, default=0, metavar="N", help="first character (0)"
    )
    parser.add_argument(
        "--to", dest="end", type=int, metavar="N", help="after the last one; default: by the view"
    )
    parser.add_argument(
        "--layer", type=int, metavar="N", help="counted from 1; default: the last one"
    )
    parser.add_argument(
        "--units", metavar="LIST", help="of the activations, e.g. 0-15,40; default: all"
    )
    parser.add_argument(
        "--definition", choices=DEFINITIONS, help="of connectivity; default: all of them"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Writes the page and says what it shows."""
    units = None if options.units is None else parse_units(options.units)
    from jaxrnn.command_line.compilation_cache import use_compilation_cache
    from jaxrnn.command_line.task_bar import TaskBar
    from jaxrnn.microscope import views
    from jaxrnn.microscope.pages.html import write_page

    use_compilation_cache()
    subjects = [
        views.Subject(path, lambda note: print(note, file=sys.stderr)) for path in options.runs
    ]
    needs_text = options.view != "training"
    text, source = _text(options, subjects[0]) if needs_text else ("", "")
    layer = -1 if options.layer is None else _layer(options.layer)
    stretch = views.Stretch(
        text, source, options.start, options.end, layer, units, options.definition
    )
    with TaskBar() as bar:
        view = views.VIEWS[options.view](subjects, stretch, bar)
    out = Path(options.out or subjects[0].run.path / f"{options.view}.html")
    if out.suffix.lower() not in PICTURES:
        kind, out = "page", write_page(out, view.page())
    elif view.draw is not None:
        from jaxrnn.microscope.figures.canvas import save

        kind, out = "picture", save(view.draw, out)
    else:
        rule = "a page ending in .html for this view, which moves"
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
        units += range(int(first), int(last or first) + 1)
    if not units:
        raise ValueError(sentence("show", "--units", "at least one unit", repr(text)))
    return tuple(dict.fromkeys(units))


def _layer(number: int) -> int:
    if number < 1:
        raise ValueError(sentence("show", "--layer", "a layer, counted from 1", number))
    return number - 1


def _text(options: argparse.Namespace, subject: "Subject") -> tuple[str, str]:
    from jaxrnn.charlm import corpus
    from jaxrnn.microscope import views

    if options.text is None:
        return views.held_out_text(subject.run)
    if options.text == "-":
        raw = sys.stdin.buffer.read()
        try:
            text = raw.decode(options.encoding)
        except UnicodeDecodeError as error:
            got = f"the byte 0x{raw[error.start]:02x} at position {error.start} of standard input"
            rule = f"text in {options.encoding}"
            raise ValueError(sentence("show", "--text", rule, got, "--encoding")) from None
        if not text:
            rule = "at least one character on standard input"
            raise ValueError(sentence("show", "--text", rule, "none"))
        return text, "standard input"
    return corpus.read_text(options.text, options.encoding).text, Path(options.text).name
