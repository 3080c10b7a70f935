import html
import json
import re

import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.pages.html import embedded_json, packed, page, visible
from jaxrnn.microscope.pages.notation import code_html, equation_html
from jaxrnn.microscope.training_step.listings import UPDATES, assemble, layers_of
from jaxrnn.microscope.training_step.translation import cell_listing


def lines_of_every_listing():
    for cell in rnn.CELLS.values():
        parameters = (*cell.Params._fields, "w_hy", "b_y", "embedding")
        for update in UPDATES:
            for embedded in (True, False):
                options = {"clipped": embedded, "norm_clipped": embedded, "update": update}
                options["loss"] = "cross_entropy" if embedded else "summed_cross_entropy"
                own = cell_listing(cell), cell.Params._fields, cell.Carry._fields
                blocks = assemble(layers_of([own]), parameters, embedded=embedded, **options)
                lines = [line for block in blocks for line in block.lines]
                names = {*parameters, *(name for line in lines for name, _ in line.defines)}
                for line in lines:
                    yield line, names


def test_code_is_shown_as_it_runs():
    for line, names in lines_of_every_listing():
        shown = code_html(line.code, names)
        assert html.unescape(re.sub(r"<[^>]*>", "", shown)) == line.code
        marked = re.findall(r'data-name="([^"]*)" data-index="([^"]*)"', shown)
        assert marked[: len(line.defines)] == [tuple(defined) for defined in line.defines]


def test_equation_has_the_symbols_of_its_code():
    for line, names in lines_of_every_listing():
        pattern = r'data-name="([^"]*)" data-index="([^"]*)"'
        code = set(re.findall(pattern, code_html(line.code, names)))
        equation = set(re.findall(pattern, equation_html(line.code, names)))
        # 0 stands for zeros_like(w), which therefore names w in the code only.
        left_out = code - equation if "zeros_like" in line.code else set()
        assert equation == code - left_out


@pytest.mark.parametrize(
    ("code", "equation"),
    [
        ("d_h[t-1] = d_a[t] @ w_hh.T", "∂h_{t−1} = ∂a_{t} w_{hh}^{⊤}"),
        (
            "h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]",
            "h_{t} = (1 − z_{t}) ⊙ n_{t} + z_{t} ⊙ h_{t−1}",
        ),
        ("d_w_hh += outer(h[t-1], d_a[t])", "∂w_{hh} += h_{t−1}^{⊤} ∂a_{t}"),
        ("d_a[t] = d_h[t] * (1 - h[t] ** 2)", "∂a_{t} = ∂h_{t} ⊙ (1 − h_{t}^{2})"),
        ("d_b_h = clip(d_b_h, -limit, limit)", "∂b_{h} = clip_{±limit}(∂b_{h})"),
        ("norm = length(d_b_h, d_w_hh)", "norm = ‖∂b_{h}, ∂w_{hh}‖"),
        (
            "b_h -= learning_rate * (mean_b_h / (1 - 0.9 ** k))"
            " / (sqrt(memory_b_h / (1 - decay_rate ** k)) + 1e-8)",
            "b_{h} −= η m_{b h} / (1 − 0.9^{k}) / (√(s_{b h} / (1 − ρ^{k})) + 10^{−8})",
        ),
        (
            "memory_b_h = decay_rate * memory_b_h + (1 - decay_rate) * d_b_h ** 2",
            "s_{b h} = ρ s_{b h} + (1 − ρ) ∂b_{h}^{2}",
        ),
        ("b_h -= learning_rate * weight_decay * b_h", "b_{h} −= η λ b_{h}"),
        ("h[t] = (z[t] * n[t]) @ w_hh", "h_{t} = (z_{t} ⊙ n_{t}) w_{hh}"),
        ("x_hat[t] = standardise(h[t], axis=-1)", "x̂_{t} = standardise(h_{t}, axis = −1)"),
        ("d_a[t] = standardise_T(z[t], n[t])", "∂a_{t} = standardise^{⊤}(z_{t}, n_{t})"),
        ("z[t] = where(h[t] > 0, n[t], 0.0)", "z_{t} = where(h_{t} &gt; 0, n_{t}, 0.0)"),
        ("a_L2[t] = h_L1[t] @ w_xh_L2", "a_{t}^{(2)} = h_{t}^{(1)} w_{xh}^{(2)}"),
        # What has no notation stands as it is written.
        ("z[t] = h[t][..., :2] % 2", "z_{t} = h[t][..., :2] % 2"),
    ],
)
def test_equations_are_typeset(code, equation):
    names = {"h", "z", "n", "d_h", "d_a", "w_hh", "d_w_hh", "b_h", "d_b_h", "norm"}
    names |= {"mean_b_h", "memory_b_h", "x_hat", "a_L2", "h_L1", "w_xh_L2"}
    shown = equation_html(code, names)
    for tag, mark in (("sub", "_{"), ("sup", "^{")):
        shown = shown.replace(f"<{tag}>", mark).replace(f"</{tag}>", "}")
    assert re.sub(r"<[^>]*>", "", shown) == equation


def test_every_character_survives_the_way_into_the_page():
    text = "".join(map(chr, [*range(0x250), 0x5D0, 0x202E, 0x2028, 0x2029, 0x1F642, 0xD800]))
    element = embedded_json("x", text + "</script><!--<script>")
    inside = element.removeprefix('<script type="application/json" id="x">').removesuffix(
        "</script>"
    )
    assert not set("<>&") & set(inside)
    assert inside.isascii()
    assert json.loads(inside) == text + "</script><!--<script>"


def test_nothing_invisible_is_shown_as_it_is():
    for code in [*range(0x300), 0x200B, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069, 0xFEFF, 0xD800]:
        shown = visible(chr(code))
        assert shown.isprintable()
        assert shown.strip()


def test_title_is_text():
    assert "<title>&lt;b&gt; &amp; &quot;</title>" in page('<b> & "', "")


def test_packed_arrays_are_little_endian_float32():
    import base64

    values = np.array([[1.5, -2.0, 3.25]])
    kept = packed(values)
    assert kept["shape"] == (1, 3)
    assert np.frombuffer(base64.b64decode(kept["f4"]), "<f4").tolist() == values[0].tolist()
