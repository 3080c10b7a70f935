import numpy as np
import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.measurements.gate_statistics import GateStatistics
from jaxrnn.microscope.pages.bars import Bar, Chart, bars_page
from jaxrnn.microscope.pages.gates import gates_page
from jaxrnn.microscope.pages.html import write_page
from jaxrnn.microscope.pages.shell import Story

HOSTILE = "a</script>\x00\u202eש🙂\"'&"


def opened(browser, page, path, **options):
    browser.open(write_page(path / "page.html", page), **options)
    browser.wait("return document.body.dataset.ready === 'yes'")


def tooltip(browser):
    """The text of Bokeh's tooltip, which lives in shadow roots."""
    return browser.wait(
        "const texts = [];"
        "const visit = (node) => {"
        "  if (node.shadowRoot) visit(node.shadowRoot);"
        "  for (const child of node.children ?? []) {"
        "    if (child.classList?.contains('bk-Tooltip')) texts.push(child.shadowRoot.textContent);"
        "    visit(child);"
        "  }"
        "};"
        "visit(document.body); return texts.join(' ');"
    )


def bars_example():
    bars = [Bar("letter", 0.625, "90 characters"), Bar("space", -0.25)]
    charts = {"<By kind>": Chart(bars, "share", "Why & how."), "Again": Chart(bars[:1], "bits")}
    return bars_page(
        charts, story=Story("<t>", "d"), rows=[(HOSTILE, "p = 1")], texts={"t": HOSTILE}
    )


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_bars_in_the_browser(browser, tmp_path, width, dark):
    opened(browser, bars_example(), tmp_path, width=width, dark=dark)
    assert [each.text for each in browser.all("h2")] == ["<By kind>", "Again", "t"]
    browser.hover_plot("bars 0", 0.3, "letter")
    assert "0.6250" in tooltip(browser)
    assert "90 characters" in tooltip(browser)
    assert browser.find(".text").text.startswith("a</script>␀U+202Eש🙂")
    assert browser.overflow() <= 0
    assert browser.distinct_colours() > 5
    assert browser.console() == []
    assert browser.requests() == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_gates_in_the_browser(browser, tmp_path, width, dark):
    first = GateStatistics("f", np.array([0.1, 0.0, 0.8]), np.array([0.25, 0.9, 0.1]))
    second = GateStatistics("f", np.array([0.5]), np.array([0.5]))
    page = gates_page(
        {"layer 1": [first, first._replace(gate="o")], "layer 2": [second]},
        story=Story("<t>"), rows=[("layer 1, dead units", "none")],
    )  # fmt: skip
    opened(browser, page, tmp_path, width=width, dark=dark)
    browser.hover_plot("f layer 1", 0.9, 0.0)
    shown = tooltip(browser)
    assert "0.900" in shown
    assert "0.000" in shown
    assert browser.overflow() <= 0
    assert browser.distinct_colours() > 5
    assert browser.console() == []
    assert browser.requests() == []


def test_what_the_pages_refuse():
    with pytest.raises(ValueError, match="at least one"):
        bars_page({}, story=Story("t"))
    with pytest.raises(ValueError, match="different labels"):
        bars_page({"c": Chart([Bar("a", 1.0), Bar("a", 2.0)], "x")}, story=Story("t"))
    with pytest.raises(ValueError, match="1 to 60 bars"):
        bars_page({"c": Chart([], "x")}, story=Story("t"))
    with pytest.raises(ValueError, match="layers with gates"):
        gates_page({"layer 1": []}, story=Story("t"))
