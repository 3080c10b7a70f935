"""The text that a run was trained on, in its parts."""

from typing import NamedTuple

from jaxrnn.charlm.corpus import read_source, split
from jaxrnn.charlm.run_folder import Run
from jaxrnn.errors import sentence


class Parts(NamedTuple):
    """A run's text; any part but the first may be empty.

    Attributes:
        train: what it was trained on.
        validation: what follows, by which the best checkpoint was chosen.
        rest: what follows that, which nothing was chosen by: a test part.
    """

    train: str
    validation: str
    rest: str


def own_parts(run: Run, place: str, hint: str) -> Parts:
    """Reads a run's text where it was when the run began.

    Args:
        run: the run.
        place: for the sentence: a command and what it lacks a text for.
        hint: what to do where the text is not there.

    Raises:
        ValueError: the text is not where it was, or is another one now.
    """
    command, _, argument = place.partition(": ")
    try:
        whole = read_source(run.source, run.settings.encoding)
    except OSError:
        rule, got = "the text of the run where it was", f"{run.source}, which is gone"
        raise ValueError(sentence(command, argument, rule, got, hint)) from None
    if whole.sha256 != run.sha256:
        rule, got = "the text that the run was trained on", f"{run.source}, which has changed"
        raise ValueError(sentence(command, argument, rule, got, hint))
    train, validation = split(whole.text, run.settings.train_frac, run.settings.val_frac)
    return Parts(train, validation, whole.text[len(train) + len(validation) :])
