"""Messages of a raw sync response are decoded, gaps are found, and irrelevant events are dropped."""

import pytest

from machines.events.matrix import (
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    Gap,
    MessageArrived,
    QuestionShown,
)
from machines.ids import EventId, SyncToken
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


def test_a_text_becomes_a_message():
    assert decoded_events(joined(text("hello"))) == [
        MessageArrived(ROOM, EventId("$1"), ME, "hello", 5, None)
    ]


def test_a_message_in_a_thread_names_its_root():
    relation = {
        "rel_type": "m.thread",
        "event_id": "$root",
        "m.in_reply_to": {"event_id": "$x"},
        "is_falling_back": True,
    }
    (each,) = decoded_events(joined(text("hello", relation=relation)))
    assert each.thread_root == "$root"


@pytest.mark.parametrize(
    ("body", "decoded"),
    [
        ("> <@you:here> old\n> more\n\nnew\n> quoted by hand", "new\n> quoted by hand"),
        ("> * <@you:here> waves\n\nnew", "new"),
        ("> <@you:here> !archive\n\n!help", "!help"),
        ("no fallback", "no fallback"),
        ("> a quote of my own\n\nnew", "> a quote of my own\n\nnew"),
    ],
)
def test_a_reply_is_decoded_without_its_quote(body, decoded):
    relation = {"m.in_reply_to": {"event_id": "$0"}}
    (each,) = decoded_events(joined(text(body, relation=relation)))
    assert each.body == decoded


def test_a_message_has_its_mention_of_the_bot_and_its_reply_target():
    relation = {"m.in_reply_to": {"event_id": "$own"}}
    mentioned = {"user_ids": [ME, BOT]}
    (reply, mention, other, file) = decoded_events(
        joined(
            text("you", "$1", relation),
            event(
                event_id="$2", content={"msgtype": "m.text", "body": "x", "m.mentions": mentioned}
            ),
            text(f"{BOT}, hello", "$3"),
            event(
                event_id="$4", content={"msgtype": "m.file", "body": "x", "m.mentions": mentioned}
            ),
        )
    )
    assert (reply.replies_to, reply.addressed) == ("$own", False)
    assert (mention.replies_to, mention.addressed) == (None, True)
    assert not other.addressed
    assert file.addressed


def test_a_message_in_a_thread_is_not_a_reply_to_the_one_before_it():
    relation = {"rel_type": "m.thread", "event_id": "$root", "is_falling_back": True}
    relation["m.in_reply_to"] = {"event_id": "$x"}
    (each,) = decoded_events(joined(text("hello", relation=relation)))
    assert each.replies_to is None


@pytest.mark.parametrize(
    "mentions", [None, 5, [], {"user_ids": None}, {"user_ids": BOT}, {"room": True}]
)
def test_malformed_mentions_mention_nobody(mentions):
    content = {"msgtype": "m.text", "body": "x", "m.mentions": mentions}
    (each,) = decoded_events(joined(event(content=content)))
    assert not each.addressed


def test_a_quote_in_a_message_that_is_not_a_reply_stays():
    (each,) = decoded_events(joined(text("> <@you:here> old\n\nnew")))
    assert each.body == "> <@you:here> old\n\nnew"


def test_files_of_all_kinds_are_decoded_with_their_name():
    for msgtype in ("m.file", "m.image", "m.audio", "m.video"):
        content = {"msgtype": msgtype, "body": "a caption", "filename": "a.pdf", "url": "mxc://x/y"}
        assert decoded_events(joined(event(content=content))) == [
            FileArrived(ROOM, EventId("$1"), ME, "a.pdf", 5, None, caption="a caption")
        ]


def test_an_own_event_that_shows_a_question_is_decoded_in_order_with_the_messages():
    mark = {"org.lambda.surfaces.question": "$asked"}
    own = event(sender=BOT, event_id="$2", content={"msgtype": "m.text", "body": "?", **mark})
    foreign = event(event_id="$3", content={"msgtype": "m.notice", "body": "?", **mark})
    found = decoded_events(joined(text("!yes", "$1"), own, foreign, text("!yes", "$4")))
    assert [each.event_id for each in found] == ["$1", "$2", "$4"]
    assert found[1] == QuestionShown(ROOM, EventId("$2"), EventId("$asked"))


@pytest.mark.parametrize("named", [None, 5, "", "$", "@x:y", ["$1"], "$" * 300])
def test_an_own_event_without_a_valid_question_is_dropped(named):
    content = {"msgtype": "m.text", "body": "?", "org.lambda.surfaces.question": named}
    assert not decoded_events(joined(event(sender=BOT, content=content)))


def test_irrelevant_events_are_dropped():
    assert not decoded_events(
        joined(
            text("own", sender=BOT),
            event(content={"msgtype": "m.notice", "body": "x"}),
            event(content={}, unsigned={"redacted_because": {}}),
            event("m.reaction", content={"m.relates_to": {"key": "x"}}),
            text("in state", state_key=""),
            event("m.room.encrypted", state_key="", content={"algorithm": "a", "ciphertext": "b"}),
            event("m.room.encrypted", sender=BOT, content={}),
            event("m.room.member", content={"membership": "join"}),
            event("m.room.topic", state_key="", content={"topic": "x"}),
        )
    )


def test_an_encrypted_event_has_the_fields_for_decryption():
    content = {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgA",
        "session_id": "S",
        "sender_key": 5,
        "junk": {"deep": [[[[]]]]},
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"},
    }
    (each,) = decoded_events(joined(event("m.room.encrypted", content=content)))
    assert isinstance(each, EncryptedArrived)
    assert each.content == {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "AwgA",
        "session_id": "S",
        "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"},
    }


def test_a_limited_timeline_is_a_gap_between_two_tokens():
    batch = decode_sync(joined(text("late"), limited=True), BOT, SINCE)
    assert batch.gaps == (Gap(ROOM, SINCE, SyncToken("p1")),)


def test_a_limited_timeline_without_a_token_is_a_gap_too():
    response = joined(text("late"), limited=True)
    del response["rooms"]["join"][ROOM]["timeline"]["prev_batch"]
    batch = decode_sync(response, BOT, SINCE)
    assert [(gap.room_id, gap.since) for gap in batch.gaps] == [(ROOM, SINCE)]
    assert batch.quarantined == ()
    assert decode_sync(joined(text("late"), limited=True), BOT, None).gaps == ()


def test_encryption_is_found_in_state_and_timeline():
    encryption = event("m.room.encryption", state_key="", content={"algorithm": "x"})
    assert decoded_events(joined(state=[encryption])) == [EncryptionEnabled(ROOM, EventId("$1"))]
    assert decoded_events(joined(encryption)) == [EncryptionEnabled(ROOM, EventId("$1"))]


def test_lone_surrogates_never_reach_the_journal():
    (each,) = decoded_events(joined(text("a\ud800b")))
    assert each.body.encode()
