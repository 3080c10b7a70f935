"""The README's picture: a text coloured by two units of a trained model.

    jaxrnn train --out runs/docs && python .github/picture.py runs/docs .github/units.png

The units are those that follow two properties of the text most closely, chosen on other text than
the one shown.
"""

import sys
from pathlib import Path

import jax
import matplotlib
import numpy as np

from jaxrnn import charlm
from jaxrnn.microscope.figures.coloured_text import draw_coloured_text
from jaxrnn.microscope.measurements.probes import distance_since_newline, inside_quotes, make_probe
from jaxrnn.microscope.measurements.unit_search import search_units
from jaxrnn.microscope.traces import trace_text

PROPERTIES = {
    "knows whether it is inside quotes": ("inside quotes", inside_quotes),
    "counts the characters of the line": ("distance since a newline", distance_since_newline),
}
COLUMNS, LINES, SEARCHED = 72, 5, 12_000


def paragraphs(text: str) -> list[str]:
    """Those of LINES whole lines that fit."""
    found = [part.strip("\n") + "\n" for part in text.split("\n\n")]
    return [
        part
        for part in found
        if part.count("\n") == LINES and max(map(len, part.splitlines())) <= COLUMNS
    ]


def main(run: str, out: str) -> None:
    """Draws the picture."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    model = charlm.load(run)
    text = charlm.python_documentation().text
    held_out = text[-len(text) // 10 :]
    seen = trace_text(*model, held_out[: SEARCHED + 1])
    states = np.asarray(seen.layers[-1].carries.h)
    text = max(paragraphs(held_out[SEARCHED:]), key=lambda each: each.count('"'))
    start = SEARCHED + held_out[SEARCHED:].index(text)
    last = np.asarray(trace_text(*model, held_out[: start + len(text)]).layers[-1].carries.h)
    values = last[-len(text) + 1 :]
    figure, axes = pyplot.subplots(2, 1, figsize=(6.0, 2.7), layout="constrained")
    for axis, (title, (name, probe)) in zip(axes, PROPERTIES.items(), strict=True):
        probes = [make_probe(name, probe(held_out[:SEARCHED]))]
        found = search_units(states, probes, jax.random.key(0)).findings[0]
        sign = np.sign(found.confirmation)
        draw_coloured_text(axis, text, sign * values[:, found.unit], columns=COLUMNS, most=1.0)
        r = f"r = {abs(found.confirmation):.2f}"
        axis.set_title(f"Unit {found.unit} {title} ({r})", loc="left", fontsize=10)
        print(found)
    figure.savefig(out, dpi=150, facecolor="white")


if __name__ == "__main__":
    main(*map(str, map(Path, sys.argv[1:3])))
