"""Asks the homeserver for `inspect-room`: compares a room with the local row (`--server`), and resolves aliases.

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
from machines.ids import RoomId, UserId
from machines.room.state import Room
from matrix.errors import HomeserverUnreachable, RequestRefused, SessionAbsent, SessionUnusable
from matrix.raw_events import as_dict
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


def resolve_alias(store_path: Path, alias: str) -> RoomId:
    """Ask the homeserver which room an alias names, with the stored session; only reads.

    Raises:
        CommandFailed: it names none, or the homeserver can't be asked (2), or refuses the session (3).
    """
    try:
        return anyio.run(_resolve, store_path, alias)
    except RequestRefused as refused:
        raise CommandFailed(
            ExitCode.USAGE,
            f"the homeserver resolves the alias {alias} to no room ({refused.errcode}): use the room's"
            " id, name or chat number",
        ) from refused
    except (SessionAbsent, SessionUnusable, CredentialsRefused, HomeserverUnreachable) as error:
        refused_session = isinstance(error, CredentialsRefused)
        raise CommandFailed(
            ExitCode.CREDENTIALS if refused_session else ExitCode.USAGE,
            f"the alias {alias} can't be resolved, because only the homeserver knows it: {error}; use"
            " the room's id, name or chat number",
        ) from error


async def _resolve(store_path: Path, alias: str) -> RoomId:
    async with stored_session(store_path) as client:
        found = as_dict(await client.get("directory", "room", alias))
    room_id = found.get("room_id")
    if not isinstance(room_id, str):
        raise RequestRefused(404, "M_NOT_FOUND", "the response names no room")
    return RoomId(room_id)


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
    owner = snapshot.owner_membership
    known = "leave" if room.owner_membership == "declined" else room.owner_membership
    if binding.room_type == "chat" and known != (owner if owner in ("join", "invite") else "leave"):
        yield Difference("owner_membership", known, owner)
    link = snapshot.child_link
    if binding.room_type == "chat" and (link is None or link.sender != bot or not link.via):
        found = None if link is None else {"sender": link.sender, "via": list(link.via)}
        yield Difference("child_link", {"space_id": binding.space_id, "sender": bot}, found)
