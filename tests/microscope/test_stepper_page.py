import re

import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.pages.formulas import formula
from jaxrnn.microscope.pages.places import places
from jaxrnn.microscope.pages.selection import Selection, choose
from jaxrnn.microscope.pages.stepper import stepper_page

HOSTILE = ["</script>", "\u202e", "\x00", '"', "ש", "🙂", "<b>", "&amp;"]


def test_page_of_every_cell_holds_no_address_and_all_data(recordings):
    for cell in rnn.CELLS.values():
        text = stepper_page(recordings(cell, [0, 1], [1, 0]), "01", title="A step")
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
        assert text.count("<script") == text.count("</script>") == 7


def test_hostile_characters_do_not_end_the_data(recordings):
    steps = recordings(rnn.ELMAN, [0, 1, 2], [1, 2, 0], vocabulary_size=len(HOSTILE))
    text = stepper_page(steps, HOSTILE, title="<script>alert(1)</script>")
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 7
    assert "\u202e" not in text
    assert "\x00" not in text


def test_limits_are_sentences(recordings):
    with pytest.raises(ValueError, match=r"at most 32 tokens to read, got 33\. Hint: record a"):
        stepper_page(recordings(rnn.ELMAN, [0] * 33, [1] * 33), "01", title="")
    sides = recordings(rnn.ELMAN, [0, 1], [1, 0])
    for units in ([], [3], list(range(17))):
        with pytest.raises(ValueError, match="units: expected 1 to 16 units from 0 to 2, got"):
            stepper_page(sides, "01", title="", units=units)
    sides["other"] = recordings(rnn.ELMAN, [0, 0], [1, 0])["trained"]
    with pytest.raises(ValueError, match="of one model, one text, one update and equal sizes"):
        stepper_page(sides, "01", title="")
    sides["other"] = recordings(rnn.ELMAN, [0, 1], [1, 0], learning_rate=0.2)["trained"]
    with pytest.raises(ValueError, match="of one model, one text, one update and equal sizes"):
        stepper_page(sides, "01", title="")


def test_page_tells_the_update_and_what_it_keeps(recordings):
    steps = recordings(rnn.GRU, [0, 1], [1, 0], update="adamw", learning_rate=3e-3, norm_limit=1.0)
    text = stepper_page(steps, "01", title="A step", more=["And <more>."])
    assert "The update is adamw with η = 0.003, ρ = 0.999, λ = 0, " in text
    assert '"memories":["d_w_hh","memory_w_hh","mean_w_hh"]' in text
    assert "<p>And &lt;more&gt;.</p>" in text


def test_of_a_large_model_what_moves_and_is_read_is_chosen(recordings):
    tokens = [3, 40, 17, 5]
    steps = recordings(rnn.LSTM, tokens, tokens[::-1], hidden_size=20, vocabulary_size=50, layers=2)
    step = steps["trained"]
    chosen = choose(step, units=[7, 2])
    assert chosen["H2"] == [2, 7]
    assert len(chosen["H1"]) == 4
    assert set(tokens) < set(chosen["V"])
    assert len(chosen["V"]) == 8
    moved = np.abs(np.diff([h for _, h in sorted(step.final("h_L1").items())], axis=0)).sum(0)
    assert set(np.argsort(-moved)[:4]) == set(chosen["H1"])
    selection = Selection(step, chosen)
    w_xh = step.final("w_xh_L2")
    blocks = [unit + gate * 20 for gate in range(4) for unit in (2, 7)]
    np.testing.assert_array_equal(
        selection.cut("w_xh_L2", w_xh), w_xh[np.ix_(chosen["H1"], blocks)]
    )
    np.testing.assert_array_equal(
        selection.cut("d_w_hy", w_hy := step.final("d_w_hy")), w_hy[np.ix_([2, 7], chosen["V"])]
    )
    # A gate has one block, and its gradient is cut as it is.
    np.testing.assert_array_equal(selection.cut("i_L1", np.arange(20.0)), chosen["H1"])
    text = stepper_page(steps, [chr(0x100 + i) for i in range(50)], title="", units=[2, 7])
    assert "2 of 20 units of layer 2 (2, 7)" in text
    whole = recordings(rnn.LSTM, [0, 1], [1, 0])["trained"]
    assert choose(whole) == {}


def test_gates_stand_over_their_blocks_of_weights(recordings):
    def rows(name):
        step = recordings(rnn.CELLS[name], [0, 1], [1, 0])["trained"]
        (layer,) = places(step, Selection(step, {}))
        return layer, {tensor: first for tensor, first, _ in layer["rows"]}

    layer, first = rows("lstm")
    assert [first[gate] for gate in "ifgo"] == [0, 3, 6, 9]
    assert first["a_g"] == first["g"]
    assert layer["carries"] == ["h", "c"]
    assert (layer["input"], layer["bias"], layer["matrices"]) == ("x", "b_h", ["w_hh"])
    _, first = rows("gru")
    assert [first[name] for name in ("r", "z", "n", "m", "b_hn", "d_a_r", "d_a_z", "d_u")] == [
        0, 3, 6, 6, 6, 0, 3, 0,
    ]  # fmt: skip
    layer, _ = rows("lstm_projected")
    assert layer["matrices"] == ["w_hh", "w_hr"]


def test_formulas_are_trees():
    known = {"h", "w_hh", "d_w_hh", "p", "embedding", "d_embedding", "d_x"}
    shown = formula("d_embedding[inputs[t]] += d_x[t]", known, {})
    assert (shown["targets"], shown["sign"]) == ([["d_embedding", "", "inputs"]], "+=")
    assert shown["reads"] == [["d_x", "t"], ["d_embedding", ""]]
    shown = formula("h[t] = tanh(h[t-1] @ w_hh.T / T)", known, {"T": 4.0})
    product = ["@", ["tensor", "h", "t-1"], ["T", ["tensor", "w_hh", ""]]]
    assert shown["value"] == ["call", "tanh", ["/", product, ["number", 4.0]]]
    shown = formula("h[t] = -log(p[t][targets[t]])", known, {})
    row = ["row", ["tensor", "p", "t"], "targets"]
    assert shown["value"] == ["minus", ["call", "log", row]]
    shown = formula("h[t] = h[t][..., :2] % w_hh", known, {})
    assert shown["value"][:2] == ["other", "h[t][..., :2] % w_hh"]
    assert shown["reads"] == [["h", "t"], ["w_hh", ""]]
