"""Finds the room that an operator means: by id, chat number, name, alias or owner (contract I6).

A room id always wins, then chats before other rooms; an owner counts if no room has this name. Nothing is guessed:
several rooms are listed, and an unknown one gets the nearest. The database knows no aliases, so the homeserver resolves
them (`cli.inspect_server`).
"""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from cli.errors import CommandFailed, ExitCode
from cli.terminal import counted, escape_controls
from machines.ids import RoomId, UserId
from store.inspection import RoomLabel

_NEAREST = 3
_MIN_SIMILARITY = 0.3


def find_room(
    text: str,
    user: str | None,
    labels: Sequence[RoomLabel],
    resolve_alias: Callable[[str], RoomId],
) -> RoomId:
    """Return the room that `text` means; `user` is an owner to whose rooms names and numbers are limited.

    Raises:
        CommandFailed: no room has this name, or several have it (exit 2).
    """
    known = {label.room_id: label for label in labels}
    if text in known:
        return RoomId(text)
    own = rooms_of(user, labels) if user is not None else labels
    found = _named(text, own)
    if not found and _is_alias(text):
        room_id = resolve_alias(text)
        if room_id in known:
            return room_id
        raise CommandFailed(
            ExitCode.USAGE, f"{text} is the room {room_id}, which is not in the database"
        )
    if not found:
        raise _unknown(text, user, own)
    if len(found) > 1:
        owner_helps = len({label.owner for label in found}) > 1
        raise CommandFailed(
            ExitCode.USAGE,
            f"{counted(len(found), 'room')} match “{escape_controls(text)}”; name one by its room id"
            f"{', or its owner with --user' if owner_helps else ''}",
            map(described, found),
        )
    return found[0].room_id


def rooms_of(user: str, labels: Iterable[RoomLabel]) -> list[RoomLabel]:
    """Return the rooms of an owner, given by Matrix id or localpart.

    Raises:
        CommandFailed: there is none (exit 2).
    """
    labels = tuple(labels)
    own = [label for label in labels if _is_user(label.owner, user)]
    if own:
        return own
    owners = sorted({label.owner for label in labels if label.owner is not None})
    near = difflib.get_close_matches(user, owners, _NEAREST, _MIN_SIMILARITY) or owners[:_NEAREST]
    nearest = f"; the nearest owners: {', '.join(near)}" if near else ""
    raise CommandFailed(ExitCode.USAGE, f"no room belongs to {escape_controls(user)}{nearest}")


def described(label: RoomLabel) -> str:
    """Return a room's id, and in brackets its chat number, name and owner."""
    name = f"“{label.name}”" if label.name else "no name"
    parts = (label.chat_id or label.room_type, name, label.owner)
    return escape_controls(f"{label.room_id} ({', '.join(part for part in parts if part)})")


def _named(text: str, labels: Iterable[RoomLabel]) -> list[RoomLabel]:
    """Return the rooms with this chat number or name: chats if there are any, else the others.

    Case counts only where rooms differ in nothing else. A Matrix id that no room has as its name is an owner.
    """
    labels = tuple(labels)
    wanted = _folded(text)
    found = [
        label for label in labels if wanted in (_folded(label.chat_id or ""), _folded(label.name))
    ]
    if not found and text.startswith("@"):
        return [label for label in labels if _is_user(label.owner, text)]
    found = [label for label in found if label.room_type == "chat"] or found
    exact = [label for label in found if text in (label.chat_id, label.name)]
    return exact or found if wanted else []


def _unknown(text: str, user: str | None, labels: Sequence[RoomLabel]) -> CommandFailed:
    shown = escape_controls(text)
    if not labels:
        return CommandFailed(
            ExitCode.USAGE, f"the room {shown} is not in the database, and no other room is"
        )
    by_text: dict[str, RoomLabel] = {}
    for label in labels:
        by_text.setdefault(_folded(label.name), label)
        by_text.setdefault(_folded(label.chat_id or ""), label)
        by_text[label.room_id] = label
    near = difflib.get_close_matches(text, by_text, _NEAREST, _MIN_SIMILARITY)
    near += difflib.get_close_matches(_folded(text), by_text, _NEAREST, _MIN_SIMILARITY)
    rooms = list(dict.fromkeys(by_text[each] for each in near)) or labels
    whose = f" of {escape_controls(user)}" if user is not None else ""
    return CommandFailed(
        ExitCode.USAGE,
        f"the room {shown} is not in the database; without a room id all are listed; the nearest of"
        f" {len(labels)} known{whose}",
        map(described, rooms[:_NEAREST]),
    )


def _is_alias(text: str) -> bool:
    return text.startswith("#") and ":" in text


def _is_user(owner: UserId | None, user: str) -> bool:
    return owner is not None and user in (owner, owner.partition(":")[0], owner[1:].split(":")[0])


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split())).casefold()
