"""A text is split at sensible positions, and a cut never moves when the text grows."""

import re
import time
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.turn.split import (
    PART_BYTES,
    START,
    CutPosition,
    close_fence,
    finished_parts,
    split,
)

LINES = st.sampled_from(
    [
        "",
        "  ",
        "one two three four five six",
        "слово и ещё слово",
        "x" * 70,
        "e\u0301" * 40,
        "👩\u200d👩\u200d👧" * 9,
        "```",
        "```python",
        "~~~~",
        "    ```",
        "1. ```sh",
        "> ~~~",
        "> quoted",
        "    indented",
        "\ud83d\ude00\udead",
        "| a | b |",
    ]
)
TEXTS = st.lists(LINES, max_size=25).map("\n".join) | st.text(
    st.characters(categories=("L", "M", "N", "P", "Z", "Cs", "Cf")) | st.sampled_from("\n`~ "),
    max_size=600,
)
LIMITS = st.sampled_from([64, 100, 233])


def size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def letters(text: str) -> str:
    """The text that every cut preserves: all but white space, fences, and quote and list markers."""
    return re.sub(r"[\s`~>]|python|sh|1\.", "", text)


def test_a_short_text_is_one_part():
    assert split("Hello,\n\nworld") == ("Hello,\n\nworld",)


@pytest.mark.parametrize("text", ["", " ", "\n\n\t\n", "\n" * 100_000])
def test_a_blank_text_has_no_parts(text):
    assert split(text) == ()


def test_a_cut_is_made_at_the_last_blank_line_that_fits():
    text = f"{'a' * 30}\n\n{'b' * 20}\nline\n\n{'c' * 40}"
    assert split(text, limit_bytes=64) == (f"{'a' * 30}\n\n{'b' * 20}\nline", "c" * 40)


def test_a_fence_that_does_not_fit_begins_the_next_part():
    block = "```py\n" + "code()\n" * 8 + "```\nDone."
    assert split(f"Look:\nhere\n{block}", limit_bytes=72) == ("Look:\nhere", block)


def test_a_part_may_end_at_the_end_of_a_fence():
    block = "```\n" + "code\n" * 8 + "```"
    assert split(f"{block}\nafter {'word ' * 8}", limit_bytes=64)[0] == block


def test_without_a_blank_line_a_cut_is_made_between_lines():
    text = "\n".join(["a line of some words"] * 5)
    assert split(text, limit_bytes=64) == (
        "\n".join(["a line of some words"] * 3),
        "\n".join(["a line of some words"] * 2),
    )


def test_a_fence_cut_in_two_is_closed_and_opened_again_with_its_info():
    text = "~~~~python title\n" + "\n".join(f"line_{n:02}()" for n in range(12)) + "\n~~~~\nDone."
    first, second, third = split(text, limit_bytes=80)
    assert first.endswith("\nline_04()\n~~~~")
    assert second.startswith("~~~~python title\nline_05()\n")
    assert second.endswith("\nline_09()\n~~~~")
    assert third == "~~~~python title\nline_10()\nline_11()\n~~~~\nDone."


def test_a_fence_in_a_list_stays_a_fence_without_its_list():
    code = "\n".join(f"      line_{n:02}()" for n in range(6))
    text = f"1. Do:\n    ```sh\n{code}\n    ```"
    assert split(text, limit_bytes=115) == ("1. Do:", f"   ```sh\n{code}\n```")


def test_a_fence_cut_in_two_within_a_list_still_ends_in_the_next_part():
    code = "\n".join(f"    line_{n:02}()" for n in range(6))
    first, second = split(f"   ~~~\n{code}\n    ~~~\n\nrest", limit_bytes=80)
    assert first.endswith("\n   ~~~")
    assert second.startswith("   ~~~\n    line_")
    assert second.endswith("\n~~~\n\nrest")


def test_a_fence_after_a_list_marker_is_closed_with_the_indentation_of_the_item():
    first, *_ = split("- ```\n" + "  code line\n" * 9, limit_bytes=64)
    assert first.startswith("- ```\n  code")
    assert first.endswith("\n  ```")


def test_a_fence_within_a_quote_stays_in_the_quote():
    first, second = split("> ```\n" + "> code line\n" * 8 + "> ```\n\nafter", limit_bytes=80)
    assert first.endswith("\n> ```")
    assert second.startswith("> ```\n> code line\n")
    assert second.endswith("> code line\n> ```\n\nafter")


def test_a_deeper_fence_in_a_docstring_is_code():
    docstring = "    ```\n    example\n    ```\n"
    text = "```py\n" + "a = 1\n" * 5 + docstring + "b = 2\n" * 3 + "```"
    first, second = split(text, limit_bytes=64)
    assert first.endswith("    example\n```")
    assert second.startswith("```py\n    ```\nb = 2\n")


def test_a_fence_that_ends_at_the_cut_is_not_opened_again():
    text = f"```\n{'x' * 50}\n\n\n\n\n\n\n\n\n\n\n\n```\nafter"
    assert split(text, limit_bytes=64) == (f"```\n{'x' * 50}\n```", "after")


def test_a_long_line_is_cut_between_words():
    parts = split("word " * 40, limit_bytes=64)
    assert parts[0] == "word " * 12
    assert "".join(parts) == ("word " * 40).rstrip()


def test_a_very_long_word_is_cut_between_characters():
    text = "x" * 200_000
    parts = split(text)
    assert "".join(parts) == text
    assert [len(part) for part in parts[:-1]] == [PART_BYTES] * 12


@pytest.mark.parametrize(
    "whole", ["👩\u200d👩\u200d👧", "e\u0301", "👍🏽", "🇫🇷", "\ud83d\ude00", "❤\ufe0f"]
)
def test_one_visible_character_is_not_divided(whole):
    for shift in range(len(whole)):
        text = "a" * shift + whole * 40
        cuts = "".join(part + "|" for part in split(text, limit_bytes=64))
        assert re.fullmatch(f"(a*({re.escape(whole)})*\\|)+", cuts)


def test_a_long_run_of_combining_marks_is_cut():
    text = "a" + "\u0301" * 500
    parts = split(text, limit_bytes=64)
    assert "".join(parts) == text


def test_a_limit_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 64"):
        split("text", limit_bytes=10)


def test_a_caller_continues_from_a_position():
    text = "First part of it.\n\n" + "b" * 60
    parts, position = finished_parts(text, START, limit_bytes=64)
    assert (parts, position) == (["First part of it."], CutPosition(18))
    assert finished_parts(text, position, limit_bytes=64) == ([], position)
    assert split(text, position, limit_bytes=64) == ("b" * 60,)


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_every_part_fits_and_is_not_blank(text, limit):
    for part in split(text, limit_bytes=limit):
        assert size(part) <= limit
        assert part.strip()


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_nothing_is_lost(text, limit):
    assert letters("".join(split(text, limit_bytes=limit))) == letters(text)


@settings(deadline=None)
@given(TEXTS, TEXTS, LIMITS)
def test_finished_parts_stay_when_the_text_grows(text, more, limit):
    finished = split(text, limit_bytes=limit)[:-1]
    assert split(text + more, limit_bytes=limit)[: len(finished)] == finished


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5), LIMITS)
def test_parts_cut_while_the_text_grows_are_those_of_the_whole(pieces, limit):
    text, position, parts = "", START, []
    for piece in pieces:
        text += piece
        finished, position = finished_parts(text, position, limit_bytes=limit)
        parts += finished
    assert (*parts, *split(text, position, limit_bytes=limit)) == split(text, limit_bytes=limit)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "слово " * 100_000,
        "line\n" * 200_000,
        "```\n" + "code line\n" * 100_000,
        "\n" * 1_000_000 + "x",
        "a\n\n" + " " * 1_000_000 + "b",
        "`" * 1_000_000,
        "> " * 500_000,
        "```\n" * 250_000,
        "\u0301" * 500_000,
    ],
)
def test_a_million_characters_take_linear_time(text):
    started = time.process_time()
    split(text)
    assert time.process_time() - started < 3


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5), LIMITS)
def test_the_text_before_a_position_is_not_needed(pieces, limit):
    text, position, parts, whole = "", START, [], ""
    for piece in pieces:
        text, whole = text + piece, whole + piece
        finished, end = finished_parts(text, position, limit_bytes=limit)
        parts += finished
        text, position = text[end.offset :], CutPosition(0, end.opening)
    assert (*parts, *split(text, position, limit_bytes=limit)) == split(whole, limit_bytes=limit)


class Seen(str):
    """A text that counts the characters that are copied or read one by one."""

    __slots__ = ()
    seen: ClassVar[int] = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        Seen.seen += len(found)
        return found

    def rstrip(self, *chars):
        Seen.seen += len(self)
        return super().rstrip(*chars)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["some words\n\n", "word ", "x", "\U0001f1eb\U0001f1f7", "```\ncode\n```\n"]
)
def test_twice_the_text_is_twice_the_work(piece):
    def work(chars):
        Seen.seen = 0
        split(Seen(piece * (chars // len(piece))))
        return Seen.seen

    assert work(400_000) < 2.2 * work(200_000)


@pytest.mark.parametrize(
    ("text", "opening", "closed"),
    [
        ("", "", ""),
        ("words", "", "words"),
        ("```py\ncode", "", "```py\ncode\n```"),
        ("```py\ncode\n", "", "```py\ncode\n```"),
        ("~~~~\ncode\n```", "", "~~~~\ncode\n```\n~~~~"),
        ("```\ncode\n```", "", "```\ncode\n```"),
        ("```\ncode\n```\nwords", "", "```\ncode\n```\nwords"),
        ("more code", "```py\n", "more code\n```"),
        ("more code\n```\nwords", "```py\n", "more code\n```\nwords"),
    ],
)
def test_a_fence_that_is_open_at_the_end_is_closed(text, opening, closed):
    assert close_fence(text, opening) == closed


@pytest.mark.parametrize(("opener", "closer"), [("$$", "$$"), ("\\[", "\\]")])
@pytest.mark.parametrize("between", ["\n", " "])
def test_a_displayed_formula_that_fits_a_part_is_not_divided(opener, closer, between):
    formula = between.join((opener, *["x_1 + y_2"] * 10, closer))
    for before in range(20):
        text = between.join(["word"] * (20 + before) + [formula] + ["word"] * 60)
        parts = split(text, limit_bytes=250)
        assert len(parts) > 1
        assert sum(formula in part for part in parts) == 1
        assert " ".join(parts).split() == text.split()


def test_a_displayed_formula_that_fits_no_part_is_divided():
    text = "$$\n" + "x + y\n" * 200 + "$$"
    parts = split(text, limit_bytes=250)
    assert "\n".join(parts) == text


def test_a_cut_before_a_formula_does_not_move_while_the_text_grows():
    text = "word " * 40 + "$$ x + y " * 60 + "and so on " * 40
    parts = split(text, limit_bytes=250)
    for end in range(0, len(text), 7):
        finished, _ = finished_parts(text[:end], limit_bytes=250)
        assert tuple(finished) == parts[: len(finished)]
