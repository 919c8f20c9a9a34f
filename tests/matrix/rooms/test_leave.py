"""Rooms are listed and left for good, also where the homeserver refuses a part of it (contract X2)."""

import json

import pytest

from machines.ids import RoomId, UserId
from matrix.errors import RequestRefused
from matrix.rooms.leave import Membership, leave_and_forget, memberships
from matrix.sync.filters import names_filter

pytestmark = pytest.mark.anyio

ROOM = RoomId("!room:example.org")


class FakeClient:
    """A `OneShotClient` that refuses some actions; `answers` are its answers to read requests."""

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
    client = FakeClient()
    assert await leave_and_forget(client, ROOM) is None
    assert client.requests == [("rooms", ROOM, "leave"), ("rooms", ROOM, "forget")]


async def test_a_room_that_can_be_forgotten_was_left_already():
    assert await leave_and_forget(FakeClient("leave"), ROOM) is None


async def test_the_reason_is_why_a_room_cant_be_left_if_it_cant_be_forgotten_either():
    assert "no leave" in await leave_and_forget(FakeClient("leave", "forget"), ROOM)


async def test_a_room_that_was_left_but_not_forgotten_is_reported():
    error = await leave_and_forget(FakeClient("forget"), ROOM)
    assert "left, but not forgotten" in error
    assert "no forget" in error


async def test_joined_rooms_come_first_then_invitations_each_sorted():
    def named(name):
        return [{"type": "m.room.name", "state_key": "", "content": {"name": name}}]

    client = FakeClient(
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
    assert await memberships(client) == (
        Membership("!a:x", "new"),
        Membership("!b:x", ""),
        Membership("!c:x", ""),
        Membership("!0:x", "come", invited=True),
    )


@pytest.mark.parametrize("malformed", [None, [], {"rooms": 1}, {"rooms": {"join": {"!a:x": 7}}}])
async def test_malformed_answers_are_ignored(malformed):
    client = FakeClient(joined_rooms={"joined_rooms": ["!a:x", 5, "malformed"]}, sync=malformed)
    assert await memberships(client) == (Membership("!a:x", ""),)


def test_two_requests_never_share_a_cached_response():
    assert json.loads(names_filter()) != json.loads(names_filter())
