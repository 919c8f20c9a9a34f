"""The plan and the result of a reset: both are a `Summary` (contracts X3, X4).

A dry run prints the plan. A real run carries out the same plan and returns it with each planned action replaced by its
result. This module does no I/O.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from machines.ids import RoomId


class Mode(StrEnum):
    """Where a reset takes effect."""

    LOCAL_ONLY = "local-only"
    SERVER_LEAVE_FORGET = "server-leave-forget"


class LocalLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file or directory; `error` says why the action is `failed`."""

    path: Path
    action: Literal["would_delete", "deleted", "absent", "failed"]
    error: str | None = None


class ServerLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room or an open invitation; `name` may be `""`, `error` says why the action is `failed`."""

    room_id: RoomId
    name: str
    action: Literal[
        "would_leave_and_forget", "left_and_forgotten", "would_decline", "declined", "failed"
    ]
    error: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """The object of contract X4; a plan has `dry_run`, a result has not."""

    mode: Mode
    dry_run: bool
    local: tuple[LocalLine, ...] = ()
    server: tuple[ServerLine, ...] = ()
    manual_steps: tuple[str, ...] = ()

    def as_object(self) -> Any:
        """Return the summary for `--json`."""
        return msgspec.to_builtins(self, enc_hook=str)


Line = TypeVar("Line", LocalLine, ServerLine)
_DONE: dict[str, Any] = {
    "would_delete": "deleted",
    "would_leave_and_forget": "left_and_forgotten",
    "would_decline": "declined",
}


def plan_local(files: Iterable[LocalLine], device_id: str | None) -> Summary:
    """Plan to delete the local files; `device_id` is the device of the stored session."""
    steps = [
        "To start with new chats (otherwise the bot restores the old ones at its next start): leave or"
        " archive the old rooms and the Space.",
        "Then invite the bot to a room again, and accept its new invites.",
    ]
    if device_id is not None:
        steps.append(
            f"In the bot's own account, sign out the old device {device_id}, unless"
            " MATRIX_ACCESS_TOKEN belongs to it: the next login creates a new one."
        )
    return Summary(Mode.LOCAL_ONLY, True, local=tuple(files), manual_steps=tuple(steps))


def plan_server(rooms: Iterable[ServerLine]) -> Summary:
    """Plan to leave all rooms of the bot and to reject its invitations."""
    steps = (
        "Leave or archive the old rooms and the Space: they stay on the server for their other members.",
        "Invite the bot to a room again, and accept its new invites.",
    )
    return Summary(Mode.SERVER_LEAVE_FORGET, True, server=tuple(rooms), manual_steps=steps)


def delete_files(plan: Summary, delete: Callable[[Path], None]) -> Summary:
    """Delete the planned files; if one can't be deleted, the files after it stay.

    A write-ahead log without its database, or a database without its log, would be worse than both.
    """
    done, skipped = [], None
    for line in plan.local:
        error = skipped
        if line.action == "would_delete" and error is None:
            try:
                delete(line.path)
            except OSError as cause:
                error = cause.strerror or type(cause).__name__
                skipped = f"left as it is, because {line.path} could not be deleted"
        done.append(_done(line, error))
    return replace(plan, dry_run=False, local=tuple(done))


def leave_rooms(plan: Summary, leave: Callable[[RoomId], str | None]) -> Summary:
    """Leave all planned rooms (contract X6); `leave` returns why a room could not be left, or `None`."""
    done = tuple(_done(line, leave(line.room_id)) for line in plan.server)
    return replace(plan, dry_run=False, server=done)


def _done(line: Line, error: str | None) -> Line:
    if line.action == "absent":
        return line
    if error is not None:
        return replace(line, action="failed", error=error)
    return replace(line, action=_DONE[line.action])
