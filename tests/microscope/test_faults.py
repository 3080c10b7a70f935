"""Each fault of the write-up on word order, and what a gradient check says of it."""

import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.microscope.training_step import record
from jaxrnn.microscope.training_step.faults import (
    ADAGRAD_OVERWRITTEN,
    GRADIENT_FAULTS,
    gradient_error,
)


@pytest.fixture
def given(random_model):
    config, params, carry, inputs, targets = random_model("elman", 1, length=3)
    assert isinstance(config, charlm.Config)
    return config, params, carry, inputs, targets


@pytest.mark.parametrize("loss", ["last_cross_entropy", "summed_cross_entropy"])
def test_the_right_listing_passes(given, loss):
    assert gradient_error(*given, loss=loss) < 1e-7


@pytest.mark.parametrize("fault", GRADIENT_FAULTS)
def test_a_gradient_check_finds_the_fault(given, fault):
    assert gradient_error(*given, GRADIENT_FAULTS[fault]) > 1e-2


def test_an_overwritten_memory_has_right_gradients_and_steps_by_the_sign_alone(given):
    options = {"update": "adagrad", "limit": None, "loss": "last_cross_entropy"}
    assert gradient_error(*given, None) < 1e-7
    faulty = record(*given, **options, changes=ADAGRAD_OVERWRITTEN)
    right = record(*given, **options)
    np.testing.assert_array_equal(faulty.final("d_w_hh"), right.final("d_w_hh"))
    # At the first update both are η · sign(g); from the second on only the faulty one is.
    np.testing.assert_allclose(faulty.final("memory_w_hh"), faulty.final("d_w_hh") ** 2)
    moved = faulty.final("w_hh") - np.asarray(given[1].layers[0].w_hh)
    np.testing.assert_allclose(moved, -0.1 * np.sign(faulty.final("d_w_hh")), rtol=1e-3)


def test_a_change_must_be_of_a_line(given):
    with pytest.raises(ValueError, match=r"changes: expected a line of this program, got 'x = 1'"):
        record(*given, changes={"x = 1": "x = 2"})
