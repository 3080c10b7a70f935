"""One training step, line by line: forward, backward through time, update."""

from jaxrnn.microscope.training_step.recording import Event, Recording, Write, record

__all__ = ["Event", "Recording", "Write", "record"]
