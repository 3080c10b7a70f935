"""Cutting a text into words and finding them, against a regular expression and a dict."""

import random
import re
import sys
from collections import Counter

import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import words
from jaxrnn.charlm.words import Cutter, Table, count_words

TOKEN = re.compile(r" ?\w{1,64}|.", re.DOTALL)
EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))
PARTS = ["a", "b ", " ", "é", "日本", "_", "x" * 64, "y" * 70, " " + "z" * 63, "\0", "\ud800", "🙂"]
PARTS += ["12345678", "123456789", "a" * 16, "a" * 17, " " + "🙂" * 3, "𝔸" * 64, "the", ", the"]


def some_text(seed, length=300):
    dice = random.Random(seed)
    return "".join(dice.choice(PARTS) for _ in range(length))


def tokens_of(text):
    cutter = Cutter()
    found = []
    for cut in (*cutter.feed(text), *cutter.finish()):
        tokens = [each.decode("utf-8", "surrogatepass") for each in every(cut)]
        assert cut.characters.tolist() == list(map(len, tokens))
        found += tokens
    return found


def every(cut):
    return cut.texts(np.arange(len(cut.starts)))


@pytest.mark.parametrize("between", ["", "a "])
def test_every_character_is_cut_as_the_regular_expression_does(between):
    text = between.join(EVERY_CHARACTER)
    assert tokens_of(text) == TOKEN.findall(text)


@pytest.mark.parametrize("block", [1, 2, 65, 66, 1000])
def test_words_are_those_of_the_whole_text(monkeypatch, block):
    monkeypatch.setattr(words, "_BLOCK", block)
    for seed in range(20):
        text = some_text(seed, 60)
        assert tokens_of(text) == TOKEN.findall(text)


def test_counts_are_those_of_a_dict(monkeypatch):
    monkeypatch.setattr(words, "_BLOCK", 50)  # so that words become known while others come
    text = some_text(1, 3000) + " ".join(map(str, range(3000))) + some_text(2)
    expected = Counter(TOKEN.findall(text))
    counts = count_words([text[:1000], text[1000:]])
    assert {word.decode("utf-8", "surrogatepass"): n for word, n in counts.items()} == expected


@pytest.mark.parametrize("factors", [None, 0, 2**60, 2**63])
def test_words_of_one_hash_are_not_taken_for_each_other(monkeypatch, factors):
    if factors is not None:  # all words in one slot, or in few
        one = np.array([factors], np.uint64)
        monkeypatch.setattr(words, "_factors", lambda count, depth: np.repeat(one, count))
    text = some_text(3) + " ".join(f"word{n:020}" for n in range(40))
    cut = next(Cutter().feed(text))
    known = sorted(set(every(cut)))[::2]
    numbers = {word: number for number, word in enumerate(known)}
    assert len({len(word) for word in known}) > 9
    assert Table(known).find(cut).tolist() == [numbers.get(word, -1) for word in every(cut)]


def test_ids_are_those_of_a_dict():
    text = some_text(4) + "".join(f" w{n} x{n % 7}" for n in range(500))
    vocab = charlm.WordVocab.from_texts([text], vocab_size=60)
    ids = {word: number for number, word in enumerate(vocab.words, 2)}
    expected = [
        ids.get(word, int(re.match(r" \w", word) is not None)) for word in TOKEN.findall(text)
    ]
    assert vocab.encode(text).tolist() == expected
    assert {0, 1, 2, 59} <= set(expected)
    assert charlm.WordVocab(()).encode("a b").tolist() == [0, 1]
    assert charlm.WordVocab(("\0",)).encode("\0a").tolist() == [2, 0]
    assert charlm.WordVocab(("12345678",)).encode("123456789 12345678").tolist() == [0, 1]
