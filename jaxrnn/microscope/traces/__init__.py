"""Traces: what happened inside a model as it read a text, forward and backward.

model_trace         carries, gates, logits and losses of a whole model; `trace_text`
gradient_traces     gradients by the step that causes them and the step that they reach
interventions       running a model while its state is changed
"""

from jaxrnn.microscope.traces.model_trace import (
    ModelGradients,
    ModelTrace,
    encode_text,
    layer_inputs,
    trace_model,
    trace_text,
)

__all__ = [
    "ModelGradients",
    "ModelTrace",
    "encode_text",
    "layer_inputs",
    "trace_model",
    "trace_text",
]
