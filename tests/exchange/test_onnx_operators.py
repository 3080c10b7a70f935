"""ONNX's RNN, GRU and LSTM: its own test cases, onnxruntime beside `unroll`, there and back."""

import warnings
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.test.case import node as node_cases

import jaxrnn as rnn
from jaxrnn import exchange
from jaxrnn.exchange.onnx_cells import FUNCTIONS, Activation, Kind, cell_of, kind_of

T, B, I, H = 5, 3, 2, 4
SIGMOID, TANH = Activation("Sigmoid"), Activation("Tanh")
COMMON = [
    rnn.ELMAN,
    rnn.ELMAN_RELU,
    rnn.GRU,
    rnn.GRU_RESET_BEFORE,
    rnn.LSTM,
    rnn.LSTM_PEEPHOLE,
]
KINDS = [
    Kind("RNN", (Activation("Softsign"),), clip=0.4),
    Kind("GRU", (SIGMOID, Activation("ScaledTanh", 1.3, 0.6)), clip=0.3, reset_after=True),
    Kind("GRU", (Activation("HardSigmoid", 0.3, 0.4), Activation("LeakyRelu", 0.2)), clip=0.5),
    Kind("LSTM", (SIGMOID, Activation("Elu", 0.7), Activation("Affine", 0.8, 0.1)), peepholes=True),
    Kind("LSTM", (SIGMOID, TANH, TANH), clip=0.2, coupled=True, peepholes=True),
    Kind("LSTM", (Activation("Softplus"), TANH, Activation("Relu")), coupled=True),
]


def cases_of_the_package():
    """Those of its node tests that are of these operators; importing all of them takes 10 s."""
    for name in ("rnn", "gru", "lstm"):
        import_module(f"onnx.backend.test.case.node.{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_cases, "import_recursive", lambda package: None)
        found = node_cases.collect_testcases(None)
    operators = {"RNN", "GRU", "LSTM"}
    return [c for c in found if operators & {node.op_type for node in c.model.graph.node}]


CASES = cases_of_the_package()


def in_onnxs_axes(read, last, hs):
    """Y, Y_h and Y_c of what `unroll` returned."""
    sides = last if isinstance(read.net, rnn.Bidirectional) else (last,)
    y = np.asarray(hs).reshape(*hs.shape[:2], len(sides), -1).swapaxes(1, 2)
    states = {f"Y_{k}": np.stack([getattr(s, k) for s in sides]) for k in sides[0]._fields}
    if read.batch_first:
        y, states = y.transpose(2, 0, 1, 3), {k: v.swapaxes(0, 1) for k, v in states.items()}
    return {"Y": y, **states}


def run_here(read, x):
    xs = jnp.asarray(x.swapaxes(0, 1) if read.batch_first else x)
    carry = read.carry
    if carry is None:
        carry = rnn.zero_carry(read.net, read.params, xs.shape[1:2])
    return rnn.unroll(read.net, read.params, carry, xs, lengths=read.lengths, reverse=read.reverse)


def test_the_packages_cases_are_all_there():
    names = {case.name for case in CASES}
    assert len(names) >= 18
    assert {"test_lstm_with_peepholes", "test_gru_seq_length", "test_rnn_seq_length"} <= names
    assert {f"test_{op}_batchwise" for op in ("simple_rnn", "lstm", "gru")} <= names


def check_case(case, dtype, atol):
    ((inputs, outputs),) = case.data_sets
    inputs = [x.astype(dtype) if x.dtype == np.float32 else x for x in inputs]
    given = dict(zip([value.name for value in case.model.graph.input], inputs, strict=True))
    x = given.pop("X")
    read = exchange.read_onnx(case.model, inputs=given)
    found = in_onnxs_axes(read, *run_here(read, x))
    for value, expected in zip(case.model.graph.output, outputs, strict=True):
        np.testing.assert_allclose(found[value.name], expected, rtol=case.rtol, atol=atol)


by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@by_case
def test_the_packages_own_node_test_cases(case):
    check_case(case, np.float64, case.atol)


@pytest.mark.slow
@by_case
def test_the_packages_cases_in_float32(case):
    # A GRU here is n + z (h − n), there (1 − z) n + z h: where z is almost 1, rounded otherwise.
    check_case(case, np.float32, 3e-7)


def drawn(net, dtype=jnp.float32):
    shapes = jax.eval_shape(lambda: rnn.init(net, jax.random.key(0), I, H, dtype=dtype))
    generator = np.random.default_rng(1)
    draw = lambda leaf: jnp.asarray(0.5 * generator.standard_normal(leaf.shape), leaf.dtype)  # noqa: E731
    return jax.tree.map(draw, shapes)


def run_there(model, feed):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def sequence(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: cell_of(kind).name)
def test_onnxruntime_computes_the_same_with_other_settings(kind):
    cell = cell_of(kind)
    params, xs = drawn(cell), sequence(T, B, I)
    model = exchange.to_onnx(cell, params)
    assert exchange.from_onnx(model)[0] is cell
    found = run_there(model, {"X": xs})
    last, hs = rnn.unroll(cell, params, rnn.zero_carry(cell, params, (B,)), jnp.asarray(xs))
    np.testing.assert_allclose(found["Y"], hs, rtol=0, atol=2e-6)
    np.testing.assert_allclose(found["Y_h_0"][0], last.h, rtol=0, atol=2e-6)


ONE_OF_EACH = [
    KINDS[4],
    *(pytest.param(KINDS[k], marks=pytest.mark.slow) for k in (0, 1, 2, 3, 5)),
]


@pytest.mark.parametrize("kind", ONE_OF_EACH, ids=lambda kind: cell_of(kind).name)
def test_their_gradients_are_derived_right(kind):
    cell = rnn.register(cell_of(kind))
    try:
        key = jax.random.key(3)
        report = rnn.gradcheck(cell, key, input_size=2, hidden_size=3, batch_size=2, length=4)
        assert report.ok, report
    finally:
        del rnn.CELLS[cell.name]


def test_every_activation_has_its_slope():
    @jax.jit
    def both(x):
        values = [lambda x, f=f: f.value(x, 0.7, 0.3) for f in FUNCTIONS.values()]
        found = [f.slope(x, 0.7, 0.3) for f in FUNCTIONS.values()]
        return found, [jax.jvp(value, (x,), (jnp.ones_like(x),))[1] for value in values]

    for name, slope, expected in zip(FUNCTIONS, *both(jnp.linspace(-2.1, 2.3, 23)), strict=True):
        np.testing.assert_allclose(slope, expected, atol=1e-12, err_msg=name)


NETWORKS = [
    *COMMON,
    rnn.Bidirectional(rnn.LSTM_PEEPHOLE),
    rnn.Bidirectional(rnn.ELMAN, rnn.ELMAN_RELU),
    rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM, rnn.Bidirectional(rnn.ELMAN)]),
    rnn.Stack([rnn.GRU_RESET_BEFORE]),
    cell_of(KINDS[4]),
]


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_there_and_back(net):
    dtype = jnp.float64 if isinstance(net, rnn.Bidirectional) else jnp.float32
    params = drawn(net, dtype)
    model = exchange.to_onnx(net, params)
    again, same = exchange.from_onnx(model.SerializeToString())
    # One operator is a layer, not a Stack of one.
    expected = net.layers[0] if net == rnn.Stack([rnn.GRU_RESET_BEFORE]) else net
    assert again == expected
    for one, other in zip(jax.tree.leaves(same), jax.tree.leaves(params), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other)
    back = exchange.to_onnx(again, same)
    assert back.graph.initializer == model.graph.initializer
    assert back.graph.node == model.graph.node


def test_a_stack_in_onnxruntime_with_carry_and_lengths(tmp_path):
    net = rnn.Stack([rnn.Bidirectional(rnn.LSTM), rnn.GRU])
    params, xs = drawn(net), sequence(T, B, I)
    lengths = np.array([5, 2, 1], np.int32)
    model = exchange.to_onnx(net, params, carry=True, lengths=True)
    onnx.save(model, tmp_path / "net.onnx")
    assert exchange.from_onnx(tmp_path / "net.onnx")[0] == net
    states = {"initial_h_0": (2, B, H), "initial_c_0": (2, B, H), "initial_h_1": (1, B, H)}
    states = {name: sequence(*shape, seed=7) for name, shape in states.items()}
    found = run_there(model, {"X": xs, "sequence_lens": lengths, **states})
    read = exchange.read_onnx(model, inputs={"sequence_lens": lengths, **states})
    assert read.net == net
    last, hs = run_here(read, xs)
    np.testing.assert_allclose(found["Y"], hs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["Y_h_1"][0], last[1].h, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["Y_c_0"][1], last[0].backward.c, rtol=0, atol=1e-6)


def test_time_backwards():
    net = rnn.Stack([rnn.LSTM, rnn.ELMAN])
    params, xs = drawn(net), sequence(T, B, I)
    lengths = np.array([5, 2, 1], np.int32)
    model = exchange.to_onnx(net, params, reverse=True, lengths=True)
    read = exchange.read_onnx(model, inputs={"sequence_lens": lengths})
    assert read.reverse
    found = run_there(model, {"X": xs, "sequence_lens": lengths})
    np.testing.assert_allclose(found["Y"], run_here(read, xs)[1], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"from_onnx: .*read_onnx says reverse=True"):
        exchange.from_onnx(model)


def test_operators_as_mappings_need_no_package(monkeypatch):
    weights = {"W": sequence(1, 4 * H, I), "R": sequence(1, 4 * H, H), "P": sequence(1, 3 * H)}
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    net, params = exchange.from_onnx([{"operator": "LSTM", **weights}])
    assert net == rnn.Stack([rnn.LSTM_PEEPHOLE])
    blocks = dict(zip("iofg", np.split(weights["W"][0], 4), strict=True))
    np.testing.assert_array_equal(params[0].w_xh, np.concatenate([blocks[k] for k in "ifgo"]).T)
    np.testing.assert_array_equal(params[0].p_f, weights["P"][0, 2 * H :])
    with pytest.raises(ImportError, match=r'^This needs the package onnx; pip install "jaxrnn\['):
        exchange.from_onnx("net.onnx")
    with pytest.raises(ImportError, match=r"jaxrnn\[exchange\]"):
        exchange.to_onnx(rnn.GRU, drawn(rnn.GRU))


@pytest.mark.parametrize("layout", [0, 1])
def test_initial_states_in_either_order_of_axes(layout):
    weights = {"W": sequence(2, 4 * H, I), "R": sequence(2, 4 * H, H)}
    h = sequence(2, B, H, seed=3)
    given = {"initial_h": h.swapaxes(0, 1) if layout else h, "layout": layout}
    operator = {"operator": "LSTM", "direction": "bidirectional", **weights, **given}
    read = exchange.read_onnx(operator | {"sequence_lens": np.array([1, 2, 3])})
    assert read.batch_first == bool(layout)
    np.testing.assert_array_equal(read.carry.backward.h, h[1])
    np.testing.assert_array_equal(read.carry.forward.c, np.zeros((B, H)))  # as if it were given
    assert read.lengths.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"sequence_lens: expected integers .3., one a sequence"):
        exchange.read_onnx(operator | {"sequence_lens": np.array([1, 2])})


def test_weights_may_be_traced():
    weights = {"W": sequence(1, 3 * H, I), "R": sequence(1, 3 * H, H), "B": sequence(1, 6 * H)}
    operator = {"operator": "GRU", "linear_before_reset": 1}
    params = jax.jit(lambda given: exchange.from_onnx(operator | given)[1])(weights)
    expected = exchange.from_onnx(operator | weights)[1]
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_kinds_and_cells():
    assert kind_of(rnn.LSTM) == Kind("LSTM", (SIGMOID, TANH, TANH))
    assert cell_of(kind_of(rnn.GRU)) is rnn.GRU
    assert kind_of(rnn.MGU) is None
    names = [cell_of(kind).name for kind in KINDS]
    assert len({*names}) == len(names)
    assert names[0] == "onnx_rnn_softsign_clip_0p4"


PYTORCH = [
    ("LSTM", {"num_layers": 2, "bidirectional": True}, ("T", "B")),
    ("GRU", {"num_layers": 2, "batch_first": True}, ("T", "B")),
    ("RNN", {"nonlinearity": "relu", "bias": False}, ()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "options", "free"), PYTORCH, ids=lambda x: str(x)[:12])
def test_what_pytorch_writes(layer, options, free, tmp_path):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module = getattr(torch.nn, layer)(I, H, **options)
        x, path = torch.randn(B, T, I), str(tmp_path / "theirs.onnx")
        names = {"input_names": ["x"], "dynamic_axes": {"x": dict(enumerate(free))}}
        torch.onnx.export(module, (x,), path, dynamo=False, **names)
        expected = exchange.from_torch(module)
    read = exchange.read_onnx(path)
    assert read.net == expected[0]
    assert read.batch_first == options.get("batch_first", False)
    for one, other in zip(jax.tree.leaves(read.params), jax.tree.leaves(expected[1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


def test_a_clip_also_bounds_what_goes_into_an_lstms_last_activation():
    zeros = {name: np.zeros((1, 4, 1), np.float32) for name in ("W", "R")}
    net, params = exchange.from_onnx({"operator": "LSTM", **zeros, "clip": 1.0})
    carry = net.Carry(*(jnp.full((1, 1), value, jnp.float32) for value in (0, 4)))
    last, hs = rnn.unroll(net, params, carry, jnp.zeros((1, 1, 1), jnp.float32))
    assert float(last.c[0, 0]) == 2.0  # σ(0) · 4, itself not clipped
    assert float(hs[0, 0, 0]) == pytest.approx(0.5 * np.tanh(1.0))
