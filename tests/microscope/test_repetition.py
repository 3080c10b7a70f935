import numpy as np
import pytest

from jaxrnn.microscope.measurements.repetition import LEAST_TURNS, distinct_share, find_loop


@pytest.mark.parametrize("period", [1, 2, 7, 20])
@pytest.mark.parametrize("start", [0, 5, 33])
def test_a_loop_is_found_where_it_begins(start, period):
    # Letters before the loop that are not in it, so that it cannot begin earlier.
    turn = "".join(chr(97 + k) for k in range(period))
    head = "".join(chr(65 + k % 7) for k in range(start))
    for length in (LEAST_TURNS * period, 10 * period + 3):
        text = head + (turn * (length // period + 1))[:length]
        assert find_loop(text) == (start, period)
    assert find_loop(head + (turn * LEAST_TURNS)[:-1] + "!") is None


def test_the_shortest_turn_counts_and_random_text_has_none():
    assert find_loop("abab" * 6) == (0, 2)
    assert find_loop("") is None
    draw = np.random.default_rng(0)
    assert find_loop("".join(draw.choice(list("abcdefgh"), 300))) is None


def test_distinct_share():
    assert distinct_share("abcdefghij", 3) == 1
    assert distinct_share("aaaaaaaaaa", 3) == 1 / 8
    with pytest.raises(ValueError, match="n: expected 1 to 2, the characters of the text, got 3"):
        distinct_share("ab", 3)
