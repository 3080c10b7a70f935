"""The stepper in Chromium: what is in sight, whether it is right, and how it is steered."""

import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.stepper import stepper_page

# Every line's operands and results: the names that have no box in the window, or are covered by the
# player; the smallest magnification; whether the sum is in sight.
SIGHT = """
const found = [], inside = (box, bottom) => box.left >= -1 && box.right <= innerWidth + 1
    && box.top >= 0 && box.bottom <= bottom + 1 && box.width > 0;
let least = 9;
window.scrollTo(0, 0);
for (let k = 1; k <= count; k++) {
    go(k);
    const event = current(), line = lines[event.line];
    const bottom = document.getElementById("player").getBoundingClientRect().top;
    const window_ = document.getElementById("window").getBoundingClientRect();
    const seen = new Set();
    for (const node of document.querySelectorAll(".tensor:not([hidden])")) {
        const box = node.getBoundingClientRect();
        if (inside(box, Math.min(bottom, window_.bottom)) && box.top >= window_.top
            && box.left >= window_.left - 1 && box.right <= window_.right + 1)
            node.dataset.names.split(" ").forEach((name) => seen.add(name));
    }
    for (const [name, index] of [...line.targets, ...line.reads])
        if (!seen.has(keyOf(name, index, event.t))) found.push(`${k} ${name}[${index}]`);
    if (!inside(document.getElementById("worked").getBoundingClientRect(), bottom))
        found.push(`${k} sum`);
    if (!inside(document.querySelector(".loss:not(th)").getBoundingClientRect(), bottom))
        found.push(`${k} loss`);
    least = Math.min(least, zoom.scale);
}
return [found, least];"""

# What each line says of its largest entry, computed again from the tree: the line's number, the
# tree's value, the recorded one, the text.
AGAIN = """
return sides[shownSide].events.map((event, k) => {
    go(k + 1);
    const { targets, value, sign } = lines[event.line], formula = formulaOf(event);
    return event.writes.map((item, which) => {
        let tree = formula.compute(value);
        if (targets.length > 1 && tree) tree = tree[which];
        const before = item.before?.values;
        const scalar = (i) => tree.values[tree.values.length === 1 ? 0 : i];
        const row = targets[which][2] ? data.inputRows[event.t] * tree?.values.length : 0;
        const again = tree && Array.from(item.array.values, (_, i) => sign === "=" ? scalar(i)
            : before[i] + (sign === "+=" ? 1 : -1) * (!targets[which][2] ? scalar(i)
            : i >= row && i < row + tree.values.length ? tree.values[i - row] : 0));
        const told = formula.tell(which, 0).text;
        return [item.name, again, Array.from(item.array.values), told];
    });
});"""


@pytest.mark.browser
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_every_line_of_three_units_is_in_sight_and_right(browser, tmp_path, name, recordings):
    options = {"update": "adam", "norm_limit": 0.5} if name == "lstm" else {}
    steps = recordings(rnn.CELLS[name], [1, 1, 0, 1], [1, 0, 1, 1], **options)
    page = write_page(tmp_path / "step.html", stepper_page(steps, "01", title="A step"))
    browser.open(page)
    missing, scale = browser.run(SIGHT)
    assert missing == []
    assert scale == 1
    if name == "lstm":
        assert browser.accessibility_faults() == []
    # Every value of every line, against the recording; and the sums, computed again, against it.
    for shown, event in zip(browser.run(AGAIN), steps["trained"].events, strict=True):
        for (tensor, again, values, told), write in zip(shown, event.writes, strict=True):
            assert tensor == write.name
            np.testing.assert_allclose(values, write.value.ravel(), rtol=1e-6, atol=1e-30)
            assert "?" not in told
            assert "…" not in told
            if again is not None:
                np.testing.assert_allclose(again, values, rtol=2e-4, atol=2e-6)
            else:
                assert tensor in ("x", "p", "d_y", "norm")  # One-hot rows, softmax, a length.
    if name == "elman":
        browser.open(page, width=390, height=844, dark=True)
        missing, scale = browser.run(SIGHT)
        assert missing == []
        assert scale > 0.7
        assert browser.accessibility_faults() == []
    assert browser.console() == []


@pytest.mark.browser
def test_helpers_of_another_size_are_lit_and_not_worked_out(browser, tmp_path, recordings):
    steps = recordings(rnn.CELLS["gru_layernorm"], [1, 0], [0, 1])
    browser.open(write_page(tmp_path / "step.html", stepper_page(steps, "01", title="A step")))
    browser.run("go(sides[0].events.findIndex(e => e.writes[0].name === 'd_u') + 1)")
    assert "standardise_gates_T(…" in browser.find("#worked").text
    lit = browser.run(
        "return [...document.querySelectorAll('.tensor.lit')].map(e => e.dataset.names).join(' ')"
    )
    assert {"d_u@1", "r_u@1", "u_hat@1"} <= set(lit.split())
    browser.run("for (let k = 0; k <= count; k++) go(k)")
    assert browser.console() == []


def in_numbers(text):
    """The value of a sum as the page tells it."""
    text = text.replace("−", "-").replace("·", "*").replace("²", "**2").replace("tanh", "np.tanh")
    return eval(text, {"np": np})


@pytest.mark.browser
def test_stepper_in_the_browser(browser, tmp_path, recordings):
    steps = recordings(rnn.ELMAN, [1, 1, 0, 1], [1, 0, 1, 1])
    trained = steps["trained"]
    page = write_page(tmp_path / "step.html", stepper_page(steps, "01", title="A step"))
    browser.open(page)
    count = len(trained.events)
    place = "return document.getElementById('place').textContent"

    # It opens where the second step multiplies its state, with the sum worked out.
    assert browser.find(".line.active").text == "h[t] = tanh(a[t] + h[t-1] @ w_hh)"
    assert browser.run("return current().t") == 1
    told = browser.find("#worked .terms").text
    assert told.count("·") == 3
    h = trained.final("h")[1]
    assert in_numbers(told) == pytest.approx(
        np.abs(h).max() * np.sign(h[np.abs(h).argmax()]), abs=0.02
    )
    assert {e.get_attribute("data-names") for e in browser.all(".tensor.lit")} == {
        "h@0", "h@1", "w_hh@", "a@1",
    }  # fmt: skip

    opened = browser.run("return place")
    browser.click("#next")
    browser.click("#next")
    browser.click("#back")
    browser.key("\ue014", "\ue014")  # Arrow right, twice.
    assert browser.run(place) == f"Line {opened + 3} of {count}"
    browser.key("\ue011")  # Home undoes everything.
    assert browser.run("return [place, sides[0].state.get('h').size]") == [0, 1]
    browser.key("\ue010")
    assert browser.run(place) == f"Line {count} of {count}"
    assert (
        " → " in browser.find("#tokens .loss:not(th)").text + browser.all("#tokens .loss")[-1].text
    )

    # An entry under the pointer: its number and its sum.
    browser.run(
        "go(sides[0].events.findIndex(e => e.writes[0].name === 'd_w_xh' && e.t === 1) + 1)"
    )
    browser.run(
        "go(sides[0].events.findIndex(e => e.writes[0].name === 'd_w_hh' && e.t === 0) + 1)"
    )
    spot = browser.run(
        "const box = layout.find('d_w_hh'), at = layout.cellOf(box, 'd_w_hh', 5);"
        "const from = picture.getBoundingClientRect();"
        "return [from.left + at.x + at.width / 2, from.top + at.y + at.height / 2];"
    )
    browser.move(*spot)
    gradient = trained.final("d_w_hh").ravel()[5]
    for box in ("#readout", "#worked"):
        shown = browser.find(box).get_attribute("data-value")
        assert float(shown) == pytest.approx(gradient, rel=1e-6)
    assert browser.find("#worked").get_attribute("data-entry") == "d_w_hh:5"
    lit = {e.get_attribute("data-name") for e in browser.all(".symbol.lit")}
    assert lit == {"d_w_hh"}
    # The other way round: a symbol in the code lights its box.
    symbol = browser.find(".line .code .symbol[data-name='h'][data-index='t-1']")
    browser.hover(symbol)
    assert browser.run("return hovered") == "h"
    assert browser.all(".tensor .symbol.lit[data-name='h']")

    # The chosen entry by keys; the address, and back from it.
    from selenium.webdriver import ActionChains

    shift, down = "\ue008", "\ue015"
    ActionChains(browser.driver).key_down(shift).send_keys(down).key_up(shift).perform()
    entry = browser.find("#worked").get_attribute("data-entry")
    assert entry == "d_w_hh:3"
    browser.wait("return location.hash.includes('entry=d_w_hh')")
    hash_ = browser.run("return location.hash")
    here = browser.run("return place")
    browser.run("history.replaceState(null, '', '#step=3'); go(0)")
    browser.run("location.hash = arguments[0]", hash_)
    browser.wait("return place === arguments[0]", here)
    assert browser.find("#worked").get_attribute("data-entry") == entry
    browser.run("location.hash = '#step=999999&entry=h@0:77&side=untrained&colour=red'")
    note = browser.wait("const n = document.getElementById('fragment-note');"
                        "return !n.hidden && n.textContent;")  # fmt: skip
    assert "“step=999999”, “entry=h@0:77”, “colour=red”" in note
    assert "side" not in note
    assert browser.run("return [shownSide, place]") == [0, opened]

    # The other controls.
    for phase in ("update", "forward", "backward"):
        browser.click(f"#player [data-phase='{phase}']")
        assert browser.run("return lines[current().line].phase") == phase
        # The line is in sight in the program's own box.
        box, active = browser.run(
            "return ['#program', '.line.active'].map(s => document.querySelector(s))"
            ".map(e => e.getBoundingClientRect()).map(b => [b.top, b.bottom])"
        )
        assert box[0] <= active[0] < active[1] <= box[1]
    browser.click("[data-notation='equations']")
    assert browser.find(".line.active .equation").is_displayed()
    browser.run("document.querySelectorAll('.line')[3].click()")
    assert browser.run("return current().line") == 3
    browser.run("go(5); document.activeElement.blur()")
    browser.key(" ")
    browser.wait("return place > 6", seconds=20)
    browser.key(" ")
    assert browser.run("return timer") is None
    assert browser.console() == []
    assert browser.requests() == []


@pytest.mark.browser
def test_gradients_take_no_room_before_they_are_there_and_turn_the_arrows(
    browser, tmp_path, recordings
):
    steps = recordings(rnn.LSTM, [1, 1, 0, 1], [1, 0, 1, 1])
    browser.open(write_page(tmp_path / "step.html", stepper_page(steps, "01", title="A step")))
    at = "go(sides[0].events.findIndex(e => e.writes[0].name === arguments[0] && e.t === 2) + 1);"
    state = at + (
        "return [layout.boxes.some(b => b.kinds.some(k => k.startsWith('d_'))),"
        " layout.boxes.filter(b => b.name === 'tanh_c').length,"
        " layout.arrows.filter(a => !a.thin).every(a => a.back)];"
    )
    assert browser.run(state, "o") == [False, 0, False]
    assert browser.run(state, "d_w_hy") == [True, 0, True]
    assert browser.run(state, "tanh_c") == [True, 1, True]
    # What is written and no longer what it was: of the share of one character's weights, its row.
    changed = (
        "go(sides[0].events.findIndex(e => e.writes[0].name === 'd_w_xh' && e.t === 2) + 1);"
        "window.drawn = null; const paint = drawing.paint.bind(drawing);"
        "drawing.paint = (a, b, show) => { window.drawn = show.changed.get('d_w_xh@'); };"
        "showPicture(); drawing.paint = paint; showPicture(); return window.drawn;"
    )
    assert browser.run(changed) == [1] * 12 + [0] * 12
    kinds = at + "return layout.find('c', arguments[1]).kinds"
    assert browser.run(kinds, "d_c", 2) == ["c", "d_c"]
    assert browser.run(kinds, "d_c", 1) == ["c"]
    assert browser.run("go(place + 7);" + kinds.replace(at, ""), "", 1) == ["c", "d_c"]


def largest_page(recordings):
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 16, size=(2, 32))
    options = {"update": "adamw", "norm_limit": 1.0}
    steps = recordings(rnn.LSTM, inputs, targets, hidden_size=16, vocabulary_size=16, **options)
    return stepper_page(steps, [chr(97 + i) for i in range(16)], title="Large")


@pytest.mark.browser
def test_largest_stepper_on_a_phone(browser, tmp_path, recordings):
    text = largest_page(recordings)
    assert len(text) < 8e6
    browser.open(write_page(tmp_path / "large.html", text), width=390, height=844, dark=True)
    assert browser.run("return document.querySelectorAll('*').length") < 3000
    # Nothing is wider than the window (whose own width grows with what is in it on a phone),
    # and every control is within it.
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    boxes = browser.run(
        "return [...document.querySelectorAll('#player button, #player select, #scrubber, #place,"
        " #now button, #now-equation, #worked')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.right, b.top, b.bottom, b.width])"
    )
    assert len(boxes) == 13
    for left, right, top, bottom, width in boxes:
        assert 0 <= left < right <= 390
        assert 0 <= top < bottom <= 844
        assert width > 20
    browser.click("#player [data-phase='backward']")
    assert browser.run("return lines[current().line].phase") == "backward"
    # A finger chooses an entry, and drives the player.
    browser.touch()
    spot = browser.run(
        "const box = layout.find('d_w_xh'), at = layout.cellOf(box, 'd_w_xh', 3);"
        "const from = picture.getBoundingClientRect(), { scale } = zoom;"
        "return [from.left + (at.x + at.width / 2) * scale,"
        " from.top + (at.y + at.height / 2) * scale];"
    )
    browser.drag_finger(spot, spot, steps=0)
    assert browser.run("return [pinned.name, pinned.entry]") == ["d_w_xh", 3]
    before = browser.run("return place")
    browser.tap(browser.find("#next"))
    assert browser.run("return place") == before + 1
    browser.tap(browser.find("#player [data-phase='forward']"))
    assert browser.run("return lines[current().line].phase") == "forward"

    browser.run("go(0); document.getElementById('speed').value = '20'; play(true)")
    browser.wait("return place >= 10", seconds=60)
    browser.run("play(false)")
    assert browser.distinct_colours() > 20
    assert browser.console() == []


@pytest.mark.browser
def test_two_layers_of_128_units_have_a_stepper(browser, tmp_path, recordings):
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 60, size=(2, 8))
    steps = recordings(rnn.LSTM, inputs, targets, hidden_size=128, vocabulary_size=60, layers=2)
    text = stepper_page(steps, [chr(0x100 + i) for i in range(60)], title="Two layers")
    assert len(text) < 1e6
    browser.open(write_page(tmp_path / "deep.html", text))
    assert "more products" in browser.find("#worked").text
    assert "layer 1/2" in browser.find("#time").text
    browser.run("go(sides[0].events.findIndex(e => e.writes[0].name === 'a_L2') + 1)")
    assert "layer 2/2" in browser.find("#time").text
    assert "h_L1@0" in browser.run(
        "return [...document.querySelectorAll('.tensor.lit')].map(e => e.dataset.names).join(' ')"
    )
    # 4 of 128 units are drawn, and their sum says so; what came of it is that of the whole model.
    assert "124 more products" in browser.find("#worked").text
    value = float(browser.find("#worked").get_attribute("data-value"))
    a = steps["trained"].final("a_L2")[0]
    assert np.abs(a - value).min() < 1e-5
    assert browser.console() == []


@pytest.mark.slow
@pytest.mark.browser
def test_largest_stepper_plays_twenty_lines_a_second(browser, tmp_path, recordings):
    browser.open(write_page(tmp_path / "large.html", largest_page(recordings)))
    browser.run("go(0); document.getElementById('speed').value = '20'; play(true)")
    browser.run("window.began = performance.now()")
    browser.wait("return performance.now() - began >= 10000", seconds=60)
    lines, milliseconds = browser.run("return [place, performance.now() - began]")
    assert lines >= 19 * milliseconds / 1000
