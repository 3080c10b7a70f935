"""What an experiment hands back: the claim, the numbers, the verdict, and what pages draw."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

Progress = Callable[[str, int, int], None]
"""`(what is being done, steps done, steps in all)`, called now and then."""


_NUMBER = r"[−-]?[0-9.]+(?:e[−-]?[0-9]+)?"
_BOUND = re.compile(
    rf"(?P<side>above|below) (?P<bound>{_NUMBER})|(?P<low>{_NUMBER}) to (?P<high>{_NUMBER})"
)


class Measurement(NamedTuple):
    """One measured number.

    Attributes:
        name: what was measured, in words.
        value: the number.
        unit: its unit, empty for a pure number.
        expected: what the claim or theory says it should be, in words; empty where nothing does.
    """

    name: str
    value: float
    unit: str = ""
    expected: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the number is as expected; None where the words give no bound.

        >>> Measurement("p", 0.5, expected="0.45 to 0.55").met
        True
        >>> Measurement("p", 0.5, expected="above 0.99").met
        False
        >>> Measurement("reach", 7.0, expected="whole phrases").met
        """
        found = _BOUND.match(self.expected)
        if found is None:
            return None
        if found["side"]:
            bound = float(found["bound"])
            return self.value > bound if found["side"] == "above" else self.value < bound
        return float(found["low"]) <= self.value <= float(found["high"])


class Experiment(NamedTuple):
    """The outcome of an experiment.

    Attributes:
        name: as on the command line.
        claim: what was claimed, and by whom where that matters.
        measurements: the numbers behind the verdict.
        holds: whether the claim held here.
        verdict: what came out, in one or two sentences.
        data: what the experiment's page draws; each experiment has its own kind.
    """

    name: str
    claim: str
    measurements: tuple[Measurement, ...]
    holds: bool
    verdict: str
    data: Any


def silent(what: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


def report(experiment: Experiment) -> str:
    """An experiment as lines of text: claimed, measured, verdict.

    >>> measured = (Measurement("p", 0.5, expected="0.45 to 0.55"),)
    >>> print(report(Experiment("coin", "It is fair.", measured, True, "It is.", None)))
    claimed   It is fair.
    measured  p: 0.5 (expected 0.45 to 0.55)
    verdict   holds: It is.
    """
    lines = [f"claimed   {experiment.claim}"]
    for number, (name, value, unit, expected) in enumerate(experiment.measurements):
        text = f"{name}: {value:.4g}{' ' + unit if unit else ''}"
        text += f" (expected {expected})" if expected else ""
        lines.append(f"{'measured' if not number else '':8}  {text}")
    word = "holds" if experiment.holds else "does not hold"
    lines.append(f"verdict   {word}: {experiment.verdict}")
    return "\n".join(lines)
