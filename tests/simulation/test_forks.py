"""Forked rooms are as in Synapse: what a sync shows of them, and their state."""

import json

import pytest

from tests.simulation.forks import Forks, can_be_siblings
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel
from tests.support.memory_homeserver.filters import Filter
from tests.support.memory_homeserver.rooms import Event
from tests.support.memory_homeserver.sync import SyncRequest, sync

BOT, ANN = "@bot:hs", "@ann:hs"
LINK = ("m.space.child", "!chat")
ALL: dict[str, dict] = {"room": {"timeline": {}, "state": {}}}
LINKS = {"room": {"timeline": {"types": ["m.room.message"]}, "state": {"types": ["m.space.child"]}}}


@pytest.fixture
def server() -> SimulatedHomeserver:
    """A homeserver without forks unless a test asks for one."""
    forks = Forks(0)
    forks.rate = 0.0
    return SimulatedHomeserver(Kernel(0), BOT, forks)


@pytest.fixture
def space(server):
    """A Space with Ann in it."""
    room = server.create_room(BOT, {"creation_content": {"type": "m.space"}, "invite": [ANN]})
    server.set_membership(room, ANN, ANN, "join")
    return room


def link(server, space, order="1", **more):
    return server.send(space, BOT, LINK[0], {"via": ["hs"], "order": order}, LINK[1], **more)


def send_message(server, space, **more):
    return server.send(space, ANN, "m.room.message", {"body": "hello"}, **more)


def room_in_sync(server, space, since, wanted, *, full_state=False, limit=50):
    """Return what a sync shows of the Space, or None."""
    request = SyncRequest(BOT, since, Filter(wanted), full_state)
    request.wanted.limit = limit
    answer = json.loads(sync(server, request) or '{"rooms": {"join": {}}}')
    return answer["rooms"]["join"].get(space.room_id)


def shown(*args, **options):
    """Return the types of the state and of the timeline that a sync shows."""
    part = room_in_sync(*args, **options)
    if part is None:
        return None
    return tuple([each["type"] for each in part[name]["events"]] for name in ("state", "timeline"))


@pytest.mark.parametrize("since", [None, "now"])
def test_a_full_state_sync_misses_the_state_event_beside_the_last_event(server, space, since):
    link(server, space)
    send_message(server, space, at_once=True)
    state, _ = shown(
        server, space, server.position if since else None, LINKS, full_state=since is not None
    )
    assert state == []
    assert LINK in space.state


def test_a_state_event_that_came_last_is_shown_and_hides_the_other_side(server, space):
    server.send(space, ANN, "m.room.topic", {"topic": "tea"}, "")
    link(server, space, at_once=True)
    state, _ = shown(server, space, server.position, ALL, full_state=True)
    assert LINK[0] in state
    assert "m.room.topic" not in state
    assert {LINK, ("m.room.topic", "")} <= space.state.keys()


def test_a_full_state_sync_shows_the_old_value_of_a_state_event_beside_the_last_event(
    server, space
):
    link(server, space, "1")
    link(server, space, "2")
    send_message(server, space, at_once=True)
    (event,) = room_in_sync(server, space, None, LINKS, limit=1)["state"]["events"]
    assert event["content"]["order"] == "1"
    assert space.state[LINK].content["order"] == "2"


def test_the_next_event_joins_both_ends_and_a_long_poll_shows_what_was_missing(server, space):
    link(server, space)
    beside = send_message(server, space, at_once=True)
    since = server.position
    assert LINK not in space.state_after(beside)
    last = send_message(server, space)
    assert LINK in space.state_after(last)
    assert shown(server, space, since, LINKS) == ([LINK[0]], ["m.room.message"])
    state, _ = shown(server, space, server.position, LINKS, full_state=True)
    assert state == [LINK[0]]


def test_the_timeline_shows_both_sides_in_the_order_in_which_they_arrived(server, space):
    since = server.position
    link(server, space)
    send_message(server, space, at_once=True)
    assert shown(server, space, since, ALL) == ([], [LINK[0], "m.room.message"])
    assert shown(server, space, since, ALL, limit=1) == ([], ["m.room.message"])


def test_a_chain_of_events_shows_no_state_that_the_filter_leaves_out_of_its_timeline(server, space):
    since = server.position
    send_message(server, space)
    link(server, space)
    assert shown(server, space, since, LINKS) == ([], ["m.room.message"])


def test_state_that_changed_after_the_first_event_shown_is_shown_with_its_old_or_new_value(
    server, space
):
    link(server, space, "1")
    send_message(server, space)
    link(server, space, "2")
    orders = set()
    for _ in range(20):
        (event,) = room_in_sync(server, space, None, LINKS, limit=1)["state"]["events"]
        orders.add(event["content"]["order"])
    assert orders == {"1", "2"}


def test_an_event_that_depends_on_the_last_event_follows_it(server, space):
    server.set_membership(space, BOT, "@bob:hs", "invite")
    last = space.events[-1]

    def can_be(sender, kind, content, key):
        fields = {"position": server.position + 1, "index": len(space.events)}
        fields |= {"event_id": "$new", "sent_at_ms": 0, "follows": len(space.events)}
        event = Event(
            room_id=space.room_id,
            type=kind,
            sender=sender,
            content=content,
            state_key=key,
            **fields,
        )
        return can_be_siblings(space, last, event)

    assert not can_be("@bob:hs", "m.room.member", {"membership": "join"}, "@bob:hs")
    assert can_be(ANN, "m.room.message", {}, None)
    assert not can_be(ANN, "m.room.message", {"of": last.event_id}, None)


def test_without_forks_every_event_follows_the_last_one():
    server = SimulatedHomeserver(Kernel(0), BOT)
    room = server.create_room(BOT, {"invite": [ANN]})
    server.set_membership(room, ANN, ANN, "join")
    for _ in range(3):
        link(server, room, at_once=True)
        send_message(server, room, at_once=True)
    assert [event.follows for event in room.events] == list(range(len(room.events)))
