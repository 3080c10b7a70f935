"""Looking into a recurrent network: what it does, what it passes back, what its units mean.

What happened, in `traces`:
    traces              everything inside a model as it reads a text
    gradient_traces     gradients by the step that causes them and the step that they reach
    interventions       running a model while its state is changed

What that says in numbers, in `measurements`:
    gradient_flow       how gradients shrink or grow with distance; Jacobians; spectra
    predictability      whether neighbouring states draw together: the Lyapunov exponent
    connectivity        how much each earlier character mattered, by five definitions
    gate_statistics     open and closed gates, dead and saturated units
    probes, unit_search what the units encode, by measurement on held-out text
    clamping            what changes when a unit is held
    surprise            where the loss is, and what the model would rather have said
    error_breakdown     what knowledge would have prevented the errors
    copying             what a sample took from the training text word for word
    completions         how a model would finish the word that it is in
    repetition          where a text begins to go round in a loop

Known ground, and trials on it:
    languages           languages with an exactly known floor
    experiments         claims of well-known write-ups, tried

To look at:
    training_step       one training step line by line, in the equations' names
    pages, figures      self-contained HTML pages, and still pictures that draw on an axes
    views, demos        the pages of a trained run, and of every experiment

All of them are names here, wherever their room: `from jaxrnn.microscope import gradient_flow`.
"""

from importlib import import_module
from types import ModuleType

_ROOMS = (
    "demos",
    "experiments",
    "figures",
    "languages",
    "measurements",
    "pages",
    "traces",
    "training_step",
    "views",
)
_INSIDE = {
    "traces": ("gradient_traces", "interventions"),
    "measurements": (
        "clamping",
        "completions",
        "connectivity",
        "copying",
        "error_breakdown",
        "gate_statistics",
        "gradient_flow",
        "predictability",
        "probes",
        "repetition",
        "surprise",
        "unit_search",
    ),
}
_PATHS = {name: name for name in _ROOMS} | {
    name: f"{room}.{name}" for room, names in _INSIDE.items() for name in names
}


def __getattr__(name: str) -> ModuleType:
    if name not in _PATHS:
        raise AttributeError(f"module 'jaxrnn.microscope' has no attribute {name!r}")
    return import_module(f"jaxrnn.microscope.{_PATHS[name]}")


def __dir__() -> list[str]:
    return sorted(_PATHS)
