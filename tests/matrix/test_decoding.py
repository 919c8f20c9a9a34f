"""What becomes of a raw sync response: facts, gaps, and what is malformed set aside."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.facts import (
    BotRemoved,
    BotReturned,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    Gap,
    InviteArrived,
    MalformedArrived,
    MemberChanged,
    MessageArrived,
    SyncBatch,
)
from machines.ids import EventId, RoomId, SyncToken, UserId
from matrix.decoding import decode_page, decode_sync
from matrix.place import left_to_answer
from matrix.topology import topology_of_sync

BOT = UserId("@bot:here")
ME = UserId("@me:here")
ROOM = RoomId("!room")
SINCE = SyncToken("s0")


def event(kind="m.room.message", sender=ME, event_id="$1", **more):
    content = more.pop("content", {"msgtype": "m.text", "body": "hello"})
    return {
        "type": kind,
        "sender": sender,
        "event_id": event_id,
        "origin_server_ts": 5,
        "content": content,
        **more,
    }


def text(body, event_id="$1", relation=None, **more):
    content = {"msgtype": "m.text", "body": body}
    if relation is not None:
        content["m.relates_to"] = relation
    return event(event_id=event_id, content=content, **more)


def member(user, membership, event_id="$m", sender=None, previous=None, **content):
    unsigned = {} if previous is None else {"prev_content": {"membership": previous}}
    return event(
        "m.room.member",
        sender or user,
        event_id,
        state_key=user,
        content={"membership": membership, **content},
        unsigned=unsigned,
    )


def joined(*events, limited=False, state=()):
    timeline = {"events": list(events), "limited": limited, "prev_batch": "p1"}
    return {
        "next_batch": "s1",
        "rooms": {"join": {ROOM: {"timeline": timeline, "state": {"events": list(state)}}}},
    }


def left(*events):
    return {"next_batch": "s1", "rooms": {"leave": {ROOM: {"timeline": {"events": list(events)}}}}}


def facts(response, since=SINCE):
    batch = decode_sync(response, BOT, since)
    assert batch.quarantined == ()
    return list(batch.facts)


def test_a_text_becomes_a_message():
    assert facts(joined(text("hello"))) == [
        MessageArrived(ROOM, EventId("$1"), ME, "hello", 5, None)
    ]


def test_a_message_in_a_thread_names_its_root():
    relation = {
        "rel_type": "m.thread",
        "event_id": "$root",
        "m.in_reply_to": {"event_id": "$x"},
        "is_falling_back": True,
    }
    (fact,) = facts(joined(text("hello", relation=relation)))
    assert fact.thread_root == "$root"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("> <@you:here> old\n> more\n\nnew\n> quoted by hand", "new\n> quoted by hand"),
        ("> * <@you:here> waves\n\nnew", "new"),
        ("> <@you:here> !archive\n\n!help", "!help"),
        ("no fallback", "no fallback"),
        ("> a quote of my own\n\nnew", "> a quote of my own\n\nnew"),
    ],
)
def test_a_reply_is_read_without_what_it_quotes(body, said):
    relation = {"m.in_reply_to": {"event_id": "$0"}}
    (fact,) = facts(joined(text(body, relation=relation)))
    assert fact.body == said


def test_a_quote_in_a_message_that_is_no_reply_stays():
    (fact,) = facts(joined(text("> <@you:here> old\n\nnew")))
    assert fact.body == "> <@you:here> old\n\nnew"


def test_files_of_all_kinds_arrive_with_their_name():
    for msgtype in ("m.file", "m.image", "m.audio", "m.video"):
        content = {"msgtype": msgtype, "body": "a caption", "filename": "a.pdf", "url": "mxc://x/y"}
        assert facts(joined(event(content=content))) == [
            FileArrived(ROOM, EventId("$1"), ME, "a.pdf", 5, None)
        ]


def test_what_is_never_acted_on_is_no_fact():
    assert not facts(
        joined(
            text("own", sender=BOT),
            event(content={"msgtype": "m.notice", "body": "x"}),
            event(content={"msgtype": "m.emote", "body": "x"}),
            event(content={"msgtype": "m.location", "body": "x", "geo_uri": "geo:1,2"}),
            text("* edited", relation={"rel_type": "m.replace", "event_id": "$0"}),
            event(content={}, unsigned={"redacted_because": {}}),
            event("m.room.redaction", redacts="$0", content={}),
            event("m.reaction", content={"m.relates_to": {"key": "x"}}),
            text("in state", state_key=""),
            event("m.room.encrypted", state_key="", content={"algorithm": "a", "ciphertext": "b"}),
            event("m.room.encrypted", sender=BOT, content={}),
            event("m.room.member", content={"membership": "join"}),
            event("m.room.topic", state_key="", content={"topic": "x"}),
        )
    )


def test_an_encrypted_event_is_kept_with_what_its_key_will_need():
    content = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgA",
        "session_id": "S",
        "sender_key": 5,
        "junk": {"deep": [[[[]]]]},
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"},
    }
    (fact,) = facts(joined(event("m.room.encrypted", content=content)))
    assert isinstance(fact, EncryptedArrived)
    assert fact.content == {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgA",
        "session_id": "S",
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"},
    }


def test_nothing_from_before_the_bots_own_join_counts():
    response = joined(
        text("before", "$1"),
        member(BOT, "invite", "$2", sender=ME),
        text("still before", "$3"),
        event("m.room.encryption", event_id="$e", state_key="", content={}),
        member(BOT, "join", "$4", previous="invite"),
        text("after", "$5"),
        limited=True,
    )
    batch = decode_sync(response, BOT, SINCE)
    assert batch.facts == (
        EncryptionEnabled(ROOM, EventId("$e")),
        MessageArrived(ROOM, EventId("$5"), ME, "after", 5, None),
    )
    assert batch.gaps == ()


def test_a_changed_display_name_of_the_bot_is_no_join():
    response = joined(text("a", "$1"), member(BOT, "join", "$2", previous="join"), text("b", "$3"))
    assert [fact.event_id for fact in facts(response)] == ["$1", "$3"]


def test_being_removed_and_coming_back_within_one_sync_is_told_in_order():
    response = joined(
        text("a", "$1"),
        member(BOT, "leave", "$2", sender=ME, previous="join"),
        text("b", "$3"),
        member(BOT, "join", "$4", previous="invite"),
        text("c", "$5"),
    )
    removed, returned, message = facts(response)
    assert isinstance(removed, BotRemoved)
    assert isinstance(returned, BotReturned)
    assert message.event_id == "$5"


def test_a_gap_is_named_by_its_two_ends():
    batch = decode_sync(joined(text("late"), limited=True), BOT, SINCE)
    assert batch.gaps == (Gap(ROOM, SINCE, SyncToken("p1")),)
    assert decode_sync(joined(text("late"), limited=True), BOT, None).gaps == ()


@pytest.mark.parametrize(
    ("removal", "reason"),
    [
        (member(BOT, "leave", sender=ME, previous="join", reason="bye"), f"kicked by {ME}: bye"),
        (member(BOT, "ban", sender=ME, previous="join"), f"banned by {ME}"),
        (member(BOT, "leave", previous="join"), "the bot left"),
    ],
)
def test_a_removal_says_who_and_why(removal, reason):
    (fact,) = facts(left(text("x"), removal))
    assert isinstance(fact, BotRemoved)
    assert fact.reason == reason


def test_a_room_that_is_gone_without_a_word_is_a_removal_too():
    (fact,) = facts(left())
    assert (fact.event_id, fact.sender) == (None, None)


def test_an_invitation_that_ends_is_no_removal():
    assert not facts(left(member(BOT, "leave", sender=ME, previous="invite")))
    assert not facts(left(member(BOT, "leave", previous="invite")))


def test_an_invitation_names_its_sender_and_what_the_room_claims():
    stripped = [
        {"type": "m.room.create", "sender": "@other:here", "state_key": "", "content": {}},
        {"type": "m.room.member", "sender": "@x:y", "state_key": ME, "content": {}},
        {
            "type": "m.room.member",
            "sender": ME,
            "state_key": BOT,
            "content": {"membership": "invite"},
        },
    ]
    response = {"next_batch": "s", "rooms": {"invite": {ROOM: {"invite_state": {}}}}}
    response["rooms"]["invite"][ROOM]["invite_state"]["events"] = stripped
    assert facts(response) == [InviteArrived(ROOM, ME, encrypted=False)]
    stripped.append({"type": "m.room.encryption", "state_key": "", "content": {}})
    assert facts(response) == [InviteArrived(ROOM, ME, encrypted=True)]


def test_the_comings_and_goings_of_others_are_told():
    response = joined(member(ME, "leave", "$9"))
    assert facts(response) == [MemberChanged(ROOM, EventId("$9"), ME, "leave")]


def test_encryption_counts_wherever_it_stands():
    encryption = event("m.room.encryption", state_key="", content={"algorithm": "x"})
    assert facts(joined(state=[encryption])) == [EncryptionEnabled(ROOM, EventId("$1"))]
    assert facts(joined(encryption)) == [EncryptionEnabled(ROOM, EventId("$1"))]


def test_lone_surrogates_never_reach_the_journal():
    (fact,) = facts(joined(text("a\ud800b")))
    assert fact.body.encode()


MALFORMED = [
    None,
    5,
    "text",
    [],
    {},
    {"type": None},
    {"type": ["m.room.message"]},
    {"type": "m.room.message"},
    event(event_id=None),
    event(event_id="no-sigil"),
    event(event_id="$" + "x" * 300),
    event(event_id="$\ud800"),
    event(sender=None),
    event(sender="me"),
    event(sender={"a": 1}),
    event(content=None),
    event(content=[]),
    event(content={"body": "no msgtype"}),
    event(content={"msgtype": 5, "body": "x"}),
    event(content={"msgtype": ["m.text"], "body": "x"}),
    event(content={"msgtype": "m.text"}),
    event(content={"msgtype": "m.text", "body": None}),
    event(content={"msgtype": "m.text", "body": {"a": "b"}}),
    event(content={"msgtype": "m.file"}),
    event(content={"msgtype": "m.text", "body": "x", "m.relates_to": "y"}),
    event() | {"origin_server_ts": "soon"},
    event() | {"origin_server_ts": True},
    event() | {"origin_server_ts": 1e400},
    event() | {"origin_server_ts": -1},
    event() | {"origin_server_ts": 10**30},
    event("m.room.encrypted", content={}),
    event("m.room.encrypted", content={"algorithm": 5, "ciphertext": []}),
    member("@x:y", "dancing"),
    member("@x:y", ["join"]),
    member("not a user", "join"),
    event("m.room.member", state_key=["@x:y"], content={"membership": "join"}),
]


@pytest.mark.parametrize("bad", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_event_is_set_aside_and_its_neighbours_go_on(bad):
    batch = decode_sync(joined(text("a", "$a"), bad, text("b", "$b")), BOT, SINCE)
    told = [fact for fact in batch.facts if not isinstance(fact, MalformedArrived)]
    assert [fact.event_id for fact in told] == ["$a", "$b"]
    (quarantined,) = batch.quarantined
    assert (quarantined.source, quarantined.room_id) == ("timeline", ROOM)
    assert quarantined.reason
    assert decode_page([text("a", "$a"), bad], ROOM, BOT) == batch.facts[:-1]


def test_of_a_malformed_message_is_told_who_sent_it_where_that_is_known():
    known = event(content={"msgtype": "m.text"})
    for bad in (known, known | {"content": 5}, known | {"origin_server_ts": "soon"}):
        (fact,) = decode_sync(joined(bad), BOT, SINCE).facts
        assert fact == MalformedArrived(ROOM, EventId("$1"), ME)
    for nobody in (known | {"sender": "me"}, known | {"event_id": 5}, known | {"sender": BOT}):
        assert decode_sync(joined(nobody), BOT, SINCE).facts == ()


@pytest.mark.parametrize("bad", [None, 5, "x", [], {"timeline": []}, {"timeline": {"events": 5}}])
def test_a_malformed_room_leaves_the_other_rooms_alone(bad):
    response = joined(text("a", "$a"))
    response["rooms"]["join"] = {"!bad": bad, "no room id": {}, **response["rooms"]["join"]}
    response["rooms"]["invite"] = {"!i": bad}
    response["rooms"]["leave"] = bad
    batch = decode_sync(response, BOT, SINCE)
    assert [fact for fact in batch.facts if fact.room_id == ROOM]
    assert batch.quarantined


@pytest.mark.parametrize("response", [None, [], 5, {}, {"next_batch": 5}, {"next_batch": ""}])
def test_a_response_without_a_token_skips_nothing(response):
    assert decode_sync(response, BOT, SINCE).token == SINCE


def test_key_messages_are_kept_raw_and_malformed_ones_set_aside():
    deep = current = {}
    for _ in range(200):
        current["x"] = current = {}
    good = {"type": "m.room_key", "sender": ME, "content": {"a": [1, {"b": None}]}}
    response = {"next_batch": "s", "to_device": {"events": [good, 5, {"type": 1}, deep, None]}}
    response["to_device"]["events"].append({"type": "m.room.encrypted", "content": deep})
    batch = decode_sync(response, BOT, SINCE)
    assert batch.to_device == (good,)
    assert [q.source for q in batch.quarantined] == ["to_device"] * 5


def check(response):
    """Decode, and see that what is kept can be journalled and the response is not touched."""
    before = repr(response)
    batch = decode_sync(response, BOT, SINCE)
    topology_of_sync(response, BOT)
    assert isinstance(batch, SyncBatch)
    for fact in batch.facts:
        assert fact.room_id.encode()
        if isinstance(fact, MessageArrived):
            assert fact.body.encode() is not None
            assert fact.sender != BOT
    json.dumps(batch.to_device)
    assert repr(response) == before
    return batch


def damaged(value, chance):
    """Copy a JSON value with a part of it, here or there, replaced by something else."""
    if chance.random() < 0.06:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {
            chance.choice(KEYS) if chance.random() < 0.03 else key: damaged(item, chance)
            for key, item in value.items()
            if chance.random() > 0.02
        }
    if isinstance(value, list):
        items = [damaged(item, chance) for item in value if chance.random() > 0.02]
        return items * chance.choice([1, 1, 1, 2])
    return value


JUNK: list = [
    None,
    True,
    0,
    -1,
    10**40,
    1e400,
    "",
    "x",
    "\ud800",
    BOT,
    ME,
    ROOM,
    [],
    [[]],
    {},
    {"": 1},
]
KEYS = ["", "type", "events", "content", "state_key", "m.relates_to", "\udfff", ROOM, BOT]


def whole_response():
    """A response with one of everything."""
    response = joined(
        text("before", "$0"),
        member(BOT, "leave", "$out", sender=ME, previous="join"),
        member(BOT, "join", "$1", previous="invite"),
        text("hi", "$2", relation={"rel_type": "m.thread", "event_id": "$r"}),
        text("> <@a:b> x\n\ny", "$3", relation={"m.in_reply_to": {"event_id": "$2"}}),
        event(event_id="$4", content={"msgtype": "m.image", "body": "x", "url": "mxc://a/b"}),
        event("m.room.encrypted", event_id="$5", content={"algorithm": "a", "ciphertext": "c"}),
        member(ME, "leave", "$6", previous="join"),
        event("m.room.encryption", event_id="$7", state_key="", content={"algorithm": "a"}),
        limited=True,
        state=[
            event("m.room.create", BOT, "$c", state_key="", content={"type": "m.space"}),
            event("m.space.child", BOT, "$d", state_key="!child", content={"via": ["here"]}),
            event("m.room.name", BOT, "$n", state_key="", content={"name": "x"}),
        ],
    )
    response["rooms"]["join"][ROOM]["account_data"] = {
        "events": [{"type": "org.lambda.surfaces.room", "content": {"chat_id": "C1"}}]
    }
    response["rooms"]["leave"] = left(member(BOT, "ban", sender=ME))["rooms"]["leave"]
    stripped = {
        "type": "m.room.member",
        "sender": ME,
        "state_key": BOT,
        "content": {"membership": "invite"},
    }
    response["rooms"]["invite"] = {"!i": {"invite_state": {"events": [stripped]}}}
    response["to_device"] = {"events": [{"type": "m.x", "sender": ME, "content": {"a": [{}]}}]}
    return response


def history_of_a_room():
    """A history with answers, parts and edits of them."""
    marks = {"org.lambda.surfaces.answers": "$3", "org.lambda.surfaces.partial": True}
    answer = {"msgtype": "m.text", "body": "x", "org.lambda.surfaces.part": 1, **marks}
    relation = {"rel_type": "m.replace", "event_id": "$a"}
    edit = {**answer, "m.new_content": answer, "m.relates_to": relation}
    return [
        text("finished", "$2"),
        text("begun", "$3"),
        event("m.room.message", BOT, "$a", content=answer),
        event("m.room.message", BOT, "$b", content=edit),
        text("new", "$4"),
    ]


def test_no_damage_whatever_to_a_response_is_an_error():
    chance = random.Random(20_000)
    seen = Counter()
    for _ in range(20_000):
        batch = check(damaged(whole_response(), chance))
        seen.update(type(fact).__name__ for fact in batch.facts)
        events = damaged(history_of_a_room(), chance)
        left_to_answer(events if isinstance(events, list) else [], ROOM, "$2", BOT)
        seen.update(quarantined.reason for quarantined in batch.quarantined)
    # The damage reaches everything and leaves enough standing.
    assert len(seen) > 25, seen
    assert min(seen.values()) > 10, seen


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(deadline=None, database=None, max_examples=300)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_no_json_whatever_is_an_error(one, two, three):
    check(one)
    check({"next_batch": "s", "rooms": one, "to_device": {"events": [two, three]}})
    check(joined(one, two, state=[three]))
