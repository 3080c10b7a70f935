"""`jaxrnn train [TEXT] --out RUN`: from a text to a model."""

import argparse
import dataclasses
import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrnn.charlm.settings import ADJUSTABLE, Settings
from jaxrnn.command_line import backend, devices, processes, train_text
from jaxrnn.command_line.peers import Peers, SaidByAllError
from jaxrnn.command_line.settings_file import read_settings
from jaxrnn.command_line.train_options import make_parser
from jaxrnn.command_line.train_settings import (
    check_effect,
    choose_settings,
    one_end,
    option,
    resolve_names,
)
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm.corpus import Text
    from jaxrnn.charlm.runs import Run
    from jaxrnn.charlm.tokenizers import Tokenizer
    from jaxrnn.charlm.training_loop import Work

__all__ = ["make_parser", "run"]


def run(options: argparse.Namespace) -> int:
    """Trains; 0 at the end of the run or of its minutes, 130 after Ctrl-C, 143 after SIGTERM."""
    given = vars(options).copy()
    given.pop("import", None)
    config = given.pop("config", None)
    file = {} if config is None else read_settings(config, make_parser)

    def take(name: str, default: Any = None) -> Any:
        in_file = file.pop(name, default)
        return given.pop(name, in_file)

    for some in (given, file):
        if "include" in some:
            some["include"] = tuple(some["include"])
    for name in ("encoding", "newlines", "include", "documents"):
        # A run's settings.toml says what they are even where they are the default.
        kept = getattr(Settings(), name)
        value = given.get(name, file.get(name, kept))
        needs = name in given or value != kept
        if needs and not ({"text", "resume"} & (given.keys() | file.keys())):
            rule = "a TEXT beside it, since Python's own documentation needs none"
            raise ValueError(sentence("train", option(name), rule, value))
    text, out, resume = take("text"), take("out"), take("resume", False)
    preset, init_from, asked = take("preset"), take("init_from"), take("devices")
    coordinator, count, process = take("coordinator"), take("num_processes"), take("process_id")
    device, deterministic = take("device"), take("deterministic", False)
    place = processes.place(coordinator, count, process)
    old = parent = None
    if resume:
        for name, value in (("--preset", preset), ("--init-from", init_from)):
            if value is not None:
                raise ValueError(sentence("train", name, "no such option beside --resume", value))
        old, settings = _run_to_resume(out, one_end(file) | one_end(given))
        check_effect(settings, given)
    else:
        parent = _opened(init_from, "--init-from")
        settings = choose_settings(preset, given, None if parent is None else parent.settings, file)
    kept = None if old is None else old.settings.devices
    if isinstance(asked, int):
        settings = dataclasses.replace(settings, devices=asked)

    def configure(cores: int, processes: int | None) -> None:
        backend.configure(device, deterministic)
        _prepare_jax(settings, devices.cpu_devices(settings, asked, kept, cores, processes))

    own = {"--resume": resume, "--devices": asked}
    own |= {"--device": device, "--deterministic": deterministic}
    start = processes.Start(configure, lambda: backend.check("train", device))
    facts = _what_all_share(settings, own)
    with processes.joined(place, count is None, facts, start) as peers, ExitStack() as held:
        chosen = devices.choose(settings, asked, kept, peers)
        settings = dataclasses.replace(settings, devices=chosen)
        processes.connect(chosen)
        path = _lock(out, peers, held)
        if old is not None and _opened(str(path), "--out") != old:
            # It was read before this process had the folder to itself.
            raise ValueError(
                f"The run {path} has changed since this command began; start it again."
            )
        if old is None:
            found, vocab = train_text.new_text(text, settings, parent, path, peers, held)
        else:
            found, vocab = train_text.old_text(text, settings, old, peers), old.vocab
        peers.agree({"TEXT's SHA-256": found.sha256})
        if old is None:
            work = _start(found, vocab, path, settings, parent, peers)
        else:
            work = _resume(found, old, settings, peers)
        again = f"jaxrnn train --out {path} --resume{backend.repeated(device, deterministic)}"
        peers.advice = f"{again} goes on from the last checkpoint."
        longest = work.plan.total_steps // 10
        if given.get("warmup_steps", 0) > longest:
            wanted = f"not over {given['warmup_steps']:,} steps, as --warmup-steps says"
            peers.say(f"The rate rises over a tenth of the run, {longest:,}, {wanted}.")
        if peers.count > 1:
            peers.agree({"the state to train from": _checksum(work)})
        return _train(work, peers, again)


def _opened(path: str | None, argument: str) -> "Run | None":
    from jaxrnn.charlm import runs

    return None if path is None else runs.open_run(path, argument)


def _run_to_resume(out: str | None, given: dict[str, Any]) -> "tuple[Run, Settings]":
    from jaxrnn.charlm import runs

    if out is None:
        raise ValueError(sentence("train", "--resume", "--out RUN, the run to go on with", "none"))
    old = runs.open_run(out, "--out")
    if not old.sources:
        rule = "a run that was trained here"
        got = f"{old.path}, which was imported without the optimizer's state and the text"
        hint = f"jaxrnn train TEXT --init-from {old.path} starts a new run from its weights"
        raise ValueError(sentence("train", "--resume", rule, got, hint))
    given = resolve_names(given)
    for name, value in given.items():
        kept = getattr(old.settings, name)
        if name not in ADJUSTABLE and value != kept:
            raise ValueError(
                sentence(
                    "train",
                    option(name),
                    f"{kept}, as the run {old.path} has it",
                    value,
                    "leave the option out to resume, or start a new run, maybe with --init-from",
                )
            )
    return old, dataclasses.replace(old.settings, devices=1, **one_end(given))


def _what_all_share(settings: Settings, own: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same in all processes, by how a message calls it."""
    from importlib.metadata import version

    import jaxrnn

    named = {option(name): value for name, value in vars(settings).items()}
    versions = {"jax's version": version("jax"), "jaxlib's version": version("jaxlib")}
    return named | own | versions | {"jaxrnn's version": jaxrnn.__version__}


def _lock(out: str | None, peers: Peers, held: ExitStack) -> Path:
    """Takes the run's folder for these processes, if it is one and the same for all of them."""
    from jaxrnn.charlm import runs

    new = str(runs.new_run_path()) if peers.first and out is None else None
    path = Path(out or peers.gather(new)[0])
    if peers.first:
        held.enter_context(runs.lock(path, peers.say))
    if peers.count > 1:
        # A name that nobody has looked for: a network's file system remembers what is not there.
        token = path / f".{peers.gather(secrets.token_hex(8))[0]}"
        if peers.first:
            token.touch()
            held.callback(token.unlink, missing_ok=True)
        peers.gather()
        seen = peers.gather(token.exists())
        if not all(seen):
            blind = [str(process) for process, sees in enumerate(seen) if not sees]
            rule = "one folder that all processes share"
            who = f"process {blind[0]} does" if len(blind) == 1 else f"{', '.join(blind)} do"
            got = f"{path}, in which {who} not see what process 0 sees"
            raise SaidByAllError(sentence("train", "--out", rule, got))
        token.unlink(missing_ok=True)
    return path


def _start(
    text: "Text",
    vocab: "Tokenizer",
    path: Path,
    settings: Settings,
    parent: "Run | None",
    peers: Peers,
) -> "Work":
    from jaxrnn.charlm import runs, training_loop

    params = None
    if parent is not None:
        params, _ = runs.load_params(parent, peers.say)
    make = runs.create if peers.first else runs.run_of
    return training_loop.start(make(path, settings, vocab, text), text, params)


def _resume(text: "Text", old: "Run", settings: Settings, peers: Peers) -> "Work":
    from jaxrnn.charlm import training_loop

    new = dataclasses.replace(old, settings=settings)
    work = training_loop.resume(new, text, peers.say)
    reached, total = work.journal.step, work.plan.total_steps
    if reached > total:
        expected = f"an end after step {reached:,}, which {old.path} has reached"
        raise ValueError(
            sentence("train", "--max-steps, --max-epochs", expected, f"step {total:,}")
        )
    if settings != old.settings and peers.first:
        new.write_config()
    return work


def _checksum(work: "Work") -> str:
    """Of all that a process trains from."""
    import jax

    digest = hashlib.sha256(repr(work.journal).encode())
    for leaf in jax.device_get(jax.tree.leaves(work.everything)):
        digest.update(leaf.tobytes())
    return digest.hexdigest()


def _prepare_jax(settings: Settings, cpu_devices: int) -> None:
    import jax

    from jaxrnn.command_line.compilation_cache import use_compilation_cache

    use_compilation_cache()
    if settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if cpu_devices > 1:
        try:
            jax.config.update("jax_num_cpu_devices", cpu_devices)
        except RuntimeError:
            return  # JAX has counted its devices already, in a process that does other things too


def _train(work: "Work", peers: Peers, again: str) -> int:
    import jax

    from jaxrnn.charlm import training_loop
    from jaxrnn.command_line.progress import Progress
    from jaxrnn.command_line.stop_requests import StopRequest

    settings, path = work.run.settings, work.run.path
    total = work.plan.total_steps
    if work.done:
        peers.say(
            f"The run {path} is at its end, step {total:,}. --max-steps or --max-epochs with a "
            "higher number goes further."
        )
        return 0
    weights = sum(leaf.size for leaf in jax.tree.leaves(work.everything.state.params))
    side_by_side = f", on {settings.devices} devices" if settings.devices > 1 else ""
    if peers.count > 1:
        side_by_side += f" of {peers.count} processes"
    peers.say(
        f"{settings.layers_in_words}, {weights:,} weights, on "
        f"{work.run.source} ({len(work.run.vocab):,} different {settings.tokens}); run {path}, "
        f"steps {work.journal.step:,} to {total:,}{side_by_side}."
    )
    stop = StopRequest(again)
    deadline = None
    if settings.max_minutes is not None:
        deadline = time.monotonic() + 60 * settings.max_minutes

    def should_stop() -> bool:
        return stop() or (deadline is not None and time.monotonic() > deadline)

    tokens = settings.seq_length * settings.batch_size
    shown = None
    if peers.first:
        shown = Progress(tokens, total, work.journal.step, settings.token)
    reached = work.journal

    def training() -> Iterator[dict[str, Any]]:
        nonlocal reached
        reached = yield from training_loop.train(work, should_stop, peers.any)

    with stop, shown or nullcontext():
        for record in training():
            if shown is not None:
                shown.show(record)
    # One process's signal stops all.
    signals = peers.gather([stop.exit_code, stop.cause])
    code, cause = next((signal for signal in signals if signal[0]), (0, ""))
    if not work._replace(journal=reached).done:
        by = f" by {cause}" if cause else ""
        before = "" if reached.step < total else ", before its last validation"
        where = f"at step {reached.step:,} of {total:,}{before}"
        peers.say(f"Stopped{by} {where}; {stop.resume} goes on.")
    peers.say(f"The run is in {path}; jaxrnn sample {path} writes with it.")
    return int(code)
