import re

import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.stepper import stepper_page
from jaxrnn.microscope.training_step import record


def model(cell, hidden_size, vocabulary_size, scale, seed):
    draw = np.random.default_rng(seed)
    gates = len(cell.gates) * hidden_size
    shapes = {
        "w_xh": (vocabulary_size, gates),
        "w_hh": (hidden_size, gates),
        "b_h": (gates,),
        "b_hn": (hidden_size,),
    }
    fields = {name: scale * draw.normal(size=shapes[name]) for name in cell.Params._fields}
    readout = scale * draw.normal(size=(hidden_size, vocabulary_size))
    return charlm.Params(
        (cell.Params(**fields),), readout, scale * draw.normal(size=vocabulary_size)
    )


def recordings(cell, inputs, targets, *, hidden_size=3, vocabulary_size=2, **options):
    config = charlm.Config(vocabulary_size, cell.name, hidden_size, num_layers=1)
    carry = cell.Carry(*(np.zeros(hidden_size) for _ in cell.Carry._fields))
    models = {
        name: model(cell, hidden_size, vocabulary_size, scale, 1)
        for name, scale in (("untrained", 0.1), ("trained", 1.0))
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
        assert text.count("<script") == text.count("</script>") == 3


def test_hostile_characters_do_not_end_the_data():
    steps = recordings(rnn.ELMAN, [0, 1, 2], [1, 2, 0], vocabulary_size=len(HOSTILE))
    text = stepper_page(steps, HOSTILE, title="<script>alert(1)</script>")
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 3
    assert "\u202e" not in text
    assert "\x00" not in text


def test_limits_are_sentences():
    with pytest.raises(ValueError, match=r"at most 16 units, got 17\. Hint: train a smaller"):
        stepper_page(recordings(rnn.ELMAN, [0], [1], hidden_size=17), "01", title="")
    with pytest.raises(ValueError, match=r"expected at most 32 steps, got 33"):
        stepper_page(recordings(rnn.ELMAN, [0] * 33, [1] * 33), "01", title="")
    sides = recordings(rnn.ELMAN, [0, 1], [1, 0])
    sides["other"] = recordings(rnn.ELMAN, [0, 0], [1, 0])["trained"]
    with pytest.raises(ValueError, match="recordings of one cell, one text and equal sizes"):
        stepper_page(sides, "01", title="")


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
    assert "split(" in browser.find(".line.active").text
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
    assert browser.run("return document.querySelectorAll('.cell.changed').length") == 0

    # Hovering: the number, and the lights both ways.
    last_backward = max(
        k for k, e in enumerate(steps["trained"].events) if e.writes[0].name == "d_w_xh"
    )
    browser.run("go(arguments[0])", last_backward + 1)
    cell = browser.all(".side:nth-of-type(2) .card[data-name='d_w_hh'] .cell")[5]
    browser.hover(cell)
    gradient = steps["trained"].final("d_w_hh").ravel()[5]
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
def test_stepper_plays_at_its_largest(browser, tmp_path):
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 20, size=(2, 32))
    steps = recordings(rnn.LSTM, inputs, targets, hidden_size=16, vocabulary_size=20)
    characters = [chr(97 + i) for i in range(20)]
    text = stepper_page(steps, characters, title="Large")
    assert len(text) < 8e6
    browser.open(write_page(tmp_path / "large.html", text), width=390, height=844, dark=True)
    assert browser.overflow() <= 0
    browser.run("go(0); document.getElementById('speed').value = '20'; play(true)")
    browser.wait("return place >= 10", seconds=60)
    browser.run("play(false)")
    assert browser.distinct_colours() > 20
    assert browser.console() == []
