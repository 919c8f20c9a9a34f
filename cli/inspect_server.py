"""What the homeserver shows of a room now, and where that differs from the local row (`inspect-room --server`).

The kept session is used; nothing is logged in, and nothing is written. What differs is what the next
reconciliation would look at, not what it would decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from cli.errors import CommandFailed, ExitCode
from machines.errors import CredentialsRefused
from machines.ids import UserId
from machines.room import Room
from matrix.errors import HomeserverUnreachable, SessionAbsent, SessionUnusable
from matrix.rooms.snapshot import RoomSnapshot, read_snapshot
from matrix.session.one_shot import stored_session


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the local row and the homeserver do not agree."""

    field: str
    local: object
    server: object


@dataclass(frozen=True, slots=True)
class Compared:
    """What the homeserver shows, and the differences."""

    sight: RoomSnapshot
    differences: tuple[Difference, ...]

    def as_object(self) -> dict[str, Any]:
        """Return it for `--json`."""
        sight, link = self.sight, self.sight.child_link
        return {
            "membership": sight.membership,
            "refusal": sight.refusal,
            "created_by": sight.created_by,
            "is_space": sight.is_space,
            "name": sight.name,
            "encrypted": sight.encrypted,
            "owner_membership": sight.owner_membership,
            "child_link": (
                {"space_id": link.space_id, "sender": link.sender, "via": list(link.via)}
                if link is not None
                else None
            ),
            "binding": dict(sight.binding) if sight.binding is not None else None,
            "differences": [
                {"field": each.field, "local": each.local, "server": each.server}
                for each in self.differences
            ],
        }


def look_at_server(store_path: Path, room: Room) -> Compared:
    """Ask the homeserver about a room.

    Raises:
        CommandFailed: there is no session (2), it is refused (3), or nobody answers (1).
    """
    try:
        return anyio.run(_look, store_path, room)
    except (SessionAbsent, SessionUnusable) as error:
        raise CommandFailed(
            ExitCode.USAGE,
            f"--server needs the daemon's session: {error}; set MATRIX_STORE_PATH to the daemon's, or"
            " start the daemon once",
        ) from error
    except CredentialsRefused as error:
        raise CommandFailed(ExitCode.CREDENTIALS, str(error)) from error
    except HomeserverUnreachable as error:
        raise CommandFailed(
            ExitCode.FAULT, f"{error}; without --server nothing is asked of it"
        ) from error


async def _look(store_path: Path, room: Room) -> Compared:
    binding = room.binding
    space_id = binding.space_id if binding is not None else None
    owner = binding.matrix_user_id if binding is not None else None
    async with stored_session(store_path) as errand:
        sight = await read_snapshot(errand, room.room_id, space_id, owner)
        return Compared(sight, tuple(differences(room, sight, errand.user_id)))


def differences(room: Room, sight: RoomSnapshot, bot: UserId) -> Iterator[Difference]:
    """Compare a row with what the homeserver shows."""
    is_in = sight.membership == "join"
    believed_in = room.state != "unregistered"
    if is_in != believed_in:
        yield Difference("membership", "join" if believed_in else "leave", sight.membership)
    if not is_in:
        return
    if (sight.name or "") != room.name:
        yield Difference("name", room.name, sight.name)
    if sight.encrypted != room.encrypted:
        yield Difference("encrypted", room.encrypted, sight.encrypted)
    binding = room.binding
    if binding is None:
        if sight.binding is not None:
            yield Difference("binding", None, dict(sight.binding))
        return
    stored = sight.binding or {}
    for field, local in binding.content().items():
        if stored.get(field) != local:
            yield Difference(field, local, stored.get(field))
    if binding.room_type != "entry" and sight.created_by != bot:
        yield Difference("created_by", bot, sight.created_by)
    is_there = sight.owner_membership in ("join", "invite")
    if binding.room_type == "chat" and room.owner_present != is_there:
        present = "join" if room.owner_present else "leave"
        yield Difference("owner_membership", present, sight.owner_membership)
    link = sight.child_link
    if binding.room_type == "chat" and (link is None or link.sender != bot or not link.via):
        found = None if link is None else {"sender": link.sender, "via": list(link.via)}
        yield Difference("child_link", {"space_id": binding.space_id, "sender": bot}, found)
