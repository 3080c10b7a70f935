"""`jaxrnn demo NAME`: an experiment, what was claimed of it, what was measured, and its page.

`jaxrnn demo` lists them, `jaxrnn demo all` writes all pages with an index of them.
"""

import argparse
import sys

from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import file_to_write, folder_to_write, read_text, seed
from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments import EXPERIMENTS, report

ALL = "all"
FOLDER = "demos"
"""Where `demo all` writes unless it is told."""

CHECK_FAILED = 1

READ_TEXT = tuple(name for name, listed in EXPERIMENTS.items() if listed.reads_text)


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn demo`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn demo",
        description="Runs an experiment: trains what it needs in seconds to a minute or two, says "
        "what was claimed, what was measured and the verdict, and writes a page to look at. "
        "Without a NAME it lists the experiments.",
        epilog=_listing(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        choices=[*EXPERIMENTS, ALL],
        help="an experiment, see below, or all of them",
    )
    parser.add_argument(
        "--out",
        metavar="PAGE",
        help=f"the page (NAME.html); of all, the folder of the pages and their index ({FOLDER})",
    )
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


def _listing() -> str:
    width = max(map(len, EXPERIMENTS))
    lines = {name: listed.summary for name, listed in EXPERIMENTS.items()}
    lines[ALL] = "every one of these, with an index page: a site to put on the web"
    return "experiments:\n" + "\n".join(
        f"  {name:{width}}  {summary}" for name, summary in lines.items()
    )


def run(options: argparse.Namespace) -> int:
    """Lists the experiments, or runs one or all, writes pages and says what came out."""
    if options.name is None:
        if options.out is not None or options.text is not None:
            rule = "the name of an experiment, or all"
            raise ValueError(sentence("demo", "NAME", rule, "none", "jaxrnn demo lists them"))
        print(f"jaxrnn demo NAME\n\n{_listing()}")
        return 0
    if options.text is not None and options.name not in READ_TEXT:
        rule, got = f"one of {', '.join(READ_TEXT)} beside --text", options.name
        raise ValueError(sentence("demo", "NAME", rule, got))
    if options.encoding is not None and options.text is None:
        rule = "a text beside it, --text FILE"
        raise ValueError(sentence("demo", "--encoding", rule, "none"))
    if options.name == ALL:
        return _run_all(options)
    out = file_to_write("demo", options.out, f"{options.name}.html")
    if out.suffix.lower() not in ("", ".html", ".htm"):
        rule = "a page ending in .html"
        raise ValueError(sentence("demo", "--out", rule, str(out)))
    backend.configure(options.device)
    from jaxrnn.command_line.compilation_cache import use_compilation_cache
    from jaxrnn.command_line.task_bar import TaskBar
    from jaxrnn.microscope.demos import run_demo
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


def _run_all(options: argparse.Namespace) -> int:
    """Writes every page, and the index anew after each, so that it fits whatever ends the work."""
    folder = folder_to_write("demo", options.out, FOLDER)
    backend.configure(options.device)
    from jaxrnn.command_line.compilation_cache import use_compilation_cache
    from jaxrnn.command_line.task_bar import TaskBar
    from jaxrnn.microscope.demos import site
    from jaxrnn.microscope.pages.html import write_page

    backend.check("demo", options.device)
    use_compilation_cache()
    index = folder / site.INDEX
    cards: list[site.Card] = []
    missing = dict.fromkeys(EXPERIMENTS, "not run")
    write_page(index, site.index_page(cards, [*missing]))  # fails now rather than after an hour
    try:
        with TaskBar() as bar:
            for number, found in enumerate(site.write_demos(folder, options.seed, bar), 1):
                bar.close()
                place = f"{number} of {len(EXPERIMENTS)}"
                if isinstance(found, site.Failed):
                    from jaxrnn.command_line import explained

                    missing[found.name] = explained(found.reason)[0]
                    print(f"{found.name} ({place}) failed: {missing[found.name]}", file=sys.stderr)
                else:
                    del missing[found.name]
                    cards.append(found)
                    outcome = "holds" if found.holds else "does not hold"
                    print(f"{found.name} ({place}): {found.title}; {outcome}", flush=True)
                write_page(index, site.index_page(cards, [*missing]))
    except KeyboardInterrupt:
        print(f"interrupted; {len(cards)} of {len(EXPERIMENTS)} pages are there", file=sys.stderr)
        raise
    if missing:
        print(f"left out  {', '.join(missing)}")
    print(f"index     {index}")
    return CHECK_FAILED if missing else 0
