import inspect
import io
import json

import jax
import pytest

pytest.importorskip("bokeh")
from jaxrnn.charlm import Vocab, corpus, runs, training_loop
from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line import COMMANDS, demo, main, show
from jaxrnn.microscope import demos, views
from jaxrnn.microscope.connectivity import DEFINITIONS
from jaxrnn.microscope.experiments import EXPERIMENTS, order

TEXT = "the cat sat on the mat; </script> 'quoted' (ש🙂)\n" * 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs with their first checkpoint and a few lines of metrics, and their text."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    text = corpus.read_text(folder / "text.txt")
    for name, *model in (("deep", "lstm", 6, 2), ("small", "gru", 5, 1)):
        settings = Settings(*model, seq_length=16, batch_size=2, max_steps=4)
        run = runs.create(folder / name, settings, Vocab.from_text(TEXT), text)
        training_loop.start(run, text)
        run.append({"step": 4, "epoch": 0.1, "seconds": 1.0, "loss": 3.0})
        run.append({"step": 4, "epoch": 0.1, "seconds": 1.0, "sample": "the mat </script>"})
    return folder


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    with jax.numpy_dtype_promotion("standard"):
        yield


def embedded(path, name):
    text = path.read_text(encoding="utf-8")
    head = f'<script type="application/json" id="{name}">'
    return json.loads(text.split(head)[1].split("</script>")[0])


def test_show_activations_of_a_stretch_and_units(folder, capsys):
    run = str(folder / "deep")
    assert (
        main(["show", run, "--from", "30", "--to", "90", "--units", "0-2,5", "--layer", "1"]) == 0
    )
    assert f"page: {folder / 'deep' / 'activations.html'}" in capsys.readouterr().out
    data = embedded(folder / "deep" / "activations.html", "activations")
    held_out = TEXT[round(0.9 * len(TEXT)) :]
    if len(held_out) < views.SHORTEST_SEARCH:
        held_out = TEXT[: round(0.9 * len(TEXT))]
    shown = "".join(data["text"]).replace("↵", "")
    assert shown == held_out[30:90]
    assert data["labels"] == [0, 1, 2, 5]
    assert [field["name"] for field in data["fields"]] == ["h", "c", "i", "f", "g", "o"]


def test_show_connectivity_of_a_text_from_standard_input(folder, tmp_path, monkeypatch, capsys):
    text = io.TextIOWrapper(io.BytesIO(b"the mat </script>"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", text)
    out = tmp_path / "new" / "page.html"
    arguments = ["--view", "connectivity", "--text", "-", "--definition", "occlusion"]
    assert main(["show", str(folder / "small"), *arguments, "--out", str(out)]) == 0
    assert "occlusion" in capsys.readouterr().out
    assert "".join(embedded(out, "connectivity")["text"]) == "the mat </script>"


def test_show_gradient_flow_of_several_runs(folder, tmp_path, capsys):
    both = [str(folder / name) for name in ("deep", "small")]
    out = tmp_path / "page.html"
    arguments = ["--view", "gradient-flow", "--to", "12", "--out", str(out)]
    assert main(["show", *both, *arguments]) == 0
    models = [model["name"] for model in embedded(out, "flow")["models"]]
    assert models == ["deep (lstm, 2 × 6)", "deep (lstm, 2 × 6), c", "small (gru, 1 × 5)"]
    assert "before training" in capsys.readouterr().out


def test_show_training_and_stepper(folder):
    assert main(["show", str(folder / "deep"), "--view", "training"]) == 0
    assert embedded(folder / "deep" / "training.html", "training")["samples"]
    assert main(["show", str(folder / "small"), "--view", "stepper", "--to", "6"]) == 0
    data = embedded(folder / "small" / "stepper.html", "recordings")
    assert [side["name"] for side in data["sides"]] == ["untrained", "trained"]
    assert data["length"] == 6


@pytest.mark.parametrize("view", ["activations", "connectivity", "gradient-flow", "training"])
def test_show_draws_still_pictures(folder, tmp_path, capsys, view):
    out = tmp_path / "new" / "a.PNG"
    arguments = ["--view", view, "--to", "30", "--definition", "occlusion", "--out", str(out)]
    assert main(["show", str(folder / "small"), *arguments]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert f"picture: {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing"], "expected the folder of a run, got"),
        (["deep", "--view", "stepper"], "one layer with at most 16 units, got deep"),
        (["deep", "--units", "2,9"], "--units: expected units from 0 to 5, got 9"),
        (["deep", "--units", "a-b"], "--units: expected numbers and ranges such as 0-15,40"),
        (["deep", "--layer", "3"], "--layer: expected a layer from 1 to 2, got 3"),
        (["deep", "--layer", "0"], "--layer: expected a layer, counted from 1, got 0"),
        (["deep", "--from", "90", "--to", "20"], "--from, --to: expected a stretch within"),
        (["deep", "small", "--view", "training"], "expected one run for the view training, got 2"),
        (["small", "--view", "stepper", "--out", "a.png"], "ending in .html for this view"),
        (["small", "--text", "unknown.txt"], "got 'ü' (U+00FC) at position 4"),
        (["small", "--text", "empty.txt"], "at least one character"),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, arguments, complaint, monkeypatch):
    (folder / "unknown.txt").write_text("the ünknown", encoding="utf-8")
    (folder / "empty.txt").write_text("")
    monkeypatch.chdir(folder)
    assert main(["show", *arguments]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert "Traceback" not in captured.err


def test_a_run_whose_text_is_gone_asks_for_one(folder, tmp_path, capsys):
    config = json.loads((folder / "small" / "config.json").read_text())
    config["text"]["source"] = str(tmp_path / "gone.txt")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["show", str(tmp_path)]) == 2
    assert "gone.txt, which is gone. Hint: name a text: --text FILE" in capsys.readouterr().err


def test_tables_agree():
    assert list(demo.NAMES) == list(EXPERIMENTS) == list(demos.PAGES)
    reading = [
        name for name, run in EXPERIMENTS.items() if "text" in inspect.signature(run).parameters
    ]
    assert list(demo.READ_TEXT) == reading
    assert list(show.VIEWS) == list(views.VIEWS)
    assert list(show.DEFINITIONS) == list(DEFINITIONS)
    assert {"show", "demo"} <= set(COMMANDS)


def test_demo_prints_claim_measurement_verdict_and_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(order, "UPDATES", 100)
    out = tmp_path / "page.html"
    assert main(["demo", "order", "--seed", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    heads = [line.split(" ")[0] for line in printed.out.splitlines() if line[0] != " "]
    assert heads == ["claimed", "measured", "verdict", "page"]
    assert "learning word order" in printed.err
    data = embedded(out, "recordings")
    assert data["inputs"] == ["are", "you", "good"]
    assert data["targets"] == ["", "", "question"]
    assert [side["name"] for side in data["sides"]] == ["untrained", "trained"]
    assert data["sides"][1]["loss"] < data["sides"][0]["loss"]


def test_demo_says_which_experiments_read_a_text(folder, capsys):
    assert main(["demo", "order", "--text", str(folder / "text.txt")]) == 2
    assert "got order" in capsys.readouterr().err
    assert main(["demo", "order", "--out", "a.png"]) == 2
    assert "--out: expected a page ending in .html, got a.png" in capsys.readouterr().err
