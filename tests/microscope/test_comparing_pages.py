"""Pages that put things beside each other: two states, several writers, models, sentences."""

import numpy as np
import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.measurements.completions import Completion
from jaxrnn.microscope.measurements.repetition import Loop
from jaxrnn.microscope.pages.generation import Writer, generation_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.sentences import Reading, sentences_page
from jaxrnn.microscope.pages.shell import Story
from jaxrnn.microscope.pages.side_by_side import Compared, Moment, side_by_side_page
from jaxrnn.microscope.pages.two_states import FIELDS, two_states_page

NUMBERS = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"


def ready(browser, made, path, **options):
    browser.open(write_page(path / "page.html", made), **options)
    browser.wait("return document.body.dataset.ready === 'yes'")


def two_states():
    draw = np.random.default_rng(0)
    fields = {name: draw.uniform(0, 1, (16, 3)) for name in FIELDS}
    fields["c"] = draw.normal(size=(16, 3))
    lines = ["[a]ba:a\n", "[b]aa:b\n"]
    reach = {"LSTM, c": np.linspace(1, 0.8, 5), "LSTM, h": np.linspace(1, 0.4, 5)}
    gradients = {name: np.full((2, 5), 0.1) ** np.arange(5) for name in reach}
    return lines, fields, reach, gradients


@pytest.mark.browser
def test_two_states_works_the_numbers_out(browser, tmp_path):
    lines, fields, reach, gradients = two_states()
    moments = ("before training", "after")
    made = two_states_page(lines, fields, (2, 0), reach, gradients, moments, Story("S"), chance=0.5)
    ready(browser, made, tmp_path)
    assert [row.text for row in browser.all(".strips th")][1:] == [
        "i write", "f keep", "c memory", "o show", "h output",
    ]  # fmt: skip
    browser.choose("#line", lines[1].strip())
    browser.choose("#unit", "0")
    browser.hover(browser.all(".strips tr.letters td")[3])
    line = browser.find("#readout")
    assert line.get_attribute("data-step") == "3"
    c, before = fields["c"][8 + 3, 0], fields["c"][8 + 2, 0]
    assert f"{c:.2f}".replace("-", "−") in line.text
    assert f"{fields['f'][11, 0]:.2f} · {before:.2f}".replace("-", "−") in line.text
    browser.find("#strips").send_keys("\ue014")
    assert line.get_attribute("data-step") == "4"
    browser.wait("return location.hash === '#line=1&unit=0&step=4'")
    browser.click("#play")
    browser.wait("return document.getElementById('readout').dataset.step === '7'")
    assert browser.find("#play").text == "▶ Read"
    assert browser.console() == []
    assert browser.requests() == []
    ready(browser, made, tmp_path, width=390, height=844, dark=True)
    assert browser.overflow() <= 0
    with pytest.raises(ValueError, match=r"each \[16, H\]"):
        two_states_page(
            lines, fields | {"h": np.zeros((3, 3))}, (0,), {}, {}, (), Story(""), chance=0
        )
    with pytest.raises(ValueError, match="one line or more, of one length"):
        two_states_page(["a", "bc"], fields, (0,), {}, {}, (), Story(""), chance=0)


def writers():
    ways = {"greedy": "so it is and it is and it is and", "temperature 1": "<b>no</b>"}
    loops = {"greedy": Loop(5, 10), "temperature 1": None}
    shares = {"greedy": 1.0, "temperature 1": 0.5}
    return [
        Writer(name, "a text", "words", ("x<y", "the"), (0.1, 0.9), ways, loops, shares)
        for name in ("prose", "Python")
    ]


@pytest.mark.browser
def test_generation_plays_through_training_and_marks_loops(browser, tmp_path):
    ready(browser, generation_page(writers(), ("before", "after"), Story("S")), tmp_path)
    assert browser.run(NUMBERS, ".column .text")[:2] == ["the", "the"]
    assert browser.find("#share-0").text == "90 %"
    browser.find("#moment").send_keys("\ue012")
    assert browser.run(NUMBERS, ".column .text")[:2] == ["x<y", "x<y"]
    browser.wait("return location.hash === '#moment=0'")
    assert browser.run(NUMBERS, "mark")[0] == " is and it"
    assert (
        "A loop of 10 characters, entered after 5. 100% of the words." in browser.find("main").text
    )
    browser.click("#play")
    browser.wait("return document.getElementById('moment-name').textContent === 'after'")
    assert browser.console() == []
    assert browser.overflow() <= 0
    with pytest.raises(ValueError, match="each with 1 samples"):
        generation_page(writers(), ("before",), Story(""))


def compared(text, seed):
    draw = np.random.default_rng(seed)
    steps = len(text) - 1
    ways = [
        [Completion(text[s + 1 :].split()[0], 0.5), Completion("x", 0.25)] for s in range(steps)
    ]

    def moment():
        matrices = {
            "loss_gradient_squared": np.tril(draw.exponential(size=(steps, steps))),
            "occlusion": np.tril(draw.normal(size=(steps, steps))),
        }
        return Moment(matrices, draw.uniform(0.1, 0.9, steps), ways)

    return Compared(moment(), moment())


@pytest.mark.browser
def test_several_models_under_one_cursor(browser, tmp_path):
    text = "the cat <sat> on the matter"
    models = {"RNN": compared(text, 0), "LSTM": compared(text, 1), "<GRU>": compared(text, 2)}
    ready(browser, side_by_side_page(text, models, Story("S")), tmp_path)
    assert [head.text for head in browser.all(".panel h2")] == ["RNN", "LSTM", "<GRU>"]
    # It opens where the last model finishes a word as it goes on.
    assert browser.find("#said-0").get_attribute("data-step") == str(text.index("atter") - 1)
    browser.hover(browser.run("return boxes[0].spans[9]"))
    for number, model in enumerate(models.values()):
        line = browser.find(f"#said-{number}")
        assert line.get_attribute("data-step") == "8"
        held = float(line.get_attribute("data-chance"))
        assert held == pytest.approx(model.after.chances[8], abs=1e-6)
        row = model.after.matrices["loss_gradient_squared"][8]
        alphas = browser.run(
            "return boxes[arguments[0]].spans.map(s => s.style.backgroundColor)", number
        )
        strongest = max(
            range(9),
            key=lambda t: (
                float(alphas[t].rsplit(" ", 1)[-1].strip(")") or 1)
                if "/" in alphas[t]
                else float(alphas[t].rsplit(",")[-1].strip(" )"))
            ),
        )
        assert strongest == row.argmax()
        assert not any(alphas[9:])
    browser.click("[data-moment='0']")
    held = float(browser.find("#said-1").get_attribute("data-chance"))
    assert held == pytest.approx(models["LSTM"].before.chances[8], abs=1e-6)
    browser.wait("return location.hash === '#place=9&training=before'")
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.overflow() <= 0
    with pytest.raises(ValueError, match=r"expected \[1, 1\], the characters"):
        side_by_side_page("ab", models, Story(""))
    with pytest.raises(ValueError, match="at most 900,000 numbers in all maps"):
        side_by_side_page("a" * 1000, models, Story(""))


def test_sentences_stand_beside_each_other():
    readings = [
        Reading(
            ["are", "<you>"],
            {"before": [[0.1, -0.2], [0.3, 0.4]], "after": [[1.0, -1.0], [-1.0, 1.0]]},
            {"before": [0.5, 0.5], "after": [0.9, 0.1]},
        )
    ]
    made = sentences_page(readings, ("yes", "no"), Story("S"))
    assert made.count("&lt;you&gt;") == 2
    assert "−0.20" in made
    assert made.index("Before") < made.index("After")
    assert made.count("<tr class=right>") == 2
    with pytest.raises(ValueError, match="1 to 0 sentences"):
        sentences_page(readings, (), Story(""))
