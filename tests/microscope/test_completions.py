import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.microscope.measurements.completions import LONGEST, word_completions
from jaxrnn.microscope.traces import trace_model


def test_completions_are_what_greedy_reading_writes_to_the_end_of_the_word():
    text = "the cat. a dog"
    vocab = charlm.Vocab.from_text(text)
    config = charlm.Config(len(vocab), "lstm", 6, 2)
    params = charlm.init(config, jax.random.key(3))
    params = jax.tree.map(lambda weight: 3 * weight, params)
    tokens = jnp.asarray(vocab.encode(text))
    zero = charlm.zero_carry(config, params, ())
    seen = trace_model(config, params, zero, tokens[:-1], tokens[1:])
    carries = tuple(layer.carries for layer in seen.layers)
    found = word_completions(config, params, vocab, carries, seen.logits, count=3)
    assert [len(ways) for ways in found] == [3] * (len(text) - 1)
    for step in (0, 4, 12):
        p = jax.nn.softmax(seen.logits[step])
        for way, first in zip(found[step], np.argsort(-np.asarray(p))[:3], strict=True):
            carry, _ = charlm.apply(config, params, zero, tokens[: step + 1])
            written, chance, token = vocab.decode([first]), float(p[first]), int(first)
            while written.isalpha() and len(written) < LONGEST:
                carry, logits = charlm.apply(config, params, carry, jnp.array([token]))
                token = int(logits[0].argmax())
                if not vocab.decode([token]).isalpha():
                    break
                written += vocab.decode([token])
                chance *= float(jax.nn.softmax(logits[0])[token])
            assert way.text == written
            assert way.probability == pytest.approx(chance, rel=1e-4)
    with pytest.raises(ValueError, match="count: expected 1 to"):
        word_completions(config, params, vocab, carries, seen.logits, count=99)
