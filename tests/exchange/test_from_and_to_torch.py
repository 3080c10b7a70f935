"""PyTorch's weights: found, named and refused; values and gradients where torch is installed.

That what is imported computes what PyTorch does is in `recurrence/test_pytorch.py`, with stored
numbers.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recurrence.pytorch_reference import CASES, draw_problem

import jaxrnn as rnn
from jaxrnn import exchange

NONLINEARITY = {"rnn_tanh": "tanh", "rnn_relu": "relu"}


def state_of(case):
    arrays = draw_problem(case).arrays
    return {name: value for name, value in arrays.items() if "_l" in name}


def gru(prefix="", inputs=3, hidden=4):
    shapes = {"weight_ih_l0": (3 * hidden, inputs), "weight_hh_l0": (3 * hidden, hidden)}
    shapes |= {"bias_ih_l0": (3 * hidden,), "bias_hh_l0": (3 * hidden,)}
    return {prefix + name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", [case for case in CASES if case.lengths == "whole"], ids=str)
def test_there_and_back(case):
    state = state_of(case)
    net, params = exchange.from_torch(state, nonlinearity=NONLINEARITY.get(case.kind))
    back = exchange.to_torch(net, params)
    assert back.keys() == state.keys()
    for name, value in state.items():
        assert type(back[name]) is np.ndarray
        assert back[name].flags.writeable
        assert back[name].flags.c_contiguous
        if "weight" in name:
            np.testing.assert_array_equal(back[name], value)
    # The merged biases are the sum, to the bit, so what is computed is the same function.
    again, same = exchange.from_torch(back, nonlinearity=NONLINEARITY.get(case.kind))
    assert again == net
    assert_same(same, params)
    prefixed = exchange.to_torch(net, params, prefix="model.rnn")
    assert list(prefixed) == [f"model.rnn.{name}" for name in back]


@pytest.mark.parametrize("cell", [rnn.ELMAN, rnn.LSTM, rnn.LSTM_PROJECTED, rnn.GRU], ids=repr)
def test_without_biases_and_as_a_cell(cell):
    params = rnn.init(cell, jax.random.key(0), input_size=3, hidden_size=4)
    zero = {name: jnp.zeros_like(getattr(params, name)) for name in ("b_h", "b_hn")
            if hasattr(params, name)}  # fmt: skip
    params = params._replace(**zero)
    choice = {"nonlinearity": "tanh"} if cell is rnn.ELMAN else {}
    state = exchange.to_torch(cell, params, bias=False)
    assert not any("bias" in name for name in state)
    net, same = exchange.from_torch(state, **choice)
    assert net == cell
    assert_same(same, params)
    state = exchange.to_torch(cell, params, as_cell=True)
    assert "weight_ih" in state
    net, same = exchange.from_torch(state, **choice)
    assert net == cell
    assert_same(same, params)
    with pytest.raises(ValueError, match=r"params.b_h: expected zeros, because bias=False"):
        exchange.to_torch(cell, params._replace(b_h=params.b_h + 1), bias=False)


def test_prefix():
    state = gru("encoder.rnn.") | {"readout.weight": np.ones((2, 4)), "embedding": np.ones(3)}
    net, params = exchange.from_torch(state)
    assert net == rnn.GRU
    both = state | gru("decoder.", inputs=5)
    with pytest.raises(ValueError, match=r"got 'encoder.rnn', 'decoder'. Hint: .*prefix="):
        exchange.from_torch(both)
    assert exchange.from_torch(both, "decoder.")[1].w_xh.shape == (5, 12)
    assert_same(exchange.from_torch(both, prefix="encoder.rnn")[1], params)
    with pytest.raises(ValueError, match=r"got 'rnn'. Hint: those that are there: 'encoder.rnn', "):
        exchange.from_torch(both, "rnn")
    with pytest.raises(ValueError, match=r"got 'model', 'step'. Hint: pass what is at 'model'"):
        exchange.from_torch({"model": state, "step": 3})


class Module:
    """What of a torch module is asked for."""

    def __init__(self, state, nonlinearity=None, dropout=0.0):
        self.state, self.nonlinearity, self.dropout = state, nonlinearity, dropout

    def state_dict(self):
        return self.state

    def get_submodule(self, prefix):
        assert prefix == ""
        return self


def test_a_module_tells_what_weights_do_not():
    state = {"weight_ih_l0": np.ones((4, 3)), "weight_hh_l0": np.ones((4, 4))}
    with pytest.raises(ValueError, match='nonlinearity: expected "tanh" or "relu"'):
        exchange.from_torch(state)
    assert exchange.from_torch(Module(state, "relu"))[0] == rnn.ELMAN_RELU
    with pytest.raises(ValueError, match="nonlinearity: expected 'relu', which the module has"):
        exchange.from_torch(Module(state, "relu"), nonlinearity="tanh")
    upper = {"weight_ih_l1": np.ones((4, 4)), "weight_hh_l1": np.ones((4, 4))}
    stack, _ = exchange.from_torch(Module(state | upper, "tanh", dropout=0.25))
    assert stack == rnn.Stack([rnn.ELMAN, rnn.ELMAN], dropout=0.25)
    with pytest.raises(ValueError, match=r"nonlinearity: expected None for an nn.GRU"):
        exchange.from_torch(gru(), nonlinearity="tanh")


def test_all_faults_are_named_at_once():
    state = {**gru(), "weight_ih_l1": np.ones((12, 5)), "weight_hh_l1_raw": np.ones(3)}
    state["bias_hh_l0"] = np.ones(9, np.float32)
    with pytest.raises(ValueError, match="from_torch") as error:
        exchange.from_torch(state)
    assert str(error.value) == (
        "from_torch: source: expected the entries of an nn.GRU of 2 layers, I=3, H=4, got no "
        "'weight_hh_l1', no 'bias_ih_l1', no 'bias_hh_l1', 'bias_hh_l0' as [9] instead of [12], "
        "'weight_ih_l1' as [12, 5] instead of [12, 4], 'weight_ih_l1' in float64 instead of "
        "float32, an unexpected 'weight_hh_l1_raw'."
    )
    with pytest.raises(ValueError, match="1, 3 or 4 times as many rows as columns"):
        exchange.from_torch(gru() | {"weight_hh_l0": np.ones((8, 4), np.float32)})
    with pytest.raises(TypeError, match="a floating dtype, got int8"):
        exchange.from_torch({name: value.astype(np.int8) for name, value in gru().items()})
    with pytest.raises(TypeError, match="a state_dict, a module, or the path"):
        exchange.from_torch(3)
    with pytest.raises(ValueError, match=r"a pickle.* Hint: torch.load\(path, weights_only=True"):
        exchange.from_torch("model.pt")
    with pytest.raises(ValueError, match=r"got cv/lm\.t7, by its name a file of Torch7's"):
        exchange.from_torch("cv/lm.t7")
    with pytest.raises(ValueError, match="Hint: arrays of another file can be passed"):
        exchange.from_torch("model.npz")


def test_float64_is_not_rounded_in_silence():
    state = {name: value.astype(np.float64) for name, value in gru().items()}
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        exchange.from_torch(state)


def aligned(shape):
    """Ones where JAX, on a CPU, would go on reading them instead of copying them."""
    buffer = np.zeros(4 * np.prod(shape) + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    array = buffer[start : start + 4 * np.prod(shape)].view(np.float32).reshape(shape)
    array[:] = 1
    return array


def test_an_import_does_not_share_memory():
    state = {name: aligned(value.shape) for name, value in gru().items()}
    weights = [aligned((3, 16)), aligned((4, 16)), aligned(16)]
    imported = exchange.from_torch(state)[1], exchange.from_keras(weights)[1]
    for value in (*state.values(), *weights):
        value[:] = 7
    assert all((np.asarray(leaf) <= 2).all() for leaf in jax.tree.leaves(imported))


def test_what_pytorch_has_not():
    def export(net, hidden_size=4):
        return exchange.to_torch(
            net, rnn.init(net, jax.random.key(0), input_size=4, hidden_size=hidden_size)
        )

    with pytest.raises(ValueError, match=r"got the cell 'gru_reset_be.* Hint: .*to_keras and to_h"):
        export(rnn.GRU_RESET_BEFORE)
    with pytest.raises(ValueError, match="layers of one cell, one size H"):
        export(rnn.Stack([rnn.LSTM, rnn.GRU]))
    with pytest.raises(ValueError, match=r"layers of one cell, one size H.*H = 4, 5"):
        export(rnn.Stack([rnn.LSTM, rnn.LSTM]), (4, 5))
    with pytest.raises(ValueError, match="residual=True"):
        export(rnn.Stack([rnn.LSTM, rnn.LSTM], residual=True))
    with pytest.raises(ValueError, match="a cell in two directions"):
        export(rnn.Bidirectional(rnn.Stack([rnn.LSTM, rnn.LSTM])))
    with pytest.raises(TypeError, match="Params"):
        exchange.to_torch(rnn.LSTM, (1, 2, 3))


def torch_cases():
    kinds = ("rnn_tanh", "rnn_relu", "lstm", "gru", "lstm_projected")
    every = itertools.product(kinds, (1, 2), (1, 2), (True, False), ("float64", "float32"))
    ordinary = {(1, 1, True, "float64"), (2, 2, False, "float64"), (1, 1, True, "float32")}
    return [
        pytest.param(*each, marks=() if each[1:] in ordinary else pytest.mark.slow)
        for each in every
    ]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "layers", "directions", "bias", "dtype"), torch_cases())
def test_values_and_gradients_of_a_module(kind, layers, directions, bias, dtype):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    options = {"num_layers": layers, "bidirectional": directions == 2, "bias": bias}
    options["dtype"] = getattr(torch, dtype)
    if kind in NONLINEARITY:
        options["nonlinearity"] = NONLINEARITY[kind]
    if kind == "lstm_projected":
        options["proj_size"] = 2
    make = {"lstm": torch.nn.LSTM, "lstm_projected": torch.nn.LSTM, "gru": torch.nn.GRU}
    module = make.get(kind, torch.nn.RNN)(3, 4, **options)
    xs = torch.randn(5, 2, 3, dtype=options["dtype"])
    out, _ = module(xs)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()

    net, params = exchange.from_torch(module)
    limit = 1e-10 if dtype == "float64" else 1e-5
    assert_same(
        params, exchange.from_torch(module.state_dict(), nonlinearity=NONLINEARITY.get(kind))[1]
    )

    @jax.jit
    def run(params, xs, weights):
        def loss(params):
            hs = rnn.unroll(net, params, rnn.zero_carry(net, params, (2,)), xs)[1]
            return jnp.sum(weights * hs), hs

        return jax.grad(loss, has_aux=True)(params)

    d_params, hs = run(params, xs.numpy(), weights.numpy())
    np.testing.assert_allclose(hs, out.detach().numpy(), rtol=0, atol=limit)
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    for name, value in exchange.to_torch(net, d_params).items():
        if "bias_hh" in name and kind == "gru" and bias:
            value, expected = value[8:], gradients[name].numpy()[8:]
        elif "bias" in name and (not bias or "_hh" in name):
            continue
        else:
            expected = gradients[name].numpy()
        allowed = limit * max(1, np.abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=allowed, err_msg=name)

    state = {k: torch.tensor(v) for k, v in exchange.to_torch(net, params, bias=bias).items()}
    assert list(state) == list(module.state_dict())
    module.load_state_dict(state)
    limit = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(module(xs)[0].detach(), out.detach(), rtol=0, atol=limit)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_torch_cells(kind):
    torch = pytest.importorskip("torch")
    cell = getattr(torch.nn, kind)(3, 4)
    x = torch.randn(2, 3)
    h = cell(x)
    net, params = exchange.from_torch(torch.nn.ModuleDict({"inside": cell}))
    _, ours = rnn.step(net, params, rnn.zero_carry(net, params, (2,)), x.numpy())
    h = h[0] if kind == "LSTMCell" else h
    np.testing.assert_allclose(ours, h.detach().numpy(), rtol=0, atol=1e-6)
    exported = exchange.to_torch(net, params, as_cell=True)
    cell.load_state_dict({name: torch.tensor(value) for name, value in exported.items()})


def test_bfloat16_tensors():
    torch = pytest.importorskip("torch")
    _, params = exchange.from_torch(torch.nn.GRU(3, 4, dtype=torch.bfloat16))
    assert params.w_xh.dtype == jnp.bfloat16


def test_weights_that_are_not_plain():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"weight_.*: expected a tensor with numbers, got one on"):
        exchange.from_torch(torch.nn.LSTM(3, 4, device="meta"))
    state = {name: value.numpy() for name, value in torch.nn.LSTM(3, 4).state_dict().items()}
    weights = state.pop("weight_hh_l0")
    two = state | {"weight_hh_l0_g": weights[:, :1], "weight_hh_l0_v": weights}
    with pytest.raises(ValueError, match=r"Hint: torch.nn.utils.remove_weight_norm makes one"):
        exchange.from_torch(two)
    two = state | {"parametrizations.weight_hh_l0.original0": weights}
    with pytest.raises(ValueError, match=r"got no 'weight_hh'\. Hint: .*remove_parametrizations"):
        exchange.from_torch(two)
