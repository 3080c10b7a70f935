import numpy as np
import pytest

from jaxrnn.microscope import probes


def test_depth_follows_nesting_and_ignores_strays():
    assert probes.bracket_depth(")([x)]{}").tolist() == [0, 1, 2, 2, 2, 1, 2, 1]


def test_quotes_and_comments():
    assert probes.inside_quotes("“a”b").tolist() == [True, True, False, False]
    text = "a // b\nc /* d\n*/ e #f\ng"
    inside = probes.inside_comment(text)
    assert [text[at] for at in np.flatnonzero(~inside)] == [
        "a", " ", "/", "\n", "c", " ", "/", "/", " ", "e", " ", "\n", "g",
    ]  # fmt: skip


def test_places_in_lines_against_a_loop():
    text = "\n\nab\nc\n\ndef\n"
    since = 0
    for position, letter in enumerate(text):
        since = 0 if letter == "\n" else since + 1
        assert probes.distance_since_newline(text)[position] == since
        lines = text.split("\n")
        line = len(lines[text[: position + 1].count("\n")])
        assert probes.position_in_line(text)[position] == (since / line if since else 0)
    assert probes.position_in_line("").shape == probes.distance_since_newline("").shape == (0,)


def test_standard_probes_are_one_number_a_character_and_vary():
    text = 'x = f("a", [1, 2])  # note\n' * 30
    found = {probe.name: probe for probe in probes.standard_probes(text, rarest=30)}
    assert {"depth", "inside brackets", "inside quotes", "inside a comment"} <= set(found)
    assert {"distance since a newline", "position in the line", repr("x")} <= set(found)
    for probe in found.values():
        assert probe.values.shape == (len(text),)
        assert np.ptp(probe.values) > 0
    assert found["'x'"].values.sum() == 30
    assert found["'x'"].is_character
    assert not found["depth"].is_character
    assert not any(probe.name == "'x'" for probe in probes.standard_probes(text, rarest=31))


def test_a_probe_needs_one_finite_number_a_character():
    with pytest.raises(ValueError, match="one finite number a character"):
        probes.make_probe("broken", [1.0, np.nan])
    with pytest.raises(ValueError, match="one finite number a character"):
        probes.make_probe("broken", np.zeros((3, 2)))
