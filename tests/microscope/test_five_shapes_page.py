"""The drawings hold what a run holds, in their places, and the page shows one at a time."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from jaxrnn.microscope.experiments.five_shapes import Judgement, LearnedShape, Run, Task
from jaxrnn.microscope.experiments.five_shapes.task import percent
from jaxrnn.microscope.pages.five_shapes import five_shapes_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.shell import Measured, Story
from jaxrnn.microscope.pages.unrolled import unrolled_svg

HS = np.random.default_rng(0).uniform(-1, 1, (5, 9)).astype(np.float32)
NAN = np.nan
DECODED = Run(
    inputs=("a", "<b>", "▸", "x", "&"),
    origins=("given", "given", "given", "fed back", "fed back"),
    hs=HS,
    outputs=("", "", "x", "&", "■"),
    wanted=("", "", "x", "y", "■"),
    chances=np.array([NAN, NAN, 0.9, 0.5, 0.25], np.float32),
    encoded=2,
)
TAUGHT = DECODED._replace(
    inputs=("a", "<b>", "▸", "x", "y"), origins=("given",) * 3 + ("taught",) * 2
)
LONG = Run(
    tuple("abcdefghijk"),
    ("given",) * 6 + ("fed back",) * 5,
    np.tile(HS[:1], (11, 1)),
    ("",) * 5 + tuple("nopqrs"),
    ("",) * 5 + tuple("nopqr■"),
    np.array([NAN] * 5 + [1.0] * 6, np.float32),
    encoded=5,
)


def task(name, feeds_back):
    return Task(
        name, "A story <told>.", "code <= 1", "of all", "by chance", 0.9, *[None] * 2, None, 0, 0.1,
        None, ("first", "<second>"), None, feeds_back,
    )  # fmt: skip


def learned(name, runs, feeds_back=False):
    return LearnedShape(
        task(name, feeds_back), Judgement(0.1, 0.3), Judgement(0.95, 0.3), np.ones(40), runs, 2, 0.0
    )


def shapes():
    still = Run(("0 1",), ("given",), HS[:1], ("1",), ("1",), np.array([0.99], np.float32))
    moments = {"untrained": LONG, "in training": TAUGHT, "trained": DECODED}
    return [
        learned("one to one", {"first": {"untrained": still, "trained": still}}),
        learned("encoder to decoder", {"first": moments, "<second>": moments}, feeds_back=True),
    ]


def parts(drawing, tag, kind):
    wanted = f"{{http://www.w3.org/2000/svg}}{tag}"
    return [each for each in drawing.iter(wanted) if kind in each.get("class", "").split()]


def parsed(run):
    text = unrolled_svg(run, "a <b>").replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1
    )
    return ET.fromstring(text)


def numbers(rect, *names):
    return tuple(float(rect.get(name)) for name in names)


def test_a_drawing_holds_inputs_below_states_below_outputs():
    drawing = parsed(DECODED)
    steps = parts(drawing, "g", "step")
    assert [step.get("data-t") for step in steps] == list("01234")
    lefts = []
    for t, step in enumerate(steps):
        (low,), (middle,) = parts(step, "rect", "input"), parts(step, "rect", "state")
        high = parts(step, "rect", "output")
        lefts.append(numbers(low, "x")[0])
        y_low, y_middle = (numbers(rect, "y")[0] for rect in (low, middle))
        assert y_low > y_middle + numbers(middle, "height")[0]
        texts = [text.text for text in step.iter("{http://www.w3.org/2000/svg}text")]
        assert texts[0] == DECODED.inputs[t]
        assert len(high) == bool(DECODED.outputs[t])
        if high:
            assert y_middle > sum(numbers(high[0], "y", "height"))
            assert texts[1] == DECODED.outputs[t]
        wrong = t == 3
        assert len(parts(step, "line", "strike")) == wrong
        assert [text.text for text in parts(step, "text", "right")] == ["y"] * wrong
        chances = [text.text for text in parts(step, "text", "small")]
        assert chances == ([] if t < 2 or wrong else [f"{DECODED.chances[t]:.2f}"])
        # What is fed back comes along a line from the output to the left.
        assert len(parts(step, "path", "feedback")) == (t >= 3)
        assert ("fed-back" in low.get("class")) == (t >= 3)
        assert len(parts(step, "line", "handed")) == (t == 2)
        units = [*parts(step, "rect", "positive"), *parts(step, "rect", "negative")]
        drawn = np.zeros(9)
        for unit in units:
            x, y, opacity = numbers(unit, "x", "y", "fill-opacity")
            drawn[int(3 * y + x)] = opacity if "positive" in unit.get("class") else -opacity
        np.testing.assert_allclose(drawn, HS[t], atol=0.0051)
    gaps = np.diff(lefts)
    assert gaps.min() > 0
    assert gaps.argmax() == 1  # between encoder and decoder
    total, height = map(float, drawing.get("viewBox").split()[2:])
    for rect in drawing.iter("{http://www.w3.org/2000/svg}rect"):
        if "fill-opacity" not in rect.attrib:
            x, y, w, h = numbers(rect, "x", "y", "width", "height")
            assert x >= 0
            assert x + w <= total
            assert y >= 0
            assert y + h <= height
    assert drawing.get("aria-label") == "a <b>: x & ■"
    titles = [title.text for title in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[1] == "step 2: reads <b>"
    assert titles[3] == "step 4: reads x (fed back), says & with p = 0.500; right: y"


def test_origins_are_named_below():
    def names(run):
        steps = [text for g in parts(parsed(run), "g", "step") for text in g.iter()]
        inside = {id(each) for each in steps}
        return [
            text.text
            for text in parts(parsed(run), "text", "small")
            if id(text) not in inside and not text.text[0].isdigit()
        ]

    assert names(DECODED) == ["encoder", "decoder", "given", "start", "fed back"]
    assert names(TAUGHT) == ["encoder", "decoder", "given", "start", "right letters"]
    assert not parts(parsed(TAUGHT), "path", "feedback")


def test_less_than_all_is_never_all():
    assert percent(0.99999) == "99.9 %"
    assert percent(1.0) == "100 %"


def test_no_shapes_is_a_sentence():
    with pytest.raises(ValueError, match="five_shapes_page: shapes: expected one or more"):
        five_shapes_page([], story=Story(""))


@pytest.mark.browser
def test_one_drawing_of_a_shape_is_shown_at_a_time(browser, tmp_path):
    story = Story("<Shapes>", "Look.", "It <is>.", "So.", True, [Measured("a", "1", "2")])
    page = five_shapes_page(shapes(), story)
    browser.open(write_page(tmp_path / "page.html", page), width=390, height=844)
    browser.wait("return document.body.dataset.ready === 'yes'")
    one, other = browser.all("section[id]")

    def shown(section):
        [figure] = [each for each in find(section, "figure") if each.is_displayed()]
        [words] = [each for each in find(section, "p[data-moment]") if each.is_displayed()]
        return tuple(
            figure.get_attribute(f"data-{kind}") for kind in ("label", "moment")
        ), words.text

    def find(section, selector):
        return section.find_elements("css selector", selector)

    def press(section, text):
        [button] = [each for each in find(section, "button") if each.text == text]
        button.click()

    def pressed(section):
        return [each.text for each in find(section, "[aria-pressed=true]")]

    assert shown(other)[0] == ("0", "trained")
    assert pressed(other) == ["first", "Trained"]
    assert "95 % of all. For comparison: 30 % by chance." in shown(other)[1]
    press(other, "<second>")
    press(other, "In training")
    assert pressed(other) == ["<second>", "In training"]
    assert shown(other)[0] == ("1", "in training")
    assert "After 2 updates" in shown(other)[1]
    press(other, "Untrained")
    assert shown(other)[0] == ("1", "untrained")
    assert shown(other)[1] == "Before training: 10 % of all."
    assert shown(one)[0] == ("0", "trained")
    # The longest drawing is as wide as a phone; what stands in it can be read.
    assert browser.overflow() <= 0
    size = "return parseFloat(getComputedStyle(arguments[0]).fontSize) * arguments[1]"
    [figure] = [each for each in find(other, "figure") if each.is_displayed()]
    [svg] = figure.find_elements("css selector", "svg")
    scale = svg.size["width"] / browser.run("return arguments[0].viewBox.baseVal.width", svg)
    assert svg.size["width"] <= 390
    assert browser.run(size, find(figure, "text")[-1], scale) > 8
    assert browser.run(size, find(figure, ".input + text")[0], scale) > 11

    press(other, "Trained")
    later = "return [...arguments[0].querySelectorAll('figure:not([hidden]) .step.later')].length"
    assert browser.run(later, other) == 0
    press(other, "▶ Play")
    assert browser.run(later, other) == 4
    browser.wait(f"return ({{f: function() {{ {later} }}}}).f(arguments[0]) === 3", other)
    press(other, "■ Stop")
    assert browser.run(later, other) == 0
    assert not find(one, ".play")
    assert browser.find("main > section:last-child").text.splitlines()[1:3] == [
        "Claimed. It <is>.", "It holds. So.",
    ]  # fmt: skip
    # The address says what is shown, and brings it back.
    press(other, "<second>")
    browser.wait("return location.hash.includes('=1.trained')")
    browser.run("address.apply('#' + arguments[0] + '=1.untrained')", other.get_attribute("id"))
    assert shown(other)[0] == ("1", "untrained")
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 20
