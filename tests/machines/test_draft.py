"""A draft is a value that grows cheaply: no draft changes when another one grows out of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.draft import Draft

PIECES = st.lists(st.text(st.characters(exclude_categories=()), max_size=8), max_size=8)


@given(PIECES)
def test_each_draft_keeps_the_text_that_it_had(pieces):
    drafts, texts = [Draft()], [""]
    for piece in pieces:
        drafts.append(drafts[-1].grown(piece))
        texts.append(texts[-1] + piece)
    assert [str(draft) for draft in drafts] == texts
    assert [len(draft) for draft in drafts] == [len(text) for text in texts]
    assert [draft.visible for draft in drafts] == [bool(text.strip()) for text in texts]


@given(PIECES, PIECES, PIECES)
def test_two_drafts_may_grow_out_of_the_same_one(first, left, right):
    def grown(draft, pieces):
        for piece in pieces:
            draft = draft.grown(piece)
        return draft

    stem = grown(Draft(), first)
    one, other = grown(stem, left), grown(stem, right)
    assert str(one) == "".join(first + left)
    assert str(other) == "".join(first + right)
    assert str(stem) == "".join(first)


@pytest.mark.parametrize(
    ("offset", "text"), [(0, "one two"), (4, "two"), (7, ""), (9, "")], ids=str
)
def test_the_end_of_a_text_can_be_had_alone(offset, text):
    longer = (draft := Draft("one ").grown("two")).grown(" three")
    assert draft.since(offset) == text
    assert str(longer) == "one two three"


def test_drafts_are_equal_when_their_texts_are_and_show_none_of_it():
    assert Draft("secret") == Draft("sec").grown("ret")
    assert Draft("a") != Draft("b")
    assert Draft("a") != "a"
    assert "secret" not in repr(Draft("secret"))
