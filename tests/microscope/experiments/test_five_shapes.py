"""The five tasks against plain Python, and that each is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn as rnn
from jaxrnn.microscope import demos
from jaxrnn.microscope.experiments import EXPERIMENTS, five_shapes, report
from jaxrnn.microscope.experiments.five_shapes.task import START, STOP, best_table, make_run
from jaxrnn.microscope.experiments.five_shapes.writing import NAMES, most_without_memory

pytestmark = pytest.mark.integration

MAKERS = {make.__name__: make for make in five_shapes.TASKS}


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's Adam mixes a Python float with an int32 array, which strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_sentences_are_answered_by_their_nots_and_their_last_word():
    draw = np.random.default_rng(0)
    xs, lengths, answers = MAKERS["many_to_one"]().batch(draw)
    assert xs.shape == (9, 64)
    for sentence, length, answer in zip(xs.T, lengths, answers, strict=True):
        *before, last = sentence[:length]
        assert set(before) <= {0, 1}
        assert last in (2, 3)
        good = last == 2
        for word in before:
            good = not good if word == 0 else good
        assert answer == good
    assert set(lengths) == set(range(1, 10))


def test_quotients_are_those_of_integers():
    xs, answers = MAKERS["aligned"]().batch(np.random.default_rng(0))
    for number, quotient in zip(xs.T, answers.T, strict=True):
        number, quotient = (int("".join(map(str, digits))) for digits in (number, quotient))
        assert quotient == number // 7


def test_words_that_are_shown_are_not_trained_on():
    draw, task = np.random.default_rng(0), MAKERS["encoder_to_decoder"]()
    seen = set()
    for _ in range(400):
        words, lengths = task.batch(draw)
        letters = [chr(ord("a") + i) for i in range(26)]
        seen |= {
            "".join(letters[i] for i in word[:length])
            for word, length in zip(words.T, lengths, strict=True)
        }
    two = {word for word in seen if len(word) == 2}
    assert len(two) > 26 * 26 - 15
    assert not seen & set(task.labels)


def plain_run(model, carry, ids, columns):
    """States step by step, and what is said at each; ids may grow by what is said."""
    hs, said, ids = [], [], list(ids)
    for t in range(columns):
        if t == len(ids):
            ids.append(said[-1])
        carry, h = rnn.step(rnn.GRU, model.params, carry, jnp.asarray(ids[t], jnp.int32))
        hs.append(np.asarray(h))
        if model.w_hy.shape[1]:
            said.append(int(np.argmax(hs[-1] @ np.asarray(model.w_hy))))
    return carry, np.array(hs), said


@pytest.mark.parametrize("taught", [False, True])
def test_runs_of_an_encoder_and_a_decoder_are_those_of_plain_loops(taught):
    task = MAKERS["encoder_to_decoder"]()
    model = task.init(jax.random.key(1))
    symbols = [*"abcdefghijklmnopqrstuvwxyz", STOP]
    for word, run in zip(task.labels, task.show(model, taught), strict=True):
        size, steps = len(word), len(run.inputs) - len(word)
        zero = rnn.zero_carry(rnn.GRU, model.encoder.params)
        carry, encoded, _ = plain_run(model.encoder, zero, map(symbols.index, word), size)
        fed = [26, *map(symbols.index, word[::-1])] if taught else [26]
        _, decoded, said = plain_run(model.decoder, carry, fed, steps)
        np.testing.assert_allclose(run.hs, np.concatenate([encoded, decoded]), atol=1e-5)
        said = [symbols[i] for i in said]
        assert run.encoded == size
        assert list(run.outputs) == [""] * size + said
        assert run.inputs[: size + 1] == (*word, START)
        right = [*word[::-1], STOP]
        if taught:
            assert list(run.inputs[size + 1 :]) == right[:-1]
            assert list(run.wanted) == [""] * size + right
        else:
            assert list(run.inputs[size + 1 :]) == said[:-1]
            assert list(run.wanted[size:]) == [*right, "", "", "", "", ""][:steps]
            assert steps == (said.index(STOP) + 1 if STOP in said else 6)
        origin = "taught" if taught else "fed back"
        assert run.origins == ("given",) * (size + 1) + (origin,) * (steps - 1)
        assert np.isnan(run.chances[:size]).all()
        assert (run.chances[size:] > 1 / 27).all()


def test_what_can_be_had_without_memory():
    assert most_without_memory(NAMES) == 3  # e.g. zero, two and six
    assert most_without_memory(["six", "two"]) == 2
    assert most_without_memory(["seven"]) == 0  # e is followed by v and by n
    assert best_table([[0, 1], [1, 1]], [[3, 0], [0, 2]]) == 0.75


def test_a_run_says_the_likeliest_symbol_with_its_probability():
    run = make_run(
        "ab", np.ones((2, 3)), np.log([[0.2, 0.8]]), "xy", ["", "x"], asked=[1], encoded=1
    )
    assert run.outputs == ("", "y")
    assert run.wanted == ("", "x")
    np.testing.assert_allclose(run.chances, [np.nan, 0.8], rtol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_the_code_that_is_shown_runs(name):
    params = rnn.init(rnn.ELMAN, jax.random.key(0), 4, 3)
    if name == "encoder_to_decoder":
        pair = type("Pair", (), {"encoder": params, "decoder": params})
    w_hy = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    names = {
        "rnn": rnn,
        "net": rnn.ELMAN,
        "params": pair if name == "encoder_to_decoder" else params,
        "zero": rnn.zero_carry(rnn.ELMAN, params, (2,)),
        "readout": lambda h: h @ w_hy,
        "greedy": lambda h: jnp.argmax(h @ w_hy, axis=-1),
        "STOP": 3,
        "START": jnp.array([3, 3]),
        "x": jnp.array([1, 2]),
        "xs": jnp.array([[0, 1], [2, 1], [1, 0]]),
        "lengths": jnp.array([3, 2]),
    }
    exec(MAKERS[name]().code, names)
    shapes = {"one_to_one": (2, 4), "many_to_one": (2, 4), "aligned": (3, 2, 4)}
    answer = names["ys"] if "ys" in names else names["y"]
    assert answer.shape == shapes.get(name, (6, 2))


def test_exclusive_or_is_learned_without_biases():
    told = []
    shape = five_shapes.learn(
        MAKERS["one_to_one"](), jax.random.key(0), lambda *news: told.append(news), 200
    )
    assert shape.trained.right == 1.0
    assert shape.untrained.right < 1.0
    assert shape.trained.baseline == 0.75
    assert shape.biases == 0.0
    assert shape.losses.shape == (200,)
    assert shape.losses[-1] < 0.1 < shape.losses[0]
    assert told[-1] == ("learning one to one", 200, 200)
    assert set(shape.runs) == {"0 0", "0 1", "1 0", "1 1"}
    for label, runs in shape.runs.items():
        a, _, b = label
        assert list(runs) == ["untrained", "trained"]
        assert runs["trained"].outputs == runs["trained"].wanted == (str(int(a != b)),)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_five_are_learned(seed):
    found = EXPERIMENTS["five-shapes"](jax.random.key(seed))
    assert found.name == "five-shapes"
    assert found.holds
    assert found.verdict in report(found)
    assert all(np.isfinite(each.value) for each in found.measurements)
    names = [shape.task.name for shape in found.data.shapes]
    assert len(set(names)) == 5
    for shape in found.data.shapes:
        assert shape.biases == 0.0
        assert shape.untrained.right < shape.trained.baseline + 0.1 < shape.trained.right
        for runs in shape.runs.values():
            assert runs["trained"].outputs == runs["trained"].wanted
            if shape.task.feeds_back:
                taught = runs["in training"]
                assert taught.inputs == runs["trained"].inputs
                assert "taught" in taught.origins
                # The first step reads the same everywhere; the weights are those of another moment.
                assert not np.array_equal(taught.hs[0], runs["untrained"].hs[0])
                assert not np.array_equal(taught.hs[0], runs["trained"].hs[0])
    page = demos.PAGES["five-shapes"](found)
    assert all(name.capitalize() in page for name in names)
