"""Bytes and words: every way to write gives the same text, whole characters, and ends at a stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.tokenizers import make_tokenizer
from jaxrnn.charlm.turns import Turns

TEXT = "the caf\u00e9, the cat\n\u4e00\u4e8c is na\u00efve and the end is near \n" * 3
LENGTH = 150


@pytest.fixture(scope="module", params=["bytes", "words"])
def model(request):
    vocab = make_tokenizer(request.param, [TEXT])
    config = charlm.Config(vocab_size=len(vocab), cell="gru", hidden_size=16, num_layers=1)
    drawn = charlm.init(config, jax.random.key(3), dtype=jnp.float64)
    params = jax.tree.map(lambda w: 3 * w, drawn)
    # Bytes of characters that take several are likely, so that chunks end within some.
    if vocab.kind == "bytes":
        ids = vocab.encode(TEXT)
        params = params._replace(b_y=params.b_y.at[ids].set(6))
    return config, params, vocab


def joined(pieces):
    return "".join(piece.text for piece in pieces)


def test_every_way_to_write_gives_the_same_text(model):
    vocab, key, how = model[2], jax.random.key(1), {"prime": "the caf\u00e9", "length": LENGTH}
    text = charlm.sample(*model, key, **how)
    assert len(set(text)) > 5
    pieces = list(charlm.stream(*model, key, **how))
    assert len(pieces) > 3
    assert "".join(pieces) == text
    written = charlm.sample_scored(*model, key, **how)
    assert written.text == text == vocab.decode(written.ids)
    again = charlm.surprisals(*model[:2], np.concatenate([vocab.encode(how["prime"]), written.ids]))
    np.testing.assert_allclose(written.surprisals, again[-LENGTH:], rtol=1e-12)
    for at in (1, len(text) // 2):
        stop = text[at : at + 2]
        before = text.partition(stop)[0]
        assert charlm.sample(*model, key, stop=stop, **how) == before
        assert "".join(charlm.stream(*model, key, stop=stop, **how)) == before
        assert charlm.sample_many(*model, key, 1, stop=stop, **how) == [before]
        assert charlm.sample_scored(*model, key, stop=stop, **how).text == before


def test_turns_of_the_model_alone_are_one_text(model):
    key, how = jax.random.key(1), {"temperature": 0.0}
    turns = Turns(*model, key)
    turns.read("the caf\u00e9")
    ids = [piece.ids for length in (1, 40, 32, 7) for piece in turns.write(length=length, **how)]
    whole = charlm.sample_scored(*model, key, prime="the caf\u00e9", length=80, **how)
    np.testing.assert_array_equal(np.concatenate(ids), whole.ids)


def test_a_beam_ends_at_the_stop(model):
    how = {"width": 6, "length": 12}
    free = charlm.beam_search(*model, "the", **how)
    assert len({beam.written.text for beam in free}) > 1
    stop = free[0].written.text[3:5]
    found = charlm.beam_search(*model, "the", stop=stop, **how)
    assert any(beam.written.text == free[0].written.text.partition(stop)[0] for beam in found)
    for beam in found:
        assert stop not in beam.written.text
        ids = np.concatenate([model[2].encode("the"), beam.written.ids])
        nats = charlm.surprisals(*model[:2], ids)[len(model[2].encode("the")) - 1 :]
        np.testing.assert_allclose(beam.written.surprisals, nats, rtol=1e-12, atol=1e-12)
