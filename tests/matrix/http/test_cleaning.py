"""Any text of users and agents can be sent."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix.http.cleaning import clean_json, clean_text

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@pytest.mark.parametrize(
    "text", ["", "plain", "tab\tand\nnewline", "привет 👩\u200d👧", "\u2028\ufffd"]
)
def test_valid_text_stays_unchanged(text):
    assert clean_text(text) is text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("a\udc00\ud800", "a\ufffd\ufffd"),
        ("\ud83d\ude00!", "😀!"),
        ("a\x00\x1b[31mb\x7f\x85", "a[31mb"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_characters_that_break_a_homeserver_are_removed(text, cleaned):
    assert clean_text(text) == cleaned


@settings(deadline=None)
@given(ANY_TEXT)
def test_cleaned_text_can_be_encoded_and_is_no_longer(text):
    cleaned = clean_text(text)
    assert len(cleaned.encode()) <= len(text.encode("utf-8", "surrogatepass"))
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (2.0, 2),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ((1, "a\x00"), [1, "a"]),
        ({"k\ud800": ["\x00", {"n": 1e400}]}, {"k\ufffd": ["", {"n": "inf"}]}),
    ],
)
def test_numbers_that_json_cannot_carry_become_text(value, cleaned):
    result = clean_json(value)
    assert result == cleaned
    assert type(result) is type(cleaned)


def test_an_integer_too_long_for_decimal_becomes_hexadecimal():
    assert clean_json(10**5000).startswith("0x")


def test_a_value_that_is_not_json_is_a_type_error():
    with pytest.raises(TypeError, match="bytes"):
        clean_json({"key": b"bytes"})


@pytest.mark.slow
@settings(deadline=None)
@given(ANY_JSON)
def test_cleaned_json_can_be_encoded_strictly(value):
    encoded = json.dumps(clean_json(value), ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(encoded, parse_float=lambda text: pytest.fail(f"a float: {text}")) is not ...
