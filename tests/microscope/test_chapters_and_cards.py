"""Pages made of pages: the chapters of a story, and the index of the demos."""

import re

import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.demos.site import Card, index_page
from jaxrnn.microscope.pages.curves import curves_page
from jaxrnn.microscope.pages.framed import Chapter, framed_page
from jaxrnn.microscope.pages.html import page, write_page
from jaxrnn.microscope.pages.shell import Story
from jaxrnn.microscope.pages.training import training_page

RECORDS = [
    {"step": 10 * k, "loss": 3.0 - k / 10, "sample": f"<b>{k} & more</b>"} for k in range(1, 6)
]


def chapters():
    return [
        Chapter("training", "Training", training_page(RECORDS, Story("It <learned>"))),
        Chapter("curves", "Curves", curves_page({"a": [[3.0, 2.0]]}, Story("Two points"))),
    ]


def test_what_chapters_share_is_in_the_file_once():
    made = chapters()
    whole = framed_page(made, Story("A story"))
    assert len(whole) < 1.2 * max(len(chapter.made) for chapter in made)
    with pytest.raises(ValueError, match="one chapter or more, under different names"):
        framed_page([], Story(""))
    with pytest.raises(ValueError, match="lower-case letters and hyphens"):
        framed_page([Chapter('a"b', "A", page("a", ""))], Story(""))


@pytest.mark.browser
def test_chapters_in_the_browser(browser, tmp_path):
    whole = framed_page(chapters(), Story("A story"), missing=["Copying: left out."])
    path = write_page(tmp_path / "story.html", whole)
    browser.open(path)
    rows = [link.text.replace("\n", " ") for link in browser.all(".contents a")]
    assert rows == ["Training It <learned>", "Curves Two points"]
    ready = "const f = frames.get(arguments[0]); return f.contentDocument?.body?.dataset.ready"
    browser.wait(ready, "training")
    # The frame is as tall as what it holds, and the page has no second scroll bar.
    heights = "const f = frames.get('training'), d = f.contentDocument.documentElement;"
    inside, outside = browser.run(heights + "return [d.scrollHeight, f.clientHeight]")
    assert inside <= outside
    assert browser.overflow() <= 0
    assert browser.accessibility_faults() == []

    # A state of a chapter is in the address of the whole, and comes back from it.
    browser.run("frames.get('training').contentDocument.getElementById('earlier').click()")
    browser.wait("return location.hash === '#training?sample=40'")
    browser.open(path)
    browser.run("location.hash = '#training?sample=20'")
    text = (
        "return frames.get('training').contentDocument?.getElementById('sample-text')?.textContent"
    )
    browser.wait(text + "=== '<b>2 & more</b>'")
    browser.run("location.hash = '#curves'")
    browser.wait(ready, "curves")
    place = "const box = document.getElementById('curves').getBoundingClientRect();"
    # At the top of the window, or as far up as the end of the page lets it.
    browser.wait(place + "return box.top < 50 || box.bottom <= innerHeight + 60")
    assert browser.console() == []

    browser.open(path, width=390, height=844, dark=True)
    browser.wait(ready, "training")
    assert browser.overflow() <= 0


@pytest.mark.browser
def test_a_page_for_one_screen_keeps_to_it_in_a_frame(browser, tmp_path):
    fills = "<script>document.body.dataset.fills = 'window'</script>"
    tall = "<p style='height:3000px'>a</p>"
    made = [Chapter("one", "One", page("a", fills + tall)), Chapter("two", "Two", page("b", tall))]
    browser.open(write_page(tmp_path / "story.html", framed_page(made, Story("S"))))
    height = "return frames.get(arguments[0]).clientHeight"
    browser.wait(height + " === 900 - 45", "one")
    browser.run("location.hash = '#two'")
    browser.wait(height + " > 3000", "two")


@pytest.mark.browser
def test_the_index_leads_to_every_page(browser, tmp_path):
    cards = [
        Card("order", "Three <units>", "It is so. " * 40, True, "<svg viewBox='0 0 9 9'></svg>"),
        Card("five-shapes", "Five", "Not so.", False),
    ]
    browser.open(write_page(tmp_path / "index.html", index_page(cards, ["lstm"])))
    links = browser.run("return [...document.querySelectorAll('.card')].map(c => c.href)")
    assert [link.rsplit("/", 1)[1] for link in links] == ["order.html", "five-shapes.html"]
    assert "Not there: lstm." in browser.find("main").text
    assert browser.find(".card h2").text == "Three <units>"
    assert len(browser.find(".card p").text) < 260
    assert browser.accessibility_faults() == []
    assert browser.overflow() <= 0
    assert browser.console() == []


def test_cards_carry_no_text_unescaped():
    made = index_page([Card("a", "<t>", "<v>", True)])
    assert not re.search(r"<t>|<v>", made)
