"""The memory suite's long row: what is kept, that it runs, and how it is shown."""

from benchmarks.agreement import compare
from benchmarks.peers import PEERS
from benchmarks.problems import REFERENCE, LayerProblem, LongProblem, Size
from benchmarks.suites import SUITES, memory

LONG = Size(1, 400, 3, 4)


def test_recompute_keeps_less_and_runs_to_the_same_gradients():
    whole, recomputed = (
        PEERS[name].prepare["memory"](LongProblem("elman", LONG), "cpu")
        for name in ("jaxrnn", "jaxrnn-recompute")
    )
    assert 0 < recomputed.facts["temporaries"] < 0.8 * whole.facts["temporaries"]
    expected = PEERS[REFERENCE].prepare["layer"](LayerProblem("elman", LONG), "cpu").results()
    gradients = {name: value for name, value in expected.items() if name.startswith("gradient")}
    for prepared in (whole, recomputed):
        compare(prepared.results(), gradients, tolerance=1e-5)


def test_every_cell_has_one_long_row_and_it_is_compared():
    found = SUITES["memory"].problems(["lstm", "gru"], None, False)
    compared = [problem for problem in found if problem.compared]
    assert compared == [LongProblem("lstm", memory.LONG), LongProblem("gru", memory.LONG)]


def test_the_long_row_is_named_and_no_point_of_the_growth():
    def record(peer, problem, temporaries):
        return problem.describe() | {"peer": peer, "temporaries": temporaries}

    along = [memory.MemoryProblem("lstm", Size(16, time, 64, 64)) for time in (64, 128)]
    records = [record("jaxrnn", problem, problem.size.time * 2**20) for problem in along]
    records.append(record("jaxrnn", LongProblem("lstm", LONG), 2**20))
    lines = SUITES["memory"].show(records).splitlines()
    assert lines[-2].split() == ["long", "1,400,3,4", "1.00"]
    assert lines[-1].split() == ["exponent", "in", "T", "1.00"]
