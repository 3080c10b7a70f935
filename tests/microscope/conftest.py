"""Headless Chromium for the tests of the pages, small models for those of the measurements."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn import charlm

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A driver, and what every test of a page asks of it."""

    def __init__(self, driver):
        self.driver = driver
        self.width = 0

    def open(self, path, *, width=1280, height=900, dark=False, fragment=""):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        self.driver.get("about:blank")  # So that a fragment alone is a page to open, too.
        self.driver.get(path.resolve().as_uri() + fragment)
        self.width = width
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, script, *arguments, seconds=10):
        """Runs a script until it returns something true, and returns that."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.03).until(
            lambda driver: driver.execute_script(script, *arguments)
        )

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def click(self, selector):
        self.find(selector).click()

    def hover(self, element, x=0, y=0):
        """Moves the real pointer to an element, (x, y) from its middle."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).move_to_element_with_offset(element, x, y).perform()

    def move(self, x, y):
        """Moves the real pointer to a point of the window."""
        self.driver.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y}
        )

    def hover_plot(self, name, x, y):
        """Moves the pointer to a point of the figure that holds the renderer called `name`."""
        spot = self.run(
            "const wanted = model(arguments[0]);"
            "for (const view of Bokeh.index.roots) {"
            "  if (![...view.model.references()].includes(wanted)) continue;"
            "  view.el.scrollIntoView({block: 'center'});"
            "  const box = view.el.getBoundingClientRect();"
            "  return [box.left + view.frame.x_scale.compute(arguments[1]),"
            "          box.top + view.frame.y_scale.compute(arguments[2])];"
            "}",
            name,
            x,
            y,
        )
        self.move(*spot)

    def choose(self, selector, text):
        """Chooses an option of a select by its text."""
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_visible_text(text)

    def fill(self, selector, text):
        """Types into a field and leaves it."""
        # Control-A, then the text, then Enter.
        self.find(selector).send_keys("\ue009a\ue000", text, "\ue007")

    def key(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def console(self):
        """What the console holds of warnings and errors since the last call."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Addresses of everything that the page fetched."""
        return self.run("return performance.getEntriesByType('resource').map(e => e.name)")

    def unlabelled_tab_stops(self):
        """Elements at which the keyboard stops and that say nothing of themselves."""
        return self.run(
            "const found = [];"
            "const walk = (root) => { for (const one of root.querySelectorAll('*')) {"
            "  if (one.shadowRoot) walk(one.shadowRoot);"
            "  const says = one.getAttribute('aria-label') || one.title || one.textContent.trim()"
            "    || one.labels?.[0]?.textContent;"
            "  if (one.tabIndex >= 0 && !one.disabled && one.checkVisibility() && !says)"
            "    found.push(one.tagName + '.' + one.className);"
            "} };"
            "walk(document); return found"
        )

    def overflow(self):
        """Pixels by which the page is wider than the window."""
        # A phone's innerWidth grows with what overflows it.
        return self.run("return document.documentElement.scrollWidth") - self.width

    def distinct_colours(self):
        """How many different colours the screenshot has, roughly: 1 for a blank one."""
        import io

        import matplotlib.image

        picture = matplotlib.image.imread(io.BytesIO(self.driver.get_screenshot_as_png()))
        return len({tuple(pixel) for pixel in picture[::3, ::3].reshape(-1, picture.shape[-1])})


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    binary, driver_binary = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if binary is None or driver_binary is None:
        pytest.skip(
            "chromium and chromedriver are not installed (Debian: chromium chromium-driver)"
        )
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_binary))
    yield Browser(driver)
    driver.quit()


def _random_model(cell, num_layers=2, embed_size=None, length=6):
    config = charlm.Config(5, cell, 4, num_layers, embed_size)
    rng = np.random.default_rng(0)

    # Drawn by NumPy: JAX would compile dozens of tiny programs in every test process.
    def drawn(shape):
        return jnp.asarray(rng.normal(0.1, 0.6, shape.shape))  # a positive mean keeps relu alive

    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(lambda key: charlm.init(config, key, dtype=jnp.float64), key)
    params = jax.tree.map(drawn, shapes)
    carry = jax.eval_shape(lambda params: charlm.zero_carry(config, params, ()), shapes)
    tokens = jnp.asarray(rng.integers(0, 5, length + 1))
    return config, params, jax.tree.map(drawn, carry), tokens[:-1], tokens[1:]


@pytest.fixture(scope="session")
def random_model():
    """`(cell, num_layers=2, embed_size=None, length=6)` -> config, params, carry, inputs, targets.

    One stream without a batch axis; every parameter and the first carry are non-zero.
    """
    return _random_model


def _recordings(cell, inputs, targets, *, hidden_size=3, vocabulary_size=2, layers=1, **options):
    """A training step of an untrained and a trained model; JAX draws, and compiles, nothing."""
    from jaxrnn.microscope.training_step import record

    network = rnn.Stack([cell] * layers)
    size = 2 if cell.has_projection else None
    config = charlm.Config(vocabulary_size, network, hidden_size, proj_size=size)
    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(lambda key: charlm.init(config, key), key)
    zero = jax.eval_shape(lambda params: charlm.zero_carry(config, params, ()), shapes)
    carry = jax.tree.map(lambda shape: np.zeros(shape.shape), zero)

    def model(scale):
        draw = np.random.default_rng(1)
        return jax.tree.map(lambda shape: scale * draw.normal(size=shape.shape), shapes)

    return {
        name: record(config, model(scale), carry, inputs, targets, **options)
        for name, scale in (("untrained", 0.1), ("trained", 1.0))
    }


@pytest.fixture(scope="session")
def recordings():
    """`(cell, inputs, targets, *, hidden_size, vocabulary_size, layers, **options)` -> by name."""
    return _recordings
