"""What `jaxrnn train` says while it runs, in which unit, and that it stops in time."""

import contextlib
import io
import math
import re
from types import SimpleNamespace

import pytest
import saved_runs

from jaxrnn.charlm import runs
from jaxrnn.command_line import main, progress, train

OPTIONS = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --initializer normal:0.001 --loss summed_cross_entropy --max-steps 10 --print-every 2
    --eval-val-every 10 --sample-every 0 --max-minutes 2""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of two minutes, by a clock that reads 60, 119 and 121 seconds after the dispatches."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "text").write_text("".join(f"{n} green bottles on the wall, \n" for n in range(150)))
    readings = iter([1000.0, 1060.0, 1119.0, 1121.0])
    told = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(told),
    ):
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setattr(train, "time", SimpleNamespace(monotonic=lambda: next(readings)))
        assert main(["train", str(folder / "text"), "--out", str(folder / "run"), *OPTIONS]) == 0
    return runs.open_run(folder / "run"), told.getvalue()


def test_a_run_stops_after_its_minutes_with_a_checkpoint(stopped):
    run, told = stopped
    assert [record["step"] for record in run.metrics() if "loss" in record] == [2, 4, 6]
    assert saved_runs.checkpoint(run.step_paths()[0])[1]["step"] == 6
    assert f"Stopped at step 6 of 10; jaxrnn train --out {run.path} --resume goes on." in told


def test_a_summed_loss_is_recorded_by_the_character(stopped):
    run, _ = stopped
    losses = [record for record in run.metrics() if "loss" in record]
    # Weights near 0 and two small steps: hardly better than all characters being as likely.
    even = math.log(len(run.vocab))
    assert 0.95 * even < losses[0]["loss"] < even + 0.01
    assert 0.95 * even < losses[0]["smoothed_loss"] < even + 0.01
    assert losses[-1]["loss"] < losses[0]["loss"]


def test_lines_name_the_loss_in_nats_and_in_bits(stopped):
    run, told = stopped
    loss = next(record["loss"] for record in run.metrics() if "loss" in record)
    nats, bits = re.search(
        r"^step 2 of 10: loss ([\d.]+) nats, ([\d.]+) bits a character, ", told, re.MULTILINE
    ).groups()
    assert (nats, bits) == (f"{loss:.3f}", f"{loss / math.log(2):.3f}")


def test_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    with progress.Progress(tokens=10, total=2000, start=0) as shown:
        shown.show({"step": 1000, "loss": 2.0, "tokens_per_second": 12345})
        shown.show({"step": 1500, "loss": 1.9, "tokens_per_second": 7})  # too soon
        shown.show({"step": 1500, "validation_loss": 1.5, "best": False})
        shown.show({"step": 2000, "loss": 1.0, "tokens_per_second": 7})
        shown.show({"step": 2000, "validation_loss": 0.5, "best": True})
    assert capsys.readouterr().out.splitlines() == [
        "step 1,000 of 2,000: loss 2.000 nats, 2.885 bits a character, 12,345 characters a second",
        "step 1,500: validation 1.5000 nats, 2.1640 bits a character",
        "step 2,000 of 2,000: loss 1.000 nats, 1.443 bits a character, 7 characters a second",
        "step 2,000: validation 0.5000 nats, 0.7213 bits a character (best so far)",
    ]
