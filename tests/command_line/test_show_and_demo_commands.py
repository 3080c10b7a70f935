import dataclasses
import inspect
import io
import json
import shutil
import subprocess
import sys

import jax
import pytest

pytest.importorskip("bokeh")
from jaxrnn.charlm import Vocab, corpus, runs, training_loop
from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line import COMMANDS, main, show
from jaxrnn.microscope.experiments import EXPERIMENTS, order
from jaxrnn.microscope.measurements.connectivity import DEFINITIONS
from jaxrnn.microscope.views import VIEWS
from jaxrnn.microscope.views.story import PARTS
from jaxrnn.microscope.views.subject import SHORTEST_SEARCH, Subject, known_around

pytestmark = pytest.mark.integration

UNITS = ("--view", "activations")
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
        main(
            ["show", run, *UNITS, "--from", "30", "--to", "90", "--units", "0-2,5", "--layer", "1"]
        )
        == 0
    )
    printed = capsys.readouterr()
    assert f"page: {folder / 'deep' / 'activations.html'}" in printed.out
    assert "deep is not trained: its only checkpoint is that of step 0." in printed.err
    data = embedded(folder / "deep" / "activations.html", "activations")
    held_out = TEXT[round(0.9 * len(TEXT)) :]
    if len(held_out) < SHORTEST_SEARCH:
        held_out = TEXT[: round(0.9 * len(TEXT))]
    shown = "".join(data["text"]).replace("↵", "")
    assert shown == held_out[30:90]
    assert data["labels"] == [0, 1, 2, 5]
    assert [field["name"] for field in data["fields"]] == ["h", "c", "i", "f", "g", "o"]


def test_show_activations_beside_characters_that_the_model_never_saw(folder, tmp_path, capsys):
    (tmp_path / "mixed.txt").write_text("Ü" + TEXT[:900] + "Ü" + TEXT[:900], encoding="utf-8")
    text = ["--text", str(tmp_path / "mixed.txt"), "--from", "100"]
    assert main(["show", str(folder / "small"), *UNITS, *text, "--to", "130", "--units", "2"]) == 0
    # One unit is shown; whether it follows a probe or not, the sentence speaks of that unit only.
    printed = capsys.readouterr().out
    assert "None of the 1 units shown encodes more than the units of untrained" in printed
    assert main(["show", str(folder / "small"), *UNITS, *text, "--to", "1000"]) == 2
    assert "'Ü' (U+00DC)" in capsys.readouterr().err


def test_a_search_reads_up_to_what_the_model_does_not_know(folder):
    subject = Subject(str(folder / "small"), print)
    tokens = subject.tokens("the Üthe cat sat on theÜ mat")
    for start, length, expected in (
        (12, 100, (5, "the cat sat on the")),
        (12, 10, (7, "e cat sat ")),
        (0, 3, (0, "the")),
    ):
        first, around = known_around(tokens, start, length)
        assert (first, around.text) == expected


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
    assert models == ["deep (2 × 6 lstm)", "deep (2 × 6 lstm), c", "small (1 × 5 gru)"]
    printed = capsys.readouterr().out
    assert "before training" in printed
    assert "w_hh by gate, largest singular value (spectral radius): r " in printed
    assert printed.count(": largest Lyapunov exponent −") == 2
    assert printed.count("Along zeros, its first guess, the exponent is −") == 2
    assert (
        "nats a step. Neighbouring states draw together"
        in embedded(out, "flow")["models"][0]["words"]
    )


def test_gradient_flow_shows_every_checkpoint_that_is_kept(folder, tmp_path):
    subject = Subject(str(folder / "small"), print)
    assert list(subject.history) == [0]
    path, out = tmp_path / "run", tmp_path / "page.html"
    shutil.copytree(folder / "small", path)
    run = runs.open_run(path)
    work = training_loop.resume(run, corpus.read_text(folder / "text.txt"), print)
    run.save(work.everything, work.journal._replace(step=3)._asdict(), best=True)
    arguments = ["--view", "gradient-flow", "--to", "9", "--out", str(out)]
    assert main(["show", str(path), *arguments]) == 0
    (model,) = embedded(out, "flow")["models"]
    assert model["moments"] == ["before training", "after 3 steps"]
    # The copy's parameters are those of the start, so nothing has changed.
    assert model["factors"][0] == pytest.approx(model["factors"][1])


def test_show_training_and_stepper(folder):
    assert main(["show", str(folder / "deep"), "--view", "training"]) == 0
    assert embedded(folder / "deep" / "training.html", "training")["samples"]
    assert main(["show", str(folder / "small"), "--view", "stepper", "--to", "6"]) == 0
    data = embedded(folder / "small" / "stepper.html", "recordings")
    assert [side["name"] for side in data["sides"]] == ["untrained", "trained"]
    assert data["length"] == 6
    arguments = ["--view", "stepper", "--to", "4", "--units", "1,3"]
    assert main(["show", str(folder / "deep"), *arguments]) == 0
    data = embedded(folder / "deep" / "stepper.html", "recordings")
    assert [layer["input"] for layer in data["layers"]] == ["x", "h_L1"]
    shapes = {tensor["name"]: tensor["shape"] for tensor in data["tensors"]}
    assert shapes["h_L2"] == [2]


def test_show_gates_surprise_clamping_and_copying(folder, capsys):
    run = str(folder / "small")
    for view, said in (
        ("gates", "layer 1, gate z: above 0.9"),
        ("surprise", "The errors, by what would have prevented them:"),
        ("clamping", "Silenced, a unit changes the loss by"),
        ("copying", "The longest passages taken from the training text:"),
    ):
        assert main(["show", run, "--view", view]) == 0
        printed = capsys.readouterr().out
        assert said in printed
        assert f"page: {folder / 'small' / f'{view}.html'}" in printed
        page = (folder / "small" / f"{view}.html").read_text(encoding="utf-8")
        assert "small (1 × 5 gru)" in page
        assert "Bokeh" in page


def test_the_units_of_clamping_can_be_chosen(folder, capsys):
    arguments = ["--view", "clamping", "--units", "1,3", "--to", "40", "--value", "0.5"]
    assert main(["show", str(folder / "small"), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Held at 0.5, a unit changes the loss by (bits a character):"
    units = [int(line.split()[1]) for line in lines if line.startswith("  unit")]
    assert sorted(units) == [1, 3]


@pytest.mark.parametrize(
    ("view", "arguments"),
    [
        ("activations", ["--to", "30"]),
        ("connectivity", ["--to", "30", "--definition", "occlusion"]),
        ("gradient-flow", ["--to", "30"]),
        ("training", []),
        ("gates", ["--to", "30"]),
    ],
)
def test_show_draws_still_pictures(folder, tmp_path, capsys, view, arguments):
    out = tmp_path / "new" / "a.PNG"
    arguments = ["--view", view, *arguments, "--out", str(out)]
    assert main(["show", str(folder / "small"), *arguments]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert f"picture: {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing"], "expected the folder of a run, got"),
        (["deep", "--view", "stepper", "--units", "2,9"], "--units: expected units from 0 to 5"),
        (["deep", *UNITS, "--units", "2,9"], "--units: expected units from 0 to 5, got 9"),
        (
            ["deep", *UNITS, "--units", "a-b"],
            "--units: expected numbers and ranges such as 0-15,40",
        ),
        (["deep", "--layer", "3"], "--layer: expected a layer from 1 to 2, got 3"),
        (["deep", "--layer", "0"], "--layer: expected a layer, counted from 1, got 0"),
        (["deep", *UNITS, "--from", "90", "--to", "20"], "got --from 90 --to 20"),
        (["deep", "--from", "9000"], "in a text of 2,592 characters"),
        (["deep", "small", "--view", "training"], "expected one run for the view training, got 2"),
        (["deep", *UNITS, "--units", "0-999999999"], "--units: expected unit numbers up to 99,999"),
        (["small", "--out", "a.jpg"], "--out: expected a file ending in .html, or in .png"),
        (["deep", "--value", "1"], "views clamping beside --value"),
        (["small", "--view", "stepper", "--out", "a.png"], "stepper has no still picture"),
        (["small", "--view", "stepper", "--to", "60"], "at most 32 characters for the stepper"),
        (["small", "--out", "."], "--out: expected a file, got the folder ."),
        (["small", "--out", "empty.txt/a.html"], "where empty.txt is a file"),
        (
            ["small", "--view", "training", "--units", "1"],
            "views activations, stepper, clamping beside",
        ),
        (
            ["small", "--text", "unknown.txt"],
            "got 'ü' (U+00FC) at position 4. Hint: --from and --to choose",
        ),
        (["small", "--text", "empty.txt"], "--text: expected at least one character"),
        (["small", "--text", "one.txt"], "--text: expected at least two characters"),
        (["small", "--text", "missing.txt"], "--text: expected an existing text file"),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, arguments, complaint, monkeypatch):
    (folder / "unknown.txt").write_text("the ünknown", encoding="utf-8")
    (folder / "empty.txt").write_text("")
    (folder / "one.txt").write_text("t")
    monkeypatch.chdir(folder)
    assert main(["show", *arguments]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert "Traceback" not in captured.err


def test_a_run_whose_text_is_gone_asks_for_one(folder, tmp_path, capsys):
    run = runs.open_run(folder / "small")
    dataclasses.replace(run, path=tmp_path, sources=(str(tmp_path / "gone.txt"),)).write_config()
    assert main(["show", str(tmp_path)]) == 2
    assert "gone.txt, which is gone. Hint: name a text: --text FILE" in capsys.readouterr().err


def test_every_row_of_the_registries_leads_somewhere():
    for view in VIEWS.values():
        assert callable(view.load())
    for listed in EXPERIMENTS.values():
        assert callable(listed.load_page())
        assert callable(listed.load_picture())
        assert listed.reads_text == ("text" in inspect.signature(listed.load()).parameters)
    assert list(show.DEFINITIONS) == list(DEFINITIONS)
    assert {"show", "demo"} <= set(COMMANDS)


def test_help_of_show_and_demo_needs_no_jax():
    code = (
        "import sys; from jaxrnn.command_line import show, demo\n"
        "show.make_parser(); demo.make_parser(); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_demo_prints_claim_measurement_verdict_and_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(order, "UPDATES", 100)
    out = tmp_path / "page.html"
    assert main(["demo", "order", "--seed", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    heads = [line.split(" ")[0] for line in printed.out.splitlines() if line[0] != " "]
    assert heads == ["claimed", "measured", "verdict", "page"]
    assert "learning word order" in printed.err
    chapters = embedded(out, "chapters")
    assert chapters["names"] == ["sentences", "stepper"]
    stepper = tmp_path / "stepper.html"
    pieces = [chapters["blocks"][p] if isinstance(p, int) else p for p in chapters["pages"][1]]
    stepper.write_text("".join(pieces), encoding="utf-8")
    data = embedded(stepper, "recordings")
    assert data["inputs"] == ["are", "you", "good"]
    assert data["targets"] == ["", "", "question"]
    assert [side["name"] for side in data["sides"]] == ["untrained", "trained"]
    assert data["sides"][1]["loss"] < data["sides"][0]["loss"]


def test_demo_says_which_experiments_read_a_text(folder, capsys):
    assert main(["demo", "order", "--text", str(folder / "text.txt")]) == 2
    assert "got order" in capsys.readouterr().err
    assert main(["demo", "order", "--out", "a.png"]) == 2
    assert "--out: expected a page ending in .html, got a.png" in capsys.readouterr().err
    assert main(["demo", "gradients", "--text", str(folder / "text.txt")]) == 2
    assert "--text: expected at least 20,000 characters" in capsys.readouterr().err


def test_show_without_a_view_tells_the_whole_story(folder, capsys):
    assert main(["show", str(folder / "small")]) == 0
    printed = capsys.readouterr()
    out = folder / "small" / "story.html"
    assert f"page: {out}" in printed.out
    chapters = embedded(out, "chapters")
    assert chapters["names"] == list(PARTS)
    assert out.stat().st_size < 8e6
    page = out.read_text(encoding="utf-8")
    for name in PARTS:
        assert f'href="#{name}"' in page
    for said in ("Training, samples", "90 % of the connectivity", "The longest passages"):
        assert said in printed.out
    # The last sample stands at its head, as text.
    assert "the mat &lt;/script&gt;…" in page


def test_a_story_leaves_out_what_a_run_cannot_tell(folder, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(folder / "small", path)
    (path / "metrics.jsonl").unlink()
    text = ["--text", str(folder / "text.txt")]
    assert main(["show", str(path), *text, "--out", str(tmp_path / "story.html")]) == 0
    printed = capsys.readouterr().out
    assert "Training, samples: left out. show: RUN: expected a run that has begun" in printed
    assert "training" not in embedded(tmp_path / "story.html", "chapters")["names"]
    assert main(["show", str(path), *text, "--layer", "3"]) == 2
    assert "--layer: expected a layer from 1 to 1, got 3" in capsys.readouterr().err
