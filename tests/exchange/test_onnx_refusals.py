"""What is no chain of ONNX's recurrent operators is refused in a sentence, nothing half read."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import jaxrnn as rnn
from jaxrnn import exchange

I, H = 2, 4


def operator(name="LSTM", gates=4, **more):
    weights = {"W": np.ones((1, gates * H, I), np.float32)}
    return {"operator": name, **weights, "R": np.ones((1, gates * H, H), np.float32), **more}


def refused(message, source, kind=ValueError, **options):
    with pytest.raises(kind, match=message) as error:
        exchange.read_onnx(source, **options)
    assert str(error.value).count("\n") == 0
    return str(error.value)


def graph(*nodes, arrays=(), inputs=("X",), outputs=("Y",), opset=18):
    values = {"W": np.ones((1, 4 * H, I), np.float32), "R": np.ones((1, 4 * H, H), np.float32)}
    values |= {"W1": np.ones((1, 4 * H, H), np.float32)} | dict(arrays)
    described = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3)  # noqa: E731
    made = helper.make_graph(
        nodes, "g", [*map(described, inputs)], [*map(described, outputs)],
        [numpy_helper.from_array(array, name) for name, array in values.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def lstm(read, made, weights="W", **attributes):
    return helper.make_node("LSTM", [read, weights, "R"], [made], hidden_size=H, **attributes)


def test_attributes_that_are_not_known():
    refused("attributes of LSTM that are known, got 'output_sequence'", operator(output_sequence=1))
    refused("known, got 'linear_before_reset'", operator(linear_before_reset=1))
    refused("known, got 'input_forget'", operator("GRU", 3, input_forget=1))
    refused("direction: expected one of 'forward'", operator(direction="up"))
    refused("layout: expected one of 0, 1", operator(layout=2))
    refused("clip: expected a number above 0", operator(clip=0.0))
    refused("operator: expected one of 'RNN', 'GRU', 'LSTM'", operator("SRU"))
    names = ["Sigmoid", "Swish", "Tanh"]
    refused("3 activations of Tanh.*Sigmoid, Swish, Tanh", operator(activations=names))
    refused("3 activations of", operator(activations=["Tanh"]))
    affine = ["Sigmoid", "Affine", "Tanh"]
    refused("activation_alpha: expected a value for each", operator(activations=affine))
    refused("no more values than", operator(activation_alpha=[0.5]))


def test_arrays_that_do_not_fit():
    wrong = operator(B=np.ones((1, 7), np.float32), P=np.ones((2, 12), np.float32), hidden_size=H)
    said = refused("of an LSTM, H=4, got", wrong)
    assert "'B' as [1, 7] instead of [1, 32]" in said
    assert "'P' as [2, 12] instead of [1, 12]" in said
    refused("an unexpected 'P'", operator("GRU", 3, P=np.ones((1, 12), np.float32)))
    refused(r"'R' as \[1, 16, 4\] instead of \[1, 20, 5\]", operator(hidden_size=5))
    refused("no 'R'", {"operator": "RNN", "W": np.ones((1, H, I), np.float32), "hidden_size": H})
    refused(r"integers \[B\]", operator(sequence_lens=np.ones(2, np.float32)))
    refused("lengths of at least 0", operator(sequence_lens=np.array([-1, 2])))
    refused("a floating dtype", operator() | {k: np.ones((1, 16, 4), int) for k in "WR"}, TypeError)
    with jax.enable_x64(False):
        refused(
            "jax_enable_x64", {k: np.float64(v) if k in "WR" else v for k, v in operator().items()}
        )


def test_what_is_no_model(tmp_path):
    path = tmp_path / "net.onnx"
    refused("There is no file .*net.onnx", path, FileNotFoundError)
    refused("a folder", tmp_path)
    refused("path of an .onnx file", 3, TypeError)
    refused("no 'operator'", [{}], TypeError)
    whole = exchange.to_onnx(
        rnn.GRU, rnn.init(rnn.GRU, jax.random.key(0), I, H)
    ).SerializeToString()
    for data in (b"\xff" * 40, whole[:100], whole[: len(whole) // 2], b""):
        path.write_bytes(data)
        refused(r"net\.onnx", path)
    refused("no valid ONNX model", graph(lstm("nowhere", "Y")))
    refused("an opset of 7 or later", graph(helper.make_node("Relu", ["X"], ["Y"]), opset=6))


def test_operators_outside_are_named():
    dense = helper.make_node("MatMul", ["s", "W2"], ["Y"], name="head")
    squeeze = helper.make_node("Squeeze", ["y", "one"], ["s"])
    arrays = {"one": np.array([1]), "W2": np.ones((H, 2), np.float32)}
    said = refused(
        "the operator MatMul, 'head'", graph(lstm("X", "y"), squeeze, dense, arrays=arrays)
    )
    assert "extract_model" in said
    refused("the operator Relu", graph(helper.make_node("Relu", ["X"], ["x"]), lstm("x", "Y")))
    refused(
        "RNN, GRU or LSTM in the graph, got Identity",
        graph(helper.make_node("Identity", ["X"], ["Y"])),
    )


def test_graphs_that_are_no_chain():
    one = {"one": np.array([1])}
    squeeze = helper.make_node("Squeeze", ["y", "one"], ["s"])
    both = graph(lstm("X", "y"), lstm("X", "Y"))
    refused("operators one after the other", both)
    unsqueezed = graph(lstm("X", "y"), lstm("y", "Y", "W1"))
    refused("axes T, B, F .* got axes T, D, B, H", unsqueezed)
    early = graph(lstm("X", "y"), squeeze, lstm("s", "Y", "W1"), arrays=one, outputs=("Y", "s"))
    refused("got one after 1 of 2", early)
    ways = graph(lstm("X", "y"), squeeze, lstm("s", "Y", "W1", direction="reverse"), arrays=one)
    refused("all run forward .* some of each", ways)
    wrong = helper.make_node("Squeeze", ["y", "one"], ["s"])
    refused(
        "axis of one direction",
        graph(lstm("X", "y"), wrong, arrays={"one": np.array([0])}, outputs=("s",)),
    )
    crossed = helper.make_node("LSTM", ["s", "W1", "R", "", "", "h"], ["Y"], hidden_size=H)
    first = helper.make_node("LSTM", ["X", "W", "R"], ["y", "h"], hidden_size=H)
    refused("initial_h of .* got the last state", graph(first, squeeze, crossed, arrays=one))


def test_weights_that_are_not_there():
    inputs = helper.make_node("LSTM", ["X", "W2", "R"], ["Y"], hidden_size=H)
    model = graph(inputs, inputs=("X", "W2"))
    refused(r"as W of .* got the graph's input 'W2'", model)
    refused("inputs of the graph, which are 'X', 'W2', got 'V'", model, inputs={"V": np.ones(1)})
    read = exchange.read_onnx(model, inputs={"W2": np.ones((1, 4 * H, I), np.float32)})
    assert read.net == rnn.LSTM
    outside = graph(lstm("X", "Y"))
    tensor = outside.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "elsewhere.bin")
    tensor.ClearField("raw_data")
    refused("elsewhere.bin|external|values in it", outside)


def test_arrays_that_grow_are_not_made():
    doubled = [
        helper.make_node("Concat", [f"a{k}", f"a{k}"], [f"a{k + 1}"], axis=0) for k in range(40)
    ]
    model = graph(*doubled, lstm("X", "Y"), arrays={"a0": np.ones(1000, np.float32)})
    refused("arrays that grow from node to node", model)


def test_networks_that_onnx_has_not():
    def to_onnx(message, net, **options):
        with pytest.raises(ValueError, match=message):
            exchange.to_onnx(net, rnn.init(net, jax.random.key(0), I, H), **options)

    to_onnx("a cell that ONNX has .* got the cell 'mgu'.*charlm_to_onnx", rnn.MGU)
    to_onnx("what ONNX has", rnn.Stack([rnn.GRU, rnn.GRU], residual=True))
    to_onnx("two directions that are one operator", rnn.Bidirectional(rnn.GRU, rnn.LSTM))
    to_onnx("False where there are two directions", rnn.Bidirectional(rnn.GRU), reverse=True)
    to_onnx("leave bias=False out", rnn.LSTM, bias=False)
    params = rnn.init(rnn.GRU, jax.random.key(0), I, H, dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match="float32 or float64"):
        exchange.to_onnx(rnn.GRU, params)
