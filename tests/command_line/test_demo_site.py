"""`jaxrnn demo` by itself and `jaxrnn demo all`: the list, the site, and what stops it."""

import json

import jax
import pytest

pytest.importorskip("bokeh")
from jaxrnn.command_line import main
from jaxrnn.microscope.demos import site
from jaxrnn.microscope.experiments import EXPERIMENTS, generation, lstm, order, silent

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    with jax.numpy_dtype_promotion("standard"):
        yield


def embedded(path, name):
    text = path.read_text(encoding="utf-8")
    head = f'<script type="application/json" id="{name}">'
    return json.loads(text.split(head)[1].split("</script>")[0])


def test_demo_alone_lists_every_experiment(capsys):
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    for name, listed in EXPERIMENTS.items():
        assert f"  {name} " in printed
        assert listed.summary in printed
    assert "  all " in printed
    assert main(["demo", "--out", "a.html"]) == 2
    assert "demo: NAME: expected the name of an experiment" in capsys.readouterr().err


@pytest.fixture
def few(monkeypatch):
    """Two experiments: one that is quick, and one that fails."""

    def fails(key, progress):
        raise ValueError("no such luck")

    monkeypatch.setattr(order, "UPDATES", 20)
    for name in [*EXPERIMENTS]:
        if name != "order":
            monkeypatch.delitem(EXPERIMENTS, name)
    broken = EXPERIMENTS["order"]._replace(function="order.fails")
    monkeypatch.setattr(order, "fails", fails, raising=False)
    monkeypatch.setitem(EXPERIMENTS, "broken", broken)


def test_demo_all_writes_a_site_and_says_what_failed(few, tmp_path, capsys):
    out = tmp_path / "site"
    out.mkdir()
    (out / "other.txt").write_text("kept")
    assert main(["demo", "all", "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "order (1 of 2): Three units see the order of words" in printed.out
    assert "broken (2 of 2) failed: no such luck" in printed.err
    assert printed.out.endswith(f"left out  broken\nindex     {out / 'index.html'}\n")
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "order.html", "other.txt"]
    index = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="order.html"' in index
    assert "Not there: broken." in index
    assert "<svg" in index
    assert (out / "other.txt").read_text() == "kept"


def test_demo_all_that_is_interrupted_keeps_what_is_done(few, tmp_path, capsys, monkeypatch):
    def interrupted(key, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(order, "fails", interrupted)
    assert main(["demo", "all", "--out", str(tmp_path / "site")]) == 130
    assert "interrupted; 1 of 2 pages are there" in capsys.readouterr().err
    assert 'href="order.html"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_demo_all_wants_a_folder(few, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "all", "--out", str(tmp_path / "file")]) == 2
    assert "--out: expected a folder, got the file" in capsys.readouterr().err
    assert main(["demo", "all", "--out", str(tmp_path / "file" / "site")]) == 2
    assert f"where {tmp_path / 'file'} is a file" in capsys.readouterr().err
    assert main(["demo", "all", "--text", str(tmp_path / "file")]) == 2
    assert "beside --text, got all" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["lstm", "generation"])
def test_demos_of_keeping_and_writing_in_small(name, tmp_path, monkeypatch):
    for module in (generation, lstm):
        monkeypatch.setattr(module, "UPDATES", 20)
        monkeypatch.setattr(module, "CHARACTERS", 20_000)
        monkeypatch.setattr(module, "UNITS", 8)
    monkeypatch.setattr(lstm, "LINES", 16)
    monkeypatch.setattr(generation, "SAMPLE", 40)
    monkeypatch.setattr(generation, "WRITTEN", 60)
    monkeypatch.setattr(generation, "MOMENTS", (10,))
    (card,) = site.write_demos(tmp_path, 0, silent, [name])
    out = tmp_path / f"{name}.html"
    assert card.name == name
    assert card.picture.startswith("<svg")
    assert 'href="index.html"' in out.read_text(encoding="utf-8")
    if name == "lstm":
        data = embedded(out, "states")
        assert len(data["lines"]) == len(lstm.SHOWN)
        assert data["lines"][0][:3] == ["[", lstm.SHOWN[0], "]"]
    else:
        data = embedded(out, "generation")
        assert data["moments"] == ["before training", "after 10 updates", "after 20 updates"]
        names = [writer["name"] for writer in data["writers"]]
        assert names == ["parentheses", "Python", "prose"]
