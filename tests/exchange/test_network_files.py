"""Networks in safetensors files: the same to the bit, and nothing believed that is not checked."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxrnn as rnn
from jaxrnn import exchange

NETWORKS = [
    *rnn.CELLS.values(),
    rnn.Stack([rnn.LSTM_PROJECTED, rnn.GRU], dropout=0.5),
    rnn.Stack([rnn.LSTM, rnn.LSTM, rnn.LSTM], residual=True),
    rnn.Bidirectional(rnn.LSTM, rnn.Stack([rnn.GRU])),
    rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.Stack([rnn.ELMAN, rnn.INDRNN])]),
]


def drawn(net, dtype=jnp.float32):
    return rnn.init(net, jax.random.key(0), input_size=3, hidden_size=4, dtype=dtype)


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_there_and_back(net, tmp_path):
    params = drawn(net)
    exchange.save_safetensors(tmp_path / "net.safetensors", net, params)
    again, same = exchange.load_safetensors(str(tmp_path / "net.safetensors"))
    assert again == net
    assert jax.tree.structure(same) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_dtypes(dtype, tmp_path):
    path = tmp_path / "net.safetensors"
    exchange.save_safetensors(path, rnn.GRU, drawn(rnn.GRU, dtype))
    _, params = exchange.load_safetensors(path)
    assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
    if dtype == jnp.float64:
        with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
            exchange.load_safetensors(path)


def test_custom_cells_go_by_their_name(tmp_path):
    path, mine = tmp_path / "net.safetensors", dataclasses.replace(rnn.MGU, name="my_mgu")
    params = drawn(mine)
    with pytest.raises(ValueError, match=r"jaxrnn.register\(cell\) first"):
        exchange.save_safetensors(path, mine, params)
    rnn.register(mine)
    try:
        exchange.save_safetensors(path, mine, params)
        assert exchange.load_safetensors(path)[0] == mine
    finally:
        del rnn.CELLS["my_mgu"]
    with pytest.raises(ValueError, match=r"has the cell 'my_mgu'; known are elman, "):
        exchange.load_safetensors(path)


def test_what_is_no_file_of_ours(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(FileNotFoundError, match=r"net.safetensors"):
        exchange.load_safetensors(path)
    with pytest.raises(ValueError, match="a folder"):
        exchange.load_safetensors(tmp_path)
    exchange.save_safetensors(path, rnn.GRU, drawn(rnn.GRU))
    whole = path.read_bytes()
    for length in (0, 4, 8, 20, 300, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"net\.safetensors"):
            exchange.load_safetensors(path)
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(ValueError, match="no safetensors file, or was cut short"):
        exchange.load_safetensors(path)
    save_file({"weight_hh_l0": np.zeros((12, 4), np.float32)}, path)
    with pytest.raises(ValueError, match=r"does not say which network .*from_torch"):
        exchange.load_safetensors(path)


def altered(path, arrays=lambda arrays: arrays, description=lambda said: said):
    net = rnn.Stack([rnn.GRU])
    exchange.save_safetensors(path, net, drawn(net))
    said = json.loads(_description(path))
    changed = description(said)
    text = changed if isinstance(changed, str) else json.dumps(changed)
    save_file(arrays(load_file(path)), path, metadata={"jaxrnn": text})
    return path


def _description(path):
    from safetensors import safe_open

    with safe_open(path, "np") as archive:
        return archive.metadata()["jaxrnn"]


def test_arrays_that_are_not_the_networks_are_all_named(tmp_path):
    def change(arrays):
        arrays = {**arrays, "extra": np.zeros(1), "0.b_hn": np.zeros(5, np.float32)}
        del arrays["0.w_xh"]
        return arrays | {"0.w_hh": arrays["0.w_hh"].astype(np.float64)}

    with pytest.raises(ValueError, match="describes") as error:
        exchange.load_safetensors(altered(tmp_path / "net.safetensors", change))
    for fault in (
        "no 0.w_xh",
        "0.w_hh as 'float64' [4, 12] instead of float32 [4, 12]",
        "0.b_hn as 'float32' [5] instead of float32 [4]",
        "an extra 'extra'",
    ):
        assert fault in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: "{", "not the JSON"),
        (lambda said: "[]", "in place of an object"),
        (lambda said: said | {"format": 2}, "has the format 2, where 1 is known"),
        (lambda said: said | {"dtype": "int8"}, "the dtype 'int8'"),
        (lambda said: said | {"more": 1}, "an unknown 'more'"),
        (lambda said: said | {"network": {"stack": []}}, "no 'dropout', no 'residual'"),
        (lambda said: said | {"network": {"bidirectional": [1]}}, "1 directions"),
        (lambda said: said | {"network": {"cell": "gru", "sizes": {"I": 3}}}, "no 'H'"),
        (lambda said: said | {"network": {"cell": "gru", "sizes": {"I": 3, "H": 0}}}, "below 1"),
        (lambda said: said | {"network": {"cell": "../x", "sizes": {}}}, r"the cell '\.\./x'"),
        (
            lambda said: json.dumps(said).replace("true", "false").replace("0.0", "1.5"),
            "a dropout beyond",
        ),
    ],
)
def test_descriptions_that_say_something_else(change, message, tmp_path):
    path = altered(tmp_path / "net.safetensors", description=change)
    with pytest.raises(ValueError, match=message) as error:
        exchange.load_safetensors(path)
    assert "net.safetensors" in str(error.value)


def test_nothing_is_written_of_what_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"before")
    params = drawn(rnn.GRU)
    for wrong in (params._replace(b_hn=params.b_hn[:2]), tuple(params)):
        with pytest.raises((TypeError, ValueError), match="save_safetensors: params"):
            exchange.save_safetensors(path, rnn.GRU, wrong)
    with pytest.raises(FileNotFoundError):
        exchange.save_safetensors(tmp_path / "none" / "net", rnn.GRU, params)
    assert path.read_bytes() == b"before"


def test_a_file_with_pytorchs_names(tmp_path):
    params = drawn(rnn.LSTM)
    path = tmp_path / "model.safetensors"
    save_file(exchange.to_torch(rnn.LSTM, params, prefix="encoder"), path)
    net, same = exchange.from_torch(path)
    assert net == rnn.LSTM
    jax.tree.map(np.testing.assert_array_equal, same, params)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model.safetensors is no safetensors file"):
        exchange.from_torch(path)
