"""A text in turns is the text in one go: nothing is lost or read twice between them."""

import jax
import jax.numpy as jnp
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.turns import Turns

VOCAB = charlm.Vocab.from_text("abcdefgh \n")
CONFIG = charlm.Config(vocab_size=len(VOCAB), cell="lstm", hidden_size=12, num_layers=2)
GREEDY = {"temperature": 0.0}


@pytest.fixture(scope="module")
def params():
    drawn = charlm.init(CONFIG, jax.random.key(3), dtype=jnp.float64)
    return jax.tree.map(lambda w: 3 * w + 0.05, drawn)


@pytest.fixture
def turns(params):
    return Turns(CONFIG, params, VOCAB, jax.random.key(0))


def likeliest(params, prime, length):
    key = jax.random.key(9)
    return charlm.sample(CONFIG, params, VOCAB, key, prime=prime, length=length, **GREEDY)


def written(pieces):
    return "".join(piece.text for piece in pieces)


def test_turns_of_the_model_alone_are_one_text(params, turns):
    turns.read("bad cab")
    parts = [written(turns.write(length=length, **GREEDY)) for length in (1, 40, 0, 32, 7)]
    assert [len(part) for part in parts] == [1, 40, 0, 32, 7]
    assert "".join(parts) == likeliest(params, "bad cab", 80)


def test_what_is_typed_is_read_on_top_of_what_was_written(params, turns):
    turns.read("bad")
    text = "bad"
    for typed in (" cab", "", "hh", "gag \nbe" * 9):
        turns.read(typed)
        text += typed
        now = written(turns.write(length=50, **GREEDY))
        assert now == likeliest(params, text, 50)
        text += now


def test_a_turn_that_is_broken_off_ends_where_it_was_shown(params, turns):
    turns.read("bad cab")
    pieces = turns.write(length=500, **GREEDY)
    shown = next(pieces).text + next(pieces).text
    pieces.close()
    assert 0 < len(shown) < 100
    turns.read("ab")
    assert written(turns.write(length=50, **GREEDY)) == likeliest(params, f"bad cab{shown}ab", 50)


@pytest.mark.parametrize("size", [1, 3, 45])
@pytest.mark.parametrize("at", [0, 30, 33, 60])
def test_a_stop_is_not_part_of_the_text(params, turns, at, size):
    prime, length = "bad cab", at + size
    whole = likeliest(params, prime, length)
    stop = whole[at : at + size]
    before = whole.partition(stop)[0]
    turns.read(prime)
    assert written(turns.write(length=length + 70, stop=stop, **GREEDY)) == before
    turns.read("ab")
    expected = likeliest(params, f"{prime}{before}ab", 20)
    assert written(turns.write(length=20, **GREEDY)) == expected


def test_what_is_refused_leaves_the_text_as_it_was(params, turns):
    turns.read("bad")
    with pytest.raises(ValueError, match="'z' in 'caz'"):
        turns.read("caz")
    with pytest.raises(ValueError, match="temperature"):
        turns.write(temperature=-1)
    with pytest.raises(TypeError, match="carry: expected no such argument"):
        turns.write(carry=3)
    assert written(turns.write(length=20, **GREEDY)) == likeliest(params, "bad", 20)


def test_a_reset_goes_back_to_the_first_carry(params):
    carry = charlm.zero_carry(CONFIG, params, ())
    carry, _ = charlm.apply(CONFIG, params, carry, jnp.asarray(VOCAB.encode("bad c")))
    turns = Turns(CONFIG, params, VOCAB, jax.random.key(0), carry)
    for _ in range(2):
        turns.read("ab")
        assert written(turns.write(length=20, **GREEDY)) == likeliest(params, "bad cab", 20)
        turns.reset()


def test_turns_draw_anew(turns):
    texts = []
    for _ in range(3):
        turns.reset()
        turns.read("a")
        texts.append(written(turns.write(length=40)))
    assert len(set(texts)) == 3


def test_a_text_may_begin_from_nothing(params, turns):
    first = written(turns.write(length=1))
    assert written(turns.write(length=30, **GREEDY)) == likeliest(params, first, 30)
