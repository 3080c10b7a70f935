"""What is no layer that this library has, or not whole, is refused in a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exchange.peer_reference import Case, draw_problem

import jaxrnn as rnn
from jaxrnn import exchange

LSTM, GRU = Case("linen", "LSTMCell"), Case("linen", "GRUCell")


def drawn(net):
    return rnn.init(net, jax.random.key(0), input_size=3, hidden_size=4)


def arrays(*shapes):
    return [np.ones(shape, np.float32) for shape in shapes]


def refused(kind, message, function, *arguments, **options):
    with pytest.raises(kind, match=message) as error:
        function(*arguments, **options)
    assert str(error.value).startswith(f"{function.__name__}: "), error.value


def test_a_gru_of_the_other_kind():
    after, before = arrays((3, 12), (4, 12), (2, 12)), arrays((3, 12), (4, 12), 12)
    from_keras = exchange.from_keras
    said = (
        r"reset_after: expected True: a bias \[2, 12\] .*jaxrnn.GRU with True.*_RESET_BEFORE with"
    )
    refused(ValueError, said, from_keras, after, reset_after=False)
    refused(ValueError, r"expected False: a bias \[12\]", from_keras, before, reset_after=True)
    refused(ValueError, "expected True or False", from_keras, after[:2])
    gru, early = drawn(rnn.GRU), drawn(rnn.GRU_RESET_BEFORE)
    said = "resets before the product; jaxrnn.exchange.to_torch takes"
    refused(ValueError, said, exchange.to_haiku, rnn.GRU, gru)
    said = "to_keras and to_haiku take it"
    refused(ValueError, said, exchange.to_flax, rnn.GRU_RESET_BEFORE, early)
    refused(ValueError, "a cell that equinox has", exchange.to_equinox, rnn.MGU, drawn(rnn.MGU))
    refused(ValueError, "a cell that Keras has", exchange.to_keras, rnn.MGU, drawn(rnn.MGU))


def test_kerass_arrays():
    from_keras = exchange.from_keras
    refused(TypeError, "a recurrent layer, what its get_weights", from_keras, 3)
    said = r"got 5 of them\. Hint: two directions of which one alone has a bias"
    refused(ValueError, said, from_keras, arrays((3, 16), (4, 16), 16, 1, 1))
    refused(ValueError, r"\[H, H\], \[H, 3H\] or \[H, 4H\]", from_keras, arrays((3, 8), (4, 8)))
    said = r"got 'kernel' as \[3, 8\] instead of \[3, 16\], 'bias' as \[8\] instead of \[16\]"
    refused(ValueError, said, from_keras, arrays((3, 8), (4, 16), 8))
    said = r"source\[3:\]: .* got 'bias' as \[9\]"
    refused(ValueError, said, from_keras, arrays(*[(3, 16), (4, 16), 16] * 2)[:5] + arrays(9))
    refused(ValueError, '"tanh" or "relu"', from_keras, arrays((3, 4), (4, 4)))
    refused(ValueError, "one of 'tanh', 'relu'", from_keras, [], nonlinearity="gelu")
    lstm = arrays((3, 16), (4, 16), 16)
    refused(ValueError, "None: this is the LSTM", from_keras, lstm, reset_after=True)
    net = rnn.Bidirectional(rnn.LSTM)
    said = "expected zeros, because bias=False"
    refused(ValueError, said, exchange.to_keras, net, drawn(net), bias=False)


class LSTMLayer:
    """What of a Keras layer is asked for."""

    def __init__(self, **settings):
        self.settings = settings

    def get_weights(self):
        return arrays((3, 16), (4, 16), 16)

    def get_config(self):
        usual = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
        return usual | self.settings


LSTMLayer.__name__ = "LSTM"


def test_kerass_layers():
    from_keras = exchange.from_keras
    assert from_keras(LSTMLayer())[0] == rnn.LSTM
    said = "activation='tanh', got LSTM with activation='relu'"
    refused(ValueError, said, from_keras, LSTMLayer(activation="relu"))
    said = "recurrent_activation='sigmoid', got LSTM with recurrent_activation='hard_sigmoid'"
    refused(ValueError, said, from_keras, LSTMLayer(recurrent_activation="hard_sigmoid"))
    said = r"go_backwards=True\. Hint: .*get_weights\(\), and run it with unroll\(..., reverse=True"
    refused(ValueError, said, from_keras, LSTMLayer(go_backwards=True))
    refused(ValueError, "nonlinearity: expected None", from_keras, LSTMLayer(), nonlinearity="tanh")
    for name, part in (("RNN", ".cell"), ("StackedRNNCells", ".cells"), ("Sequential", ".layers")):
        holder = type(name, (), {"get_weights": lambda self: []})()
        refused(TypeError, rf"got {name}\. Hint: pass its {part}$", from_keras, holder)


def test_flaxs_trees():
    from_flax, (lstm, _), (gru, _) = exchange.from_flax, draw_problem(LSTM), draw_problem(GRU)
    refused(TypeError, r"nnx.state\(module\)", from_flax, 3)
    refused(ValueError, "the parameters of a recurrent cell", from_flax, {"dense": {"kernel": 1}})
    both = {"params": {"a": {"cell": lstm}, "b": {"cell": gru}}}
    said = "got 'params/a/cell', 'params/b/cell'. Hint: say which: prefix='params/a/cell'"
    refused(ValueError, said, from_flax, both)
    assert from_flax(both, "params/b")[0] == rnn.GRU
    refused(ValueError, "those that are there: 'params/a/cell', ", from_flax, both, "params/c")
    broken = {name: value for name, value in lstm.items() if name != "hg"}
    broken |= {"ii": {"kernel": np.ones((3, 5))}, "more": {"kernel": np.ones(2)}}
    said = (
        r"got no 'hg/kernel', no 'hg/bias', 'ii/kernel' as \[3, 5\] instead of \[3, 4\], "
        r"an unexpected 'more/kernel'"
    )
    refused(ValueError, said, from_flax, broken)
    mgu = dict.fromkeys(("if", "in", "hf", "hn"), gru["ir"])
    refused(ValueError, "an MGUCell. Hint: jaxrnn.MGU resets before", from_flax, {"cell": mgu})
    said = r"'dense_h/kernel' \[H, H\], \[H, 3H\] or \[H, 4H\]"
    dense = {"dense_i": {"kernel": np.ones((3, 8))}, "dense_h": {"kernel": np.ones((4, 8))}}
    refused(ValueError, said, from_flax, dense)
    inside = drawn(rnn.GRU)._replace(b_hn=jnp.ones(4, jnp.float32))
    said = "nnx's GRUCell has no bias there, got other values"
    refused(ValueError, said, exchange.to_flax, rnn.GRU, inside, "nnx")
    refused(ValueError, "one of 'linen', 'nnx'", exchange.to_flax, rnn.GRU, inside, "keras")


def test_haikus_parameters():
    from_haiku = exchange.from_haiku
    weights = {"w": np.ones((7, 16)), "b": np.ones(16)}
    both = {"a/lstm/linear": weights, "b/lstm/linear": weights, "readout": weights}
    refused(ValueError, "got 'a/lstm', 'b/lstm'. Hint: say which: prefix=", from_haiku, both)
    assert from_haiku(both, "b/lstm")[0] == rnn.LSTM
    refused(ValueError, "those that are there: 'a/lstm', 'b/lstm'", from_haiku, both, "readout")
    refused(ValueError, "one recurrent core", from_haiku, {"readout": weights})
    # Linear layers that are no LSTM, by their shapes or beside one by its name.
    square = {"w": np.ones((3, 3)), "b": np.ones(3)}
    for other in (square, weights):
        assert from_haiku({"m/linear": other, "m/lstm/linear": weights})[1].w_hh.shape == (4, 16)
    assert from_haiku({"m/linear": square, "m/core/linear": weights})[0] == rnn.LSTM
    refused(ValueError, "one recurrent core", from_haiku, {"mlp/linear": square})
    mlp = {"mlp/linear": weights, "mlp/linear_1": {"w": np.ones((16, 2)), "b": np.ones(2)}}
    refused(ValueError, "one recurrent core", from_haiku, mlp)
    refused(TypeError, "parameters by module and name.* got an empty list", from_haiku, [])
    refused(TypeError, "parameters by module and name", from_haiku, [3])
    narrow = {"lstm/linear": {"w": np.ones((4, 16)), "b": np.ones(16)}}
    refused(ValueError, r"\[I \+ 4, 4·4\], over \[x, h\], got float64\[4, 16\]", from_haiku, narrow)
    gru = {"gru": {"w_i": np.ones((3, 12)), "w_h": np.ones((4, 9)), "b": np.ones(12)}}
    refused(ValueError, r"got 'gru/w_h' as \[4, 9\] instead of \[4, 12\]", from_haiku, gru)
    net = rnn.Bidirectional(rnn.LSTM)
    refused(ValueError, "layers in one direction", exchange.to_haiku, net, drawn(net))


def test_equinoxs_fields():
    from_equinox = exchange.from_equinox
    refused(TypeError, "an LSTMCell, a GRUCell", from_equinox, 3)
    refused(ValueError, r"a weight_hh \[4H, H\]", from_equinox, {"weight_ih": np.ones((8, 3))})
    fields = {"weight_hh": np.ones((12, 4)), "bias": np.ones(12), "scale": np.ones(1)}
    refused(ValueError, "got no 'weight_ih', no 'bias_n', an unexpected 's", from_equinox, fields)
