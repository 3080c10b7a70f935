"""Languages with an exactly known floor, and the best predictor of each."""

from collections.abc import Callable

from jaxrnn.microscope.languages.automaton import (
    Arc,
    Language,
    State,
    entropy_rate_bits,
    evenly,
    generate,
    ideal_losses_bits,
    next_symbol_probabilities,
    spaced,
)
from jaxrnn.microscope.languages.grammars import (
    alternating,
    counting,
    dyck,
    embedded_reber,
    parentheses,
    reber,
)
from jaxrnn.microscope.languages.tasks import (
    AddingProblem,
    adding_problem,
    addition,
    copy_task,
    recall,
)

LANGUAGES: dict[str, Callable[[], Language]] = {
    "alternating": alternating,
    "counting": counting,
    "parentheses": parentheses,
    "dyck": dyck,
    "reber": reber,
    "embedded-reber": embedded_reber,
    "copy": copy_task,
    "addition": addition,
    "recall": recall,
}
"""Every language by name, at its default size."""

__all__ = [
    "LANGUAGES",
    "AddingProblem",
    "Arc",
    "Language",
    "State",
    "adding_problem",
    "addition",
    "alternating",
    "copy_task",
    "counting",
    "dyck",
    "embedded_reber",
    "entropy_rate_bits",
    "evenly",
    "generate",
    "ideal_losses_bits",
    "next_symbol_probabilities",
    "parentheses",
    "reber",
    "recall",
    "spaced",
]
