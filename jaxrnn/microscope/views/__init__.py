"""The views of a trained run: each reads a text with the run's model and makes a page of it.

`subject` has the run and the stretch of text that they look at; every other module is a view.
"""

from collections.abc import Callable

from jaxrnn.microscope.views.activations import activations_view
from jaxrnn.microscope.views.clamping import clamping_view
from jaxrnn.microscope.views.connectivity import connectivity_view
from jaxrnn.microscope.views.copying import copying_view
from jaxrnn.microscope.views.gates import gates_view
from jaxrnn.microscope.views.gradient_flow import gradient_flow_view
from jaxrnn.microscope.views.stepper import stepper_view
from jaxrnn.microscope.views.subject import Stretch, Subject, View
from jaxrnn.microscope.views.surprise import surprise_view
from jaxrnn.microscope.views.training import training_view

VIEWS: dict[str, Callable[..., View]] = {
    "activations": activations_view,
    "connectivity": connectivity_view,
    "gradient-flow": gradient_flow_view,
    "training": training_view,
    "stepper": stepper_view,
    "gates": gates_view,
    "surprise": surprise_view,
    "clamping": clamping_view,
    "copying": copying_view,
}

__all__ = ["VIEWS", "Stretch", "Subject", "View"]
