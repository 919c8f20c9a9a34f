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
def test_whole_text_stays_as_it_is(text):
    assert replace_surrogates(text) == text


def joined(chunks):
    pairs = SurrogateJoiner()
    return "".join([*(pairs.feed(chunk) for chunk in chunks), pairs.flush()])


@given(st.text(max_size=20), st.integers(1, 3))
def test_an_answer_cut_into_utf16_units_is_whole_again(text, size):
    units = [
        chr(int.from_bytes(text.encode("utf-16-le")[i : i + 2], "little"))
        for i in range(0, len(text.encode("utf-16-le")), 2)
    ]
    chunks = ["".join(units[i : i + size]) for i in range(0, len(units), size)]
    assert joined(chunks) == text


def mended(text):
    """The same by definition: pairs become one character, halves a replacement."""
    pair = re.compile("([\ud800-\udbff])([\udc00-\udfff])")
    whole = pair.sub(
        lambda m: chr(0x10000 + (ord(m[1]) - 0xD800) * 0x400 + ord(m[2]) - 0xDC00), text
    )
    return re.sub("[\ud800-\udfff]", "\ufffd", whole)


@given(st.lists(st.text(HALVES | st.characters(), max_size=4), max_size=6))
def test_however_an_answer_is_cut_the_whole_is_the_same(chunks):
    assert joined(chunks) == mended("".join(chunks))


def test_a_half_that_stays_alone_is_replaced():
    assert joined(["a\ud83d", "b", "\ude00c", "\ud83d"]) == "a\ufffdb\ufffdc\ufffd"
