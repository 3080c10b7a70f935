"""The command line: arguments, the run over devices and problems, what is printed and kept."""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import picture, quality, report
from benchmarks.argument_types import positive
from benchmarks.contest import NOT_INSTALLED, Contest
from benchmarks.environment import environment
from benchmarks.peers import PEERS
from benchmarks.peers.peer import DEVICES
from benchmarks.problems import Size
from benchmarks.records import Record, RecordFile
from benchmarks.suites import SUITES
from benchmarks.suites.suite import Suite
from benchmarks.tables import absences, failures
from benchmarks.worker import platform_of
from jaxrnn.errors import sentence


def parser() -> argparse.ArgumentParser:
    """All arguments."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures jaxrnn beside other libraries and the hardware's limit.",
        epilog="Without a suite, all of them are run.",
    )
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--device", default="cpu", choices=(*DEVICES, "all"))
    options.add_argument(
        "--cell", action="append", metavar="CELL", help="repeatable; all: every one"
    )
    options.add_argument("--size", action="append", metavar="B,T,I,H", help="repeatable")
    options.add_argument("--peers", metavar="A,B,...", help=f"of {', '.join(PEERS)}")
    options.add_argument("--repeats", type=positive, help="samples of each participant")
    options.add_argument("--quick", action="store_true", help="tiny sizes; checks, does not time")
    options.add_argument(
        "--out", type=Path, default=Path("runs/benchmarks"), help="folder (default: %(default)s)"
    )
    commands = top.add_subparsers(dest="suite", metavar="SUITE")
    for suite in SUITES.values():
        commands.add_parser(suite.name, help=suite.summary, parents=[options])
    commands.add_parser("all", help="every suite", parents=[options])
    quality.add_parser(commands)
    table = commands.add_parser("report", help="write the results' page from the kept records")
    table.add_argument("--page", type=Path, default=report.PAGE)
    table.add_argument("--results", type=Path, default=report.RESULTS)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 0 only if nothing went wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "all")
    options = parser().parse_args(given)
    if options.suite == "quality":
        return quality.run(options)
    if options.suite == "report":
        try:
            report.rewrite(options.page, options.results)
        except (ValueError, OSError) as wrong:
            return _complain([str(wrong)])
        return 0
    lacking = [name for name in ("tqdm", "matplotlib") if find_spec(name) is None]
    if lacking:
        return _complain([f"{', '.join(lacking)} not installed; pip install 'jaxrnn[bench]'"])
    from tqdm import tqdm

    complaints: list[str] = []
    cells, sizes, peers = choices(options, complaints)
    platforms = found_platforms(options.device, complaints)
    suites = list(SUITES.values()) if options.suite == "all" else [SUITES[options.suite]]
    if not platforms or cells == [] or peers == [] or sizes == []:
        return _complain(complaints)
    about, run_name = environment(), time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for device, platform in platforms.items():
        for suite in suites:
            problems = suite.problems(cells or suite.cells, sizes, options.quick)
            names = peers or [
                name for name in suite.peers or PEERS if takes(name, platform, problems)
            ]
            file = RecordFile(options.out, suite.name, device)
            bar = tqdm(problems, desc=suite.name, unit="problem", leave=False, disable=None)
            repeats = options.repeats or (None if options.quick else suite.repeats)
            with Contest(platform, names, options.quick, repeats) as contest:
                records = run(suite, contest, bar, file, run_name, about)
            print(suite.show(records))
            drawn = file.path.with_suffix(".png")
            if suite.picture and picture.draw(records, drawn):
                print(f"{file.path}, {drawn}")
            for line in absences(records):
                print(line)
            complaints += failures(records)
            if peers:  # asked for by name, so they had better be there
                complaints += [line for line in absences(records) if NOT_INSTALLED in line]
    return _complain(list(dict.fromkeys(complaints)))


def takes(name: str, platform: str, problems: Sequence[Any]) -> bool:
    """Whether a peer has anything to do there with problems of that kind."""
    peer = PEERS[name]
    return peer.runs_on(platform) and any(problem.kind in peer.prepare for problem in problems)


def run(
    suite: Suite,
    contest: Contest,
    problems: Any,
    file: RecordFile,
    run_name: str,
    about: dict[str, Any],
) -> list[Record]:
    """Runs a suite's problems; `problems` is the progress bar over them."""
    kept: list[Record] = []
    for problem in problems:
        label = problem.label()

        def progress(what: str, label: str = label) -> None:
            problems.set_postfix_str(f"{label}: {what}")

        records = contest.run(problem, suite.quantities, progress, suite.limit, suite.together)
        full = [{"suite": suite.name, "run": run_name, **record} for record in records]
        for record in full:
            record["environment"] = about
        file.append(full)
        kept += full
    return kept


def choices(
    options: argparse.Namespace, complaints: list[str]
) -> tuple[list[str] | None, list[Size] | None, list[str] | None]:
    """Cells, sizes and peers as asked for, None where nothing was; complains of unknown ones."""
    import jaxrnn as rnn

    def known(asked: list[str] | None, option: str, table: Any) -> list[str] | None:
        if asked is None:
            return None
        complaints.extend(
            sentence("benchmarks", option, f"one of {', '.join(table)}", repr(name))
            for name in asked
            if name not in table
        )
        return [name for name in asked if name in table]

    sizes: list[Size] | None = None
    if options.size is not None:
        sizes = []
        for text in options.size:
            try:
                sizes.append(Size.parse(text))
            except ValueError as wrong:
                complaints.append(str(wrong))
    cells = list(rnn.CELLS) if options.cell == ["all"] else options.cell
    asked = None if options.peers is None else [name.strip() for name in options.peers.split(",")]
    return known(cells, "--cell", rnn.CELLS), sizes, known(asked, "--peers", PEERS)


def found_platforms(asked: str, complaints: list[str]) -> dict[str, str]:
    """The devices to run on, and what JAX calls them."""
    devices = DEVICES if asked == "all" else (asked,)
    found = {name: there for name in devices if (there := platform_of(name)) is not None}
    if not found:
        complaints.append(f"benchmarks: --device: JAX finds no {asked} here")
    return found


def _complain(complaints: Sequence[str]) -> int:
    for line in complaints:
        print(line, file=sys.stderr)
    return 2 if complaints else 0
