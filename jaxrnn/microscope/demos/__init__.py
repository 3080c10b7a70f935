"""The pages of the experiments, as `jaxrnn demo` makes them.

`EXPERIMENTS` (in `experiments`) says which function here draws which experiment's page.
"""

from jaxrnn.errors import sentence
from jaxrnn.microscope.experiments import EXPERIMENTS, Experiment, Progress

SHORTEST_TEXT = 20_000
"""Characters of the shortest text that the experiments can be run on."""


def run_demo(
    name: str, seed: int, progress: Progress, text: str | None = None
) -> tuple[Experiment, str]:
    """Runs an experiment and draws its page.

    Args:
        name: a key of `EXPERIMENTS`.
        seed: of everything random.
        progress: is told of the work.
        text: for the experiments that read one; None: the documentation that comes with Python.

    Returns:
        The outcome, and the page's HTML.

    Raises:
        ValueError: a text shorter than `SHORTEST_TEXT`.
    """
    if text is not None and len(text) < SHORTEST_TEXT:
        rule = f"at least {SHORTEST_TEXT:,} characters, to train on and to hold out"
        got = f"{len(text):,} characters"
        raise ValueError(sentence("demo", "--text", rule, got, "leave it out to use Python's own"))
    import jax

    given = {} if text is None else {"text": text}
    experiment = EXPERIMENTS[name](jax.random.key(seed), progress, **given)
    progress("drawing", 0, 1)
    page = EXPERIMENTS[name].load_page()(experiment)
    progress("drawing", 1, 1)
    return experiment, page
