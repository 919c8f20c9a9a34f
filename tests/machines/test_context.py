"""Who may talk to the bot, and how a room is linked to."""

import pytest

from machines.access import Access
from machines.ids import RoomId, UserId
from tests.machines.support import BOT, make_context


@pytest.mark.parametrize(
    ("user_id", "allowed"),
    [
        ("@anna:example.org", True),
        ("@ANNA:example.org", True),
        ("@anna:sub.example.org", False),
        ("@anna:example.org.evil.net", False),
        ("@anna:evil.net", False),
        ("@anna:EXAMPLE.ORG", False),
        ("@example.org:evil.net", False),
        ("anna", False),
    ],
)
def test_by_default_the_users_of_the_bots_own_server_may_talk(user_id, allowed):
    assert Access(BOT).allows(UserId(user_id)) is allowed


@pytest.mark.parametrize(
    ("pattern", "user_id", "allowed"),
    [
        ("@anna:example.org", "@anna:example.org", True),
        ("@anna:example.org", "@annab:example.org", False),
        ("@anna:example.org", "@anna:example.orgx", False),
        ("@*:example.org", "@anyone:example.org", True),
        ("@*:example.org", "@anyone:sub.example.org", False),
        ("@*:example.org", "@anyone:example.org.evil.net", False),
        ("@team-*:example.org", "@team-a:example.org", True),
        ("@team-*:example.org", "@anna:example.org", False),
        ("@a?na:example.org", "@anna:example.org", True),
        ("@a?na:example.org", "@ana:example.org", False),
        ("@Anna:example.org", "@anna:example.org", False),
        ("@*:*", "@anyone:any.where", True),
        ("@anna:[::1]:8448", "@anna:[::1]:8448", True),
    ],
)
def test_globs_are_matched_against_the_whole_id(pattern, user_id, allowed):
    assert Access(BOT, (pattern,)).allows(UserId(user_id)) is allowed


def test_one_of_several_entries_is_enough():
    access = Access(BOT, ("@anna:example.org", "@*:friends.net"))
    assert access.allows(UserId("@anna:example.org"))
    assert access.allows(UserId("@zoe:friends.net"))
    assert not access.allows(UserId("@bert:example.org"))


@pytest.mark.parametrize("allowed", [(), ("@*:*",), (BOT,)])
def test_the_bot_never_talks_to_itself(allowed):
    assert not Access(BOT, allowed).allows(BOT)


def test_a_link_names_a_server_because_a_room_id_may_not():
    link = make_context().link(RoomId("!r/oom#id"))
    assert link == "https://matrix.to/#/%21r/oom%23id?via=example.org"
