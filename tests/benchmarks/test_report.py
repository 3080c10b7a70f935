"""Tables, pictures and the results' page from made-up records."""

import pytest

from benchmarks import picture, report, tables
from benchmarks.records import RecordFile
from benchmarks.suites import SUITES

ABOUT = {
    "processor": "a processor",
    "cores": 2,
    "memory_gib": 8.0,
    "versions": {"jax": "0.10"},
    "commit": "abc",
}


def timed(peer, seconds, problem="lstm 1,2,3,4", quantity="forward_backward", **more):
    spread = {"median": seconds, "lower_quartile": seconds * 0.9, "upper_quartile": seconds * 1.1}
    return {
        "suite": "layer",
        "run": "1",
        "problem": problem,
        "device": "cpu",
        "cell": "lstm",
        "size": [1, 2, 3, 4],
        "peer": peer,
        "quantity": quantity,
        "seconds": spread,
        "environment": ABOUT,
        **more,
    }


RECORDS = [
    timed("jaxrnn", 0.002, flops_per_second=3e9, matrix_product_flops_per_second=4e9),
    timed("torch", 0.003),
    timed("jaxrnn", 0.010, problem="lstm 5,2,3,4"),
    timed("torch", 0.060, problem="lstm 5,2,3,4"),
    timed("flax", 0.010, problem="lstm 5,2,3,4"),
]


def test_comparison_is_relative_to_ours():
    header, rows = tables.comparison(RECORDS, "lstm", "forward_backward", "size")
    assert header == ["size", "jaxrnn", "flax", "torch", "of the limit"]
    assert rows == [
        ["1,2,3,4", "2", "–", "3 (1.50×)", "75%"],
        ["5,2,3,4", "10", "10 (1.00×)", "60 (6.00×)", ""],
        ["geometric mean", "", "1.00×", "3.00×", ""],
    ]


def test_errors_and_absences_are_said():
    broken = timed("torch", 1.0) | {"error": "does not fit"}
    away = timed("keras", 1.0) | {"absent": "keras is not installed"}
    other = timed("haiku", 1.0, maths="gru_reset_before")
    assert tables.failures([broken]) == ["lstm 1,2,3,4: torch forward_backward: does not fit"]
    first, second = tables.absences([away, other, other])
    assert first == "keras: keras is not installed"
    assert "computes gru_reset_before, not lstm" in second


def test_scaling_shows_the_exponent():
    records = [
        timed("jaxrnn", 0.001 * time**2, axis="T", size=[1, time, 3, 4]) for time in (2, 4, 8)
    ]
    lines = SUITES["scaling"].show(records).splitlines()
    assert lines[-1].split() == ["exponent", "2.00"]


@pytest.mark.parametrize("axis", [{}, {"axis": "T"}])
def test_picture(tmp_path, axis):
    path = tmp_path / "layer.png"
    assert picture.draw([record | axis for record in RECORDS], path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not picture.draw([], path)


def test_the_tables_are_replaced_and_nothing_else(tmp_path):
    RecordFile(tmp_path / "results", "layer", "cpu").append(RECORDS)
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.rewrite(page, tmp_path / "results")
    text = page.read_text()
    assert text.startswith(
        f"before\n{report.BEGIN}\nOn cpu: a processor, 2 cores, 8.0 GiB; jax 0.10;"
    )
    assert "| 5,2,3,4 | 10 | 10 (1.00×) | 60 (6.00×) |" in text
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    report.rewrite(page, tmp_path / "results")
    assert page.read_text() == text


def test_page_without_markers_or_results(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="none under"):
        report.rewrite(page, tmp_path)
    RecordFile(tmp_path, "layer", "cpu").append(RECORDS)
    with pytest.raises(ValueError, match="benchmarks: begin"):
        report.rewrite(page, tmp_path)
    assert page.read_text() == "nothing"


def test_the_chart_has_a_bar_for_each_library(tmp_path):
    step = {"suite": "train", "quantity": "train_step"}
    records = [
        timed("jaxrnn-windows", 0.002, **step),
        timed("torch", 0.003, **step),
        timed("flax", 0.005, **step),
        timed("jaxrnn-windows", 0.002, problem="other", **step),
        timed("torch", 0.012, problem="other", **step),
    ]
    path = tmp_path / "speed.svg"
    assert picture.draw_speed(records, path)
    drawn = path.read_text(encoding="utf-8")
    for word in ("LSTM", "PyTorch 3.0", "flax 2.5"):  # the geometric mean of 1.5 and 6
        assert word in drawn
    picture.draw_speed(records, path)
    assert path.read_text(encoding="utf-8") == drawn
    assert not picture.draw_speed(RECORDS, path)
