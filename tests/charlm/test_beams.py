"""Beam search against every text there is."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import beams
from jaxrnn.charlm.beams import stop_table

VOCAB = charlm.Vocab("abc")
CONFIG = charlm.Config(vocab_size=3, cell="gru", hidden_size=6, num_layers=2)
LENGTH = 4
EVERY = 3**LENGTH


@pytest.fixture(scope="module")
def params():
    drawn = charlm.init(CONFIG, jax.random.key(5), dtype=jnp.float64)
    return jax.tree.map(lambda w: 4 * w + 0.05, drawn)


def nats_of(params, prime, text):
    """−ln p of each character of a text after a prime, by the function that reads texts."""
    values = charlm.surprisals(CONFIG, params, VOCAB.encode(prime + text))
    return values[len(prime) - 1 :]


def every_text(params, prime, stop=None):
    """(Σ ln p, size with the stop, text before it) of all texts, by brute force."""
    found = {}
    for letters in itertools.product("abc", repeat=LENGTH):
        whole = "".join(letters)
        nats = nats_of(params, prime, whole)
        text, ended, _ = whole.partition(stop) if stop else (whole, "", "")
        size = len(text) + len(ended)
        # With what ended it: "ab" before a stop is another text than "ab" cut by the length.
        found[text, ended] = (-nats[:size].sum(), size, text)
    return sorted(found.values(), reverse=True)


def check(found, expected):
    assert [beam.written.text for beam in found] == [text for _, _, text in expected]
    np.testing.assert_allclose(
        [beam.log_probability for beam in found], [score for score, *_ in expected], rtol=1e-12
    )


def test_a_beam_that_holds_every_text_is_exhaustive(params):
    found = charlm.beam_search(CONFIG, params, VOCAB, "ca", width=EVERY + 10, length=LENGTH)
    assert len(found) == EVERY
    check(found, every_text(params, "ca"))
    assert sum(np.exp(beam.log_probability) for beam in found) == pytest.approx(1)


@pytest.mark.parametrize("stop", ["b", "ab", "aab", "cc"])
def test_a_stop_ends_a_text_and_counts_to_its_probability(params, stop):
    found = charlm.beam_search(CONFIG, params, VOCAB, "b", width=EVERY, length=LENGTH, stop=stop)
    check(found, every_text(params, "b", stop))
    assert sum(np.exp(beam.log_probability) for beam in found) == pytest.approx(1)
    assert len({len(beam.written.text) for beam in found}) > 1


def test_the_search_ends_where_all_texts_have(params, monkeypatch):
    searched = []
    search = beams._search
    monkeypatch.setattr(
        beams, "_search", lambda *a, **k: searched.append(search(*a, **k)) or searched[-1]
    )
    certain = params._replace(b_y=params.b_y.at[1].set(1e4))
    found = charlm.beam_search(CONFIG, certain, VOCAB, "a", width=1, length=500, stop="b")
    assert [beam.written.text for beam in found] == [""]
    assert found[0].log_probability == pytest.approx(0)
    assert [int(each.step) for each in searched] == [1]


def test_a_length_penalty_ranks_by_wu_and_others_equation_14(params):
    alpha = 1.5
    expected = sorted(
        every_text(params, "b", "b"), key=lambda row: -row[0] / ((5 + row[1]) / 6) ** alpha
    )
    assert expected != every_text(params, "b", "b")
    found = charlm.beam_search(
        CONFIG, params, VOCAB, "b", width=EVERY, length=LENGTH, stop="b", length_penalty=alpha
    )
    check(found, expected)


def test_a_beam_of_one_is_greedy(params):
    [found] = charlm.beam_search(CONFIG, params, VOCAB, "cab", width=1, length=30)
    key = jax.random.key(0)
    greedy = charlm.sample_scored(CONFIG, params, VOCAB, key, length=30, prime="cab", temperature=0)
    assert found.written.text == greedy.text
    np.testing.assert_allclose(found.written.surprisals, greedy.surprisals, rtol=1e-12)


@pytest.mark.parametrize("width", [2, 5])
def test_what_it_finds_is_as_likely_as_it_says(params, width):
    found = charlm.beam_search(CONFIG, params, VOCAB, "cab", width=width, length=30)
    assert len({beam.written.text for beam in found}) == width
    for beam in found:
        nats = nats_of(params, "cab", beam.written.text)
        np.testing.assert_allclose(beam.written.surprisals, nats, rtol=1e-12, atol=1e-14)
        assert beam.log_probability == pytest.approx(-nats.sum(), rel=1e-12)
    ranks = [beam.log_probability for beam in found]
    assert ranks == sorted(ranks, reverse=True)


def test_a_carry_is_what_came_before(params):
    carry = charlm.zero_carry(CONFIG, params, ())
    carry, _ = charlm.apply(CONFIG, params, carry, jnp.asarray(VOCAB.encode("bca")))
    whole = charlm.beam_search(CONFIG, params, VOCAB, "bcab", width=2, length=9)
    after = charlm.beam_search(CONFIG, params, VOCAB, "b", width=2, length=9, carry=carry)
    assert [beam.written.text for beam in after] == [beam.written.text for beam in whole]


def test_a_text_of_no_characters(params):
    [found] = charlm.beam_search(CONFIG, params, VOCAB, "a", length=0)
    assert (found.written.text, found.log_probability) == ("", 0)


@pytest.mark.parametrize("stop", ["a", "ab", "aab", "abab", "aabaaab"])
def test_the_table_of_a_stop_finds_it_where_python_does(stop):
    table = stop_table(VOCAB.encode(stop), 3)
    for letters in itertools.product("ab", repeat=9):
        text, place, seen = "".join(letters), 0, None
        for at, token in enumerate(VOCAB.encode(text), 1):
            place = table[place, token]
            if place == len(stop) and seen is None:
                seen = at
        assert seen == (text.index(stop) + len(stop) if stop in text else None)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"prime": ""}, "prime: expected at least one character"),
        ({"prime": "ax"}, "prime: expected the 3 characters .* 'x' in 'ax'"),
        ({"prime": 3}, "prime: expected a string"),
        ({"stop": ""}, "stop: expected at least one character"),
        ({"width": 0}, "width: expected at least 1"),
        ({"width": 1.5}, "width: expected an integer"),
        ({"length": -1}, "length: expected at least 0"),
        ({"length_penalty": -1}, "length_penalty: expected a number from 0 up"),
        ({"length_penalty": float("nan")}, "length_penalty: expected a number from 0 up"),
    ],
)
def test_bad_arguments_are_named(params, wrong, named):
    with pytest.raises((TypeError, ValueError), match=f"^beam_search: {named}"):
        charlm.beam_search(CONFIG, params, VOCAB, **{"prime": "a", **wrong})
