import math

import numpy as np
import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.experiments.parallel import Settling, Trial
from jaxrnn.microscope.measurements.connectivity import rank_agreement
from jaxrnn.microscope.measurements.gradient_flow import (
    FlowOverTraining,
    flow_of_gradients,
    gradient_histograms,
)
from jaxrnn.microscope.pages.connected_text import (
    ConnectedModel,
    connectivity_page,
    worth_looking_at,
)
from jaxrnn.microscope.pages.curves import curves_page
from jaxrnn.microscope.pages.gradient_flow import gradient_flow_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.newton import newton_page
from jaxrnn.microscope.pages.shell import Measured, Story, Try
from jaxrnn.microscope.pages.training import training_page

HOSTILE = "a</script>\x00\u202eש🙂\"'&<!--map-->\n"


def ready(browser, page, path, **options):
    browser.open(write_page(path / "page.html", page), **options)
    browser.wait("return document.body.dataset.ready === 'yes'")


def connectivity_example():
    text = HOSTILE + "the cat sat on the mat. "
    steps = len(text) - 1
    draw = np.random.default_rng(0)
    # Rows of very different size, as squared gradients have.
    size = 10.0 ** draw.uniform(-12, 3, size=(steps, 1))
    matrices = {
        "loss_gradient_squared": np.tril(size * draw.exponential(size=(steps, steps)) ** 3),
        "occlusion": np.tril(draw.normal(size=(steps, steps))),
    }
    characters = sorted(set(text))
    return text, matrices, draw.normal(size=(steps, len(characters))), characters


@pytest.mark.browser
def test_connectivity_in_the_browser(browser, tmp_path):
    text, matrices, logits, characters = connectivity_example()
    models = {
        "<first>": ConnectedModel({name: 2 * m for name, m in matrices.items()}, logits),
        "second": ConnectedModel(matrices, logits, rank_agreement(matrices)),
    }
    page = connectivity_page(text, models, characters, story=Story("<t>"), first=5)
    ready(browser, page, tmp_path)
    assert browser.run("return spans.length") == len(text)

    # Hovering over a character shows what was expected there.
    browser.hover(browser.run("return spans[30]"))
    assert browser.find("#readout").get_attribute("data-step") == "29"
    p = np.exp(logits[29] - logits[29].max())
    p /= p.sum()
    best = np.argsort(-p, kind="stable")[:5]
    rows = [row.text.split() for row in browser.all("#predictions tr")]
    assert [float(row[-1]) for row in rows] == pytest.approx(p[best], abs=6e-5)
    target = p[characters.index(text[30])]
    assert browser.find("#chance").text == f"p = {target:.4f}, {-math.log(target):.4f} nats"

    browser.choose("#model", "second")
    # Kept, hovering over an earlier character shows its number.
    browser.click("#fixed")
    for definition, name in (
        ("loss gradient squared", "loss_gradient_squared"),
        ("occlusion",) * 2,
    ):
        browser.choose("#definition", definition)
        for place in (29, 27, 3):
            browser.hover(browser.run("return spans[arguments[0]]", place))
            line = browser.find("#readout")
            row = matrices[name][29]
            assert line.get_attribute("data-place") == str(place)
            held = float(line.get_attribute("data-value"))
            assert held == pytest.approx(row[place], abs=np.abs(row).max() / 65000)
            written = float(line.text.rsplit(": ")[-1].replace("−", "-"))
            assert written == pytest.approx(held, rel=6e-3)
    colours = browser.run("return spans.map(s => s.style.backgroundColor)")
    assert all(colours[:30])
    assert not any(colours[30:])

    # Of several models, the curves of the chosen definition.
    visible = "return [...everyModel()].filter(m => m.type === 'LegendItem' && m.visible)"
    labels = browser.run(visible + ".map(m => m.label.value + ' ' + m.tags[0])")
    assert sorted(labels) == ["<first> definition 1", "second definition 1"]

    # The bar of what cannot be negative begins at 0, and so do the colours.
    ranges = (
        "return [model('map bar'), model('map').glyph.color_mapper]"
        ".map(m => [m.low, m.high, m.palette.length, m.tags[0]])"
    )
    signed = [[-1, 1, 255, "diverging"], [-32767, 32767, 255, "diverging"]]
    sizes = [[0, 1, 128, "sequential"], [0, 32767, 128, "sequential"]]
    assert browser.run(ranges) == signed
    browser.choose("#definition", "loss gradient squared")
    assert browser.run(ranges) == sizes
    browser.choose("#definition", "occlusion")
    assert browser.run(ranges) == signed

    # The map, and the keyboard.
    browser.click("#fixed")
    browser.hover_plot("map", 10.5, 20.5)
    line = browser.find("#readout")
    assert [line.get_attribute(f"data-{key}") for key in ("step", "place")] == ["20", "10"]
    held = float(line.get_attribute("data-value"))
    assert held == pytest.approx(matrices["occlusion"][20, 10], abs=1e-4)
    browser.find("#text").send_keys("\ue012")
    assert browser.find("#readout").get_attribute("data-step") == "19"
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 50


def test_connectivity_limits_are_sentences():
    text, matrices, logits, characters = connectivity_example()
    with pytest.raises(ValueError, match=r"expected \[\d+, \d+\], the characters of the text"):
        connectivity_page(
            text + "x", {"m": ConnectedModel(matrices, logits)}, characters, story=Story("")
        )
    large = ConnectedModel({"occlusion": np.ones((3000, 3000))}, [[0.0]])
    rule = r"text: expected at most 2,032 characters .*, got 3,001\. Hint: .*`text` .*--from"
    with pytest.raises(ValueError, match=rule):
        connectivity_page("x" * 3001, {"m": large}, "x", story=Story(""))
    two = ConnectedModel(dict.fromkeys(["occlusion", "my_own"], np.ones((1100, 1100))), [[0.0]])
    with pytest.raises(ValueError, match="at most 1,016 characters with 2 definitions of 2 models"):
        connectivity_page("x" * 1101, {"m": two, "n": two}, "x", story=Story(""))
    with pytest.raises(ValueError, match="one model or more, with the same definitions"):
        connectivity_page(text, {}, characters, Story(""))


def flow_example(steps=30, units=8, moments=2):
    draw = np.random.default_rng(1)
    models = {}
    for name, factor in (("RNN", 0.7), ("LSTM, h", 0.98), ("<GRU>", 1.05)):
        distance = np.maximum(np.arange(steps)[:, None] - np.arange(steps), 0)
        later = np.tril(np.ones((steps, steps)))[:, :, None]
        gradients = [
            draw.normal(size=(steps, steps, units)) * factor ** distance[:, :, None] * later
            for _ in range(moments)
        ]
        flows = tuple(flow_of_gradients(gradient) for gradient in gradients)
        last = np.stack([gradient[-1] for gradient in gradients])
        names = tuple(f"moment {moment}" for moment in range(moments))
        histograms = gradient_histograms(last)
        models[name] = FlowOverTraining(names, histograms, flows, "It is so.")
    return models


@pytest.mark.browser
def test_gradient_flow_in_the_browser(browser, tmp_path):
    models = flow_example()
    ready(browser, gradient_flow_page(models, story=Story("Flow")), tmp_path)
    assert browser.find("#readout").text == "Hover over the map for the number of a pair."
    # It opens at the last moment; left is the one before.
    for moment in (1, 0):
        factor = models["RNN"].flows[moment].factor_a_step
        assert browser.find("#moment-name").text == f"moment {moment}"
        assert f"factor of {factor:.3f} with" in browser.find("#words").text
        if moment:
            browser.find("#moment").send_keys("\ue012")
    for number, flow in enumerate(models.values()):
        mean = browser.run(
            "return model('curve ' + data.models[arguments[0]].name).data.mean", number
        )
        np.testing.assert_allclose(mean, flow.flows[0].by_distance, rtol=1e-6)

    browser.choose("#model", "<GRU>")
    browser.find("#moment").send_keys("\ue014")
    assert browser.find("#moment-name").text == "moment 1"
    flow = models["<GRU>"]
    browser.hover_plot("matrix", 3.5, 17.5)
    line = browser.find("#readout")
    assert [line.get_attribute(f"data-{key}") for key in ("loss", "state")] == ["17", "3"]
    held = float(line.get_attribute("data-value"))
    assert held == pytest.approx(flow.flows[1].norms[17, 3], rel=1e-6)
    assert float(line.text.rsplit(": ")[-1].replace("−", "-")) == pytest.approx(held, rel=6e-3)

    # The histogram of the step the slider is at.
    browser.find("#back").send_keys("\ue014" * 4)
    assert browser.find("#back-name").text == "4 back: t = 25"
    held = browser.run("return Array.from(histogram(data.models[2], 1, 4))")
    assert held == flow.histograms.counts[1, 25].tolist()
    # A panel a model, on one scale: as many hills, the same powers of ten, the same first place.
    for part, count in (("path.hill", 12), ("path.before", 11), ("line", None)):
        found = [len(panel.find_elements("css selector", part)) for panel in browser.all(".ridge")]
        assert len(found) == len(models)
        assert len(set(found)) == 1
        assert count is None or found[0] == count
    sizes = np.abs(np.log10(0.7)) * 4
    medians = browser.run(
        "return data.models.map((one) => Math.log10(median(histogram(one, 1, 0)))"
        " - Math.log10(median(histogram(one, 1, 4))))"
    )
    assert medians[0] == pytest.approx(sizes, abs=0.6)
    assert medians[0] > medians[1] + 0.2
    browser.click("#walk")
    browser.wait("return document.getElementById('back').value === '6'")
    browser.click("#walk")
    assert browser.find("#walk").text == "▶ Step back"
    assert browser.find("#median-0").text.startswith(browser.find("#back-name").text.split(":")[0])
    browser.click("#play")
    assert browser.find("#moment-name").text == "moment 0"
    assert "It is so." not in browser.find("#words").text
    browser.wait("return document.getElementById('moment-name').textContent === 'moment 1'")
    assert browser.find("#words").text.endswith("It is so.")
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 20


@pytest.mark.browser
def test_one_moment_and_one_model_need_no_choice(browser, tmp_path):
    ready(browser, gradient_flow_page(flow_example(moments=1), story=Story("Flow")), tmp_path)
    assert not browser.find("#play").is_displayed()
    text, matrices, logits, characters = connectivity_example()
    models = {"one": ConnectedModel(matrices, logits)}
    ready(browser, connectivity_page(text, models, characters, story=Story("")), tmp_path)
    assert not browser.find("#model").is_displayed()
    assert browser.find("#definition").is_displayed()
    assert browser.console() == []


def test_gradient_flow_limits_are_sentences():
    models = flow_example(steps=3)
    with pytest.raises(ValueError, match="models: expected at least one"):
        gradient_flow_page({}, story=Story(""))
    other = {**models, "other": flow_example(steps=4)["RNN"]}
    with pytest.raises(ValueError, match="2 moments of 3 steps, as of the first model"):
        gradient_flow_page(other, story=Story(""))
    with pytest.raises(ValueError, match="at most 200 steps, got 201"):
        gradient_flow_page(flow_example(steps=201, units=1, moments=1), story=Story(""))


def training_records():
    records = []
    for step in range(10, 210, 10):
        facts = {"step": step, "epoch": step / 100, "seconds": step / 10}
        loss = 1.5 + math.exp(-step / 50)
        records.append(
            facts
            | {"loss": loss, "smoothed_loss": loss + 0.1, "gradient_norm": 0.5}
            | {"learning_rate": 2e-3, "tokens_per_second": 10_000}
        )
        if step % 50 == 0:
            records.append(facts | {"validation_loss": loss + 0.2, "best": True})
            records.append(facts | {"sample": f"{HOSTILE} at {step}"})
    return records


@pytest.mark.browser
def test_training_in_the_browser(browser, tmp_path):
    records = training_records()
    page = training_page(records, story=Story("Run"), facts={"model": "<lstm>"})
    ready(browser, page, tmp_path, width=390, height=844)
    losses = [record["loss"] for record in records if "loss" in record]
    shown = "return Array.from(model('loss source').data.shown)"
    assert browser.run(shown) == pytest.approx(losses)
    browser.click("[data-unit='bits']")
    assert browser.run(shown) == pytest.approx([loss / math.log(2) for loss in losses])
    validation = browser.run("return Array.from(model('validation_loss source').data.bits)")
    expected = [r["validation_loss"] / math.log(2) for r in records if "validation_loss" in r]
    assert validation == pytest.approx(expected)
    best = min(record["validation_loss"] for record in records if "validation_loss" in record)
    assert f"best validation {best:.4f} nats" in browser.find("main").text

    text = "return document.getElementById('sample-text').textContent"
    assert browser.run(text).endswith(" at 200")
    assert browser.run(text).startswith("a</script>␀U+202Eש🙂")
    browser.click("#earlier")
    assert browser.run(text).endswith(" at 150")
    browser.find("#sample").send_keys("\ue011")
    assert browser.run(text).endswith(" at 50")
    assert "Step 50, epoch 0.5" in browser.find("#sample-place").text
    browser.click("#later")
    assert browser.run(text).endswith(" at 100")
    assert browser.overflow() <= 0
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 20


def test_a_run_without_losses_is_a_sentence():
    with pytest.raises(ValueError, match=r"at least one record with a loss, got none\. Hint"):
        training_page([], story=Story(""))
    page = training_page([{"step": 1, "loss": 2.0}], story=Story(""))
    assert "1 steps" in page
    assert page.count("hidden") >= 2


@pytest.mark.browser
def test_a_run_of_one_record_has_points(browser, tmp_path):
    records = training_records()[:1]
    ready(browser, training_page(records, story=Story("Run")), tmp_path)
    # Loss, smoothed loss, learning rate, gradient norm, speed.
    glyphs = (
        "return [...everyModel()].filter(m => m.type === 'GlyphRenderer' && m.visible"
        " && m.glyph.type === 'Scatter').map(m => m.data_source.get_length())"
    )
    assert browser.run(glyphs) == [1] * 5
    assert browser.console() == []


@pytest.mark.browser
def test_curves_in_the_browser(browser, tmp_path):
    curves = {"<a>": [[3.0, 2.0, 1.0], [3.0, 2.5, 2.0]], "b": [np.linspace(4, 1, 5000)]}
    page = curves_page(
        curves,
        story=Story("Curves"),
        smooth=2,
        levels={"floor": 0.7},
        rows=[("<gain>", "0.1 bits")],
        texts={"it wrote": HOSTILE},
    )
    ready(browser, page, tmp_path, width=390, height=844, dark=True)
    sources = browser.run(
        "return [...everyModel()].filter(m => m.type === 'ColumnDataSource' && m.data.y?.length)"
        ".map(m => [Array.from(m.data.x), Array.from(m.data.y)])"
    )
    short = sorted(y for x, y in sources if x == [1, 2, 3])
    assert short == [[3.0, 2.5, 1.5], [3.0, 2.75, 2.25]]
    [long] = [x for x, _ in sources if len(x) > 3]
    assert long[0] == 1
    assert long[-1] == 5000
    assert len(long) <= 1001
    assert browser.find(".text").text.startswith("a</script>␀U+202Eש")
    assert browser.find("table").text == "<gain> 0.1 bits"
    assert browser.overflow() <= 0
    assert browser.console() == []
    assert browser.distinct_colours() > 20


def test_curves_without_values_are_a_sentence():
    with pytest.raises(ValueError, match="one variant or more, each with a curve"):
        curves_page({"a": []}, story=Story(""))


@pytest.mark.browser
def test_curves_of_a_claim_in_the_browser(browser, tmp_path):
    page = curves_page(
        {"a": [[1.0, 2.0]]},
        claimed("Curves"),
        levels={"chance": 1.5},
        legend="below",
        caption="Two <points>.",
    )
    ready(browser, page, tmp_path, width=390, height=844)
    assert browser.find("main").text.splitlines()[-9:] == [
        "Two <points>.", "Try this", "One", "What was expected, what was measured",
        "Claimed. It <is>.", "It does not hold. So.", "Expected Measured Verdict",
        "<gain> above 2 1 bit ✗ not so", "Loss 3 nats",
    ]  # fmt: skip
    assert browser.unlabelled_tab_stops() == []
    legend = "return [...everyModel()].filter(m => m.type === 'Legend').map(m => m.location)"
    assert browser.run(legend) == ["top_left"]
    assert browser.overflow() <= 0
    assert browser.console() == []


def claimed(title):
    rows = [Measured("<gain>", "1 bit", "above 2", False), Measured("loss", "3 nats")]
    tries = [Try("One", {"unit": "<1>"})]
    return Story(title, "", "It <is>.", "So.", False, rows, tries=tries)


def newton_example():
    draw = np.random.default_rng(3)
    trials = [
        Trial("<GRU>", 1.0, -0.25, -0.1, 3, True, 3, 0.0),
        Trial("<GRU>", 2.0, -0.75, 0.4, 9, False, 3, 0.0),
        Trial("ELMAN", 3.0, 0.22, 1.1, 9, False, 3, 0.0),
    ]
    errors = [10.0 ** -draw.uniform(0, 20, (trial.iterations + 1, 40)) for trial in trials]
    return [Settling(*each) for each in zip(trials, errors, strict=True)], trials


@pytest.mark.browser
def test_newton_in_the_browser(browser, tmp_path):
    settlings, trials = newton_example()
    page = newton_page(settlings, trials, claimed("<Newton>"), limit=9)
    ready(browser, page, tmp_path, width=390, height=844)
    headings = [each.text for each in browser.all("main > p > b")]
    assert headings == ["<GRU>", "<GRU> with w_hh × 2", "ELMAN with w_hh × 3"]
    assert "exponent −0.25: settled after 3 iterations." in browser.find("main").text
    assert "not settled after 9 iterations, and run step by step." in browser.find("main").text
    sources = "[...everyModel()].filter(m => m.type === 'ColumnDataSource')"
    (power,) = browser.run(
        f"return {sources}.filter(m => m.data.power?.[0].shape?.[0] === 4)"
        ".map(m => Array.from(m.data.power[0]))"
    )
    expected = np.maximum(np.log10(settlings[0].errors), -16)
    np.testing.assert_allclose(power, expected.ravel(), rtol=1e-6)
    places = browser.run(
        f"return {sources}.filter(m => m.data.ended?.length)"
        ".map(m => [m.data.ended[0], Array.from(m.data.place)])"
    )
    assert ["settled", [3]] in places
    assert all(place > 9 for ended, some in places for place in some if ended != "settled")
    rows = [row.text for row in browser.all("table tr")]
    assert rows[1:] == ["<gain> above 2 1 bit ✗ not so", "Loss 3 nats"]
    assert browser.overflow() <= 0
    assert browser.console() == []
    assert browser.distinct_colours() > 20
    with pytest.raises(ValueError, match="trials: expected at least one"):
        newton_page(settlings, [], claimed(""), limit=9)


def test_connectivity_opens_inside_a_word_that_context_foretells():
    text = "x = [1]; the cat sat on the mats."
    steps = len(text) - 1
    # By far the most hangs on the last character, but for the t of "mat" and the b's far before.
    matrix = np.tril(np.eye(steps) + 0.01)
    at = text.index("mats") + 1
    matrix[at, :] = np.where(np.arange(steps) <= at, 1.0, 0.0)
    chances = np.full(steps, 0.5)
    chances[at], chances[3], chances[10] = 0.9, 0.99, 0.001
    places = worth_looking_at(text, chances, matrix)
    assert places[0].step == at
    assert text[places[0].step + 1] == "t"
    assert places[-1].step == 10
    # Where nothing is a word, there still is a place.
    assert worth_looking_at("1 2 3", np.full(4, 0.5), np.tril(np.ones((4, 4))))
