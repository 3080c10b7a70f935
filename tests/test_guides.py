"""The guides, README and contributing page are true: code, commands, options, links, names."""

import argparse
import re
import shlex
from importlib import import_module

import pytest
from documents import CONTRIBUTING, GUIDES, README, RESULTS, blocks, run_python

import jaxrnn as rnn
from jaxrnn import guides
from jaxrnn.command_line import COMMANDS, normalise

pytestmark = pytest.mark.integration

PAGES = [README, *GUIDES, CONTRIBUTING, RESULTS]


@pytest.fixture
def cells():
    """Takes away what a guide registers."""
    before = dict(rnn.CELLS)
    yield
    for name in set(rnn.CELLS) - set(before):
        del rnn.CELLS[name]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("cells")
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    run_python(path)


def commands_of(path):
    for block in blocks(path, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for end, word in enumerate(words):
                if word == "jaxrnn" and (not end or words[end - 1] in ("&&", "srun")):
                    yield words[end + 1 :]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    for command, *rest in commands_of(path):
        assert command in COMMANDS, command
        parser = import_module(f"jaxrnn.command_line.{command}").make_parser()
        chosen = parser.parse_args(normalise(parser, rest))
        assert isinstance(chosen, argparse.Namespace)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_are_linked_exist(path):
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_names_of_the_package_that_are_mentioned_exist(path):
    for name in re.findall(r"`jaxrnn((?:\.\w+)+)[`(]", path.read_text(encoding="utf-8")):
        value = rnn
        for part in name[1:].split("."):
            try:
                value = getattr(value, part)
            except AttributeError:
                value = import_module(f"{value.__name__}.{part}")


def test_every_guide_is_listed_and_included():
    listed = re.findall(r"`jaxrnn\.guides\.(\w+)`", guides.__doc__)
    assert sorted(listed) == [path.stem for path in GUIDES]
    for path in GUIDES:
        module = import_module(f"jaxrnn.guides.{path.stem}")
        assert f".. include:: {path.name}" in module.__doc__
