import collections
import itertools
import math
import re

import jax
import numpy as np
import pytest

from jaxrnn.microscope import languages
from jaxrnn.microscope.languages import (
    LANGUAGES,
    adding_problem,
    addition,
    copy_task,
    dyck,
    embedded_reber,
    entropy_rate_bits,
    generate,
    ideal_losses_bits,
    next_symbol_probabilities,
    parentheses,
    reber,
    spaced,
)


def strings(language, length):
    """Every string of a length with its probability, by brute force."""
    frontier = [("", 1.0, language.start)]
    for _ in range(length):
        frontier = [
            (text + arc.symbol, probability * arc.probability, arc.state)
            for text, probability, state in frontier
            for arc in language.arcs(state)
        ]
    assert len({text for text, _, _ in frontier}) == len(frontier)
    return frontier


def block_entropy_bits(language, length):
    return -sum(p * math.log2(p) for _, p, _ in strings(language, length))


def episodes_rate_bits(language, mass):
    """Entropy over expected length of one episode (start to start), by counting strings.

    Strings of equal probability that end in one state are counted together.
    """
    frontier = collections.Counter({(1.0, language.start): 1})
    entropy = length = seen = 0.0
    steps = 0
    while seen < mass:
        steps += 1
        grown = collections.Counter()
        for (probability, state), count in frontier.items():
            for arc in language.arcs(state):
                p = probability * arc.probability
                if arc.state == language.start:
                    entropy -= count * p * math.log2(p)
                    length += count * p * steps
                    seen += count * p
                else:
                    grown[p, arc.state] += count
        frontier = grown
    return entropy / length


@pytest.mark.parametrize("name", sorted(LANGUAGES))
def test_arcs_are_distributions_over_the_alphabet(name):
    language = LANGUAGES[name]()
    state = language.start
    for draw in np.random.default_rng(0).random(300):
        arcs = language.arcs(state)
        assert sum(arc.probability for arc in arcs) == pytest.approx(1, abs=1e-12)
        assert len({arc.symbol for arc in arcs}) == len(arcs)
        assert {arc.symbol for arc in arcs} <= set(language.alphabet)
        state = arcs[int(draw * len(arcs))].state
    assert list(language.alphabet) == sorted(language.alphabet)


@pytest.mark.parametrize(
    "language",
    [dyck(2, 3, 0.3), dyck(3, 2), copy_task("ab", 3, 1), addition(1), spaced(dyck(2, 2))],
    ids=lambda language: language.name,
)
def test_states_of_one_phase_behave_alike(language):
    """The lumping that the entropy rate relies on, checked over every reachable state."""
    behaviour, seen, queue = {}, {language.start}, [language.start]
    while queue:
        state = queue.pop()
        moves = {}
        for arc in language.arcs(state):
            target = language.phase(arc.state)
            moves[target] = moves.get(target, 0) + arc.probability
            if arc.state not in seen:
                seen.add(arc.state)
                queue.append(arc.state)
        probabilities = sorted(arc.probability for arc in language.arcs(state))
        expected = behaviour.setdefault(language.phase(state), (moves, probabilities))
        assert moves == pytest.approx(expected[0])
        assert probabilities == pytest.approx(expected[1])
    assert len(seen) > len(behaviour)


def test_parentheses_floor_is_the_published_number():
    floor = entropy_rate_bits(parentheses())
    assert floor * math.log(2) * 2 == pytest.approx(0.97385, abs=5e-6)
    assert floor == pytest.approx(0.70249, abs=5e-6)
    # The chain over depths 0…4 by hand: π ∝ 2, 3, 3, 3, 2 by detailed balance.
    assert floor == pytest.approx((4 * 1 + 9 * math.log2(3)) / 13 / 2, abs=1e-12)


def test_languages_of_fixed_episodes_have_their_closed_form():
    assert entropy_rate_bits(copy_task("abcd", 5, 3)) == pytest.approx(5 * 2 / 15)
    assert entropy_rate_bits(copy_task("abcdefgh", 10)) == pytest.approx(30 / 22)
    assert entropy_rate_bits(addition(2)) == pytest.approx(4 * math.log2(10) / 10)
    assert block_entropy_bits(copy_task("abc", 2, 1), 7) / 7 == pytest.approx(
        entropy_rate_bits(copy_task("abc", 2, 1))
    )
    assert block_entropy_bits(addition(1), 7) / 7 == pytest.approx(entropy_rate_bits(addition(1)))


@pytest.mark.parametrize("language", [reber(), embedded_reber()], ids=lambda each: each.name)
def test_reber_floors_agree_with_enumerated_strings(language):
    assert episodes_rate_bits(language, 1 - 1e-12) == pytest.approx(
        entropy_rate_bits(language), abs=1e-9
    )


@pytest.mark.parametrize(
    "language", [dyck(2, 3, 0.4), parentheses(2), reber()], ids=lambda each: each.name
)
def test_block_entropies_grow_at_the_rate(language):
    """(H(n + 2) − H(n)) / 2 of enumerated strings tends to the rate."""
    growth = (block_entropy_bits(language, 16) - block_entropy_bits(language, 14)) / 2
    assert growth == pytest.approx(entropy_rate_bits(language), abs=0.01)


def test_generated_texts_follow_the_automaton():
    language = parentheses()
    text = generate(language, jax.random.key(0), 40_000)
    ideal = ideal_losses_bits(language, text)
    assert ideal.mean() == pytest.approx(entropy_rate_bits(language), abs=0.01)
    depth, tokens = 0, text.split(" ")
    counts = {}
    for token in tokens[:-1]:
        if token.isdigit():
            assert int(token) == depth
        counts.setdefault(depth, []).append(token)
        depth += {"(": 1, ")": -1}.get(token, 0)
        assert 0 <= depth <= 4
    for place, seen in counts.items():
        ways = 2 if place in (0, 4) else 3
        assert len(set(seen)) == ways
        for token in set(seen):
            assert seen.count(token) / len(seen) == pytest.approx(1 / ways, abs=0.03)


def test_generate_uses_the_key():
    language = reber()
    texts = [generate(language, jax.random.key(seed), 50) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_next_symbol_probabilities_agree_with_enumeration():
    language = embedded_reber()
    every = strings(language, 6)
    for prefix in {text[:4] for text, _, _ in every}:
        total = sum(p for text, p, _ in every if text.startswith(prefix))
        row = next_symbol_probabilities(language, prefix)[-1]
        for symbol, probability in zip(language.alphabet, row, strict=True):
            brute = sum(p for text, p, _ in every if text.startswith(prefix + symbol)) / total
            assert probability == pytest.approx(brute, abs=1e-12)


def test_ideal_losses_are_the_log_probabilities_of_the_text():
    for text, probability, _ in itertools.islice(strings(dyck(2, 3, 0.3), 7), 0, None, 5):
        assert ideal_losses_bits(dyck(2, 3, 0.3), text).sum() == pytest.approx(
            -math.log2(probability)
        )


def test_dyck_words_are_balanced():
    text = generate(dyck(3, 3), jax.random.key(3), 2000)
    stack, deepest = [], 0
    for mark in text:
        if mark in "([{":
            stack.append(mark)
        else:
            assert "([{".index(stack.pop()) == ")]}".index(mark)
        deepest = max(deepest, len(stack))
    assert deepest == 3


def test_sums_are_right():
    lines = generate(addition(2), jax.random.key(0), 500).split("\n")[:-1]
    for line in lines:
        left, total = line.split("=")
        assert sum(map(int, left.split("+"))) == int(total)
        assert len(line) == 9
    assert len(set(lines)) > 40


def test_embedded_reber_marks_agree():
    text = generate(embedded_reber(), jax.random.key(0), 3000)
    whole = re.match(r"(B[TP]B[TPSXV]+E[TP]E)*", text).group()
    assert len(text) - len(whole) < 100
    marks = re.findall(r"B([TP])B[TPSXV]+E([TP])E", whole)
    assert set(marks) == {("T", "T"), ("P", "P")}


def test_adding_problem_marks_one_value_in_each_half():
    problem = adding_problem(jax.random.key(0), length=9, batch_size=4000)
    values, marks = np.asarray(problem.inputs[..., 0]), np.asarray(problem.inputs[..., 1])
    assert set(np.unique(marks)) == {0, 1}
    assert (marks[:4].sum(axis=0) == 1).all()
    assert (marks[4:].sum(axis=0) == 1).all()
    np.testing.assert_allclose(problem.targets, (values * marks).sum(axis=0), rtol=1e-6)
    assert np.var(np.asarray(problem.targets)) == pytest.approx(problem.chance, rel=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parentheses(10), "max_depth: expected 1 to 9, got 10"),
        (lambda: dyck(5), "kinds: expected 1 to 4, got 5"),
        (lambda: dyck(2, 0), "max_depth: expected at least 1"),
        (lambda: dyck(2, 2, 1.0), "strictly between 0 and 1"),
        (lambda: copy_task("aa"), "distinct characters"),
        (lambda: copy_task("ab", 0), "length: expected at least 1"),
        (lambda: copy_task("ab", 2, -1), "delay: expected at least 0"),
        (lambda: addition(0), "digits: expected at least 1"),
        (lambda: adding_problem(jax.random.key(0), 1, 2), "length: expected at least 2"),
        (lambda: ideal_losses_bits(languages.counting(), "111"), r"one of \['0'\] at position 2"),
    ],
)
def test_bad_sizes_get_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
