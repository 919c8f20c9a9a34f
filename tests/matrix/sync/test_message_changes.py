"""Edits, redactions, emotes, captions and messages that cannot be sent to an agent (contracts D5, D17)."""

import pytest
from msgspec.structs import replace

from machines.events.matrix import (
    BegunPart,
    FileArrived,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    UnsupportedArrived,
)
from machines.ids import EventId, UserId
from matrix.sync import emotes
from matrix.sync.emotes import name_senders
from matrix.sync.optional_reads import OptionalReads
from matrix.sync.read_position import unanswered_messages
from tests.matrix.raw_events import (
    BOT,
    ME,
    ROOM,
    SINCE,
    decode_sync,
    decoded_events,
    event,
    joined,
    text,
)
from tests.matrix.virtual_time import VirtualClock

EDIT = MessageEdited(ROOM, EventId("$2"), ME, EventId("$1"), "new", 5)
DELETION = MessageDeleted(ROOM, EventId("$2"), ME, EventId("$1"))


def edit(body="new", target="$1", event_id="$2", msgtype="m.text", **more):
    content = {
        "msgtype": "m.text",
        "body": f"* {body}",
        "m.new_content": {"msgtype": msgtype, "body": body},
        "m.relates_to": {"rel_type": "m.replace", "event_id": target},
    }
    return event(event_id=event_id, content=content, **more)


def reply(answers, sent_at_ms, *, partial):
    content = {"msgtype": "m.text", "body": "so far", "org.lambda.surfaces.answers": answers}
    if partial:
        content["org.lambda.surfaces.partial"] = True
    own = event(sender=BOT, event_id=f"$r{answers}", content=content)
    return own | {"origin_server_ts": sent_at_ms}


def test_an_edit_names_its_message_and_has_the_new_text():
    assert decoded_events(joined(edit())) == [EDIT]


@pytest.mark.parametrize(
    "new_content",
    [
        None,
        "new",
        {"msgtype": "m.text"},
        {"msgtype": "m.text", "body": 5},
        {"msgtype": ["m.text"], "body": "new"},
        {"msgtype": "m.notice", "body": "new"},
        {"msgtype": "m.image", "url": "mxc://x/y"},
    ],
)
def test_an_edit_without_a_text_is_dropped(new_content):
    broken = edit()
    broken["content"]["m.new_content"] = new_content
    assert decoded_events(joined(broken)) == []


@pytest.mark.parametrize(
    ("content", "caption"),
    [({"body": " look ", "filename": "a.png"}, "look"), ({"body": "a.png"}, "")],
)
def test_an_edit_of_a_file_has_its_caption(content, caption):
    changed = edit()
    changed["content"]["m.new_content"] = {"msgtype": "m.image", "url": "mxc://x/y", **content}
    assert decoded_events(joined(changed)) == [replace(EDIT, body=caption, is_file=True)]


def test_an_edit_that_the_homeserver_adds_to_a_file_counts_too():
    changed = edit()
    file = {"msgtype": "m.image", "body": "old", "filename": "a.png", "url": "mxc://x/y"}
    changed["content"]["m.new_content"] = file | {"body": "look"}
    raw = event(content=file)
    raw["unsigned"] = {"m.relations": {"m.replace": changed}}
    assert decoded_events(joined(raw))[1:] == [replace(EDIT, body="look", is_file=True)]


def test_an_edit_of_an_unknown_event_or_of_another_event_type_is_dropped():
    assert decoded_events(joined(edit(target=5), edit() | {"type": "m.sticker"})) == []


@pytest.mark.parametrize(
    "redaction",
    [
        {"redacts": "$1", "content": {}},
        {"content": {"redacts": "$1"}},
        {"redacts": "$1", "content": {"redacts": "$other"}},
    ],
    ids=["older room versions", "room version 11", "forged content in an older room version"],
)
def test_a_redaction_names_the_redacted_event(redaction):
    raw = event("m.room.redaction", event_id="$2", **redaction)
    assert decoded_events(joined(raw)) == [DELETION]


def test_a_redaction_without_a_target_and_an_own_one_are_dropped():
    raw = event("m.room.redaction", content={}, redacts=5)
    own = event("m.room.redaction", sender=BOT, content={}, redacts="$1")
    assert decoded_events(joined(raw, own)) == []


def test_the_newest_edit_that_comes_with_its_message_follows_it():
    bundled = text("old", unsigned={"m.relations": {"m.replace": edit()}})
    assert decoded_events(joined(bundled)) == [
        MessageArrived(ROOM, EventId("$1"), ME, "old", 5),
        EDIT,
    ]


@pytest.mark.parametrize("bundle", [5, {}, {"event_id": "$2"}, edit(target="$other"), text("x")])
def test_a_bundle_that_is_no_edit_of_the_message_is_ignored(bundle):
    bundled = text("old", unsigned={"m.relations": {"m.replace": bundle}})
    assert [each.event_id for each in decoded_events(joined(bundled))] == ["$1"]


def test_history_after_a_loss_of_the_database_keeps_edits_and_redactions():
    history = [text("old"), edit(), text("other", "$3"), event("m.room.redaction", redacts="$3")]
    found = unanswered_messages(history, ROOM, None, BOT)
    assert [type(each) for each in found] == [
        MessageArrived,
        MessageEdited,
        MessageArrived,
        MessageDeleted,
    ]


@pytest.mark.parametrize(("answered_at_ms", "kept"), [(4, False), (5, False), (6, True)])
def test_an_edit_after_the_beginning_of_the_answer_is_dropped(answered_at_ms, kept):
    history = [text("old"), edit(), reply("$1", answered_at_ms, partial=True)]
    *found, _ = unanswered_messages(history, ROOM, None, BOT)
    assert [each.event_id for each in found] == (["$1", "$2"] if kept else ["$1"])


def test_an_emote_begins_with_the_name_of_its_sender():
    emote = event(content={"msgtype": "m.emote", "body": "waves"})
    (each,) = decoded_events(joined(emote))
    assert (each.body, each.emote) == ("* me waves", True)
    (changed,) = decoded_events(joined(edit("sings", msgtype="m.emote")))
    assert (changed.body, changed.emote) == ("* me sings", True)


class Names:
    """Stands for the transport: returns memberships, and counts the reads."""

    def __init__(self, *contents):
        self.contents = list(contents)
        self.paths = []

    async def get(self, *path, absent=()):
        self.paths.append(path)
        return self.contents.pop(0)


EMOTE = MessageArrived(ROOM, EventId("$1"), ME, "* me waves at * me ", 5, emote=True)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"displayname": "Me  Myself\n"}, "Me Myself"),
        ({"displayname": ""}, "me"),
        ({"displayname": 5}, "me"),
        ({}, "me"),
        (None, "me"),
        ({"displayname": "n" * 200}, "n" * 100),
    ],
)
@pytest.mark.anyio
async def test_the_name_is_that_of_the_senders_membership(content, name):
    names = Names(content)
    (named,) = await name_senders(OptionalReads(names, VirtualClock()), (EMOTE,))
    assert named == replace(EMOTE, body=f"* {name} waves at * me ")
    assert names.paths == [("rooms", ROOM, "state", "m.room.member", ME)]


@pytest.mark.anyio
async def test_names_are_read_once_for_each_sender_and_only_for_emotes(monkeypatch):
    monkeypatch.setattr(emotes, "MAX_NAMES", 2)
    others = [replace(EMOTE, sender=UserId(f"@u{n}:here"), body=f"* u{n} sings") for n in range(3)]
    names = Names({"displayname": "A"}, {"displayname": "B"})
    plain = MessageArrived(ROOM, EventId("$9"), ME, "* me waves", 5)
    named = await name_senders(
        OptionalReads(names, VirtualClock()), (plain, others[0], others[0], others[1], others[2])
    )
    assert [each.body for each in named] == [
        "* me waves",
        "* A sings",
        "* A sings",
        "* B sings",
        "* u2 sings",
    ]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (event(content={"msgtype": "m.location", "body": "x", "geo_uri": "geo:1,2"}), "location"),
        (event(content={"msgtype": "org.example.new", "body": "x"}), "other"),
        (event("m.sticker", content={"body": "x", "url": "mxc://x/y"}), "sticker"),
        (event("m.poll.start", content={"m.poll": {}}), "poll"),
        (event("org.matrix.msc3381.poll.start", content={}), "poll"),
    ],
)
def test_a_message_that_cannot_be_sent_to_an_agent_is_decoded_with_its_kind(raw, kind):
    assert decoded_events(joined(raw)) == [UnsupportedArrived(ROOM, EventId("$1"), ME, kind)]


@pytest.mark.parametrize(
    "raw",
    [
        event(content={"msgtype": "m.notice", "body": "x"}),
        event(content={"msgtype": "m.server_notice", "body": "x"}),
        event(content={"msgtype": "m.key.verification.request", "body": "x"}),
        event("m.poll.response", content={"m.relates_to": {"rel_type": "m.reference"}}),
        event("org.matrix.msc3381.poll.response", content={}),
        event("m.poll.end", content={}),
        event("m.sticker", content={"body": "x"}, unsigned={"redacted_because": {}}),
        event("m.sticker", content={"body": "x"}, state_key=""),
        event("m.poll.start", content={"m.relates_to": {"rel_type": "m.replace"}}),
    ],
)
def test_machinery_is_dropped(raw):
    assert decoded_events(joined(raw)) == []


def test_an_event_type_that_is_no_text_is_quarantined():
    assert decode_sync(joined(event({"m": 1})), BOT, SINCE).quarantined


def test_a_caption_is_a_body_other_than_the_file_name():
    def file(**content):
        return event(content={"msgtype": "m.image", "url": "mxc://x/y", **content})

    with_caption, same, without = decoded_events(
        joined(
            file(body=" look ", filename="a.png"),
            file(body="a.png", filename="a.png"),
            file(body="a.png"),
        )
    )
    assert with_caption == FileArrived(ROOM, EventId("$1"), ME, "a.png", 5, caption="look")
    assert (same.caption, without.caption) == ("", "")


def test_the_stock_text_of_a_voice_message_is_no_caption():
    content = {
        "msgtype": "m.audio",
        "body": "Voice message",
        "filename": "Voice message.ogg",
        "org.matrix.msc3245.voice": {},
    }
    (each,) = decoded_events(joined(event(content=content)))
    assert (each.is_voice, each.caption) == (True, "")


def test_a_voice_message_is_marked():
    content = {"msgtype": "m.audio", "body": "Voice message.ogg", "org.matrix.msc3245.voice": {}}
    (each,) = decoded_events(joined(event(content=content)))
    assert each.is_voice


def test_an_unfinished_answer_to_a_caption_is_continued():
    file = {"msgtype": "m.image", "body": "look", "filename": "a.png", "url": "mxc://x/y"}
    history = [event(content=file), reply("$1", 6, partial=True)]
    each, _ = unanswered_messages(history, ROOM, None, BOT)
    assert each.begun == (BegunPart(EventId("$r$1"), 0),)
