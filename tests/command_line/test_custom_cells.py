"""A cell in a file of its own, and layers of different cells and sizes, through every command."""

import json
import textwrap

import pytest

import jaxrnn as rnn
from jaxrnn.command_line import main

pytestmark = pytest.mark.integration

SOURCE = """
    import dataclasses
    import jaxrnn as rnn
    from jaxrnn.cells import mgu

    def backward(product_T, params, carry, saved, new, d):
        f, n = saved.f, saved.n
        d_a_n = d.h * f * (1 - n * n)
        d_s = product_T("w_hn", d_a_n)
        d_a_f = (d.h * (n - carry.h) + d_s * carry.h) * f * (1 - f)
        d_h = d.h * (1 - f) + d_s * f + product_T("w_hh", d_a_f)
        return mgu.Carry(d_h), mgu.join(d_a_f, d_a_n)

    rnn.register(dataclasses.replace(rnn.MGU, name="tiny", backward=backward))
"""


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def cell_file(tmp_path):
    path = tmp_path / "tiny_cell.py"
    path.write_text(textwrap.dedent(SOURCE))
    yield str(path)
    rnn.CELLS.pop("tiny", None)


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("hello world, hello moon. " * 60)
    return str(path)


def train(book, out, *more):
    few = ["--seq-length", "8", "--batch-size", "2", "--max-steps", "3", "--devices", "1"]
    return main(["train", book, "--out", str(out), *few, "--sample-every", "0", *more])


def test_a_custom_cell_is_a_cell_of_every_command(cell_file, book, tmp_path, capsys):
    out = tmp_path / "run"
    size = ["--rnn-size", "4", "--num-layers", "1"]
    assert train(book, out, "--import", cell_file, "--model", "tiny", *size) == 0
    assert "1 × 4 tiny" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["settings"]["model"] == "tiny"
    assert main(["sample", str(out), "--import", cell_file, "--length", "5"]) == 0
    assert main(["gradcheck", "--import", cell_file, "--cell", "tiny", "--length", "3"]) == 0
    assert "tiny, dense inputs" in capsys.readouterr().out
    page = tmp_path / "stepper.html"
    arguments = ["show", str(out), "--import", cell_file, "--view", "stepper", "--to", "4"]
    assert main([*arguments, "--out", str(page)]) == 0
    assert "d_s" in page.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["train", "--import", cell_file, "--help"])
    assert "tiny" in capsys.readouterr().out.replace("\n", " ")
    del rnn.CELLS["tiny"]
    assert main(["sample", str(out), "--length", "5"]) == 2
    words = capsys.readouterr().err
    assert "got tiny" in words
    assert "--import FILE" in words


def test_layers_of_different_cells_and_sizes(book, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(book, out, "--model", "lstm_projected,gru", "--rnn-size", "6,4") == 0
    assert "6 lstm_projected, 4 gru" in capsys.readouterr().out
    assert main(["sample", str(out), "--length", "5"]) == 0
    for view, layer in (("activations", 1), ("gates", None)):
        page = str(tmp_path / f"{view}.html")
        more = [] if layer is None else ["--layer", str(layer)]
        arguments = ["show", str(out), "--view", view, "--from", "0", "--to", "20", "--out", page]
        assert main([*arguments, *more]) == 0
        assert "page:" in capsys.readouterr().out
    for layer, last in (("1", 2), ("2", 3)):
        arguments = ["show", str(out), "--view", "activations", "--layer", layer, "--units", "9"]
        assert main(arguments) == 2
        assert f"units from 0 to {last}, got 9" in capsys.readouterr().err


@pytest.mark.slow
def test_every_view_of_layers_of_different_sizes(book, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(book, out, "--model", "lstm_projected,gru", "--rnn-size", "6,4") == 0
    assert main(["train", book, "--out", str(out), "--resume", "--max-steps", "4"]) == 0
    for view in ("activations", "clamping", "gradient-flow"):
        for layer in ("1", "2"):
            stretch = ["--view", view, "--from", "0", "--to", "20", "--layer", layer]
            assert main(["show", str(out), *stretch, "--out", str(tmp_path / "page.html")]) == 0
            assert "page:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "gru,lstm", "--num-layers", "3"), "--model: expected one, or 3, as many as"),
        (("--rnn-size", "8,4,2", "--num-layers", "2"), "--rnn-size: expected one, or 2, as many"),
        (("--model", "gru", "--proj-size", "2"), "which has no projection"),
        (("--model", "lstm_projected", "--proj-size", "0"), "--proj-size: expected at least 1"),
        (("--model", "gru,what"), "got what"),
    ],
)
def test_what_does_not_fit_is_named(book, tmp_path, capsys, options, words):
    assert train(book, tmp_path / "run", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [(None, "there is no file"), ("1 / 0", "ZeroDivisionError"), ("import nowhere", "nowhere")],
)
def test_an_import_that_fails_is_one_sentence(tmp_path, capsys, source, words):
    path = tmp_path / "broken_cell.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(SystemExit) as caught:
        main(["gradcheck", "--import", str(path)])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
