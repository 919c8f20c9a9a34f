"""Memberships in a raw sync response: the bot's joins and removals, invitations, and other members."""

import pytest

from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    EncryptionEnabled,
    InviteArrived,
    MemberChanged,
    MembersCounted,
    MessageArrived,
)
from machines.ids import EventId
from matrix.sync.timeline import decode_page
from tests.matrix.raw_events import (
    BOT,
    ME,
    ROOM,
    SINCE,
    decode_sync,
    decoded_events,
    event,
    joined,
    left,
    member,
    text,
)


def test_events_before_the_bots_own_join_are_dropped():
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
    assert batch.events == (
        EncryptionEnabled(ROOM, EventId("$e")),
        MessageArrived(ROOM, EventId("$5"), ME, "after", 5, None),
    )
    assert batch.gaps == ()


def test_a_changed_display_name_of_the_bot_is_not_a_join():
    response = joined(text("a", "$1"), member(BOT, "join", "$2", previous="join"), text("b", "$3"))
    assert [each.event_id for each in decoded_events(response)] == ["$1", "$3"]


def test_a_changed_name_is_not_a_join_even_without_the_previous_membership():
    renamed = [text("a", "$1"), member(BOT, "join", "$2"), text("b", "$3")]
    batch = decode_sync(joined(*renamed, limited=True), BOT, SINCE, joined_before={ROOM})
    assert [each.event_id for each in batch.events] == ["$1", "$3"]
    assert [gap.was_in for gap in batch.gaps] == [True]
    in_before = joined(*renamed, state=[member(BOT, "join", "$0")])
    assert [each.event_id for each in decoded_events(in_before)] == ["$1", "$3"]
    page = decode_page(renamed, ROOM, BOT, was_in=True)
    assert [each.event_id for each in page] == ["$1", "$3"]


@pytest.mark.parametrize(
    "state", [[], [member(BOT, "invite", "$0", sender=ME)], [member(BOT, "join", "$2")]]
)
def test_a_join_is_recognised_without_the_previous_membership(state):
    here = [text("a", "$1"), member(BOT, "join", "$2"), text("b", "$3")]
    here += [member(BOT, "join", "$4"), text("c", "$5")]
    assert [each.event_id for each in decoded_events(joined(*here, state=state))] == ["$3", "$5"]


def test_a_return_is_recognised_without_the_previous_membership():
    here = [member(BOT, "leave", "$1", sender=ME), text("a", "$2"), member(BOT, "join", "$3")]
    batch = decode_sync(joined(*here, text("b", "$4")), BOT, SINCE, joined_before={ROOM})
    assert [type(each).__name__ for each in batch.events] == [
        "BotRemoved",
        "BotReturned",
        "MessageArrived",
    ]


def test_a_removal_and_a_return_within_one_sync_are_decoded_in_order():
    response = joined(
        text("a", "$1"),
        member(BOT, "leave", "$2", sender=ME, previous="join"),
        text("b", "$3"),
        member(BOT, "join", "$4", previous="invite"),
        text("c", "$5"),
    )
    removed, returned, message = decoded_events(response)
    assert isinstance(removed, BotRemoved)
    assert isinstance(returned, BotReturned)
    assert message.event_id == "$5"


@pytest.mark.parametrize(
    ("removal", "reason"),
    [
        (member(BOT, "leave", sender=ME, previous="join", reason="bye"), f"kicked by {ME}: bye"),
        (member(BOT, "ban", sender=ME, previous="join"), f"banned by {ME}"),
        (member(BOT, "leave", previous="join"), "the bot left"),
    ],
)
def test_a_removal_has_its_sender_and_reason(removal, reason):
    (each,) = decoded_events(left(text("x"), removal))
    assert isinstance(each, BotRemoved)
    assert each.reason == reason


def test_a_left_room_without_a_membership_event_is_a_removal_too():
    (each,) = decoded_events(left())
    assert (each.event_id, each.sender) == (None, None)


def test_an_invitation_that_ends_is_not_a_removal():
    assert not decoded_events(left(member(BOT, "leave", sender=ME, previous="invite")))
    assert not decoded_events(left(member(BOT, "leave", previous="invite")))


def test_an_invitation_has_its_sender_and_whether_the_room_is_encrypted():
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
    assert decoded_events(response) == [InviteArrived(ROOM, ME, encrypted=False)]
    stripped.append({"type": "m.room.encryption", "state_key": "", "content": {}})
    assert decoded_events(response) == [InviteArrived(ROOM, ME, encrypted=True)]


def test_membership_changes_of_others_are_decoded():
    response = joined(member(ME, "leave", "$9"))
    assert decoded_events(response) == [MemberChanged(ROOM, EventId("$9"), ME, "leave")]


def counted(joined_members, invited, *events, since=SINCE):
    response = joined(*events)
    summary = {"m.joined_member_count": joined_members, "m.invited_member_count": invited}
    response["rooms"]["join"][ROOM]["summary"] = summary
    return decoded_events(response, since)


def test_the_member_count_comes_before_the_events_of_the_timeline():
    found = counted(2, 1, text("!chats", "$1"), member(ME, "join", "$2"))
    assert found[0] == MembersCounted(ROOM, 2)
    assert [each.event_id for each in found[1:]] == ["$1", "$2"]


def test_without_a_summary_the_count_after_a_new_member_is_unknown():
    for membership in ("join", "invite"):
        found = decoded_events(joined(text("x", "$1"), member(ME, membership, "$2")))
        assert found[0] == MembersCounted(ROOM, None)
    page = decode_page([member(ME, "join", "$2")], ROOM, BOT)
    assert page[0] == MembersCounted(ROOM, None)


@pytest.mark.parametrize(
    ("joined_members", "invited"), [(None, 0), (2, None), ("2", 0), (0, 0), (2, -1), (True, 1)]
)
def test_a_malformed_summary_has_no_count(joined_members, invited):
    assert counted(joined_members, invited) == []


def test_a_full_state_counts_only_rooms_with_several_others():
    assert counted(2, 0, since=None) == []
    assert counted(2, 1, since=None) == [MembersCounted(ROOM, 2)]
