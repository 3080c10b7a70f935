"""The command line, with real workers at tiny sizes."""

import json
import os
import signal

import numpy as np
import pytest

import jaxrnn as rnn
from benchmarks import contest
from benchmarks.agreement import Disagreement
from benchmarks.command import choices, main, parser
from benchmarks.problems import LayerProblem, Size
from benchmarks.worker import WorkerFailure

pytestmark = pytest.mark.integration

TINY = LayerProblem("elman", Size(2, 5, 3, 4))


def test_a_layer_is_compared_timed_and_recorded(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    size = ["--size", "2,5,3,4", "--size", "2,5,3", "--size", "1000000,1000000,3,4"]
    names = ["--cell", "elman", "--cell", "perceptron", "--peers", "jaxrnn,numpy,nobody"]
    code = main(["layer", "--quick", *size, *names, *out])
    printed = capsys.readouterr()
    assert code == 2
    for part in ("perceptron", "nobody", "'2,5,3'", "does not fit the memory: needs at least"):
        assert part in printed.err
    assert "elman, forward + backward, milliseconds" in printed.out
    lines = (tmp_path / "layer-cpu.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    timed = {(r["peer"], r["quantity"]): r for r in records if "seconds" in r}
    assert set(timed) == {
        (peer, quantity)
        for peer in ("jaxrnn", "numpy")
        for quantity in ("forward", "forward_backward")
    }
    record = timed["numpy", "forward_backward"]
    assert 0 < max(record["relative_errors"].values()) < 1e-5
    assert 0 < record["seconds"]["lower_quartile"] <= record["seconds"]["median"]
    assert record["flops_per_second"] * record["seconds"]["median"] == pytest.approx(
        3 * 2 * 5 * 2 * (3 + 4) * 4
    )
    assert record["matrix_product_flops_per_second"] > 0
    assert {"processor", "cores", "versions", "flags", "commit"} <= record["environment"].keys()
    assert [r["peer"] for r in records if "error" in r] == ["jaxrnn", "numpy"]
    assert (tmp_path / "layer-cpu.png").exists()


def test_all_cells_are_those_of_the_library():
    complaints = []
    cells, _, _ = choices(parser().parse_args(["layer", "--cell", "all"]), complaints)
    assert cells == list(rnn.CELLS)
    assert not complaints


def test_a_peer_that_is_not_installed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(contest, "installed_version", lambda distribution: None)
    arguments = ["memory", "--quick", "--cell", "lstm", "--size", "2,5,3,4", "--out", str(tmp_path)]
    assert main([*arguments, "--peers", "flax"]) == 2
    assert "flax is not installed; pip install 'jaxrnn[bench]'" in capsys.readouterr().err
    assert main([*arguments, "--peers", "jaxrnn,torch"]) == 0
    assert "torch: takes no part in memory" in capsys.readouterr().out


def test_a_device_that_is_not_there(capsys):
    assert main(["layer", "--device", "tpu"]) == 2
    assert "JAX finds no tpu here" in capsys.readouterr().err


def test_who_disagrees_or_dies_is_not_timed():
    with contest.Contest("cpu", ["numpy"], quick=True) as running:
        wrong = {"hs": np.ones((5, 2, 4))}
        with pytest.raises(Disagreement, match="returned"):
            running._prepare("numpy", TINY, {"elman": wrong})
        worker = running.worker("numpy")
        with pytest.raises(WorkerFailure, match="KeyError"):
            worker.ask("sample", "no such quantity", 1)
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerFailure, match="killed"):
            worker.ask("results")
        assert running.worker("numpy") is not worker
