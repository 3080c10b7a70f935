import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope.measurements.gate_statistics import saturated_gates, unit_activity
from jaxrnn.microscope.traces import trace_model
from jaxrnn.recurrence import Trace


def test_shares_by_hand():
    gates = {
        "r": np.array([[0.05, 0.5], [0.95, 0.5], [0.99, 0.0], [0.5, 0.91]]),
        "z": np.full((4, 2), 0.1),
        "n": np.full((4, 2), -0.99),
    }
    reset, update = saturated_gates(rnn.GRU, Trace(None, gates, {}))
    assert (reset.gate, update.gate) == ("r", "z")
    assert reset.left_saturated.tolist() == [0.25, 0.25]
    assert reset.right_saturated.tolist() == [0.5, 0.25]
    assert update.left_saturated.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("cell", "names"), [("lstm", "ifo"), ("gru", "rz"), ("gru_reset_before", "rz"), ("elman", "")]
)
def test_sigmoid_gates_of_every_cell(random_model, cell, names):
    config, params, carry, inputs, targets = random_model(cell, 1)
    layer = trace_model(config, params, carry, inputs, targets).layers[0]
    found = saturated_gates(rnn.CELLS[cell], layer)
    assert "".join(each.gate for each in found) == names
    for each in found:
        brute = [np.mean([v < 0.1 for v in layer.gates[each.gate][:, unit]]) for unit in range(4)]
        np.testing.assert_allclose(each.left_saturated, brute)


def test_dead_and_saturated_units():
    swing = np.sign(np.sin(np.arange(40) + 0.5))
    states = np.stack([np.full(40, 0.99), 0.95 * swing, 0.5 * swing, np.zeros(40)], axis=1)
    activity = unit_activity(states.reshape(20, 2, 4))
    assert activity.dead.tolist() == [True, False, False, True]
    assert activity.saturated.tolist() == [False, True, False, False]
    np.testing.assert_allclose(activity.saturated_share, [1, 1, 0, 0])
    np.testing.assert_allclose(activity.mean, states.mean(axis=0))
    np.testing.assert_allclose(activity.deviation, states.std(axis=0))
