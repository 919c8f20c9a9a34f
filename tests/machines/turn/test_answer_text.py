"""An answer text is an immutable value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.turn.answer_text import AnswerText

PIECES = st.lists(st.text(st.characters(exclude_categories=()), max_size=8), max_size=8)


@given(PIECES)
def test_a_text_does_not_change_when_another_grows_from_it(pieces):
    values, texts = [AnswerText()], [""]
    for piece in pieces:
        values.append(values[-1].grown(piece))
        texts.append(texts[-1] + piece)
    assert [str(value) for value in values] == texts
    assert [len(value) for value in values] == [len(text) for text in texts]
    assert [value.visible for value in values] == [bool(text.strip()) for text in texts]


@given(PIECES, PIECES, PIECES)
def test_two_texts_may_grow_from_the_same_one(first, left, right):
    def grown(value, pieces):
        for piece in pieces:
            value = value.grown(piece)
        return value

    stem = grown(AnswerText(), first)
    one, other = grown(stem, left), grown(stem, right)
    assert str(one) == "".join(first + left)
    assert str(other) == "".join(first + right)
    assert str(stem) == "".join(first)


@pytest.mark.parametrize(
    ("offset", "text"), [(0, "one two"), (4, "two"), (7, ""), (9, "")], ids=str
)
def test_the_end_of_a_text_is_read_alone(offset, text):
    longer = (value := AnswerText("one ").grown("two")).grown(" three")
    assert value.since(offset) == text
    assert str(longer) == "one two three"


def test_equal_texts_are_equal_values_and_the_repr_hides_the_text():
    assert AnswerText("secret") == AnswerText("sec").grown("ret")
    assert AnswerText("a") != AnswerText("b")
    assert AnswerText("a") != "a"
    assert "secret" not in repr(AnswerText("secret"))
