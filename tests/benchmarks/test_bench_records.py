import pytest

from benchmarks.records import RecordFile, geometric_mean, latest, read


def a_record(run, peer, problem="lstm 1,2,3,4"):
    about = {"processor": "p"}
    return {
        "suite": "layer",
        "device": "cpu",
        "problem": problem,
        "run": run,
        "peer": peer,
        "environment": about,
    }


def test_lines_are_appended_and_read_back(tmp_path):
    file = RecordFile(tmp_path / "new", "layer", "cpu")
    file.append([a_record("1", "torch")])
    file.append([a_record("2", "torch"), a_record("2", "scan")])
    assert file.path.name == "layer-cpu.jsonl"
    assert [record["run"] for record in read(file.path)] == ["1", "2", "2"]


@pytest.mark.parametrize("line", ['{"cut": 1', "[1]"])
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "layer-cpu.jsonl"
    path.write_text('{"fine": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match="line 2 is not"):
        read(path)


def test_runs_are_never_mixed():
    records = [
        a_record("1", "jaxrnn"),
        a_record("1", "torch"),
        a_record("2", "jaxrnn"),
        a_record("1", "torch", problem="another"),
    ]
    kept = [(record["run"], record["peer"], record["problem"]) for record in latest(records)]
    assert kept == [("2", "jaxrnn", "lstm 1,2,3,4"), ("1", "torch", "another")]


def test_geometric_mean():
    assert geometric_mean([0.5, 8.0]) == pytest.approx(2.0)
