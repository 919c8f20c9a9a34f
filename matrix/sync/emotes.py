"""Puts the display name of the sender into emotes (contract D5).

An emote reads `* name does something`, with the name that other clients show: that of the sender's membership in the
room. Syncs do not always contain it, so it is read from the room's current state. Emotes are rare; the number and the
time of these reads are bounded (`OptionalReads`), and without a name the localpart stays.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from machines.events.matrix import MatrixEvent, MessageArrived, MessageEdited
from machines.ids import localpart
from matrix.http.cleaning import clean_text
from matrix.sync.events import emote_opening
from matrix.sync.optional_reads import OptionalReads, Target

MAX_NAMES = 20
"""How many names are read for one batch of events."""
NAME_CHARS = 100


async def name_senders(
    reads: OptionalReads, events: tuple[MatrixEvent, ...]
) -> tuple[MatrixEvent, ...]:
    """Return the events with the display names of the senders of emotes."""
    senders: dict[Target, None] = dict.fromkeys(
        (each.room_id, each.sender)
        for each in events
        if isinstance(each, MessageArrived | MessageEdited) and each.emote
    )
    if not senders:
        return events
    members = await reads.read(_member_path, list(senders)[:MAX_NAMES])
    names = {sender: _name(member) for sender, member in members.items()}
    return tuple(_named(event, names) for event in events)


def _member_path(sender: Target) -> tuple[str, ...]:
    room_id, user_id = sender
    return ("rooms", room_id, "state", "m.room.member", user_id)


def _name(member: Mapping[str, Any]) -> str:
    name = member.get("displayname")
    return " ".join(clean_text(name).split())[:NAME_CHARS] if type(name) is str else ""


def _named(event: MatrixEvent, names: Mapping[Target, str]) -> MatrixEvent:
    if not isinstance(event, MessageArrived | MessageEdited) or not event.emote:
        return event
    name = names.get((event.room_id, event.sender))
    if not name:
        return event
    text = event.body.removeprefix(emote_opening(localpart(event.sender)))
    return replace(event, body=f"{emote_opening(name)}{text}")
