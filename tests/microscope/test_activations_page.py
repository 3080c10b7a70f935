import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("bokeh")
from jaxrnn import charlm
from jaxrnn.microscope.pages.activations import Typing, activations_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.plots import quantise
from jaxrnn.microscope.pages.shell import Story
from jaxrnn.microscope.pages.typed_text import CELLS_IN_PAGES, model_for_typing, why_not
from jaxrnn.microscope.pages.unit_gallery import Meaning, cards, leading, ranked
from jaxrnn.microscope.pages.whole_text import WholeText, to_levels
from jaxrnn.microscope.traces import trace_text
from jaxrnn.microscope.views.activations import title_of

HOSTILE = "a</script>\x00\u202eשלום🙂\"'&<b>\n{map}{data}"


def smooth_noise(steps, units, seed=0):
    draw = np.random.default_rng(seed).normal(size=(steps, units))
    return np.tanh(draw + np.roll(draw, 1, axis=0) + np.roll(draw, 2, axis=0))


@pytest.mark.parametrize("bits", [8, 16])
def test_quantise_errs_by_half_a_step(bits):
    values = np.random.default_rng(0).normal(size=1000)
    steps, scale = quantise(values, bits)
    assert np.abs(steps * scale - values).max() <= scale / 2 * (1 + 1e-12)
    assert np.abs(steps).max() == 2 ** (bits - 1) - 1
    assert not quantise(np.zeros(3), bits).steps.any()


def test_large_page_stays_below_eight_megabytes():
    fields = {name: smooth_noise(2000, 256, seed) for seed, name in enumerate("hcifgo")}
    assert len(activations_page("x" * 2000, fields, story=Story("Large"))) < 8e6


def test_a_flat_unit_heads_no_page_however_strong():
    values = smooth_noise(1000, 4)
    values[:, 1] = 0.95 - 0.05 * (np.arange(1000) % 100 == 0)
    values[:, 2] = np.where(np.arange(1000) % 20 == 0, 1.0, -1.0)  # Rare, and plain to see.
    flat = Meaning(1, "last character is 'j'", "'j'", -0.99, 0.1)
    rare = Meaning(2, "last character is 'q'", "'q'", 0.6, 0.1)
    assert not leading(values, range(4), [flat]).any()
    assert ranked(values, range(4), [flat])[-1] == 1
    assert ranked(values, range(4), [flat, rare])[0] == 2
    shown = cards(values, range(4), [flat, rare], ranked(values, range(4), [flat, rare]), 1.0)
    assert [card["column"] for card in shown][::3] == [2, 1]
    assert title_of(None, "r", 1) == "The units of r that move most follow nothing that has a name"


def test_bad_input_is_a_sentence():
    with pytest.raises(ValueError, match=r"'h'\]: expected arrays \[T = 3, H\] of one shape"):
        activations_page("abc", {"h": np.zeros((4, 2))}, story=Story(""))
    fields = dict.fromkeys("hc", np.zeros((6000, 800)))
    rule = r"1 to 2,578 tokens with 800 units and the fields h, c, got 6,000\. "
    with pytest.raises(ValueError, match=rule + r"Hint: .*`text` .*--to.*`fields` \(--units"):
        activations_page("x" * 6000, fields, story=Story(""))
    with pytest.raises(ValueError, match=r"1 to 20,000 tokens with 2 units and .*, got 0"):
        activations_page("", {"h": np.zeros((0, 2))}, story=Story(""))


@pytest.mark.browser
def test_activations_in_the_browser(browser, tmp_path):
    text = HOSTILE + "To be, or not to be: that is the question. " * 2
    steps, units = len(text), 12
    fields = {"h": smooth_noise(steps, units), "f": (1 + smooth_noise(steps, units, 1)) / 2}
    fields["h"][30:34, 5] = fields["h"][60:64, 5] = 0.999
    fields["h"][30:34, 8] = 0.2
    fields["h"][45:48, 3], fields["h"][45:48, 8] = 0.999, -0.999
    numbers = list(range(100, 100 + units))
    flat = Meaning(101, "last character is '4'", "'4'", -0.99, 0.2)
    fields["h"][:, 1] = -0.98
    page = activations_page(
        text,
        fields,
        Story("<i>"),
        units=numbers,
        first=7,
        meanings=[flat, Meaning(103, "next character is 'e'", "'e'", 0.9, 0.5)],
    )
    browser.open(write_page(tmp_path / "page.html", page))
    browser.wait("return document.body.dataset.ready === 'yes'")
    assert browser.run("return data.text.join('').length") > 0
    assert browser.run("return spans.length") == steps
    # It opens on the unit that can be seen, not on the flat one, with a stretch of it chosen.
    assert browser.find("#unit").get_attribute("value") == "103"
    assert browser.find("#meaning").text == (
        "Unit 103: Next character is 'e' (correlation +0.90; the best untrained unit 0.50)"
    )
    opened = browser.run("return [at.from, at.to]")
    inside = fields["h"][opened[0] : opened[1], 3]
    assert (np.abs(inside) >= 0.49).all()
    assert len({*np.sign(inside)}) == 1
    assert "103" in browser.find("#on").text

    def hover_map(place, row):
        browser.hover_plot("activations", place + 0.5, row + 0.5)

    def readout():
        line = browser.find("#readout")
        return [line.get_attribute(f"data-{name}") for name in ("place", "unit", "value")]

    for name, place, unit in (("h", 31, 5), ("h", 12, 0), ("f", 40, 11)):
        browser.choose("#field", name)
        hover_map(place, unit)
        seen = readout()
        assert seen[:2] == [str(place), str(unit)]
        assert float(seen[2]) == pytest.approx(fields[name][place, unit], abs=2e-4)
        shown = browser.find("#readout").text
        number = float(shown.split(f"{name} = ")[1].split(" ")[0].replace("−", "-"))
        assert number == pytest.approx(fields[name][place, unit], abs=2e-4)
        assert f"at place {place + 7} · unit {100 + unit}" in shown

    # Sorted, a row is another unit, and the readout says which.
    browser.choose("#order", "by mean")
    by_mean = np.argsort(fields["h"].mean(axis=0), kind="stable")
    hover_map(20, 3)
    assert readout()[1] == str(by_mean[3])
    drawn = browser.run("return Array.from(model('activations').data_source.data.f[0])")
    drawn = np.reshape(drawn, (units, steps)) * browser.run("return data.fields[1].scale")
    np.testing.assert_allclose(drawn, fields["f"].T[by_mean], atol=1e-4)
    browser.choose("#field", "h")
    browser.choose("#order", "by what they encode")
    hover_map(20, 0)
    assert browser.find("#readout").get_attribute("data-unit") in "13"
    assert browser.run("return rowName(0.5) + ' ' + rowName(1.5)") == "101 103"
    browser.choose("#field", "f")
    # What h means is not what the gate means.
    hover_map(20, 0)
    assert "correlation" not in browser.find("#readout").text
    assert "correlation" not in browser.find("#meaning").text

    # A gate is never negative: its colours begin at 0.
    bar = "return [model('activations bar').low, model('activations').glyph.color_mapper.low]"
    assert browser.run(bar) == [0, 0]
    browser.choose("#field", "h")
    low = browser.run(bar)
    assert low[0] == pytest.approx(-np.abs(fields["h"]).max())
    assert low[1] == -32767

    # The other places where the same units are on.
    browser.run("chooseStretch(30, 34)")
    browser.run("byId('threshold').value = 0.875; search()")
    threshold = browser.find("#threshold-value").text
    assert browser.find("#on").text == (
        "2 of 12 units stay on all through the stretch"
        f" · above {threshold}: unit 105 · below −{threshold}: unit 101"
    )
    full = browser.run("return found.filter((one) => one.score === 1).map((one) => one.t)")
    assert 60 in full
    # A unit that stays below the negative of the threshold is named apart.
    browser.run("chooseStretch(45, 48)")
    assert browser.find("#on").text == (
        "3 of 12 units stay on all through the stretch"
        f" · above {threshold}: unit 103 · below −{threshold}: units 101, 108"
    )
    browser.run("chooseStretch(30, 34)")
    browser.find("#found button").click()
    assert readout()[0] == str(full[0])
    browser.find("#text").send_keys("\ue014")
    assert readout()[0] == str(full[0] + 1)
    for selector, value in (("#from", "40"), ("#to", "45")):
        browser.fill(selector, value)
    assert browser.run("return [at.from, at.to]") == [33, 39]
    browser.fill("#unit", "104")
    assert browser.run("return at.unit") == 4
    # The gallery shows a unit of each kind and goes there.
    cards = [card.text.split(".")[0] for card in browser.all("#gallery a")]
    assert cards[:1] == ["Unit 103"]
    assert len(cards) == 6
    browser.click("#gallery a")
    assert browser.run("return at.unit") == 3
    assert browser.unlabelled_tab_stops() == []
    assert browser.accessibility_faults() == []
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 100


@pytest.mark.browser
def test_a_finger_chooses_a_stretch(browser, tmp_path):
    fields = {"h": smooth_noise(200, 6)}
    page = activations_page("to be or " * 22 + "to", fields, Story("A"))
    browser.open(write_page(tmp_path / "page.html", page), width=390, height=844, dark=True)
    browser.wait("return document.body.dataset.ready === 'yes'")
    browser.touch()
    spot = (
        "const spot = spans[arguments[0]].getBoundingClientRect();"
        "return [spot.left + spot.width / 2, spot.top + spot.height / 2]"
    )
    browser.run("spans[12].scrollIntoView({ block: 'center' })")
    start, end = (browser.run(spot, place) for place in (12, 19))
    assert start[1] == end[1]
    browser.drag_finger(start, end)
    assert browser.run("return [at.from, at.to]") == [12, 20]
    # The other way, and one character; the page itself stays where it is.
    down = browser.run("return scrollY")
    browser.drag_finger(end, browser.run(spot, 15))
    assert browser.run("return [at.from, at.to]") == [15, 20]
    browser.drag_finger(start, start, steps=0)
    assert browser.run("return [at.from, at.to]") == [12, 13]
    assert browser.run("return scrollY") == down
    browser.tap(browser.all("#gallery a")[1])
    shown = browser.run("return String(data.labels[at.unit])")
    assert shown == browser.all("#gallery a")[1].text.split(".")[0].split()[1]
    assert browser.accessibility_faults() == []
    assert browser.console() == []


@pytest.mark.browser
def test_the_address_says_what_is_shown_and_brings_it_back(browser, tmp_path):
    fields = {"h": smooth_noise(100, 6), "z": (1 + smooth_noise(100, 6, 1)) / 2}
    path = write_page(
        tmp_path / "page.html",
        activations_page("to be or " * 11 + "t", fields, Story("A"), first=5),
    )
    browser.open(path, fragment="#unit=4&from=30&to=34&field=z&threshold=0.25&order=by+mean")
    browser.wait("return document.body.dataset.ready === 'yes'")
    state = "return [at.unit, data.first + at.from, data.first + at.to - 1, at.field, orderName]"
    assert browser.run(state) == [4, 30, 34, 1, 2]
    assert browser.find("#threshold-value").text == browser.run(
        "return (0.25 * data.fields[1].most).toFixed(2)"
    )
    assert not browser.all("#address-note")
    browser.fill("#unit", "5")
    browser.wait("return location.hash.includes('unit=5')")
    assert "field=z" in browser.run("return location.hash")
    # A link names parts of the state; the others go back to how the page opened.
    browser.run("location.hash = '#unit=1'")
    browser.wait("return at.unit === 1 && at.field === 0")
    # What does not fit is left out, with a note.
    for wrong in ("unit=99", "unit=x", "from=4", "order=sideways", "threshold=0.3", "pigs=7", "%"):
        browser.run("location.hash = '#field=z&' + arguments[0]", wrong)
        browser.wait(
            "return document.querySelector('#address-note')?.textContent.includes(arguments[0])",
            wrong,
        )
        assert browser.run("return at.field") == 1
    browser.run("location.hash = '#unit=3'")
    browser.wait("return at.unit === 3 && document.querySelector('#address-note').hidden")
    assert browser.console() == []


@pytest.mark.browser
def test_matches_are_counted_over_the_whole_text(browser, tmp_path):
    states = smooth_noise(3000, 9)
    states[400:404, 2] = 0.999
    states[90:94] = states[2000:2004] = states[400:404]
    text = "".join(np.random.default_rng(0).choice(list("abc "), 3000))
    page = activations_page(
        text[100:600], {"h": states[100:600]}, Story("A"), first=107,
        whole=WholeText(text, states, 7, 5000),
    )  # fmt: skip
    browser.open(write_page(tmp_path / "page.html", page), fragment="#threshold=0.75")
    browser.wait("return document.body.dataset.ready === 'yes'")
    for start, end in ((300, 304), (20, 21), (50, 52)):
        browser.run("chooseStretch(arguments[0], arguments[1])", start, end)
        most = browser.run("return data.fields[0].most")
        levels = to_levels(states, most)
        stretch = levels[100 + start : 100 + end]
        up, down = (stretch >= 6).all(axis=0), (stretch <= -6).all(axis=0)
        if not (up | down).any():
            assert browser.find("#on").text.startswith("No unit stays on")
            continue
        on = np.where(up, levels >= 6, levels <= -6)[:, up | down].all(axis=1)
        matches, t = 0, 0
        while t + end - start <= 3000:
            if on[t : t + end - start].all():
                matches, t = matches + 1, t + end - start
            else:
                t += 1
        said = browser.find("#whole-count").text
        assert f" {matches:,} stretch" in said
        assert "3,000 of the text’s 5,000 characters" in said
    browser.run("chooseStretch(300, 304)")
    places = [row.text.split()[0] for row in browser.all("#found tr")]
    assert {"97", "2007"} <= {*places}
    assert browser.console() == []


def model_of(cell, **options):
    config = charlm.Config(7, cell, 5, 2, **options)
    params = charlm.init(config, jax.random.key(0))
    return config, jax.tree.map(
        lambda w: w + 0.3 * np.random.default_rng(w.size).normal(size=w.shape).astype("f4"), params
    )


@pytest.mark.browser
def test_the_cells_of_the_page_are_the_cells(browser, tmp_path):
    """One page; the models are handed to its `CharacterModel` one by one."""
    vocab = charlm.Vocab.from_text("ab <&\n)")
    text = "ab ab)<& \n" * 4 + "a"
    config, params = model_of("gru")
    typing = Typing(model_for_typing(config, params, vocab, 1, text[:20] + "Ü\nx"))
    page = activations_page("ab" * 20, {"h": smooth_noise(40, 5)}, Story("A"), typing=typing)
    browser.open(write_page(tmp_path / "page.html", page))
    browser.wait("return document.body.dataset.ready === 'yes'")
    read = (
        "const m = new CharacterModel(arguments[0]), seen = [];"
        "for (const id of arguments[1]) seen.push(m.read(id).map((c) => Array.from(c.h)));"
        "return [seen, Array.from(m.expected())]"
    )
    tokens = vocab.encode(text)
    for cell in CELLS_IN_PAGES:
        for options in ({}, {"embed_size": 3}):
            config, params = model_of(cell, **options)
            assert why_not(config, params) == ""
            seen, expected = browser.run(
                read, model_for_typing(config, params, vocab, 0), tokens.tolist()
            )
            trace = trace_text(config, params, vocab, text + "a")
            for layer in (0, 1):
                hs = np.array([step[layer] for step in seen])
                np.testing.assert_allclose(hs, trace.layers[layer].carries.h, atol=1e-5, rtol=1e-5)
            probabilities = jax.nn.softmax(jnp.asarray(trace.logits[-1]))
            np.testing.assert_allclose(expected, probabilities, atol=1e-5)

    # What stands in the box is read; characters that the model never saw are marked and skipped.
    config, params = model_of("gru")
    trace = trace_text(config, params, vocab, text[:20] + "\na")
    values = browser.run(
        "return [...document.querySelectorAll('#typed-shown [data-value]')]"
        ".map((s) => Number(s.dataset.value))"
    )
    unit = browser.run("return at.unit")
    np.testing.assert_allclose(values, trace.layers[1].carries.h[:, unit], atol=1e-5)
    assert [each.text for each in browser.all("#typed-shown .unknown")] == ["Ü", "x"]
    assert "marked and skipped: Ü x" in browser.find("#typed-unknown").text
    browser.find("#typed").send_keys("ab")
    browser.wait("return location.hash.includes('typed=')")
    assert browser.console() == []


def test_models_that_cannot_run_in_a_page_say_so():
    config = charlm.Config(7, "lstm_peephole", 5)
    params = charlm.init(config, jax.random.key(0))
    assert "this model has lstm_peephole" in why_not(config, params)
    large = charlm.Config(100, "lstm", 512)
    shapes = jax.eval_shape(lambda key: charlm.init(large, key), jax.random.key(0))
    assert "at most 300,000 run in a page" in why_not(large, shapes)
    reason = why_not(large, shapes)
    page = activations_page("ab", {"h": np.eye(2)}, Story("A"), typing=Typing(None, reason))
    assert reason in page


@pytest.mark.browser
def test_largest_page_opens_in_two_seconds_on_a_phone(browser, tmp_path):
    fields = {name: smooth_noise(2000, 256, seed) for seed, name in enumerate("hcifgo")}
    whole = WholeText("To be or " * 781, np.tile(fields["h"], (4, 1))[:7029], 0, 7029)
    page = activations_page("To be or " * 222 + "To", fields, Story("Large"), whole=whole)
    assert len(page) < 8e6
    path = write_page(tmp_path / "page.html", page)
    browser.open(path, width=390, height=844, dark=True)
    browser.wait("return document.body.dataset.ready === 'yes'")
    assert browser.overflow() <= 0
    assert browser.distinct_colours() > 100
    assert browser.console() == []
