"""A model that runs in the page, on what the reader types: its weights, for `cells.js`."""

import math
from typing import Any

import jax
import numpy as np

from jaxrnn.charlm import Config, Params, Vocab
from jaxrnn.microscope.pages.html import packed, readable, visible

CELLS_IN_PAGES = ("elman", "elman_relu", "lstm", "gru", "gru_reset_before", "mgu", "indrnn")
"""Cells that `cells.js` has the equations of."""

MOST_WEIGHTS = 300_000
"""Numbers of a model that runs in a page: 1.6 MB in base64, and 1 ms a character."""


def why_not(config: Config, params: Params) -> str:
    """Why a model does not run in the page, as a sentence; empty where it does.

    Args:
        config: of the model.
        params: its parameters.

    Returns:
        The reason, or "".
    """
    others = [cell.name for cell in config.cells if cell.name not in CELLS_IN_PAGES]
    if others:
        return (
            f"Text cannot be typed on this page: it runs {', '.join(CELLS_IN_PAGES)}, "
            f"and this model has {others[0]}."
        )
    if config.network.residual:
        return "Text cannot be typed on this page: it does not run layers that add their inputs."
    weights = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    if weights > MOST_WEIGHTS:
        return (
            f"Text cannot be typed on this page: the model has {weights:,} weights, and at most "
            f"{MOST_WEIGHTS:,} run in a page."
        )
    return ""


def model_for_typing(
    config: Config, params: Params, vocab: Vocab, layer: int, start: str = ""
) -> dict[str, Any]:
    """A model as data for `cells.js`.

    Args:
        config: of the model, for which `why_not` is empty.
        params: its parameters.
        vocab: its characters.
        layer: whose units colour the text, counted from 0.
        start: what stands in the box at first.

    Returns:
        What becomes JSON: cells, weights as float32, characters.
    """
    layers = [
        {"cell": cell.name, "weights": {name: packed(w) for name, w in weights._asdict().items()}}
        for cell, weights in zip(config.cells, params.layers, strict=True)
    ]
    table = None if params.embedding is None else packed(np.asarray(params.embedding))
    return {
        "layers": layers,
        "embedding": table,
        "w_hy": packed(params.w_hy),
        "b_y": packed(params.b_y),
        "alphabet": list(vocab.characters),
        "shown": [visible(character) for character in vocab.characters],
        "readable": [readable(character) for character in vocab.characters],
        "layer": layer,
        "start": start,
    }
