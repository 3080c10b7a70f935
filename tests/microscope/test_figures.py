import math

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxrnn.microscope.figures.canvas import DIVERGING, save
from jaxrnn.microscope.figures.coloured_text import draw_coloured_text
from jaxrnn.microscope.figures.curves import (
    draw_curves,
    draw_gradient_histogram,
    draw_gradient_norms,
    draw_training,
)
from jaxrnn.microscope.figures.gates import draw_saturation
from jaxrnn.microscope.figures.maps import draw_activations, draw_pairs
from jaxrnn.microscope.measurements.gate_statistics import GateStatistics
from jaxrnn.microscope.measurements.gradient_flow import flow_of_gradients, gradient_histograms


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_activations_show_every_number_on_the_text(axes):
    values = np.random.default_rng(0).normal(size=(6, 3))
    draw_activations(axes, "a$\n🙂 \x00", values, units=[4, 5, 9])
    image = axes.images[0]
    np.testing.assert_array_equal(image.get_array(), values.T)
    assert image.get_clim() == (-np.abs(values).max(), np.abs(values).max())
    letters = [tick.get_text() for tick in axes.get_xticklabels()]
    assert letters == ["a", "$", "↵", "▯", " ", "▯"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["4", "5", "9"]
    axes.figure.canvas.draw()
    with pytest.raises(ValueError, match=r"draw_activations: values: expected \[2, H\]"):
        draw_activations(axes, "ab", values)


def test_pairs_in_powers_of_ten_and_around_zero(axes):
    draw_pairs(axes, [[1.0, 0.0], [1e-3, 10.0]], logarithmic=True, label="norm")
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, [[0, np.nan], [-3, 1]])
    assert axes.images[0].get_clim() == (-11, 1)
    other = Figure().add_subplot()
    draw_pairs(other, [[1.0, -2.0]])
    assert other.images[0].get_clim() == (-2, 2)
    assert other.images[0].get_cmap() is DIVERGING


def test_coloured_text_colours_each_character(axes):
    draw_coloured_text(axes, "ab\ncd", [4.0, -2.0, 0.0], target=3)
    texts = {
        (round(t.get_position()[0], 1), round(t.get_position()[1], 1)): t.get_text()
        for t in axes.texts
    }
    assert texts == {
        (0.5, 0.5): "a",
        (1.5, 0.5): "b",
        (2.5, 0.5): "↵",
        (0.5, 1.5): "c",
        (1.5, 1.5): "d",
    }
    grounds = [patch.get_facecolor()[:3] for patch in axes.patches]
    np.testing.assert_allclose(grounds[0], to_rgb("#1d5edd"), atol=0.01)
    np.testing.assert_allclose(grounds[1], (np.array(to_rgb("#ea4e14")) + 1) / 2, atol=0.01)
    np.testing.assert_allclose(grounds[2:], np.ones((3, 3)), atol=0.01)
    assert axes.patches[3].get_edgecolor()[:3] == to_rgb("#15803d")
    with pytest.raises(ValueError, match="at most 2 numbers"):
        draw_coloured_text(axes, "ab", [1, 2, 3])


def test_training_in_nats_and_bits(axes):
    records = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "validation_loss": 1.0},
        {"step": 3, "loss": 1.5},
    ]
    draw_training(axes, records)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 2.0], [3, 1.5]])
    other = Figure().add_subplot()
    draw_training(other, records, bits=True)
    np.testing.assert_allclose(other.lines[1].get_ydata(), [1 / math.log(2)])
    # A single point has no line to be seen by.
    single = Figure().add_subplot()
    draw_training(single, records[:1])
    assert [line.get_marker() for line in single.lines] == ["o"]
    assert axes.lines[0].get_marker() == "None"
    assert other.get_ylabel() == "bits a character"


def test_curves_have_a_colour_a_variant(axes):
    draw_curves(axes, {"a": [[1.0, 0.5], [1.1, 0.6]], "b": [[2.0, 1.0]]}, levels={"floor": 0.4})
    colours = [line.get_color() for line in axes.lines]
    assert colours[0] == colours[1] != colours[2]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["a", "b", "floor"]


def test_gradient_pictures_show_the_records(axes):
    gradient = np.tril(np.random.default_rng(0).normal(size=(5, 5)))[:, :, None]
    flow = flow_of_gradients(gradient)
    draw_gradient_norms(axes, {"RNN": flow})
    np.testing.assert_allclose(axes.lines[0].get_ydata(), flow.by_distance)
    assert axes.get_yscale() == "log"
    histograms = gradient_histograms(np.random.default_rng(1).normal(size=(2, 5, 8)))
    other = Figure().add_subplot()
    draw_gradient_histogram(other, histograms, 1, 3)
    np.testing.assert_array_equal(other.patches[0].get_data().values, histograms.counts[1, 3])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_saved_pictures_are_files_of_their_kind(tmp_path, kind):
    path = save(lambda axes: draw_activations(axes, "abc", np.eye(3)), tmp_path / f"new/a.{kind}")
    head = path.read_bytes()[:5]
    assert head.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


def test_saturation_has_a_dot_for_every_unit_of_every_gate(axes):
    gates = [
        GateStatistics("f", np.array([0.1, 0.0]), np.array([0.25, 0.9])),
        GateStatistics("o", np.array([0.5, 0.4]), np.array([0.5, 0.3])),
    ]
    draw_saturation(axes, gates)
    dots = [collection.get_offsets().data.tolist() for collection in axes.collections]
    assert dots == [[[0.25, 0.1], [0.9, 0.0]], [[0.5, 0.5], [0.3, 0.4]]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["gate f", "gate o"]
