"""The three kinds of tokens: round trips, pieces, and what a file says of them."""

import json
import random

import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm.tokenizers import KINDS, make_tokenizer, tokenizer_from_json
from jaxrnn.charlm.word_vocabulary import LONGEST, MOST_CHARACTERS, MOST_TOKENS

# Every plane and what is delicate in it: combining marks, lone surrogates (a pair of them that
# nobody meant as one character too), words longer than a token, spaces of several kinds.
PARTS = [
    *"ab  \n.é_1\u00a0\u2003\0\x7f", "e\u0301", "\ud800", "\udfff", "\udc00", "\udbff",
    "\ud83d\ude42", "🙂", "\U0010ffff", "日本", "ab" * 40, "x" * LONGEST, "don't",
]  # fmt: skip


def some_text(dice, length):
    return "".join(
        dice.choice(PARTS) if dice.random() < 0.7 else chr(dice.randrange(0x110000))
        for _ in range(length)
    )


def pieces_of(dice, text):
    pieces = [""]
    while text:
        size = dice.choice([0, 1, 2, 3, 5, 70, 200])
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_comes_back_and_pieces_make_no_difference(kind):
    dice = random.Random(kind)
    for _ in range(200):
        text, other = some_text(dice, dice.randrange(50)), some_text(dice, 30)
        tokenizer = make_tokenizer(kind, pieces_of(dice, text))
        assert tokenizer == make_tokenizer(kind, iter([text]))
        assert tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())), "") == tokenizer
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int32
        assert tokenizer.decode(ids) == text
        assert (tokenizer.find(text) == ids).all()
        lengths = tokenizer.lengths(text)
        assert (lengths.shape, lengths.sum()) == (ids.shape, len(text))
        encoder = tokenizer.encoder()
        for now in (text, "" if kind == "characters" else other, text):  # finish begins anew
            parts = [encoder.feed(piece) for piece in pieces_of(dice, now)]
            joined = np.concatenate([*parts, encoder.finish()])
            assert joined.tolist() == tokenizer.encode(now).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_come_in_pieces_are_decoded_as_all_at_once(kind):
    dice = random.Random(kind)
    tokenizer = make_tokenizer(kind, [some_text(dice, 300)])
    likely = [*"é🙂日\ud800".encode("utf-8", "surrogatepass"), 0xC0, 0xF4, 0x90, 0xFF, 0x41]
    for _ in range(300):
        ids = [
            dice.choice(likely) if kind == "bytes" else dice.randrange(len(tokenizer))
            for _ in range(40)
        ]
        decoder, parts, place = tokenizer.decoder(), [], 0
        while place < len(ids):
            size = dice.randrange(4)
            parts.append(decoder.feed(ids[place : place + size]))
            place += size
        assert "".join([*parts, decoder.finish()]) == tokenizer.decode(ids)
        assert decoder.finish() == ""


def test_labels_are_one_for_each_token_and_all_different():
    for kind in KINDS:
        tokenizer = make_tokenizer(kind, ["the né cat\n"])
        assert len(tokenizer.labels) == len(tokenizer) == len(set(tokenizer.labels))
    assert charlm.ByteVocab().labels[0x41] == "A"
    assert charlm.ByteVocab().labels[0xC3] == "\\xc3"


def test_bytes_are_those_of_utf8_and_replaced_as_python_does():
    vocab = charlm.ByteVocab()
    assert vocab.encode("aé🙂").tolist() == list("aé🙂".encode())
    dice = random.Random(1)
    for _ in range(300):
        data = bytes(dice.choice([0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0xC3, 0xFF, 0x41]) for _ in "x" * 9)
        assert vocab.decode(list(data)) == data.decode("utf-8", "replace")
    assert vocab.decode([0xED, 0xA0, 0x80]) == "\ud800"
    assert vocab.decode([0xED, 0xA0]) == "\ufffd\ufffd"


def test_bytes_hold_back_what_is_no_whole_character():
    decoder = charlm.ByteVocab().decoder()
    euro = "€".encode()
    assert [decoder.feed([byte]) for byte in euro] == ["", "", "€"]
    assert decoder.feed([65, euro[0], euro[1]]) == "A"
    assert decoder.finish() == "\ufffd"
    assert decoder.feed([66]) == "B"
    # What no further byte can make a character of is not held back.
    for hopeless in ([0xE0, 0x80], [0xF4, 0x90], [0xC0], [0xFF]):
        assert decoder.feed(hopeless) == "\ufffd" * len(hopeless)


def test_words_with_their_spaces_and_what_is_unknown():
    vocab = charlm.WordVocab.from_texts(["The cat, the  cat: the dog\n"])
    # Twice each, then once each, both in the order of code points, not in that of the text.
    assert vocab.words == (" cat", " the", "\n", " ", " dog", ",", ":", "The")
    small = charlm.WordVocab.from_texts(["The cat, the  cat: the dog\n"], vocab_size=4)
    assert small.words == (" cat", " the")
    assert small.decode(small.encode("The cat, the dog")) == "<unk> cat<unk> the <unk>"
    assert small.decode(small.encode("<unk>")) == "<unk><unk><unk>"
    assert "<unk>" not in small
    assert " cat" in small


def test_an_ending_of_a_word_waits_for_the_rest_of_it():
    encoder = charlm.WordVocab(("cat", " cats")).encoder()
    assert [encoder.feed(piece).tolist() for piece in ("c", "at", " ", "ca", "ts", ".")] == [
        [], [], [2], [], [], [3, 0],
    ]  # fmt: skip
    assert encoder.feed("x" * (LONGEST + 3)).tolist() == [0]
    assert encoder.finish().tolist() == [0]


def test_an_unknown_character_has_its_place_in_the_whole_text():
    encoder = charlm.Vocab("ab").encoder()
    encoder.feed("abab")
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 6"):
        encoder.feed("abé")
    assert charlm.Vocab("ac").find("abc").tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: make_tokenizer("letters", []), "one of characters, bytes, words, got 'letters'"),
        (lambda: make_tokenizer("bytes", [], 300), "none beside bytes"),
        (lambda: make_tokenizer("words", [], MOST_TOKENS + 1), "from 2 to 262,144.* got 262,145"),
        (lambda: make_tokenizer("words", [], 1), "from 2 to 262,144"),
        (lambda: charlm.WordVocab(("a", "a")), "different words"),
        (lambda: charlm.WordVocab(("",)), "different words"),
        (lambda: charlm.WordVocab(("<unk>",)), "different words"),
        (lambda: charlm.WordVocab(("\ud83d\ude42",)), "different words"),
        (lambda: charlm.WordVocab(("a\0",)), "different words"),
        (lambda: charlm.WordVocab(("a", "a b")), "each one token of a text, got 'a b'"),
        (lambda: charlm.WordVocab((",", "..", "a")), "each one token of a text, got '..'"),
        (lambda: charlm.WordVocab(("a", "  ")), "each one token of a text, got '  '"),
        (lambda: charlm.WordVocab(("x" * (LONGEST + 2),)), "1 to 65 characters"),
        (
            lambda: charlm.WordVocab(tuple(f"{n:060}" for n in range(MOST_CHARACTERS // 60 + 1))),
            "at most 2,097,152 characters",
        ),
    ],
)
def test_what_is_no_vocabulary_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_words_are_a_tuple():
    words = (" a", ",", " ", "\n", "é", "\ud83d", "\0", "x" * LONGEST, " " + "x" * LONGEST)
    assert charlm.WordVocab(list(words)) == charlm.WordVocab(words)
    assert hash(charlm.WordVocab(list(words))) == hash(charlm.WordVocab(words))
    with pytest.raises(TypeError, match="WordVocab: words: expected a tuple of words, got a text"):
        charlm.WordVocab("ab")
    assert charlm.WordVocab.from_texts(["a b"], 2).words == ()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_is_refused(kind):
    with pytest.raises(TypeError, match="an iterable of strings, got one string"):
        make_tokenizer(kind, "text")
    tokenizer = make_tokenizer(kind, ["text"])
    for function in (tokenizer.encode, tokenizer.find, tokenizer.encoder().feed):
        with pytest.raises(TypeError, match="a string, got bytes"):
            function(b"text")
    for ids in ([0.5], [[0]], [-1], [len(tokenizer)]):
        with pytest.raises(ValueError, match="ids"):
            tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "a kind of tokens"),
        ("abc", "a kind of tokens"),
        ({"kind": ["words"]}, "a kind of tokens"),
        ({"kind": "letters"}, "got 'letters'"),
        ({"kind": "characters"}, "no 'characters'"),
        ({"kind": "characters", "characters": "ba"}, "order of their code points"),
        ({"kind": "characters", "characters": "aa"}, "order of their code points"),
        ({"kind": "characters", "characters": ["a"]}, "as 'characters'"),
        ({"kind": "bytes", "size": 256}, "an unknown 'size'"),
        ({"kind": "words", "words": "ab"}, "as 'words'"),
        ({"kind": "words", "words": ["a", 3]}, "a string, got int"),
        ({"kind": "words", "words": ["a", "a"]}, "different words"),
    ],
)
def test_a_file_that_has_no_vocabulary_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        tokenizer_from_json(values, "config.json")


def test_surrogates_that_json_would_take_for_one_character_stay_two():
    vocab = charlm.Vocab("a\ud83d\ude42\ue000")
    assert len(vocab) == 4
    assert tokenizer_from_json(json.loads(json.dumps(vocab.to_json())), "") == vocab
