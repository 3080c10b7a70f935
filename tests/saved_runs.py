"""What stands in a run's checkpoints, read without the code that wrote them."""

import json

from safetensors.numpy import load_file


def checkpoint(manifest):
    """(arrays by name, facts) of the manifest of a checkpoint, `step-….json` or `best.json`."""
    content = json.loads(manifest.read_text())
    return load_file(manifest.parent / content["arrays"]["file"]), content["facts"]


def arrays_file(manifest):
    """The file of its arrays."""
    return manifest.parent / json.loads(manifest.read_text())["arrays"]["file"]
