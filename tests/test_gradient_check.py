"""gradcheck finds the cells right, and finds what is broken on purpose."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import OPTIONS, cells

import jaxrnn as rnn
from jaxrnn import gradient_check
from jaxrnn.gradient_check import GradientRow, central_differences

KEY = jax.random.key(1)
check = functools.partial(rnn.gradcheck, key=KEY)
slow = pytest.mark.slow

# The whole grid, cells × options × recompute × inputs, is the slow run's; the ordinary run has
# every cell with all of the options, and two with none.
PLAIN = ("lstm", "lstm_projected")
GRID = [
    pytest.param(
        name, options, recompute, tokens,
        marks=()
        if not (recompute or tokens) and (options == OPTIONS or (not options and name in PLAIN))
        else slow,
    )
    for name in rnn.CELLS
    for options in ((), *((option,) for option in OPTIONS), OPTIONS)
    for recompute in (False, True)
    for tokens in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "recompute", "tokens"), GRID)
def test_every_cell_is_right(name, options, recompute, tokens):
    cell = rnn.CELLS[name]
    report = check(cell, options=options, recompute=recompute, token_inputs=tokens)
    assert report.ok, str(report)
    fields = [*cell.Params._fields, *(f"carry.{field}" for field in cell.Carry._fields)]
    if "resets" in options:
        fields += [f"reset_carry.{field}" for field in cell.Carry._fields]
    assert [row.name for row in report.rows] == fields + ([] if tokens else ["xs"])


@pytest.mark.parametrize("name", cells("elman"))
@pytest.mark.parametrize(
    "given", [{"length": 1}, {"chunk_length": 7}, {"recompute": True}], ids=str
)
def test_lengths_and_chunks(name, given):
    assert check(rnn.CELLS[name], options=OPTIONS, token_inputs="length" in given, **given).ok


NETWORKS = [
    (rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM_PROJECTED]), ("lengths", "resets", "masks")),
    pytest.param(rnn.Stack([rnn.LSTM] * 3, residual=True), OPTIONS, marks=slow),
    pytest.param(rnn.Bidirectional(rnn.LSTM_LAYERNORM, rnn.MGU), OPTIONS, marks=slow),
    *(
        pytest.param(kind(cell), options, marks=slow)
        for cell in rnn.CELLS.values()
        for kind in (rnn.Bidirectional, lambda cell: rnn.Stack([cell, cell]))
        for options in ((), OPTIONS)
    ),
]


@pytest.mark.parametrize(("network", "options"), NETWORKS, ids=str)
def test_networks_are_right(network, options):
    first = network == NETWORKS[0][0]
    sizes = {"hidden_size": (2, 3), "length": 4} if first else {"length": 7}
    report = check(network, options=options, **sizes)
    assert report.ok, str(report)
    # Of a few relu units all may be off, and their gradients rightly 0; of the gated ones none is.
    rows = report.rows if first else report.rows[-1:]
    assert all(row.size > 0 for row in rows if not row.name.startswith("carry"))


def broken(cell, change):
    """The cell with `change` applied to what its backward step returns."""

    def backward(*arguments):
        return change(*cell.backward(*arguments))

    return dataclasses.replace(cell, name="broken", backward=backward)


@pytest.mark.parametrize(
    "change",
    [
        lambda d_carry, left: (d_carry, 1.0001 * left),
        lambda d_carry, left: (d_carry._replace(h=d_carry.h * 0), left),
        pytest.param(lambda d_carry, left: (d_carry._replace(c=d_carry.h), left), marks=slow),
    ],
)
def test_a_wrong_derivative_is_found(change):
    report = check(broken(rnn.LSTM, change))
    assert not report.ok
    assert "WRONG" in str(report)


def test_a_gradient_that_is_nan_is_not_ok():
    nan = broken(rnn.ELMAN, lambda d_carry, left: (d_carry, left * jnp.nan))
    assert not check(nan).ok


def scaled(factor):
    """`unroll` whose gradient of the inputs is that much too large."""

    def run(cell, params, carry, xs, **given):
        xs = factor * xs - jax.lax.stop_gradient((factor - 1) * xs)
        return rnn.unroll(cell, params, carry, xs, **given)

    return run


@pytest.mark.parametrize(("off", "caught"), [(1e-12, False), (1e-8, True), (1e-3, True)])
def test_the_columns_are_hand_against_each_oracle(off, caught):
    """A gradient that is off by a known factor shows it, in both columns, by that much."""
    report = check(rnn.ELMAN, length=2, unroll=scaled(1 + off))
    rows = {row.name: row for row in report.rows}
    assert report.ok is not caught
    assert rows["w_hh"].ok
    assert rows["xs"].ok is not caught
    np.testing.assert_allclose(rows["xs"].autodiff_error, off, rtol=0.1, atol=1e-14)
    if off > 1e-7:
        np.testing.assert_allclose(rows["xs"].difference_error, off, rtol=0.1)


def test_either_error_is_enough():
    row = functools.partial(GradientRow, "w_hh", (4, 4), 1.0)
    assert row(0.9e-10, 0.9e-6).ok
    assert not row(1.1e-10, 0.0).ok
    assert not row(0.0, 1.1e-6).ok


def test_central_differences_of_a_cubic():
    with jax.enable_x64(True):
        arrays = {"x": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "y": jnp.asarray([2.0])}
        slopes = jax.jit(
            lambda arrays: central_differences(lambda a: jnp.sum(a["x"] ** 3) * a["y"][0], arrays)
        )(arrays)
    np.testing.assert_allclose(slopes["x"], 6 * np.asarray(arrays["x"]) ** 2, rtol=1e-8)
    np.testing.assert_allclose(slopes["y"], [1 - 8 + 0.125 + 27], rtol=1e-8)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="gradcheck: length: expected an integer of at least 1"):
        check(rnn.GRU, length=0)
    with pytest.raises(TypeError, match="gradcheck: key: expected"):
        rnn.gradcheck(rnn.GRU, 0)
    with pytest.raises(
        ValueError, match="gradcheck: options: expected a sequence of some of lengths"
    ):
        check(rnn.GRU, options=("padding",))
    with pytest.raises(TypeError, match=r"gradcheck: cell: expected a jaxrnn\.Cell"):
        check("gru")


@pytest.mark.parametrize("default", [None, 1])
def test_it_is_computed_on_the_cpu_wherever_it_is_called(default, monkeypatch):
    """The second device of this CPU stands for an accelerator."""
    first, second = jax.devices()[:2]
    seen = []

    def spy(cell, params, key, *rest, **given):
        seen.append({device for leaf in jax.tree.leaves(params) for device in leaf.devices()})
        seen.append(key.devices())
        return rnn.draw_masks(cell, params, key, *rest, **given)

    monkeypatch.setattr(gradient_check, "draw_masks", spy)
    with jax.default_device(None if default is None else second):
        key = jax.device_put(KEY, second)
        report = rnn.gradcheck(rnn.ELMAN, key, length=2, options="masks")
    assert report.ok
    assert seen == [{first}, {first}]


def test_jax_was_told_to_leave_the_cpu_out(monkeypatch):
    def local_devices(*, backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    with pytest.raises(ValueError, match="gradcheck: JAX_PLATFORMS: expected cpu among"):
        check(rnn.ELMAN)


def test_a_relu_that_is_off_is_right():
    """Of one unit, one step and these draws, some gradients are zero throughout, and right."""
    for seed in range(4):
        one = {"hidden_size": 1, "batch_size": 1, "length": 1}
        assert rnn.gradcheck(rnn.ELMAN_RELU, jax.random.key(seed), **one).ok
