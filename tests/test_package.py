"""What the package promises as a whole: lazy public names, layers that import one way."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxrnn as rnn

ROOT = Path(rnn.__file__).parent

# A layer may import itself and what stands before it; exchange and microscope hang off the side.
LAYERS = [
    {"errors", "precision", "tuning"},
    {"cells"},
    {"recurrence"},
    {"networks"},
    {"gradient_check", "optimizers", "shapes"},
    {"charlm"},
    {"exchange"},
    {"microscope"},
    {"guides"},
    {"command_line"},
    {"__main__"},
]


def rank(part):
    return next(rank for rank, layer in enumerate(LAYERS) if part in layer)


def imports_of(path):
    """(module, whether at the file's top level) of every import in a file."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in top
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in top
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_layers_import_one_way(path):
    if path == ROOT / "__init__.py":
        return
    mine = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for module, _ in imports_of(path):
        parts = module.split(".")
        if parts[0] == "jaxrnn" and parts[1:] and any(parts[1] in layer for layer in LAYERS):
            assert rank(parts[1]) <= rank(mine), f"{path.name} imports {module}"


def test_nothing_imports_exchange_but_the_command_line():
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] not in ("__init__.py", "exchange", "command_line"):
            assert not any(name.startswith("jaxrnn.exchange") for name, _ in imports_of(path)), path


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_extras_are_imported_where_they_are_used(path):
    extras = {
        "safetensors",
        "tqdm",
        "bokeh",
        "matplotlib",
        "torch",
        "flax",
        "equinox",
        "haiku",
        "keras",
        "onnx",
        "onnxruntime",
        "google",
    }
    top_level = {module.split(".")[0] for module, at_top in imports_of(path) if at_top}
    assert not top_level & extras


def test_the_microscope_asks_for_its_extra_in_one_sentence():
    code = (
        "import sys; sys.modules['bokeh'] = sys.modules['matplotlib'] = None\n"
        "import jaxrnn.microscope\n"
        "for name in ('pages.activations', 'figures.maps'):\n"
        "    try: __import__(f'jaxrnn.microscope.{name}')\n"
        "    except ImportError as error: print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.count('pip install "jaxrnn[show]" brings it.') == 2, shown


def test_public_names_exist_and_are_documented():
    for name in rnn.__all__:
        value = getattr(rnn, name)
        assert value.__doc__, name
    assert dir(rnn) == sorted([*rnn.__all__, "__version__"])


def test_names_of_the_exchange_exist_and_are_documented():
    for name in rnn.exchange.__all__:
        assert "Example" in getattr(rnn.exchange, name).__doc__, name
    assert dir(rnn.exchange) == sorted(rnn.exchange.__all__)
    with pytest.raises(AttributeError, match="no attribute 'from_tensorflow'"):
        rnn.exchange.from_tensorflow  # noqa: B018


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    stands_in = ROOT.parent / project["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{rnn.__version__}"' in stands_in.read_text(encoding="utf-8")
    changes = (ROOT.parent / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, flags=re.MULTILINE)[1] == rnn.__version__


def test_the_workflows_test_the_versions_that_the_package_names():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = (ROOT.parent / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    tested = re.findall(r'python: "([\d.]+)"', workflow)
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert tested == named
    assert project["requires-python"] == f">={tested[0]}"


def test_type_checkers_see_what_python_sees():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body for alias in node.names}
    assert seen == set(rnn.__all__)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'unrol'"):
        rnn.unrol  # noqa: B018


def test_importing_the_package_does_not_import_jax():
    code = "import sys, jaxrnn; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
