"""`jaxrnn train [TEXT] --out RUN`: from a text to a model."""

import argparse
import dataclasses
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrnn.charlm.settings import ADJUSTABLE, PRESETS, Settings
from jaxrnn.command_line.train_options import make_parser
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm.corpus import Corpus
    from jaxrnn.charlm.training_loop import Work

__all__ = ["choose_settings", "cores_that_pay", "make_parser", "run"]

# What a model is; `--init-from` takes these from the other run.
MODEL = ("model", "rnn_size", "num_layers", "proj_size", "embed_size", "dtype")


def run(options: argparse.Namespace) -> int:
    """Trains; 0 at the end of the run or of its minutes, 130 after Ctrl-C, 143 after SIGTERM."""
    given = vars(options).copy()
    given.pop("import", None)
    text, out = given.pop("text", None), given.pop("out", None)
    preset, init_from = given.pop("preset", None), given.pop("init_from", None)
    with ExitStack() as held:
        if given.pop("resume", False):
            for option, value in (("--preset", preset), ("--init-from", init_from)):
                if value is not None:
                    rule = "no such option beside --resume"
                    raise ValueError(sentence("train", option, rule, value))
            work = _resume(held, text, out, given)
        else:
            work = _start(held, text, out, preset, init_from, given)
        return _train(work)


def _start(
    held: ExitStack,
    text: str | None,
    out: str | None,
    preset: str | None,
    init_from: str | None,
    given: dict[str, Any],
) -> "Work":
    from jaxrnn.charlm import runs, training_loop
    from jaxrnn.charlm.vocabulary import Vocab

    parent = None if init_from is None else runs.open_run(init_from)
    settings = choose_settings(preset, given, None if parent is None else parent.settings)
    chosen = settings.devices if "devices" in given else cores_that_pay(settings)
    _prepare_jax(settings, chosen)
    import jax

    if "devices" not in given:
        chosen = 1 if jax.default_backend() != "cpu" else min(chosen, len(jax.devices()))
        settings = dataclasses.replace(settings, devices=chosen)
    _check_devices(settings)
    corpus = _read(text, settings.encoding)
    vocab = Vocab.from_text(corpus.text)
    params = None
    if parent is not None:
        unknown = sorted(set(vocab.characters) - set(parent.vocab.characters))
        if unknown:
            raise ValueError(
                sentence(
                    "train",
                    "TEXT",
                    f"the {len(parent.vocab)} characters that {parent.path} knows",
                    f"{len(unknown)} others, {''.join(unknown[:20])!r}",
                    "train without --init-from",
                )
            )
        vocab = parent.vocab
        params, _ = runs.load_params(parent, print)
    path = runs.new_run_path() if out is None else Path(out)
    held.enter_context(runs.lock(path, print))
    new = runs.create(path, settings, vocab, corpus)
    return training_loop.start(new, corpus, params)


def _resume(held: ExitStack, text: str | None, out: str | None, given: dict[str, Any]) -> "Work":
    from jaxrnn.charlm import runs, training_loop
    from jaxrnn.charlm.corpus import read_source, read_text

    if out is None:
        raise ValueError(sentence("train", "--resume", "--out RUN, the run to go on with", "none"))
    if Path(out).is_dir():  # what is not there is not made for a lock
        held.enter_context(runs.lock(out, print))
    old = runs.open_run(out)
    given = _resolve_names(given, {})
    for name, value in given.items():
        kept = getattr(old.settings, name)
        if name not in ADJUSTABLE and value != kept:
            raise ValueError(
                sentence(
                    "train",
                    "--" + name.replace("_", "-"),
                    f"{kept}, as the run {old.path} has it",
                    value,
                    "leave the option out to resume, or start a new run, maybe with --init-from",
                )
            )
    settings = dataclasses.replace(old.settings, **_one_end(given))
    _prepare_jax(settings, settings.devices)
    _check_devices(settings)
    if text is not None:
        corpus = read_text(text, settings.encoding)
    else:
        try:
            corpus = read_source(old.source, settings.encoding)
        except FileNotFoundError:
            expected = f"the text {old.source} where it was when {old.path} began"
            hint = f"name its new place: jaxrnn train TEXT --out {old.path} --resume"
            raise FileNotFoundError(
                sentence("train", "TEXT", expected, "nothing there", hint)
            ) from None
    new = dataclasses.replace(old, settings=settings)
    work = training_loop.resume(new, corpus, print)
    reached, total = work.journal.step, work.plan.total_steps
    if reached > total:
        expected = f"an end after step {reached:,}, which {old.path} has reached"
        raise ValueError(
            sentence("train", "--max-steps, --max-epochs", expected, f"step {total:,}")
        )
    if settings != old.settings:
        new.write_config()
    return work


def choose_settings(
    preset: str | None, given: dict[str, Any], parent: Settings | None = None
) -> Settings:
    """The preset's settings, then those of the parent's model, then those given.

    Raises:
        ValueError: a given size differs from the parent's, or a value is out of range.
    """
    values = dict(PRESETS[preset or "default"])
    given = _resolve_names(given, values, charrnn=preset == "char-rnn")
    if parent is not None:
        for name in MODEL:
            kept = getattr(parent, name)
            if given.get(name, kept) != kept:
                raise ValueError(
                    sentence(
                        "train",
                        "--" + name.replace("_", "-"),
                        f"{kept}, as the model of --init-from has it",
                        given[name],
                    )
                )
            values[name] = kept
    if parent is None and "num_layers" not in given:
        several = max(
            len(given.get("model", "").split(",")),
            len(given["rnn_size"]) if isinstance(given.get("rnn_size"), tuple) else 1,
        )
        if several > 1:
            values["num_layers"] = several
    return Settings(**values | _one_end(given) | _no_stray_weight_decay(values, given))


def _resolve_names(
    given: dict[str, Any], preset: dict[str, Any], charrnn: bool = False
) -> dict[str, Any]:
    # char-rnn calls the Elman network rnn, and its gru resets before the product.
    names = {"rnn": "elman"} | ({"gru": "gru_reset_before"} if charrnn else {})
    if "model" in given:
        cells = given["model"].split(",")
        return given | {"model": ",".join(names.get(cell, cell) for cell in cells)}
    return given


def _one_end(given: dict[str, Any]) -> dict[str, Any]:
    """--max-epochs alone means no --max-steps, and the other way round."""
    if ("max_steps" in given) == ("max_epochs" in given):
        return given
    other = "max_epochs" if "max_steps" in given else "max_steps"
    return given | {other: None}


def _no_stray_weight_decay(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The default preset's weight decay belongs to adamw; another optimizer has none."""
    optimizer = given.get("optimizer", values.get("optimizer", "adamw"))
    return {} if optimizer == "adamw" or "weight_decay" in given else {"weight_decay": 0.0}


# Measured on two cores, milliseconds a window with one device and with two: the default, 2 x 192
# GRU, 53 and 37; char-rnn's 2 x 128 LSTM 41 and 25 to 36; 2 x 512 LSTM 550 and 590, since its large
# products use both cores by themselves.
LARGEST_DIVIDED = 400
FEWEST_STREAMS = 4
MOST_CORES = 8


def cores_that_pay(settings: Settings) -> int:
    """Into how many parts, one a core, the batch is best divided on this machine's CPU.

    The largest divisor of the batch that leaves each part a few streams; 1 for a large model.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if max(settings.sizes) > LARGEST_DIVIDED:
        return 1
    most = min(cores, MOST_CORES, settings.batch_size // FEWEST_STREAMS)
    return max((n for n in range(1, most + 1) if settings.batch_size % n == 0), default=1)


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


def _check_devices(settings: Settings) -> None:
    import jax

    if settings.devices > len(jax.devices()):
        expected = f"at most the {len(jax.devices())} that JAX has here"
        raise ValueError(sentence("train", "--devices", expected, settings.devices))


def _read(text: str | None, encoding: str) -> "Corpus":
    from jaxrnn.charlm.corpus import python_documentation, read_text

    return python_documentation() if text is None else read_text(text, encoding)


def _train(work: "Work") -> int:
    import jax

    from jaxrnn.charlm import training_loop
    from jaxrnn.command_line.progress import Progress
    from jaxrnn.command_line.stop_requests import StopRequest

    settings, path = work.run.settings, work.run.path
    total = work.plan.total_steps
    if work.done:
        print(
            f"The run {path} is at its end, step {total:,}. --max-steps or --max-epochs with a "
            "higher number goes further."
        )
        return 0
    weights = sum(leaf.size for leaf in jax.tree.leaves(work.everything.state.params))
    side_by_side = f", on {settings.devices} devices" if settings.devices > 1 else ""
    print(
        f"{settings.layers_in_words}, {weights:,} weights, on "
        f"{work.run.source} ({len(work.run.vocab)} different characters); run {path}, "
        f"steps {work.journal.step:,} to {total:,}{side_by_side}.",
        flush=True,
    )
    stop = StopRequest(f"jaxrnn train --out {path} --resume")
    deadline = None
    if settings.max_minutes is not None:
        deadline = time.monotonic() + 60 * settings.max_minutes

    def should_stop() -> bool:
        return stop() or (deadline is not None and time.monotonic() > deadline)

    characters = settings.seq_length * settings.batch_size
    step = work.journal.step
    with stop, Progress(characters, total, step) as progress:
        for record in training_loop.train(work, should_stop):
            progress.show(record)
            step = record["step"]
    if step < total:
        cause = f" by {stop.cause}" if stop() else ""
        print(f"Stopped{cause} at step {step:,} of {total:,}; {stop.resume} goes on.")
    print(f"The run is in {path}; jaxrnn sample {path} writes with it.")
    return stop.exit_code
