import re

from hypothesis import given
from hypothesis import strategies as st

from agent_platform.surrogates import SurrogateJoiner, replace_surrogates

HALVES = st.characters(categories=["Cs"])
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@given(ANY_TEXT)
def test_text_without_surrogates_can_always_be_encoded(text):
    clean = replace_surrogates(text)
    clean.encode()
    assert len(clean) == len(text)


@given(st.text(max_size=20))
def test_text_without_surrogates_is_unchanged(text):
    assert replace_surrogates(text) == text


def joined(chunks):
    pairs = SurrogateJoiner()
    return "".join([*(pairs.feed(chunk) for chunk in chunks), pairs.flush()])


@given(st.text(max_size=20), st.integers(1, 3))
def test_an_answer_split_into_utf16_units_is_joined(text, size):
    units = [
        chr(int.from_bytes(text.encode("utf-16-le")[i : i + 2], "little"))
        for i in range(0, len(text.encode("utf-16-le")), 2)
    ]
    chunks = ["".join(units[i : i + size]) for i in range(0, len(units), size)]
    assert joined(chunks) == text


def expected_text(text):
    """Return the reference result: pairs become one character, lone halves U+FFFD."""
    pair = re.compile("([\ud800-\udbff])([\udc00-\udfff])")
    whole = pair.sub(
        lambda m: chr(0x10000 + (ord(m[1]) - 0xD800) * 0x400 + ord(m[2]) - 0xDC00), text
    )
    return re.sub("[\ud800-\udfff]", "\ufffd", whole)


@given(st.lists(st.text(HALVES | st.characters(), max_size=4), max_size=6))
def test_the_joined_answer_does_not_depend_on_the_chunks(chunks):
    assert joined(chunks) == expected_text("".join(chunks))


def test_a_lone_surrogate_is_replaced():
    assert joined(["a\ud83d", "b", "\ude00c", "\ud83d"]) == "a\ufffdb\ufffdc\ufffd"
