"""What a quoted message says: its newest text, without what does not belong to it (contract D18)."""

import json

import pytest

from machines.events.agent import Quoted
from matrix.rooms.quote import QUOTE_BYTES, quoted_of
from tests.matrix.raw_events import BOT, ME, event, text


def edited(new_content, **of_edit):
    edit = event(content={"body": "* x", "m.new_content": new_content}, **of_edit)
    return {"m.relations": {"m.replace": edit}}


def test_the_author_is_named_as_the_protocol_says():
    assert quoted_of(text("hello"), BOT) == Quoted("user", "hello")
    assert quoted_of(text("hello", sender=BOT), BOT) == Quoted("agent", "hello")


def test_the_newest_edit_counts():
    new = {"msgtype": "m.text", "body": "newer"}
    assert quoted_of(text("old", unsigned=edited(new)), BOT) == Quoted("user", "newer")


def test_an_edit_by_somebody_else_does_not_count():
    new = {"msgtype": "m.text", "body": "forged"}
    foreign = edited(new, sender="@mallory:elsewhere")
    assert quoted_of(text("old", unsigned=foreign), BOT) == Quoted("user", "old")


def test_the_quote_inside_of_a_quoted_reply_is_left_out():
    reply = text(f"> <{ME}> first\n\nsecond", relation={"m.in_reply_to": {"event_id": "$0"}})
    assert quoted_of(reply, BOT) == Quoted("user", "second")
    assert quoted_of(text("> <@a:b> first\n\nsecond"), BOT) == Quoted(
        "user", "> <@a:b> first\n\nsecond"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"msgtype": "m.file", "body": "a.pdf"}, "a.pdf"),
        ({"msgtype": "m.file", "body": "a.pdf", "filename": "a.pdf"}, "a.pdf"),
        ({"msgtype": "m.image", "body": "my cat", "filename": "c.png"}, "c.png\nmy cat"),
        ({"msgtype": "m.emote", "body": "waves"}, "waves"),
    ],
)
def test_other_messages_have_a_text_too(content, expected):
    assert quoted_of(event(content=content), BOT) == Quoted("user", expected)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        text(""),
        text(" \n"),
        event(content={}, unsigned={"redacted_because": {}}),
        event(content={"msgtype": "m.text", "body": 7}),
        event(content=None),
        event("m.room.encrypted", content={"body": "x"}),
        event("m.room.message", content={"body": "x"}, state_key=""),
        event("m.room.topic", content={"topic": "x", "body": "x"}),
    ],
)
def test_an_event_without_text_is_not_quoted(raw):
    assert quoted_of(raw, BOT) is None


@pytest.mark.parametrize(
    "character", ["a", "ж", "€", "😀", '"', "\\", "\n", "\t", "\x85"], ids=ascii
)
def test_a_long_text_is_cut_at_a_character_to_four_kilobytes(character):
    for offset in range(4):
        long = "x" * offset + "abc" + character * 60_000
        quoted = quoted_of(text(long, sender=BOT), BOT)
        assert quoted is not None
        size = len(json.dumps({"by": "agent", "text": quoted.text}, ensure_ascii=False).encode())
        assert size <= QUOTE_BYTES
        if character != "\x85":
            assert long.startswith(quoted.text)
            assert size > QUOTE_BYTES - 8
