"""Compares a room on the homeserver with the local row (`inspect-room --server`).

It uses the stored session, does not log in and writes nothing. The differences are what the next reconciliation would
read, not what it would decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import msgspec

from cli.errors import CommandFailed, ExitCode
from machines.errors import CredentialsRefused
from machines.ids import UserId
from machines.room.state import Room
from matrix.errors import HomeserverUnreachable, SessionAbsent, SessionUnusable
from matrix.rooms.snapshot import RemoteRoomSnapshot, read_snapshot
from matrix.session.one_shot import stored_session


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that differs between the local row and the homeserver."""

    field: str
    local: object
    server: object


@dataclass(frozen=True, slots=True)
class Comparison:
    """The room on the homeserver, and its differences from the row."""

    snapshot: RemoteRoomSnapshot
    differences: tuple[Difference, ...]

    def as_object(self) -> dict[str, Any]:
        """Return the object for `--json`: its keys are the fields of `RemoteRoomSnapshot`, and `differences`."""
        return {
            **msgspec.to_builtins(self.snapshot),
            "differences": msgspec.to_builtins(self.differences),
        }


def compare_with_server(store_path: Path, room: Room) -> Comparison:
    """Read a room on the homeserver and compare it with its row.

    Raises:
        CommandFailed: there is no session (2), it is refused (3), or the homeserver does not answer (1).
    """
    try:
        return anyio.run(_compare, store_path, room)
    except (SessionAbsent, SessionUnusable) as error:
        raise CommandFailed(
            ExitCode.USAGE,
            f"--server needs the daemon's session: {error}; set MATRIX_STORE_PATH to the daemon's, or"
            " start the daemon once",
        ) from error
    except CredentialsRefused as error:
        raise CommandFailed(ExitCode.CREDENTIALS, str(error)) from error
    except HomeserverUnreachable as error:
        raise CommandFailed(ExitCode.FAULT, f"{error}; without --server it is not asked") from error


async def _compare(store_path: Path, room: Room) -> Comparison:
    binding = room.binding
    space_id = binding.space_id if binding is not None else None
    owner = binding.matrix_user_id if binding is not None else None
    async with stored_session(store_path) as client:
        snapshot = await read_snapshot(client, room.room_id, space_id, owner)
        return Comparison(snapshot, tuple(_differences(room, snapshot, client.user_id)))


def _differences(room: Room, snapshot: RemoteRoomSnapshot, bot: UserId) -> Iterator[Difference]:
    joined = snapshot.membership == "join"
    joined_locally = room.state != "unregistered"
    if joined != joined_locally:
        yield Difference("membership", "join" if joined_locally else "leave", snapshot.membership)
    if not joined:
        return
    if (snapshot.name or "") != room.name:
        yield Difference("name", room.name, snapshot.name)
    if snapshot.encrypted != room.encrypted:
        yield Difference("encrypted", room.encrypted, snapshot.encrypted)
    binding = room.binding
    if binding is None:
        if snapshot.binding is not None:
            yield Difference("binding", None, dict(snapshot.binding))
        return
    stored = snapshot.binding or {}
    for field, local in binding.content().items():
        if stored.get(field) != local:
            yield Difference(field, local, stored.get(field))
    if binding.room_type != "entry" and snapshot.created_by != bot:
        yield Difference("created_by", bot, snapshot.created_by)
    owner_present = snapshot.owner_membership in ("join", "invite")
    if binding.room_type == "chat" and room.owner_present != owner_present:
        present = "join" if room.owner_present else "leave"
        yield Difference("owner_membership", present, snapshot.owner_membership)
    link = snapshot.child_link
    if binding.room_type == "chat" and (link is None or link.sender != bot or not link.via):
        found = None if link is None else {"sender": link.sender, "via": list(link.via)}
        yield Difference("child_link", {"space_id": binding.space_id, "sender": bot}, found)
