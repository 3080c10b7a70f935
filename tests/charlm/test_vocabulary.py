import numpy as np
import pytest

from jaxrnn import charlm


def test_ids_are_places_in_the_sorted_characters():
    vocab = charlm.Vocab.from_text("banana né 🙂\n")
    assert vocab.characters == "".join(sorted(set("banana né 🙂\n")))
    assert len(vocab) == 7
    ids = vocab.encode("né 🙂")
    assert ids.dtype == np.int32
    assert [vocab.characters[index] for index in ids] == list("né 🙂")
    assert vocab.decode(ids) == "né 🙂"


def test_empty_texts():
    vocab = charlm.Vocab.from_text("ab")
    assert vocab.encode("").shape == (0,)
    assert vocab.decode([]) == ""
    assert len(charlm.Vocab.from_text("")) == 0


def test_a_character_outside_is_named_with_its_place():
    vocab = charlm.Vocab.from_text("abc")
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 2"):
        vocab.encode("abé")
    with pytest.raises(ValueError, match="'!'"):
        vocab.encode("!")
    with pytest.raises(ValueError, match="'x'"):
        charlm.Vocab("").encode("x")


@pytest.mark.parametrize("ids", [[0, 3], [-1], [[0]], [0.5]])
def test_ids_outside_are_refused(ids):
    with pytest.raises(ValueError, match="ids"):
        charlm.Vocab.from_text("abc").decode(ids)


def test_characters_must_be_sorted_and_distinct():
    with pytest.raises(ValueError, match="order"):
        charlm.Vocab("ba")
    with pytest.raises(ValueError, match="order"):
        charlm.Vocab("aa")


@pytest.mark.parametrize("wrong", [["a", "b"], None, 5, b"ab"])
def test_what_is_no_string_is_named(wrong):
    for function in (charlm.Vocab, charlm.Vocab.from_text, charlm.Vocab("ab").encode):
        with pytest.raises(TypeError, match=f"expected a string, got {type(wrong).__name__}"):
            function(wrong)


def test_membership_and_equality():
    vocab = charlm.Vocab.from_text("abc")
    assert "a" in vocab
    assert "ab" not in vocab
    assert 3 not in vocab
    assert vocab == charlm.Vocab("abc")
    assert hash(vocab) == hash(charlm.Vocab("abc"))
