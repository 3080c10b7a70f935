"""Document boundaries: the carry is reset there, and documents are as if they were alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.streams import Part, make_resets
from jaxrnn.optimizers import make_optimizer

LENGTHS = (7, 1, 12, 1, 7)
STARTS = np.cumsum((0, *LENGTHS[:-1]))
CONFIG = charlm.Config(vocab_size=5, cell="gru", hidden_size=6, num_layers=2)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def model():
    params = charlm.init(CONFIG, jax.random.key(0), dtype=jnp.float64)
    tokens = np.random.default_rng(0).integers(0, 5, sum(LENGTHS) + 1).astype(np.int32)
    return params, tokens


def test_resets_are_documents_by_themselves(model):
    params, tokens = model
    resets = np.zeros(len(tokens), bool)
    resets[STARTS] = True
    zero = charlm.zero_carry(CONFIG, params, ())
    dirty = jax.tree.map(lambda leaf: leaf + 3, zero)
    _, together = charlm.apply(CONFIG, params, dirty, tokens, resets=resets)
    for start, length in zip(STARTS, LENGTHS, strict=True):
        _, alone = charlm.apply(CONFIG, params, zero, tokens[start : start + length])
        np.testing.assert_allclose(together[start : start + length], alone, rtol=0, atol=1e-13)


def gradient_of_documents(params, tokens):
    """The gradient of the mean loss, each document from a zero carry, backwards to its start."""

    def loss(params):
        zero = charlm.zero_carry(CONFIG, params, ())
        total = 0.0
        for start, length in zip(STARTS, LENGTHS, strict=True):
            part = tokens[start : start + length + 1]
            _, logits = charlm.apply(CONFIG, params, zero, part[:-1])
            total += charlm.cross_entropy(logits, part[1:]) * length
        return total / sum(LENGTHS)

    return jax.value_and_grad(loss)(params)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_training_step_with_resets_is_that_of_separate_documents(model, batch):
    params, tokens = model
    value, gradient = gradient_of_documents(params, tokens)
    optimizer = make_optimizer("sgd", 1.0)
    state = charlm.initial_state(params, optimizer)
    carry = jax.tree.map(lambda leaf: leaf + 3, charlm.zero_carry(CONFIG, params, batch))
    # The same text in every stream, so that its parts can be computed one after the other.
    rows = jnp.tile(tokens[:, None], (1, batch))
    resets = make_resets(STARTS, 1, sum(LENGTHS)).T.repeat(batch, axis=1)
    for accumulate in {1, batch}:
        step = charlm.make_train_step(CONFIG, optimizer, accumulate=accumulate)
        after, _, metrics = step(state, carry, rows[:-1], rows[1:], None, resets)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-12)
        jax.tree.map(
            lambda new, old, d: np.testing.assert_allclose(old - new, d, rtol=0, atol=1e-12),
            after.params, params, gradient,
        )  # fmt: skip


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_windows_with_resets_are_steps_with_resets(model, devices, accumulate):
    if devices > len(jax.devices()):
        pytest.skip("one device")
    params, _ = model
    tokens = np.random.default_rng(1).integers(0, 5, 4 * 5 * 6 + 3).astype(np.uint8)
    starts = np.array([0, 3, 29, 30, 31, 58, 59, 60, 61, 100])
    streams = charlm.make_streams(tokens, 4, 5)
    resets = make_resets(starts, 4, 30)
    assert np.flatnonzero(resets).tolist() == [start for start in starts if start < 120]
    optimizer = make_optimizer("sgd", 0.5)
    step = charlm.make_train_step(CONFIG, optimizer)
    state = charlm.initial_state(params, optimizer)
    carry, losses = charlm.zero_carry(CONFIG, params, 4), []
    for index in range(8):
        first = index % 6 * 5
        if not first:
            carry = jax.tree.map(jnp.zeros_like, carry)
        rows = streams[:, first : first + 6].T.astype(np.int32)
        now = resets[:, first : first + 5].T
        state, carry, metrics = step(state, carry, rows[:-1], rows[1:], None, now)
        losses.append(float(metrics["loss"]))
    mesh = charlm.make_mesh(devices)
    train = charlm.make_train_windows(CONFIG, optimizer, 5, 8, mesh=mesh, accumulate=accumulate)
    fresh = lambda: (  # noqa: E731
        jax.tree.map(jnp.array, charlm.initial_state(params, optimizer)),
        charlm.zero_carry(CONFIG, params, 4),
    )
    after, _, metrics = train(*fresh(), Part(streams, resets), 8)
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(after.params.w_hy, state.params.w_hy, rtol=0, atol=1e-12)
    # The same, in parts of two windows.
    state, carry = fresh()
    for at in range(0, 8, 2):
        first = at % 6 * 5
        part = Part(streams[:, first : first + 11], resets[:, first : first + 10], at, at % 6)
        state, carry, metrics = train(state, carry, part, 2)
        np.testing.assert_allclose(metrics["loss"][:2], losses[at : at + 2], rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
def test_evaluation_with_documents_is_that_of_each(model, batch):
    params, tokens = model
    documents = [tokens[a : b + 1] for a, b in itertools.pairwise([*STARTS, len(tokens) - 1])]
    alone = np.concatenate([charlm.surprisals(CONFIG, params, each) for each in documents])
    more = {"documents": STARTS, "batch_size": batch, "length": 4}
    together = charlm.surprisals(CONFIG, params, tokens, **more)
    # Where a stream begins within a document, it lacks what came before.
    span = -(-(len(tokens) - 1) // batch)
    ends = [STARTS[begin <= STARTS].min(initial=99) for begin in range(0, len(tokens) - 1, span)]
    places = np.arange(len(tokens) - 1)
    whole = places >= np.array(ends)[places // span] if batch > 1 else places >= 0
    assert whole.sum() > 10
    np.testing.assert_allclose(together[whole], alone[whole], rtol=0, atol=1e-12)
    mean = charlm.evaluate(CONFIG, params, tokens, **more)
    np.testing.assert_allclose(mean, together.mean(), rtol=1e-12)
    assert abs(mean - charlm.evaluate(CONFIG, params, tokens, batch_size=batch)) > 1e-4


@pytest.mark.parametrize("measure", [charlm.evaluate, charlm.surprisals])
@pytest.mark.parametrize(
    ("documents", "kind", "said"),
    [
        ([20, 33, 5], ValueError, "in order, integers .D., got 5 after 33"),
        ([-3], ValueError, "from 0 to 28 in order, integers .D., got -3"),
        ([3, 29], ValueError, "from 0 to 28 in order, integers .D., got 29"),
        ([5.9], TypeError, "got float64.1."),
        ([True], TypeError, "got bool.1."),
        ("x", TypeError, "got a text"),
        ([[3]], ValueError, "got int64.1, 1."),
        ([[3], [4, 5]], ValueError, "got lists of several lengths"),
    ],
)
def test_places_that_are_none(model, measure, documents, kind, said):
    params, tokens = model
    name = measure.__name__
    with pytest.raises(kind, match=f"{name}: documents: expected places .*{said}"):
        measure(CONFIG, params, tokens, documents=documents)


@pytest.mark.parametrize("measure", [charlm.evaluate, charlm.surprisals])
def test_places_of_any_integers(model, measure):
    params, tokens = model
    expected = measure(CONFIG, params, tokens, documents=STARTS)
    for documents in (STARTS.tolist(), STARTS.astype(np.uint8), np.repeat(STARTS, 2)):
        np.testing.assert_array_equal(
            measure(CONFIG, params, tokens, documents=documents), expected
        )
    none = measure(CONFIG, params, tokens, documents=[])
    np.testing.assert_array_equal(none, measure(CONFIG, params, tokens))
