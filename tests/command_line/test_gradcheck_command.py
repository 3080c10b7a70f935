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
    def wrong(params, carry, saved, next_carry, d_carry):
        carried, d_a = jaxrnn.ELMAN.backward(params, carry, saved, next_carry, d_carry)
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
