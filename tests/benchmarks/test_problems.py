"""What a problem says of every cell: shapes that fit the cell, and how much there is to do."""

import jax
import pytest

import jaxrnn as rnn
from benchmarks.peers import autodiff, ours, plain_scan
from benchmarks.problems import LayerProblem, Size, TrainProblem

every_cell = pytest.mark.parametrize("cell", rnn.CELLS)


@every_cell
@pytest.mark.parametrize("peer", [ours, autodiff, plain_scan], ids=lambda peer: peer.PEER.name)
def test_shapes_are_those_of_what_the_peer_returns(peer, cell):
    problem = LayerProblem(cell, Size(2, 5, 3, 4))
    params, carry, xs, cotangent = problem.shapes()
    last, hs = jax.eval_shape(peer.build(cell, problem.size).unroll, params, carry, xs)
    assert hs.shape == cotangent.shape
    assert jax.tree.map(jax.numpy.shape, last) == jax.tree.map(jax.numpy.shape, carry)


@every_cell
def test_operations_are_those_of_the_matrix_products(cell):
    """XLA's own count of one step has a little more: what is done entry by entry."""
    problem = LayerProblem(cell, Size(4, 3, 192, 256))
    params, carry, xs, _ = problem.shapes()
    one_step = jax.jit(lambda *given: rnn.step(rnn.CELLS[cell], *given))
    x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    counted = one_step.lower(params, carry, x).cost_analysis()["flops"]
    assert 1 < 3 * counted / problem.forward_flops() < 1.03
    assert problem.flops("forward_backward") == 3 * problem.forward_flops()


@every_cell
def test_layers_of_a_model_fit_on_each_other(cell):
    model = TrainProblem(cell, Size(2, 5, 3, 4), layers=2).arrays()
    lower, upper = model.layers
    widths = [carry.h.shape[-1] for carry in model.carries]
    assert (lower.w_xh.shape[0], upper.w_xh.shape[0]) == (3, widths[0])
    assert model.w_hy.shape == (widths[1], 3)
