"""Which units encode what: found on one half of a text, confirmed on the other half.

For every unit, every probe and every lag the association is the correlation of h_t with the
probe at t + lag. The first half of the text chooses each unit's strongest pair; only that pair is
tested on the second half, so the choice among thousands of pairs cannot flatter it.

The test's null keeps what makes text treacherous, that neighbours are alike: it cuts the probe
into blocks and permutes them, from a random starting point. The units are accounted for together
by comparing each with the strongest unit of every permutation (Westfall and Young 1993, the
single-step maxT procedure). That bounds the chance of even one false name, which is stricter than
Benjamini and Hochberg's bound on their share.

A name is no proof of learning: random units encode the last character well. So where the states
of untrained networks are given, they are the null distribution. Each association is measured in
the spread that the same probe and lag have over their units (Fisher's z = artanh r, which evens
out the ends), so that a correlation of 0.6 with being inside quotes counts for more than 0.9 with
a space. A unit has a name only where it is above what the best of as many untrained units would
reach: the (1 − error rate) quantile of their maximum, from a Gumbel distribution fitted to the
untrained units' own best associations, searched for in the same way.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.probes import Probe

Matrix = NDArray[np.float64]


class Finding(NamedTuple):
    """A unit's strongest probe.

    Attributes:
        unit: its index.
        meaning: the probe and its lag in words, e.g. `next character is '4'`.
        probe: the probe's name.
        lag: characters by which the probe is ahead of the state.
        association: correlation on the half that chose the pair, in [−1, 1].
        confirmation: correlation on the other half.
        p_value: of the confirmation, over all units together.
        named: whether p_value and confirmation pass the search's bounds with the same sign.
        untrained: the strongest |correlation| of any untrained unit with the same probe and lag
            on the same half; NaN without untrained networks.
        score: artanh of the confirmation in the spread of the untrained units; NaN without them.
    """

    unit: int
    meaning: str
    probe: str
    lag: int
    association: float
    confirmation: float
    p_value: float
    named: bool
    untrained: float
    score: float


class UnitSearch(NamedTuple):
    """What a search found.

    Attributes:
        findings: one for each unit; the highest score first, without untrained networks the
            strongest confirmation.
        untrained_findings: the same search in the first untrained network, with the others as its
            null; empty without two of them.
        pairs: probes times lags tried for each unit.
        error_rate: bound on the chance that any name is false.
        least_association: a name needs at least this |confirmation|.
        bar: a name needs a score above it; NaN without untrained networks.
    """

    findings: tuple[Finding, ...]
    untrained_findings: tuple[Finding, ...]
    pairs: int
    error_rate: float
    least_association: float
    bar: float


def search_units(
    units: ArrayLike,
    probes: Sequence[Probe],
    key: jax.Array,
    *,
    untrained: ArrayLike | None = None,
    lags: Iterable[int] = (-2, -1, 0, 1, 2),
    error_rate: float = 0.05,
    least_association: float = 0.5,
    blocks: int = 40,
    permutations: int = 499,
) -> UnitSearch:
    """Finds what each unit encodes.

    Args:
        units: [T, U] states h_t after reading text[t], or gates, or any other signal.
        probes: properties of the same text, values [T]; see `standard_probes`.
        key: a `jax.random.key` for the permutations.
        untrained: [K, T, U'] the same signal in K untrained networks, or [T, U'] in one. A few
            hundred units of all together make a good null distribution.
        lags: how many characters each probe is moved ahead of the state. For a character's probe
            0 is the last character read, 1 the next.
        error_rate: bound on the chance that any name is false, in (0, 1).
        least_association: a name needs at least this |correlation| on the second half; 0.5 is a
            quarter of the unit's variance.
        blocks: pieces that the second half is cut into; each must be longer than the text's
            memory, and all together leave many permutations.
        permutations: at least 1 / error_rate.

    Returns:
        The findings with the bounds they were held to.

    Raises:
        ValueError: lengths that differ, a text too short for the blocks, too few permutations.

    >>> text = "".join(np.random.default_rng(0).choice(list("abc"), 2000))
    >>> is_c = np.array([c == "c" for c in text])
    >>> from jaxrnn.microscope.measurements.probes import characters
    >>> report = search_units(np.roll(is_c, 1)[:, None], characters(text), jax.random.key(0))
    >>> report.findings[0].meaning, report.findings[0].named
    ("last character but one is 'c'", True)
    """
    signal = _signal("units", units)
    lags = tuple(lags)
    half = len(signal) // 2
    _check(signal, probes, lags, half, error_rate, blocks, permutations)
    values = np.stack([probe.values for probe in probes], axis=1)
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), np.uint32)))
    orders = [_permuted_blocks(rng, len(signal) - half, blocks) for _ in range(permutations)]

    def halves(signal: Matrix) -> tuple[Matrix, Matrix]:
        """[lags · P, U] correlations on the half that chooses and on the half that confirms."""
        first, second = (
            _correlations(signal[part], values[part], lags).reshape(-1, signal.shape[1])
            for part in (slice(None, half), slice(half, None))
        )
        return first, second

    def search(signal: Matrix, null: _Null | None) -> tuple[Finding, ...]:
        first, second = halves(signal)
        chosen, scores = _best(first, second, null)
        chosen_lags, chosen_probes = np.divmod(chosen, len(probes))
        p_values = _joint_p_values(
            signal[half:], values[half:], np.array(lags)[chosen_lags], chosen_probes, orders
        )
        findings = []
        for unit, (place, column) in enumerate(zip(chosen_lags, chosen_probes, strict=True)):
            probe, lag = probes[column], lags[place]
            association = float(first[chosen[unit], unit])
            confirmation = float(second[chosen[unit], unit])
            named = (
                bool(p_values[unit] <= error_rate)
                and abs(confirmation) >= least_association
                and association * confirmation > 0
                and (null is None or scores[unit] > null.bar(len(chosen), error_rate))
            )
            findings.append(
                Finding(
                    unit,
                    describe(probe, lag),
                    probe.name,
                    lag,
                    association,
                    confirmation,
                    float(p_values[unit]),
                    named,
                    np.nan if null is None else float(null.strongest[chosen[unit]]),
                    np.nan if null is None else float(scores[unit]),
                )
            )
        strength = (lambda each: abs(each.confirmation)) if null is None else _score
        return tuple(sorted(findings, key=lambda each: -strength(each)))

    networks = _networks(untrained, len(signal))
    null = _null(*halves(np.concatenate(networks, axis=1))) if networks else None
    others = _null(*halves(np.concatenate(networks[1:], axis=1))) if networks[1:] else None
    return UnitSearch(
        search(signal, null),
        search(networks[0], others) if others else (),
        len(lags) * len(probes),
        error_rate,
        least_association,
        null.bar(signal.shape[1], error_rate) if null else np.nan,
    )


class _Null(NamedTuple):
    """What untrained units reach.

    Attributes:
        first_spread: [lags · P], root mean square of artanh r over them, on the choosing half.
        second_spread: the same on the confirming half.
        strongest: [lags · P], the largest |r| on the confirming half.
        scores: [U'], of each untrained unit's own best association.
    """

    first_spread: Matrix
    second_spread: Matrix
    strongest: Matrix
    scores: Matrix

    def bar(self, units: int, error_rate: float) -> float:
        """The score that the best of so many untrained units passes at the error rate."""
        # A Gumbel distribution by its moments: its mean is location + 0.5772 scale.
        scale = float(self.scores.std()) * np.sqrt(6) / np.pi
        location = float(self.scores.mean()) - np.euler_gamma * scale
        quantile = location - scale * np.log(-np.log1p(-error_rate) / units)
        return max(quantile, float(self.scores.max()))


def _null(first: Matrix, second: Matrix) -> _Null:
    one, other = (np.sqrt((_artanh(half) ** 2).mean(axis=1)) for half in (first, second))
    unscored = _Null(one, other, np.abs(second).max(axis=1), np.zeros(0))
    return unscored._replace(scores=_best(first, second, unscored)[1])


def _best(first: Matrix, second: Matrix, null: _Null | None) -> tuple[NDArray[np.int64], Matrix]:
    """Each unit's pair, chosen on the first half, and its score on the second: both [U]."""
    if null is None:
        return np.abs(first).argmax(axis=0), np.zeros(first.shape[1])
    scores = [
        np.divide(np.abs(_artanh(half)), spread[:, None], where=spread[:, None] > 1e-9,
                  out=np.zeros_like(half))
        for half, spread in ((first, null.first_spread), (second, null.second_spread))
    ]  # fmt: skip
    chosen = scores[0].argmax(axis=0)
    return chosen, scores[1][chosen, np.arange(len(chosen))]


def _artanh(correlations: Matrix) -> Matrix:
    return np.arctanh(np.clip(correlations, -1 + 1e-9, 1 - 1e-9))


def _score(finding: Finding) -> float:
    return finding.score


def _networks(untrained: ArrayLike | None, length: int) -> list[Matrix]:
    """One array [T, U'] a network."""
    if untrained is None:
        return []
    array = np.asarray(untrained, np.float64)
    networks = [_signal("untrained", each) for each in (array if array.ndim == 3 else [array])]
    for each in networks:
        if len(each) != length:
            raise ValueError(sentence("search_units", "untrained", f"[{length}, U]", each))
    return networks


def describe(probe: Probe, lag: int) -> str:
    """A probe moved by a lag, in words.

    >>> from jaxrnn.microscope.measurements.probes import Probe
    >>> four = Probe("'4'", np.zeros(2), is_character=True)
    >>> [describe(four, lag) for lag in (-1, 0, 1, 2)]
    ["last character but one is '4'", "last character is '4'", "next character is '4'", \
"next character but one is '4'"]
    >>> describe(Probe("depth", np.zeros(2)), 1), describe(Probe("depth", np.zeros(2)), -2)
    ('depth, one character ahead', 'depth, two characters ago')
    """
    if probe.is_character:
        side, back = ("next", lag - 1) if lag > 0 else ("last", -lag)
        far = {0: "", 1: " but one", 2: " but two"}.get(back, f" but {back}")
        return f"{side} character{far} is {probe.name}"
    if lag == 0:
        return probe.name
    count = {1: "one character", 2: "two characters"}.get(abs(lag), f"{abs(lag)} characters")
    return f"{probe.name}, {count} {'ahead' if lag > 0 else 'ago'}"


def _signal(argument: str, values: ArrayLike) -> Matrix:
    signal = np.asarray(values, np.float64)
    if signal.ndim != 2 or not np.isfinite(signal).all():
        raise ValueError(sentence("search_units", argument, "finite numbers [T, U]", signal))
    return signal


def _check(
    signal: Matrix,
    probes: Sequence[Probe],
    lags: tuple[int, ...],
    half: int,
    error_rate: float,
    blocks: int,
    permutations: int,
) -> None:
    if not probes:
        raise ValueError(sentence("search_units", "probes", "at least one", "none"))
    for probe in probes:
        if probe.values.shape != signal.shape[:1]:
            raise ValueError(
                sentence("search_units", probe.name, f"shape [{len(signal)}]", probe.values)
            )
    if not lags:
        raise ValueError(sentence("search_units", "lags", "at least one", "none"))
    longest = max(map(abs, lags))
    if half < blocks * max(2, longest):
        raise ValueError(
            sentence(
                "search_units",
                "units",
                f"at least {2 * blocks * max(2, longest)} characters for {blocks} blocks in a half",
                str(len(signal)),
                "search a longer text",
            )
        )
    if permutations + 1 < 1 / error_rate:
        raise ValueError(
            sentence(
                "search_units",
                "permutations",
                f"at least {int(np.ceil(1 / error_rate)) - 1} for an error rate of {error_rate}",
                permutations,
            )
        )


def _aligned(signal: Matrix, values: Matrix, lag: int) -> tuple[Matrix, Matrix]:
    """h_t beside probe(t + lag), where both exist."""
    if lag >= 0:
        return signal[: len(signal) - lag], values[lag:]
    return signal[-lag:], values[:lag]


def _standardised(values: Matrix) -> Matrix:
    """Mean 0 and length 1 along time; a column that never varies becomes 0, not NaN."""
    centred = values - values.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    varies = lengths > 1e-12 * np.abs(values).max(axis=0, initial=1.0) * np.sqrt(len(values))
    return np.where(varies, centred / np.where(varies, lengths, 1.0), 0.0)


def _correlations(signal: Matrix, values: Matrix, lags: tuple[int, ...]) -> Matrix:
    """[lags, P, U]."""
    table = []
    for lag in lags:
        states, properties = _aligned(signal, values, lag)
        table.append(_standardised(properties).T @ _standardised(states))
    return np.stack(table)


def _joint_p_values(
    signal: Matrix,
    values: Matrix,
    lags: NDArray[np.int64],
    columns: NDArray[np.int64],
    orders: list[NDArray[np.int64]],
) -> Matrix:
    """[U] p-values of one pair a unit, against the strongest unit of each permutation."""
    units = signal.shape[1]
    observed = np.zeros(units)
    null = np.zeros((len(orders), units))
    for lag, column in sorted({*zip(lags.tolist(), columns.tolist(), strict=True)}):
        mine = (lags == lag) & (columns == column)
        states, properties = _aligned(signal[:, mine], values[:, [column]], lag)
        states, property_ = _standardised(states), _standardised(properties)[:, 0]
        observed[mine] = property_ @ states
        for index, order in enumerate(orders):
            null[index, mine] = property_[order[order < len(property_)]] @ states
    # In units of its own null each unit is comparable with every other.
    spread = null.std(axis=0)
    spread = np.where(spread > 1e-12, spread, np.inf)
    strongest = np.abs(null / spread).max(axis=1)
    exceeded = (strongest[:, None] >= np.abs(observed / spread)[None, :]).sum(axis=0)
    p_values: Matrix = (1 + exceeded) / (1 + len(orders))
    return p_values


def _permuted_blocks(rng: np.random.Generator, size: int, blocks: int) -> NDArray[np.int64]:
    """Positions in blocks of equal length, in random order, from a random starting point."""
    pieces = np.array_split(np.roll(np.arange(size), rng.integers(size)), blocks)
    return np.concatenate([pieces[piece] for piece in rng.permutation(blocks)])
