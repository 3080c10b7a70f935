import jax
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.languages import generate, parentheses
from jaxrnn.microscope.measurements.probes import characters, make_probe, standard_probes
from jaxrnn.microscope.measurements.unit_search import search_units


def hand_built_units(text):
    """An Elman network whose weights were chosen so that its units mean something.

    A 4 follows every a and every c, and d as often as not. Unit 0 is on before each of the sure
    4s, unit 1 after a 4, unit 2 copies unit 1 one step later; the others mix at random.
    """
    symbols = sorted(set(text))
    rng = np.random.default_rng(5)
    w_xh = np.zeros((len(symbols), 12))
    w_hh = np.zeros((12, 12))
    b_h = np.zeros(12)
    w_xh[:, 3:] = rng.normal(0, 1, (len(symbols), 9))
    w_hh[3:, 3:] = rng.normal(0, 0.3, (9, 9))
    b_h[0] = b_h[1] = -3
    w_xh[[symbols.index("a"), symbols.index("c")], 0] = 6
    w_xh[symbols.index("4"), 1] = 6
    w_hh[1, 2] = 3
    params = rnn.ELMAN.Params(*(jax.numpy.asarray(w) for w in (w_xh, w_hh, b_h)))
    tokens = jax.numpy.array([symbols.index(letter) for letter in text])
    _, hs = rnn.unroll(rnn.ELMAN, params, rnn.zero_carry(rnn.ELMAN, params), tokens)
    return np.asarray(hs)


def text_with_fours(length):
    rng = np.random.default_rng(1)
    pieces = rng.choice(["a4", "c4", "b", "e", "bb", "d", "d4", "f"], length)
    return "".join(pieces)[:length]


def test_planted_units_are_named_and_before_is_told_from_after():
    text = text_with_fours(4000)
    report = search_units(hand_built_units(text), standard_probes(text), jax.random.key(0))
    found = {finding.unit: finding for finding in report.findings}
    assert [found[unit].meaning for unit in (0, 1, 2)] == [
        "next character is '4'",
        "last character is '4'",
        "last character but one is '4'",
    ]
    assert all(found[unit].named for unit in (0, 1, 2))
    assert abs(found[1].confirmation) > 0.999
    assert abs(found[2].confirmation) > 0.999
    # d4 is the share of 4s that no one can foresee.
    assert 0.7 < abs(found[0].confirmation) < 0.95
    assert report.pairs == 5 * len(standard_probes(text))


def test_own_probes_and_depth():
    text = generate(parentheses(), jax.random.key(0), 4000)
    rng = np.random.default_rng(0)
    depth = next(probe for probe in standard_probes(text) if probe.name == "depth")
    weekday = make_probe("weekday", np.repeat(rng.integers(0, 7, 40), 100))
    noise = rng.normal(size=4000)
    units = np.stack([noise, depth.values + 0.3 * noise, -weekday.values + noise], axis=1)
    report = search_units(units, [*standard_probes(text), weekday], jax.random.key(0))
    found = {finding.unit: finding for finding in report.findings}
    assert (found[1].meaning, found[1].named) == ("depth", True)
    assert (found[2].probe, found[2].named) == ("weekday", True)
    assert found[2].confirmation < -0.5
    assert not found[0].named


def test_lags_agree_with_brute_force():
    rng = np.random.default_rng(3)
    text = "".join(rng.choice(list("xyz"), 600))
    units = rng.normal(size=(600, 3))
    probes = characters(text)
    report = search_units(units, probes, jax.random.key(0), lags=(-2, 0, 1))
    for finding in report.findings:
        probe = next(probe for probe in probes if probe.name == finding.probe)
        halves = []
        for begin, end in ((0, 300), (300, 600)):
            pairs = [
                (units[t, finding.unit], probe.values[t + finding.lag])
                for t in range(begin, end)
                if begin <= t + finding.lag < end
            ]
            halves.append(np.corrcoef(np.array(pairs).T)[0, 1])
        assert [finding.association, finding.confirmation] == pytest.approx(halves, abs=1e-12)


def test_shuffled_labels_name_nothing_beyond_the_error_rate():
    """Slow units against slow probes: a null that ignores neighbours would name many."""
    text = generate(parentheses(), jax.random.key(0), 2400)
    probes = standard_probes(text)
    units = np.stack(
        [np.convolve(probe.values, np.ones(15) / 15, "same") for probe in probes], axis=1
    )
    true_names = search_units(units, probes, jax.random.key(0), least_association=0.0)
    assert sum(finding.named for finding in true_names.findings) >= 5
    rng = np.random.default_rng(0)
    runs_with_a_name = 0
    for run in range(60):
        order = np.concatenate([np.arange(60) + 60 * at for at in rng.permutation(40)])
        shuffled = [probe._replace(values=probe.values[order]) for probe in probes]
        report = search_units(
            units,
            shuffled,
            jax.random.key(run),
            least_association=0.0,
            permutations=39,
            blocks=20,
        )
        runs_with_a_name += any(finding.named for finding in report.findings)
    # 60 runs at 0.05: 3 expected, 8 or more with a chance of 1 %.
    assert runs_with_a_name <= 7


def test_random_units_stand_beside_the_findings():
    """Random units encode the last character: the twin shows it, the memory of depth it lacks."""
    text = generate(parentheses(), jax.random.key(0), 3000)
    symbols = sorted(set(text))
    tokens = jax.numpy.array([symbols.index(letter) for letter in text])
    params = rnn.init(rnn.ELMAN, jax.random.key(0), len(symbols), 40)
    _, hs = rnn.unroll(rnn.ELMAN, params, rnn.zero_carry(rnn.ELMAN, params), tokens)
    probes = standard_probes(text)
    depth = next(probe for probe in probes if probe.name == "depth")
    after_space = next(probe for probe in probes if probe.name == "' '")
    units = np.stack([depth.values, after_space.values], axis=1)
    report = search_units(units, probes, jax.random.key(0), untrained=hs)
    found = {finding.unit: finding for finding in report.findings}
    assert found[1].untrained > 0.8
    assert found[0].untrained < 0.7
    assert report.untrained_findings == ()
    # Being the depth to the letter is far beyond random units; another random unit is not.
    assert found[0].score > report.bar
    assert found[0].named


def test_untrained_networks_name_nothing_and_memory_does():
    """Every random unit follows some character well; against each other that is no finding."""
    text = generate(parentheses(), jax.random.key(0), 3000)
    symbols = sorted(set(text))
    tokens = jax.numpy.array([symbols.index(letter) for letter in text])
    networks = []
    for seed in range(12):
        params = rnn.init(rnn.GRU, jax.random.key(seed), len(symbols), 25)
        _, hs = rnn.unroll(rnn.GRU, params, rnn.zero_carry(rnn.GRU, params), tokens)
        networks.append(np.asarray(hs, np.float64))
    probes = standard_probes(text)
    depth = next(probe.values for probe in probes if probe.name == "depth")
    noisy = 1.6 * depth + np.random.default_rng(0).normal(size=len(depth))
    units = np.concatenate([networks[0], noisy[:, None]], axis=1)
    alone = search_units(units, probes, jax.random.key(0))
    report = search_units(units, probes, jax.random.key(0), untrained=networks[1:])
    assert sum(finding.named for finding in alone.findings) > 20
    named = [finding for finding in report.findings if finding.named]
    assert [(finding.unit, finding.probe) for finding in named] == [(25, "depth")]
    assert not any(finding.named for finding in report.untrained_findings)


def test_dead_units_and_constant_probes_are_not_named():
    rng = np.random.default_rng(0)
    units = np.stack([np.full(400, 0.3), rng.normal(size=400)], axis=1)
    probes = [make_probe("constant", np.ones(400)), make_probe("coin", rng.integers(0, 2, 400))]
    report = search_units(units, probes, jax.random.key(0))
    dead = next(finding for finding in report.findings if finding.unit == 0)
    assert (dead.association, dead.confirmation, dead.p_value) == (0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"units": np.zeros(400)}, r"units: expected finite numbers \[T, U\]"),
        ({"probes": []}, "probes: expected at least one"),
        ({"probes": [make_probe("short", np.zeros(3))]}, r"short: expected shape \[400\]"),
        ({"lags": ()}, "lags: expected at least one"),
        ({"blocks": 200}, "at least 800 characters for 200 blocks"),
        ({"permutations": 10}, "permutations: expected at least 19"),
        ({"untrained": np.zeros((3, 2))}, r"untrained: expected \[400, U\]"),
    ],
)
def test_bad_input_gets_a_sentence(arguments, words):
    given = {"units": np.zeros((400, 2)), "probes": [make_probe("any", np.zeros(400))]}
    with pytest.raises(ValueError, match=words):
        search_units(key=jax.random.key(0), **(given | arguments))
