"""Markdown with code in it: the README and the guides."""

import re
from pathlib import Path

import jax

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "jaxrnn" / "guides").glob("*.md"))
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
RESULTS = ROOT / "benchmarks" / "results" / "README.md"


def blocks(path, language):
    """The fenced blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def run_python(path):
    """Runs the Python blocks one after another; the names that they leave."""
    namespace = {}
    # As a user has JAX, not as strict as the tests.
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        for block in blocks(path, "python"):
            exec(compile(block, str(path), "exec"), namespace)
    return namespace
