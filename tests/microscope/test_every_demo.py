"""Every page of `jaxrnn demo all`, as it is made, in Chromium: minutes."""

import jax
import pytest

pytest.importorskip("bokeh")
from jaxrnn.microscope.demos import site
from jaxrnn.microscope.experiments import EXPERIMENTS, silent


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory):
    """Every experiment as it is, which takes minutes."""
    folder = tmp_path_factory.mktemp("site")
    with jax.numpy_dtype_promotion("standard"):
        made = [*site.write_demos(folder, 0, silent)]
    return folder, made


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("name", [*EXPERIMENTS])
def test_every_demo_reads_well(whole_site, browser, name):
    folder, made = whole_site
    assert [each for each in made if isinstance(each, site.Failed)] == []
    path = folder / f"{name}.html"
    assert path.stat().st_size < 8e6
    for width, height in ((1280, 900), (390, 844)):
        for dark in (False, True):
            browser.open(path, width=width, height=height, dark=dark)
            browser.wait("return document.readyState === 'complete'")
            assert browser.overflow() <= 0
            assert browser.accessibility_faults() == []
            assert browser.unlabelled_tab_stops() == []
            assert browser.console() == []
