import dataclasses

import pytest

import jaxrnn
from jaxrnn.command_line import main


def test_a_cell_passes_with_a_row_a_parameter(capsys):
    assert main(["gradcheck", "--cell", "elman", "--length", "3"]) == 0
    written = capsys.readouterr().out
    for name in ("w_xh", "w_hh", "b_h", "carry.h", "xs"):
        assert name in written
    assert "WRONG" not in written


def test_a_wrong_gradient_is_found(capsys, monkeypatch):
    def wrong(*arguments):
        carried, d_a = jaxrnn.ELMAN.backward(*arguments)
        return carried, 1.001 * d_a

    broken = dataclasses.replace(jaxrnn.ELMAN, backward=wrong)
    monkeypatch.setitem(jaxrnn.CELLS, "elman", broken)
    assert main(["gradcheck", "--cell", "elman", "--length", "3"]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"), [(["--cell", "gruu"], "gruu"), (["--length", "0"], "length")]
)
def test_bad_arguments(capsys, arguments, named):
    assert main(["gradcheck", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_options_reach_the_check(capsys):
    arguments = ["--cell", "elman", "--length", "3", "--options", "resets,masks", "--recompute"]
    assert main(["gradcheck", *arguments]) == 0
    written = capsys.readouterr().out
    assert "elman, dense inputs, T=3 B=2 I=3 H=4, resets, masks" in written
    assert "reset_carry.h" in written
    assert main(["gradcheck", "--cell", "elman", "--options", "padding"]) == 2
    assert "of lengths, resets, reverse, masks, got 'padding'" in capsys.readouterr().err
