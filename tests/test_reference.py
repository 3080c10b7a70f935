"""The API reference: built without a warning, with every public name and its signature."""

import inspect
import re
import shlex
import subprocess
import sys

import pytest
from documents import CONTRIBUTING, GUIDES, ROOT, blocks

import jaxrnn as rnn

pytestmark = pytest.mark.integration


def test_ci_builds_it_with_the_documented_command():
    assert command() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def command():
    lines = "\n".join(blocks(CONTRIBUTING, "bash")).splitlines()
    (line,) = [line for line in lines if "-m pdoc" in line]
    return line


def test_the_reference(tmp_path):
    """One test, so that it is built once, whatever the number of workers."""
    arguments = shlex.split(command().replace("build/reference", str(tmp_path)))
    assert arguments[:3] == ["python", "-W", "error"]
    done = subprocess.run(
        [sys.executable, *arguments[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warn" not in done.stderr
    every_public_name_stands_in_it_with_its_signature(tmp_path)
    every_guide_stands_in_it(tmp_path)
    arrays_have_their_public_name(tmp_path)


def every_public_name_stands_in_it_with_its_signature(reference):
    for module in (rnn, rnn.cells, rnn.charlm, rnn.exchange, rnn.networks):
        page = (reference / f"{module.__name__.replace('.', '/')}.html").read_text("utf-8")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                assert (reference / "jaxrnn" / f"{name}.html").exists(), name
            else:
                assert f'id="{name}"' in page, name
            if inspect.isfunction(value):
                signature = rf'<span class="name">{name}</span><span class="signature'
                assert re.search(signature, page), name


def every_guide_stands_in_it(reference):
    for path in GUIDES:
        page = (reference / "jaxrnn" / "guides" / f"{path.stem}.html").read_text("utf-8")
        for heading in re.findall(r"^## (.*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"<h2[^>]*>{re.escape(heading)}</h2>", page), heading
        assert ".. include" not in page.partition("View Source")[0]


def arrays_have_their_public_name(reference):
    page = (reference / "jaxrnn.html").read_text("utf-8")
    signatures = re.findall(r'<span class="signature.*?</span></span>', page)
    assert signatures
    assert not any("_jax" in signature for signature in signatures)
