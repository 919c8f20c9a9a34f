"""Leaving a room for good, where the homeserver is of another opinion about a part of it."""

import json

import pytest

from machines.ids import RoomId, UserId
from matrix.errors import RequestRefused
from matrix.rooms.leave import Membership, leave_and_forget, memberships
from matrix.sync.filters import names_filter

pytestmark = pytest.mark.anyio

ROOM = RoomId("!room:example.org")


class Homeserver:
    """Refuses some deeds; `answers` are what it tells."""

    user_id = UserId("@lambda:example.org")

    def __init__(self, *refused, **answers):
        self.refused = refused
        self.answers = answers
        self.requests = []

    async def get(self, *segments, query=None, timeout_s=30.0):
        return self.answers[segments[-1]]

    async def post(self, *segments, bucket):
        self.requests.append(segments)
        if segments[-1] in self.refused:
            raise RequestRefused(403, "M_FORBIDDEN", f"no {segments[-1]}")
        return {}


async def test_a_room_is_left_and_then_forgotten():
    homeserver = Homeserver()
    assert await leave_and_forget(homeserver, ROOM) is None
    assert homeserver.requests == [("rooms", ROOM, "leave"), ("rooms", ROOM, "forget")]


async def test_a_room_that_can_be_forgotten_was_left_already():
    assert await leave_and_forget(Homeserver("leave"), ROOM) is None


async def test_a_room_that_can_neither_be_left_nor_forgotten_says_why_it_cant_be_left():
    assert "no leave" in await leave_and_forget(Homeserver("leave", "forget"), ROOM)


async def test_a_room_that_was_left_but_not_forgotten_says_so():
    error = await leave_and_forget(Homeserver("forget"), ROOM)
    assert "left, but not forgotten" in error
    assert "no forget" in error


async def test_rooms_are_joined_ones_and_then_invitations_each_in_order():
    def named(name):
        return [{"type": "m.room.name", "state_key": "", "content": {"name": name}}]

    homeserver = Homeserver(
        joined_rooms={"joined_rooms": ["!c:x", "!a:x"]},
        sync={
            "rooms": {
                "join": {
                    "!a:x": {
                        "state": {"events": named("old")},
                        "timeline": {"events": named("new")},
                    },
                    "!b:x": {"timeline": {"events": []}},
                },
                "invite": {"!0:x": {"invite_state": {"events": named("come")}}},
            }
        },
    )
    assert await memberships(homeserver) == (
        Membership("!a:x", "new"),
        Membership("!b:x", ""),
        Membership("!c:x", ""),
        Membership("!0:x", "come", invited=True),
    )


@pytest.mark.parametrize("nonsense", [None, [], {"rooms": 1}, {"rooms": {"join": {"!a:x": 7}}}])
async def test_nonsense_names_no_room_and_breaks_nothing(nonsense):
    homeserver = Homeserver(joined_rooms={"joined_rooms": ["!a:x", 5, "nonsense"]}, sync=nonsense)
    assert await memberships(homeserver) == (Membership("!a:x", ""),)


def test_two_looks_never_share_an_answer_of_the_homeservers_memory():
    assert json.loads(names_filter()) != json.loads(names_filter())
