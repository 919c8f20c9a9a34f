"""What a reset does: planned once, purely; the dry run shows the plan, the real run carries it out (contract X3).

Both come to a summary of the same shape (contract X4). A room that can't be left is noted and the next one follows
(contract X6); nothing here knows files or the network.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from machines.ids import RoomId


class Mode(StrEnum):
    """What is reset."""

    LOCAL_ONLY = "local-only"
    SERVER_LEAVE_FORGET = "server-leave-forget"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file or directory that a local reset is about."""

    path: Path
    exists: bool


@dataclass(frozen=True, slots=True)
class OwnRoom:
    """A room that the bot is in, or is invited to; `name` is `""` where it has none."""

    room_id: RoomId
    name: str
    invited: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order."""

    mode: Mode
    files: tuple[LocalFile, ...] = ()
    rooms: tuple[OwnRoom, ...] = ()
    manual_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalLine:
    """What was, or would be, done about a file: `deleted`, `would_delete`, `absent`, or `failed` and why."""

    path: Path
    action: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ServerLine:
    """What was, or would be, done about a room or an open invitation, or `failed` and why (contract X4)."""

    room_id: RoomId
    name: str
    action: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The three parts that are always told."""

    mode: Mode
    dry_run: bool
    local: tuple[LocalLine, ...]
    server: tuple[ServerLine, ...]
    manual_steps: tuple[str, ...]

    @property
    def rooms_failed(self) -> int:
        """How many rooms could not be left."""
        return sum(line.action == "failed" for line in self.server)

    @property
    def first_file_failed(self) -> LocalLine | None:
        """The file that could not be deleted; those after it were left for that reason."""
        return next((line for line in self.local if line.action == "failed"), None)

    def as_object(self) -> dict[str, Any]:
        """Return the object of contract X4."""
        return {
            "mode": self.mode.value,
            "dry_run": self.dry_run,
            "local": [
                {"path": str(line.path), "action": line.action}
                | ({"error": line.error} if line.error is not None else {})
                for line in self.local
            ],
            "server": [
                {"room_id": line.room_id, "name": line.name, "action": line.action}
                | ({"error": line.error} if line.error is not None else {})
                for line in self.server
            ],
            "manual_steps": list(self.manual_steps),
        }


def plan_local(files: Iterable[LocalFile], device_id: str | None) -> Plan:
    """Plan to forget what is kept on this machine; `device_id` is the device that goes with it."""
    steps = [
        "If the chats are to start anew (otherwise the bot restores them at its next start): leave or"
        " archive the old rooms and the Space.",
        "After that, invite the bot to a room again, and accept its new invites.",
    ]
    if device_id is not None:
        steps.append(
            f"In the bot's own account, sign out the old device {device_id}, unless"
            " MATRIX_ACCESS_TOKEN belongs to it: the next login makes a new one."
        )
    return Plan(Mode.LOCAL_ONLY, files=tuple(files), manual_steps=tuple(steps))


def plan_server(rooms: Iterable[OwnRoom]) -> Plan:
    """Plan to take the bot out of all its rooms."""
    steps = (
        "Leave or archive the old rooms and the Space: they stay on the server for whoever is in them.",
        "Invite the bot to a room again, and accept its new invites.",
    )
    return Plan(Mode.SERVER_LEAVE_FORGET, rooms=tuple(rooms), manual_steps=steps)


def preview(plan: Plan) -> Summary:
    """Say what carrying the plan out would do."""
    return Summary(
        mode=plan.mode,
        dry_run=True,
        local=tuple(
            LocalLine(file.path, "would_delete" if file.exists else "absent") for file in plan.files
        ),
        server=tuple(
            ServerLine(
                room.room_id,
                room.name,
                "would_decline" if room.invited else "would_leave_and_forget",
            )
            for room in plan.rooms
        ),
        manual_steps=plan.manual_steps,
    )


def carry_out(
    plan: Plan, delete: Callable[[Path], None], leave: Callable[[RoomId], str | None]
) -> Summary:
    """Do what is planned; `leave` returns why a room could not be left, `None` when it was.

    After a file that can't be deleted the others are left: a log without its database, or a database
    without its log, would be worse than either.
    """
    local: list[LocalLine] = []
    left: str | None = None
    for file in plan.files:
        error = left
        if error is None and file.exists:
            try:
                delete(file.path)
            except OSError as cause:
                error = cause.strerror or type(cause).__name__
                left = f"left as it is, because {file.path} could not be deleted"
        if not file.exists:
            local.append(LocalLine(file.path, "absent"))
        elif error is None:
            local.append(LocalLine(file.path, "deleted"))
        else:
            local.append(LocalLine(file.path, "failed", error))
    server = []
    for room in plan.rooms:
        error = leave(room.room_id)
        done = "declined" if room.invited else "left_and_forgotten"
        action = done if error is None else "failed"
        server.append(ServerLine(room.room_id, room.name, action, error))
    return Summary(plan.mode, False, tuple(local), tuple(server), plan.manual_steps)
