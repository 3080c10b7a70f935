import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import generating, sampling
from jaxrnn.charlm.choosing import keep_likeliest, make_choice
from jaxrnn.command_line import sample as sample_command
from jaxrnn.precision import accumulator

VOCAB = charlm.Vocab.from_text("abcdefgh \n")
CONFIG = charlm.Config(vocab_size=len(VOCAB), cell="lstm", hidden_size=12, num_layers=2)


@pytest.fixture(scope="module")
def params():
    # Large weights, so that what is drawn depends on what came before.
    drawn = jax.jit(charlm.init, static_argnames="dtype")(
        CONFIG, jax.random.key(3), dtype=jnp.float64
    )
    return jax.tree.map(lambda w: 3 * w + 0.05, drawn)


def greedy_by_hand(params, prime, length):
    carry = charlm.zero_carry(CONFIG, params, ())
    for character in prime:
        carry, logits = charlm.step(CONFIG, params, carry, jnp.asarray(VOCAB.encode(character)[0]))
    text = ""
    for _ in range(length):
        token = int(np.argmax(logits))
        text += VOCAB.characters[token]
        carry, logits = charlm.step(CONFIG, params, carry, jnp.asarray(token))
    return text


def test_greedy_takes_the_likeliest_after_reading_the_prime(params):
    expected = greedy_by_hand(params, "bad cab", 25)
    assert len(set(expected)) > 2
    text = charlm.sample(
        CONFIG, params, VOCAB, jax.random.key(0), length=25, prime="bad cab", temperature=0.0
    )
    assert text == expected


def test_the_same_key_writes_the_same_text_another_key_another(params):
    texts = [
        charlm.sample(CONFIG, params, VOCAB, jax.random.key(seed), length=40, prime="a")
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 40


@pytest.mark.parametrize("prime", ["", "a", "bad cab " * 9])
@pytest.mark.parametrize("length", [0, 1, 70])
def test_streaming_writes_the_same_text(params, prime, length):
    key = jax.random.key(7)
    pieces = list(
        charlm.stream(CONFIG, params, VOCAB, key, length=length, prime=prime, temperature=0.9)
    )
    text = charlm.sample(CONFIG, params, VOCAB, key, length=length, prime=prime, temperature=0.9)
    assert "".join(pieces) == text
    assert len(text) == length


def drawn_by_hand(params, key, length, temperature):
    """A text from nothing, with the keys that the module's docstring names."""
    first_key = jax.random.fold_in(key, generating.FIRST)
    token = int(jax.random.randint(first_key, (1, 1), 0, len(VOCAB), jnp.int32)[0, 0])
    text, used = VOCAB.characters[token], [first_key]
    carry = charlm.zero_carry(CONFIG, params, ())
    for number in range(length - 1):
        used.append(jax.random.fold_in(key, number))
        carry, logits = charlm.step(CONFIG, params, carry, jnp.asarray(token))
        token = int(jax.random.categorical(used[-1], logits[None] / temperature)[0])
        text += VOCAB.characters[token]
    return text, used


def test_every_character_is_drawn_with_a_key_of_its_own(params):
    key = jax.random.key(11)
    text, used = drawn_by_hand(params, key, 12, 1.5)
    assert len({tuple(jax.random.key_data(each).tolist()) for each in used}) == 12
    assert charlm.sample(CONFIG, params, VOCAB, key, length=12, temperature=1.5) == text
    # and after a prime: the first character as one, its steps are the same
    assert (
        charlm.sample(CONFIG, params, VOCAB, key, length=11, prime=text[0], temperature=1.5)
        == text[1:]
    )


def test_the_first_key_is_that_of_no_step(params, monkeypatch):
    used = []
    evenly = generating._evenly
    monkeypatch.setattr(generating, "_evenly", lambda key, *a: used.append(key) or evenly(key, *a))
    key = jax.random.key(2)
    for length in (1, 12, 41):
        charlm.sample(CONFIG, params, VOCAB, key, length=length)
    first = {tuple(jax.random.key_data(each).tolist()) for each in used}
    steps = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(10_000))
    assert len(used) == 3
    assert len(first) == 1
    assert not first & set(map(tuple, jax.random.key_data(steps).tolist()))


# Lengths that other tests have compiled a program for.
@pytest.mark.parametrize(("prime", "lengths"), [("", (12, 41)), ("a", (11, 40))])
def test_a_text_is_the_beginning_of_a_longer_one(params, prime, lengths):
    short, long = (
        charlm.sample(CONFIG, params, VOCAB, jax.random.key(3), length=length, prime=prime)
        for length in lengths
    )
    assert len(short) < len(long)
    assert long.startswith(short)


def test_a_carry_is_that_of_one_text(params):
    carry = charlm.zero_carry(CONFIG, params, 1)
    with pytest.raises(ValueError, match=r"sample: carry: .* without a batch, got float64\[1, "):
        charlm.sample(CONFIG, params, VOCAB, jax.random.key(0), length=3, carry=carry)
    with pytest.raises(ValueError, match=r"sample: carry: .* got nothing"):
        charlm.sample(CONFIG, params, VOCAB, jax.random.key(0), length=3, carry=())


def test_a_carry_is_what_came_before(params):
    whole = greedy_by_hand(params, "bad cab", 25)
    carry = charlm.zero_carry(CONFIG, params, ())
    carry, _ = charlm.apply(CONFIG, params, carry, jnp.asarray(VOCAB.encode("bad c")))
    key = jax.random.key(0)
    assert (
        charlm.sample(
            CONFIG, params, VOCAB, key, length=25, prime="ab", temperature=0.0, carry=carry
        )
        == whole
    )
    texts = charlm.sample_many(
        CONFIG, params, VOCAB, key, 2, length=25, prime="ab", temperature=0.0, carry=carry
    )
    assert texts == [whole, whole]


def test_several_texts_differ_but_for_greedy(params):
    key = jax.random.key(0)
    texts = charlm.sample_many(CONFIG, params, VOCAB, key, 4, length=30, prime="ab")
    assert len(set(texts)) == 4
    assert {len(text) for text in texts} == {30}
    texts = charlm.sample_many(
        CONFIG, params, VOCAB, key, 3, length=30, prime="ab", temperature=0.0
    )
    assert set(texts) == {
        charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="ab", temperature=0.0)
    }


def frequencies(params, **options):
    texts = charlm.sample_many(
        CONFIG, params, VOCAB, jax.random.key(1), 20_000, length=1, prime="bad", **options
    )
    counts = np.bincount(VOCAB.encode("".join(texts)), minlength=len(VOCAB))
    return counts / counts.sum()


def probabilities(params, temperature=1.0):
    carry = charlm.zero_carry(CONFIG, params, ())
    _, logits = charlm.apply(CONFIG, params, carry, jnp.asarray(VOCAB.encode("bad")))
    weights = np.exp(np.asarray(logits[-1]) / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_characters_come_as_often_as_the_softmax_says(params, temperature):
    # 20,000 draws: a standard deviation of at most 0.0035
    expected = probabilities(params, temperature)
    seen = frequencies(params, temperature=temperature)
    np.testing.assert_allclose(seen, expected, atol=0.018)


def test_top_k_and_top_p_draw_from_the_likeliest_in_proportion(params):
    p = probabilities(params)
    order = np.argsort(-p)
    kept = order[:3]
    expected = np.zeros_like(p)
    expected[kept] = p[kept] / p[kept].sum()
    np.testing.assert_allclose(frequencies(params, top_k=3), expected, atol=0.018)
    reach = float(p[order[:3]].sum()) + 1e-9  # one more than three are needed
    kept = order[:4]
    expected = np.zeros_like(p)
    expected[kept] = p[kept] / p[kept].sum()
    np.testing.assert_allclose(frequencies(params, top_p=reach), expected, atol=0.018)


def test_extremes_of_top_k_and_top_p(params):
    key = jax.random.key(0)
    free = charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a")
    greedy = charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a", temperature=0.0)
    assert charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a", top_k=1) == greedy
    assert charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a", top_p=1e-6) == greedy
    assert charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a", top_k=1000) == free
    assert charlm.sample(CONFIG, params, VOCAB, key, length=30, prime="a", top_p=1.0) == free


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_numbers_too_small_for_the_dtype_end_at_the_likeliest(params, dtype):
    key = jax.random.key(0)
    # Logits far from zero, so that x / 1e-30 is beyond float32 and so may be ties of infinities.
    narrow = jax.tree.map(lambda w: w.astype(dtype), params)
    narrow = narrow._replace(b_y=narrow.b_y + jnp.arange(10).astype(dtype) * 300)

    def write(temperature=1.0, **more):
        return charlm.sample(
            CONFIG, narrow, VOCAB, key, length=30, prime="a", temperature=temperature, **more
        )

    greedy = write(0)
    smallest = float(np.finfo(np.float32).tiny)
    limit = float(jnp.finfo(accumulator(dtype)).tiny)
    for temperature, expected in ((limit, False), (limit / 2, True), (0, True), (1e39, False)):
        choice = make_choice(CONFIG, narrow, temperature, None, None)
        assert choice.greedy == expected
        assert limit <= choice.temperature < np.inf
    for temperature in (1e-30, smallest, smallest / 2, 1e-45, 5e-324):
        assert write(temperature) == greedy
    for top_p in (1e-30, 1e-45, 5e-324):
        assert write(2.0, top_p=top_p) == greedy


def test_a_temperature_beyond_the_dtype_draws_evenly(params):
    narrow = jax.tree.map(lambda w: w.astype(jnp.float32), params)
    seen = frequencies(narrow, temperature=1e300)
    np.testing.assert_allclose(seen, 0.1, atol=0.018)
    assert sum(abs(frequencies(narrow, temperature=10**400) - seen)) == 0


def test_the_temperature_of_a_bfloat16_model_is_not_rounded_to_it(params, monkeypatch):
    used = []
    steps = generating._steps
    monkeypatch.setattr(generating, "_steps", lambda *a, **k: used.append(a) or steps(*a, **k))
    narrow = jax.tree.map(lambda w: w.astype(jnp.bfloat16), params)
    charlm.sample(
        CONFIG, narrow, VOCAB, jax.random.key(0), length=30, prime="a", temperature=0.7, top_p=0.7
    )
    *_, temperature, top_p = used[0]
    assert float(temperature) == float(top_p) == float(np.float32(0.7))


def test_the_first_character_of_an_empty_prime_is_drawn_evenly(params):
    texts = charlm.sample_many(CONFIG, params, VOCAB, jax.random.key(0), 5000, length=1)
    counts = np.bincount(VOCAB.encode("".join(texts)), minlength=len(VOCAB))
    np.testing.assert_allclose(counts / 5000, 1 / len(VOCAB), atol=0.02)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"prime": "bär"}, "'r', 'ä'"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"length": -1}, "length"),
        ({"length": 2**31}, "length: expected at most 2,147,483,647"),
        ({"temperature": "warm"}, "temperature: expected a number, got 'warm'"),
        ({"temperature": None}, "temperature: expected a number, got None"),
        ({"temperature": True}, "temperature: expected a number, got True"),
        ({"temperature": np.ones(2)}, r"temperature: expected a number, got float64\[2\]"),
        ({"top_p": "half"}, "top_p: expected a number"),
        ({"top_k": 2.0}, "top_k: expected an integer, got 2.0"),
        ({"top_k": True}, "top_k"),
        ({"length": 4.5}, "length: expected an integer, got 4.5"),
        ({"prime": 5}, "prime: expected a string, got int"),
        ({"prime": b"ab"}, "prime: expected a string, got bytes"),
    ],
)
@pytest.mark.parametrize("function", [charlm.sample, charlm.stream])
def test_bad_arguments_are_named_at_once(params, function, wrong, named):
    with pytest.raises((TypeError, ValueError), match=f"^sample: .*{named}"):
        function(CONFIG, params, VOCAB, jax.random.key(0), **wrong)


def test_a_number_that_is_traced_is_refused(params):
    @jax.jit
    def write(temperature):
        return charlm.sample(
            CONFIG, params, VOCAB, jax.random.key(0), length=3, prime="a", temperature=temperature
        )

    with pytest.raises(TypeError, match=r"temperature: .* traced\. Hint: .* jax\.jit"):
        write(0.8)


def test_numbers_of_jax_and_numpy_are_pythons(params):
    def write(length, count, **more):
        key = jax.random.key(4)
        return charlm.sample_many(
            CONFIG, params, VOCAB, key, count, length=length, prime="a", **more
        )

    expected = write(12, 2, temperature=0.75, top_k=7, top_p=0.875)
    assert expected != write(12, 2, temperature=0.75)
    for of in (np.float32, jnp.float32, jnp.bfloat16, lambda x: np.array(x, np.float16)):
        seen = write(
            jnp.int32(12), np.int64(2), temperature=of(0.75), top_k=np.uint8(7), top_p=of(0.875)
        )
        assert seen == expected


def test_another_vocabulary_is_refused(params):
    with pytest.raises(ValueError, match="10 characters"):
        charlm.sample(CONFIG, params, charlm.Vocab("ab"), jax.random.key(0))
    with pytest.raises(ValueError, match="count"):
        charlm.sample_many(CONFIG, params, VOCAB, jax.random.key(0), 0)
    for function in (charlm.sample, charlm.stream):
        with pytest.raises(TypeError, match=r"sample: key: expected a jax\.random\.key, got 0"):
            function(CONFIG, params, VOCAB, 0)
    with pytest.raises(TypeError, match=r"charlm\.init: key: expected"):
        charlm.init(CONFIG, 0)


def test_keep_likeliest_works_on_batches():
    logits = jnp.log(jnp.array([[0.5, 0.1, 0.4], [0.2, 0.2, 0.6]]))
    kept = np.isfinite(keep_likeliest(logits, 2, 0.58))
    np.testing.assert_array_equal(kept, [[True, False, True], [False, False, True]])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_keep_likeliest_keeps_one_however_small_p_is(dtype):
    logits = jnp.array([[-1e30, 2.0, -1.0], [0.5, 0.5, -jnp.inf]], dtype)
    for p in (0.0, 5e-324, 1e-300, jnp.float32(1e-40)):
        kept = np.isfinite(np.asarray(jax.jit(keep_likeliest, static_argnums=1)(logits, None, p)))
        np.testing.assert_array_equal(kept, [[False, True, False], [True, True, False]])


def chunked(text, size):
    """Chunks of one text without surprisals, as `generate` makes them."""
    ids = VOCAB.encode(text)[:, None]
    for start in range(0, len(ids), size):
        now = ids[start : start + size]
        yield generating.Chunk(now, None, None, now)


@pytest.mark.parametrize("text", ["aaab", "abaabab", "", "aa", "aab", "habaabab"])
def test_a_text_ends_before_the_stop_however_it_is_cut(text):
    for size in (1, 2, 3, 10):
        found = list(sampling.pieces(VOCAB, chunked(text, size), "aab"))
        assert "".join(piece.text for piece in found) == text.partition("aab")[0]
        ids = np.concatenate([np.zeros(0, int), *(piece.ids for piece in found)])
        assert VOCAB.decode(ids) == text.partition("aab")[0]


def test_no_more_is_asked_for_than_the_stop_needs():
    chunks = chunked("abc def gh", 4)
    found = sampling.pieces(VOCAB, chunks, "de")
    assert "".join(piece.text for piece in found) == "abc "
    assert [VOCAB.decode(chunk.ids[:, 0]) for chunk in chunks] == ["gh"]


@pytest.mark.parametrize("prime", ["", "a"])
def test_every_way_to_write_takes_a_stop(params, prime):
    key, how = jax.random.key(7), {"prime": prime, "length": 70}
    whole = charlm.sample(CONFIG, params, VOCAB, key, **how)
    stop = whole[40:42]
    expected = whole.partition(stop)[0]
    how["stop"] = stop
    assert charlm.sample(CONFIG, params, VOCAB, key, **how) == expected
    assert "".join(charlm.stream(CONFIG, params, VOCAB, key, **how)) == expected
    assert charlm.sample_scored(CONFIG, params, VOCAB, key, **how).text == expected
    several = charlm.sample_many(CONFIG, params, VOCAB, key, 3, prime=prime, length=70)
    cut = [text.partition(stop)[0] for text in several]
    assert charlm.sample_many(CONFIG, params, VOCAB, key, 3, **how) == cut
    scored = charlm.sample_many_scored(CONFIG, params, VOCAB, key, 3, **how)
    assert [each.text for each in scored] == cut
    with pytest.raises(ValueError, match="sample: stop: expected at least one character"):
        charlm.stream(CONFIG, params, VOCAB, key, stop="")
    with pytest.raises(TypeError, match="sample: stop: expected a string"):
        charlm.stream(CONFIG, params, VOCAB, key, stop=b"x")
    with pytest.raises(ValueError, match=r"sample: stop: expected the 10 characters .* 'z' in"):
        charlm.stream(CONFIG, params, VOCAB, key, stop="az")


@pytest.mark.parametrize("temperature", [0.0, 0.7, 3.0])
def test_surprisals_are_those_of_the_text_read_again(params, temperature):
    key, how = jax.random.key(7), {"prime": "bad cab", "length": 70, "temperature": temperature}
    written = charlm.sample_scored(CONFIG, params, VOCAB, key, top_p=0.9, **how)
    assert written.text == charlm.sample(CONFIG, params, VOCAB, key, top_p=0.9, **how)
    assert VOCAB.decode(written.ids) == "".join(written.tokens) == written.text
    again = charlm.surprisals(CONFIG, params, VOCAB.encode("bad cab" + written.text))
    np.testing.assert_allclose(written.surprisals, again[-70:], rtol=1e-12, atol=1e-14)
    for one in charlm.sample_many_scored(CONFIG, params, VOCAB, key, 3, top_p=0.9, **how):
        again = charlm.surprisals(CONFIG, params, VOCAB.encode("bad cab" + one.text))
        np.testing.assert_allclose(one.surprisals, again[-70:], rtol=1e-12, atol=1e-14)
    from_nothing = charlm.sample_scored(CONFIG, params, VOCAB, key, length=1)
    np.testing.assert_allclose(from_nothing.surprisals, [np.log(10)])


def test_a_keyword_of_another_name_is_named(params):
    for function in (charlm.sample, charlm.stream, charlm.sample_scored, charlm.stream_scored):
        with pytest.raises(TypeError, match=r"expected one of length, prime, .*, got temprature"):
            function(CONFIG, params, VOCAB, jax.random.key(0), temprature=0.5)


def test_python_and_the_command_line_agree_on_what_is_left_out(params):
    options = sample_command.make_parser().parse_args(["run"])
    text = charlm.sample(CONFIG, params, VOCAB, jax.random.key(0))
    assert len(text) == options.length
    likewise = sample_command._temperature(options)
    explicit = {"length": options.length, "temperature": likewise}
    assert charlm.sample(CONFIG, params, VOCAB, jax.random.key(0), **explicit) == text
