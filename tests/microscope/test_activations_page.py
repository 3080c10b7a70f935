import numpy as np
import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.pages.activations import activations_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.plots import quantise

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
    assert len(activations_page("x" * 2000, fields, title="Large")) < 8e6


def test_bad_input_is_a_sentence():
    with pytest.raises(ValueError, match=r"'h'\]: expected arrays \[T = 3, H\] of one shape"):
        activations_page("abc", {"h": np.zeros((4, 2))}, title="")
    fields = dict.fromkeys("hc", np.zeros((6000, 800)))
    rule = r"1 to 2,578 tokens with 800 units and the fields h, c, got 6,000\. "
    with pytest.raises(ValueError, match=rule + r"Hint: .*`text` .*--to.*`fields` \(--units"):
        activations_page("x" * 6000, fields, title="")
    with pytest.raises(ValueError, match=r"1 to 20,000 tokens with 2 units and .*, got 0"):
        activations_page("", {"h": np.zeros((0, 2))}, title="")


@pytest.mark.browser
def test_activations_in_the_browser(browser, tmp_path):
    text = HOSTILE + "To be, or not to be: that is the question. " * 2
    steps, units = len(text), 12
    fields = {"h": smooth_noise(steps, units), "f": (1 + smooth_noise(steps, units, 1)) / 2}
    fields["h"][30:34, 5] = fields["h"][60:64, 5] = 0.999
    fields["h"][45:48, 3], fields["h"][45:48, 8] = 0.999, -0.999
    numbers = list(range(100, 100 + units))
    page = activations_page(
        text, fields, title="<i>", units=numbers, first=7, meanings={103: "after 'e' (0.9)"}
    )
    browser.open(write_page(tmp_path / "page.html", page))
    browser.wait("return document.body.dataset.ready === 'yes'")
    assert browser.run("return data.text.join('').length") > 0
    assert browser.run("return spans.length") == steps

    def hover_map(place, row):
        spot = browser.run(
            "const view = Bokeh.index.find_one_by_id(model('map').id);"
            "const box = view.el.getBoundingClientRect(), frame = view.frame;"
            "return [box.left + view.bbox.left * 0 + frame.x_scale.compute(arguments[0]),"
            " box.top + frame.y_scale.compute(arguments[1])]",
            place + 0.5,
            row + 0.5,
        )
        browser.move(*spot)

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
    browser.choose("#order", "by what they encode")
    hover_map(20, 0)
    assert "after 'e' (0.9)" in browser.find("#readout").text

    # A gate is never negative: its colours begin at 0.
    bar = "return [model('activations bar').low, model('activations').glyph.color_mapper.low]"
    assert browser.run(bar) == [0, 0]
    browser.choose("#field", "h")
    low = browser.run(bar)
    assert low[0] == pytest.approx(-np.abs(fields["h"]).max())
    assert low[1] == -32767

    # The other places where the same units are on.
    browser.run("chooseStretch(30, 34)")
    browser.run("byId('threshold').value = 0.95; search()")
    threshold = browser.find("#threshold-value").text
    assert browser.find("#on").text == (
        f"1 of 12 units stay on all through the stretch · above {threshold}: unit 105"
    )
    assert browser.run("return found[0]") == {"score": 1, "t": 60}
    # A unit that stays below the negative of the threshold is named apart.
    browser.run("chooseStretch(45, 48)")
    assert browser.find("#on").text == (
        "2 of 12 units stay on all through the stretch"
        f" · above {threshold}: unit 103 · below −{threshold}: unit 108"
    )
    browser.run("chooseStretch(30, 34)")
    browser.find("#found button").click()
    assert readout()[0] == "60"
    browser.find("#text").send_keys("\ue014")
    assert readout()[0] == "61"
    for selector, value in (("#from", "40"), ("#to", "45")):
        browser.fill(selector, value)
    assert browser.run("return [at.from, at.to]") == [33, 39]
    browser.fill("#unit", "104")
    assert browser.run("return at.unit") == 4
    assert browser.console() == []
    assert browser.requests() == []
    assert browser.distinct_colours() > 100


@pytest.mark.browser
def test_largest_page_opens_in_two_seconds_on_a_phone(browser, tmp_path):
    fields = {name: smooth_noise(2000, 256, seed) for seed, name in enumerate("hcifgo")}
    page = activations_page("To be or " * 222 + "To", fields, title="Large")
    path = write_page(tmp_path / "page.html", page)
    browser.open(path, width=390, height=844, dark=True)
    browser.wait("return document.body.dataset.ready === 'yes'")
    assert browser.overflow() <= 0
    assert browser.distinct_colours() > 100
    assert browser.console() == []
