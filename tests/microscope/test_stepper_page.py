import re

import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.stepper import stepper_page
from jaxrnn.microscope.training_step import record


def model(cell, sizes, scale, seed):
    draw = np.random.default_rng(seed)
    layer = cell.Params(*(scale * draw.normal(size=shape) for shape in cell.params_of(sizes)))
    readout = scale * draw.normal(size=(cell.carry_of(sizes).h, sizes["I"]))
    return charlm.Params((layer,), readout, scale * draw.normal(size=sizes["I"]))


def recordings(cell, inputs, targets, *, hidden_size=3, vocabulary_size=2, **options):
    config = charlm.Config(vocabulary_size, cell.name, hidden_size, num_layers=1)
    sizes = {"I": vocabulary_size, "H": hidden_size, "P": 2}
    carry = cell.Carry(*map(np.zeros, cell.carry_of(sizes)))
    models = {
        name: model(cell, sizes, scale, 1) for name, scale in (("untrained", 0.1), ("trained", 1.0))
    }
    return {
        name: record(config, params, (carry,), inputs, targets, **options)
        for name, params in models.items()
    }


HOSTILE = ["</script>", "\u202e", "\x00", '"', "ש", "🙂", "<b>", "&amp;"]


def test_page_of_every_cell_holds_no_address_and_all_data():
    for cell in rnn.CELLS.values():
        text = stepper_page(recordings(cell, [0, 1], [1, 0]), "01", title="A step")
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
        assert text.count("<script") == text.count("</script>") == 4


def test_hostile_characters_do_not_end_the_data():
    steps = recordings(rnn.ELMAN, [0, 1, 2], [1, 2, 0], vocabulary_size=len(HOSTILE))
    text = stepper_page(steps, HOSTILE, title="<script>alert(1)</script>")
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 4
    assert "\u202e" not in text
    assert "\x00" not in text


def test_limits_are_sentences():
    with pytest.raises(ValueError, match=r"at most 16 units, got 17\. Hint: train a smaller"):
        stepper_page(recordings(rnn.ELMAN, [0], [1], hidden_size=17), "01", title="")
    # The units of the memory count too, where h is a projection of it.
    sides = recordings(rnn.CELLS["lstm_projected"], [0], [1], hidden_size=17)
    with pytest.raises(ValueError, match=r"at most 16 units, got 17\. Hint: train a smaller"):
        stepper_page(sides, "01", title="")
    with pytest.raises(ValueError, match=r"at most 32 tokens to read, got 33\. Hint: .*--to"):
        stepper_page(recordings(rnn.ELMAN, [0] * 33, [1] * 33), "01", title="")
    with pytest.raises(ValueError, match=r"at most 256 different tokens in the .*, got 257"):
        stepper_page(recordings(rnn.ELMAN, [0], [1]), "x" * 257, title="")
    sides = recordings(rnn.ELMAN, [0, 1], [1, 0])
    sides["other"] = recordings(rnn.ELMAN, [0, 0], [1, 0])["trained"]
    with pytest.raises(ValueError, match="of one cell, one text, one update and equal sizes"):
        stepper_page(sides, "01", title="")
    sides["other"] = recordings(rnn.ELMAN, [0, 1], [1, 0], learning_rate=0.2)["trained"]
    with pytest.raises(ValueError, match="of one cell, one text, one update and equal sizes"):
        stepper_page(sides, "01", title="")


def test_page_tells_the_update_and_shows_what_it_keeps():
    steps = recordings(rnn.GRU, [0, 1], [1, 0], update="adamw", learning_rate=3e-3, norm_limit=1.0)
    text = stepper_page(steps, "01", title="A step")
    assert "The update is adamw with η = 0.003, ρ = 0.999, λ = 0, " in text
    # Beside the parameter its gradient, the mean of its squares and its mean.
    assert '["w_hh","d_w_hh","memory_w_hh","mean_w_hh"]' in text


CELL = """const [name, row, column] = arguments, { picture } = sides[0].cards.get(name);
const { canvas, gap, width, height } = picture, ratio = canvas.width / picture.size[0];
const left = gap + column * (width + gap), top = gap + row * (height + gap);
"""


def hover_cell(browser, name, row, column):
    """Moves the pointer to the middle of a cell of the first side."""
    browser.run(
        "arguments[0].scrollIntoView({block: 'center'})",
        card := browser.find(f".side:nth-of-type(1) .card[data-name='{name}'] canvas"),
    )
    assert card.is_displayed()
    spot = browser.run(
        CELL + "const box = canvas.getBoundingClientRect();"
        "return [box.left + left + width / 2, box.top + top + height / 2];",
        name,
        row,
        column,
    )
    browser.move(*spot)


@pytest.mark.browser
def test_stepper_in_the_browser(browser, tmp_path):
    steps = recordings(rnn.LSTM, [1, 1, 0, 1], [1, 0, 1, 1])
    page = write_page(tmp_path / "step.html", stepper_page(steps, "01", title="A step"))
    browser.open(page)
    count = len(steps["trained"].events)
    place = "return document.getElementById('place').textContent"
    assert browser.run(place) == f"line 0 of {count}"

    browser.click("#next")
    browser.click("#next")
    assert browser.run(place) == f"line 2 of {count}"
    assert "x[t] @ w_xh" in browser.find(".line.active").text
    browser.click("#back")
    assert browser.run(place) == f"line 1 of {count}"
    browser.key("\ue014", "\ue014")  # Arrow right, twice.
    assert browser.run(place) == f"line 3 of {count}"

    # Every value that any line wrote, on both sides, against the recording.
    seen = browser.run(
        "return sides.map(side => side.events.map((event, k) => { go(k + 1); return event.writes"
        ".map(w => Array.from(side.state.get(w.name).get(w.index).values)); }))"
    )
    for step, events in zip(steps.values(), seen, strict=True):
        for event, writes in zip(step.events, events, strict=True):
            for values, write in zip(writes, event.writes, strict=True):
                np.testing.assert_allclose(values, write.value.ravel(), rtol=1e-6, atol=1e-30)

    # Back to the start undoes all of it.
    browser.key("\ue011")
    assert browser.run("return sides[0].state.get('h').size") == 1
    marks = "return [...sides[0].cards.values()].flatMap(c => [...c.picture.drawn.marks]).join('')"
    assert set(browser.run(marks)) == {"0"}

    # Hovering: the number, and the lights both ways.
    last_backward = max(
        k for k, e in enumerate(steps["trained"].events) if e.writes[0].name == "d_w_xh"
    )
    browser.run("go(arguments[0])", last_backward + 1)
    hover_cell(browser, "d_w_hh", 1, 5)
    gradient = steps["untrained"].final("d_w_hh")[1, 5]
    assert float(browser.find("#readout").get_attribute("data-value")) == pytest.approx(
        gradient, rel=1e-6
    )
    written = browser.find("#readout").text.split(": ")[1].split(" (")[0].replace("−", "-")
    assert float(written) == pytest.approx(gradient, abs=6e-5, rel=6e-3)
    assert {e.get_attribute("data-name") for e in browser.all(".symbol.lit")} == {"d_w_hh"}
    symbol = browser.find(".line .code .symbol[data-name='h'][data-index='t-1']")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", symbol)
    browser.hover(symbol)
    assert {e.get_attribute("data-name") for e in browser.all(".card.lit")} == {"h"}

    # The other controls.
    for phase in ("update", "forward", "backward"):
        browser.click(f"[data-phase='{phase}']")
        line = browser.run("return lines[current().line].phase")
        assert line == phase
        # The line is in sight in the program's own box, wherever the page is scrolled to.
        box, active = browser.run(
            "return ['#program', '.line.active'].map(s => document.querySelector(s))"
            ".map(e => e.getBoundingClientRect()).map(b => [b.top, b.bottom])"
        )
        assert box[0] <= active[0] < active[1] <= box[1]
    browser.click("[data-notation='equations']")
    assert browser.find(".line.active .equation").is_displayed()
    browser.click("[data-show='0']")
    assert [s.is_displayed() for s in browser.all(".side")] == [True, False]
    browser.click("[data-show='all']")
    browser.run("document.querySelectorAll('.line')[3].click()")
    assert browser.run("return current().line") == 3
    scrubber = browser.find("#scrubber")
    scrubber.send_keys("\ue010")  # End.
    assert browser.run(place) == f"line {count} of {count}"
    assert "after the update" in browser.find(".loss").text
    assert browser.console() == []
    assert browser.requests() == []


@pytest.mark.browser
def test_a_step_paints_what_it_changes(browser, tmp_path):
    steps = recordings(rnn.LSTM, [1, 1, 0, 1], [1, 0, 1, 1], update="adam", norm_limit=0.5)
    page = stepper_page(steps, "01", title="A step")
    browser.open(write_page(tmp_path / "step.html", page))
    # By event: cells that it marks or that no longer are marked, and cells that were painted.
    work = browser.run("""
        const cells = ({ picture: { drawn: { values, marks } } }) =>
            [...values].map((value, i) => `${value} ${marks[i]}`);
        const drawn = () => sides.flatMap(({ cards }) => [...cards.values()].flatMap(cells));
        const work = [];
        for (let k = 1, before = drawn(), painted = TensorPicture.painted; k <= count; k++) {
            go(k);
            const after = drawn();
            const changed = after.filter((cell, i) => cell !== before[i]).length;
            work.push([changed, TensorPicture.painted - painted]);
            [before, painted] = [after, TensorPicture.painted];
        }
        return work;""")
    assert [painted for _, painted in work] == [changed for changed, _ in work]
    # h[t] has 3 units on 2 sides, and the line before it, c[t], is no longer marked.
    lines = steps["trained"].lines
    states = [
        painted
        for event, (_, painted) in zip(steps["trained"].events, work, strict=True)
        if lines[event.line].code.startswith("h[t] =")
    ]
    assert states == [12] * 4
    # What the line wrote and no card shows is told in words.
    browser.run("go(sides[0].events.findIndex(e => e.writes[0].name === 'norm') + 1)")
    norms = [step.final("norm") for step in steps.values()]
    told = browser.find("#note").text
    assert told.endswith(f"norm = {norms[0]:.4f} (untrained), {norms[1]:.4f} (trained)")
    assert browser.console() == []


@pytest.mark.browser
def test_frames_hide_no_value(browser, tmp_path):
    tokens = np.arange(12) % 51
    characters = [chr(33 + i) for i in range(51)]
    steps = recordings(rnn.LSTM, tokens, tokens[::-1], hidden_size=16, vocabulary_size=51)
    text = stepper_page(steps, characters, title="A step")
    browser.open(write_page(tmp_path / "step.html", text))
    pixels = (
        CELL
        + """
        const context = canvas.getContext("2d");
        const at = (...box) => [...context.getImageData(...box.map(x => x * ratio)).data];
        return [at(left, top, width, height), at(left - gap, top, gap, 1), [width, height]];"""
    )
    written = "go(sides[0].events.findIndex(e => e.writes[0].name === 'p' && e.t === 2) + 1)"
    browser.run(written)
    inside, frame, size = browser.run(pixels, "p", 7, 2)
    assert min(size) < 6  # One of the cells that are a few pixels high.
    browser.run("go(place + 1)")
    unmarked, no_frame, _ = browser.run(pixels, "p", 7, 2)
    assert inside == unmarked
    assert frame[3] == 255
    assert no_frame[3] == 0
    assert len({tuple(inside[k : k + 4]) for k in range(0, len(inside), 4)}) == 1
    browser.console()  # Chromium warns of reading a canvas back, which only this test does.


def largest_page():
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 128, size=(2, 32))
    options = {"update": "adamw", "norm_limit": 1.0}
    steps = recordings(rnn.LSTM, inputs, targets, hidden_size=16, vocabulary_size=128, **options)
    return stepper_page(steps, [chr(0x100 + i) for i in range(128)], title="Large")


@pytest.mark.browser
def test_largest_stepper_on_a_phone(browser, tmp_path):
    text = largest_page()
    assert len(text) < 8e6
    browser.open(write_page(tmp_path / "large.html", text), width=390, height=844, dark=True)
    # A step costs what it changes, and the page is small however large the tensors are.
    assert browser.run("return document.querySelectorAll('*').length") < 3000
    browser.run("go(sides[0].events.findIndex(e => e.writes[0].name === 'h') + 1)")
    browser.run("window.before = TensorPicture.painted; go(place + 1)")
    assert browser.run("return TensorPicture.painted - before") == 2 * (16 + 128)

    # Nothing is wider than the window (whose own width grows with what is in it on a phone),
    # and every control is within it.
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    boxes = browser.run(
        "return [...document.querySelectorAll('#player button, #player select, #scrubber, #place,"
        " #now button')].map(e => e.getBoundingClientRect()).map(b => [b.left, b.right, b.top,"
        " b.bottom, b.width])"
    )
    assert len(boxes) == 12
    for left, right, top, bottom, width in boxes:
        assert 0 <= left < right <= 390
        assert 0 <= top < bottom <= 844
        assert width > 20
    browser.click("[data-phase='backward']")
    assert browser.run("return lines[current().line].phase") == "backward"

    browser.run("go(0); document.getElementById('speed').value = '20'; play(true)")
    browser.wait("return place >= 10", seconds=60)
    browser.run("play(false)")
    assert browser.distinct_colours() > 20
    assert browser.console() == []


@pytest.mark.slow
@pytest.mark.browser
def test_largest_stepper_plays_ten_lines_a_second(browser, tmp_path):
    browser.open(write_page(tmp_path / "large.html", largest_page()))
    browser.run("go(0); document.getElementById('speed').value = '10'; play(true)")
    browser.run("window.began = performance.now()")
    browser.wait("return performance.now() - began >= 10000", seconds=60)
    lines, milliseconds = browser.run("return [place, performance.now() - began]")
    assert lines >= 9.5 * milliseconds / 1000
