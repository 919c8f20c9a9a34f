"""Builds raw events and sync responses as the homeserver sends them, and decodes them."""

from machines.ids import RoomId, SyncToken, UserId
from matrix.sync.decoding import SyncDecoder
from matrix.sync.full_state import FullState, FullStateReader

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


def decode_sync(response, bot, since, on_room=None, joined_before=frozenset()):
    return SyncDecoder(bot, since, on_room, joined_before).finish(response)


def read_full_state(body: bytes, bot: UserId, since: SyncToken | None) -> FullState:
    state = FullStateReader(bot, since).whole(body)
    assert isinstance(state, FullState)
    return state


def decoded_events(response, since=SINCE):
    batch = decode_sync(response, BOT, since)
    assert batch.quarantined == ()
    return list(batch.events)
